#include "format/arity.h"

#include "error.h"

namespace bnn_exit {
namespace {

constexpr size_t kMany = SIZE_MAX;

struct Arity {
  const char* name;
  size_t min_inputs, max_inputs, min_outputs, max_outputs;
};
constexpr Arity kArities[] = {
#define BNN_EXIT_ARITY(name, min_inputs, max_inputs, min_outputs, max_outputs) \
  {#name, min_inputs, max_inputs, min_outputs, max_outputs},
#include "format/arity.inc"
};

// The option that repeats the number of inputs or outputs.
constexpr struct {
  const char *name, *option;
  bool of_inputs;
} kCounted[] = {{"PACK", "values_count", true},
                {"UNPACK", "num", false},
                {"SPLIT", "num_splits", false},
                {"SPLIT_V", "num_splits", false}};

}  // namespace

void check_arity(const OperatorInfo& op) {
  auto require = [&](bool fits, size_t count, const char* what) {
    if (!fits) damaged("an operator %s has %zu %s", op.name.c_str(), count, what);
  };
  size_t inputs = op.inputs.size(), outputs = op.outputs.size();
  for (const Arity& arity : kArities) {
    if (op.name != arity.name) continue;
    require(inputs >= arity.min_inputs && inputs <= arity.max_inputs, inputs, "inputs");
    require(outputs >= arity.min_outputs && outputs <= arity.max_outputs, outputs, "outputs");
  }
  for (const auto& counted : kCounted) {
    if (op.name != counted.name) continue;
    size_t count = counted.of_inputs ? inputs : outputs;
    require(op.options.integer(counted.option) == static_cast<int64_t>(count), count,
            counted.of_inputs ? "inputs" : "outputs");
  }
}

}  // namespace bnn_exit
