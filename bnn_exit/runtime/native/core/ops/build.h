// Builds one operator of a file: checks it, infers the shapes of its results, and returns the operation that computes
// them.
#pragma once

#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "budget.h"
#include "error.h"
#include "kernels/kernels.h"
#include "ops/value.h"
#include "ops/workers.h"

namespace bnn_exit {

// Computes an operator on the values that it was built with. Allocates nothing.
class Operation {
 public:
  virtual ~Operation() = default;
  virtual void bind() {}  // called once, when every value has its address
  virtual void execute() = 0;
};

template <typename Function>
std::unique_ptr<Operation> make_operation(Function function) {
  class FunctionOperation : public Operation {
   public:
    explicit FunctionOperation(Function function) : function_(std::move(function)) {}
    void execute() override { function_(); }

   private:
    Function function_;
  };
  return std::make_unique<FunctionOperation>(std::move(function));
}

// Operators that are fused into a layer: they are applied to its results before these are stored, in the order of the
// file.
struct Epilogue {
  struct Step {
    explicit Step(StepKind kind) : kind(kind) {}
    static Step clamp(float low, float high) {
      Step step(StepKind::kClamp);
      step.low = low;
      step.high = high;
      return step;
    }

    StepKind kind;
    Value* tensor = nullptr;       // of the tensor steps, of the shape of the result; of kSubValue, one value
    const float* table = nullptr;  // of the tensor steps, in place of `tensor`: the same for every clip of a batch
    std::vector<float> channels;   // of the channel steps, padded to kLanes
    float low = 0, high = 0;       // of kClamp
  };
  std::vector<Step> steps;
  Value* values = nullptr;  // the floats; nullptr if nothing reads them
  Value* bits = nullptr;    // their signs, laid out by its BitLayout; nullptr if nothing reads them
};

// What all operators of a network share while it is built.
struct BuildContext {
  const Kernels& kernels;
  Budget budget;
  Workers& workers;
  std::deque<Value> values;  // addresses stay valid
  std::vector<std::unique_ptr<uint8_t[]>> memory;

  Value* make_value();
  void* allocate(size_t size);  // aligned to kAlign, zeroed, counted; lives as long as the network
  void* allocate_uncounted(size_t size);
};

constexpr uint64_t kOperatorSteps = 32;  // elementary steps of any operator, beside those for its values

// The product of numbers of a file; saturates at UINT64_MAX.
uint64_t product(std::initializer_list<int64_t> factors);

struct Build {
  Build(const OperatorInfo& op, BuildContext& context) : op(op), context(context) {}

  const OperatorInfo& op;
  BuildContext& context;
  std::vector<Value*> in;  // nullptr for an optional input that is not given
  std::vector<Value*> out;
  std::vector<Value*> scratch;

  // Everything that a file asks for is claimed before it is spent. A step takes at most 2 ns on any instruction set, so
  // the steps of a kernel count what it computes, padding included, not what the file asks for;
  // benchmarks/operator_steps.py measures this.
  void claim(uint64_t steps);  // of each inference, or of loading if all inputs are constant
  void claim_load(uint64_t steps) { context.budget.count_load_operations(steps); }

  bool given(size_t index) const { return index < in.size() && in[index]; }
  // An input, which must be given and have the type, if one is named.
  Value& input(size_t index) const;
  Value& input(size_t index, Type type) const;
  Value& output(size_t index = 0) const;

  // The integers of a constant input.
  std::vector<int64_t> constants(size_t index) const;
  int64_t constant(size_t index) const;

  // Refuses a shape that no tensor may have. Call it before anything is computed from the shape.
  void require(const Shape& shape) const;

  // Sets the shape and type of an output; the shape must be allowed.
  Value& result(size_t index, Type type, const Shape& shape);
  Value& result(Type type, const Shape& shape) { return result(0, type, shape); }

  // The output shares the input's memory, with another shape; there is nothing to execute.
  std::unique_ptr<Operation> share(Value& from, const Shape& shape);

  // Memory that is only used while the operator is executed.
  Value* temporary(size_t bytes);

  size_t axis(int64_t number, size_t rank) const;  // counted from the end if negative
  float low() const;                               // of the fused activation
  float high() const;
  bool activates() const { return op.options.integer("fused_activation_function") != kNone; }

  // Raises Error: the operator cannot be computed, for the reason given.
  [[noreturn]] [[gnu::format(printf, 2, 3)]] void refuse(const char* format, ...) const;
};

using Builder = std::unique_ptr<Operation> (*)(Build&);

// A batch of images.
struct Image {
  int64_t batch;
  int32_t height, width, channels;
  int64_t floats() const { return int64_t{height} * width * channels; }  // of one clip
  Shape shape() const { return {batch, height, width, channels}; }
};

// A layer that may have an epilogue. Its builder sets the shape of the output; `with_epilogue` makes the operation,
// once the epilogue is known.
class Layer {
 public:
  virtual ~Layer() = default;
  virtual std::unique_ptr<Operation> with_epilogue(Epilogue epilogue) = 0;

  // Whether it reads `source` in place of its input, which is `source` brought into [low, high].
  virtual bool absorb_clamp(Value& source, float low, float high) {
    (void)source, (void)low, (void)high;
    return false;
  }

  std::vector<Epilogue::Step> steps;  // the layer's own: bias and fused activation
  Image pixels = {};  // of its result, as its kernel writes it: the shape of the result, or another with as many values
  bool fusible = true;  // false if its kernel applies no epilogue
};
using LayerBuilder = std::unique_ptr<Layer> (*)(Build&);

// Range of a fused activation, or false for one that no operator has.
bool activation_range(int64_t activation, float* low, float* high);

// Raises Error during an inference.
[[noreturn]] void fail_execution(const char* text);

}  // namespace bnn_exit
