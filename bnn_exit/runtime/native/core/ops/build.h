// One operator on its way to something that runs, and the list of functions that make them.
#pragma once

#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "error.h"
#include "ops/workers.h"
#include "ops/value.h"

namespace bnn_exit {

// Does an operator's work on the data of the values that it was made with. Allocates nothing.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual void bind() {}  // called once, when every value has its address
  virtual void run() = 0;
};

template <typename Function>
std::unique_ptr<Runner> make_runner(Function function) {
  class FunctionRunner : public Runner {
   public:
    explicit FunctionRunner(Function function) : function_(std::move(function)) {}
    void run() override { function_(); }

   private:
    Function function_;
  };
  return std::make_unique<FunctionRunner>(std::move(function));
}

// What follows a layer and is done on its results before they are stored: later operators of the file, in their order.
struct Tail {
  struct Item {
    explicit Item(StepKind kind) : kind(kind) {}

    StepKind kind;
    Value* tensor = nullptr;      // of the tensor steps, of the shape of the result
    const float* table = nullptr; // of the tensor steps, in place of `tensor`: the same for every clip of a batch
    std::vector<float> channels;  // of the channel steps, padded to kLanes
    float low = 0, high = 0;      // of kClamp
  };
  std::vector<Item> items;
  Value* values = nullptr;  // where the floats go; nullptr if nobody reads them
  Value* bits = nullptr;    // where their signs go, laid out by its BitLayout; nullptr if nobody reads them
};

// What all operators of a network share while it is built.
struct Workshop {
  const Kernels& kernels;
  std::deque<Value> values;             // addresses stay valid
  std::vector<std::unique_ptr<uint8_t[]>> memory;
  uint64_t bytes = 0, max_bytes = 0;    // of memory, prepared weights and constants included
  uint64_t work = 0, max_work = 0;
  Workers& workers;

  Value* make_value();
  void* allocate(size_t size);          // aligned to kAlign, zeroed, counted; lives as long as the network
  void* keep(size_t size);              // the same, not counted
  void count_bytes(uint64_t size);
  void count_work(uint64_t size);       // steps of each run
  // Steps that are spent now, while the file is loaded: they have the same limit as a run, but are not of it.
  void count_load(uint64_t steps);
  uint64_t loaded = 0;
};

constexpr uint64_t kOperatorSteps = 32;  // that any operator takes, beside its values

// Of numbers that a file gives; stops at UINT64_MAX.
uint64_t product(std::initializer_list<int64_t> factors);

struct Build {
  Build(const OperatorInfo& op, Workshop& shop) : op(op), shop(shop) {}

  const OperatorInfo& op;
  Workshop& shop;
  std::vector<Value*> in;   // nullptr for an optional input that is not given
  std::vector<Value*> out;
  std::vector<Value*> scratch;

  // Everything that a file asks for is claimed before it is spent. A step takes at most 2 ns on any instruction set, so a
  // kernel's steps are what it does, not what it is asked for; benchmarks/operator_steps.py measures it.
  void claim(uint64_t steps);       // of each run, or of the one at load time if all inputs are known then
  void claim_load(uint64_t steps) { shop.count_load(steps); }

  bool given(size_t index) const { return index < in.size() && in[index]; }
  // The input of that number, which must be given and, if a type is named, be of it.
  Value& input(size_t index) const;
  Value& input(size_t index, Type type) const;
  Value& output(size_t index = 0) const;

  // Whole numbers of a constant input.
  std::vector<int64_t> constants(size_t index) const;
  int64_t constant(size_t index) const;

  // Refuses a shape that no tensor may have. To be asked before anything is made of it.
  void require(const Shape& shape) const;

  // Gives an output its shape and type, which it requires.
  Value& result(size_t index, Type type, const Shape& shape);
  Value& result(Type type, const Shape& shape) { return result(0, type, shape); }

  // The output is the input's memory with another shape; there is nothing to run.
  std::unique_ptr<Runner> share(Value& from, const Shape& shape);

  // Memory that is only used while the operator runs.
  Value* temporary(size_t bytes);

  size_t axis(int64_t number, size_t rank) const;  // counted from the end if negative
  float low() const;                               // of the fused activation
  float high() const;
  bool activates() const { return op.options.whole("fused_activation_function") != kNone; }

  // Raises Error: the operator cannot be computed, because ...
  [[noreturn]] [[gnu::format(printf, 2, 3)]] void refuse(const char* format, ...) const;
};

using Builder = std::unique_ptr<Runner> (*)(Build&);

// Clips of rows of pixels.
struct Image {
  int64_t batch;
  int32_t height, width, channels;
  int64_t floats() const { return int64_t{height} * width * channels; }  // of one clip
  Shape shape() const { return {batch, height, width, channels}; }
};

// A layer that a tail may follow. Its builder gives the output its shape; `finish` makes what runs, once the tail is known.
class Layer {
 public:
  virtual ~Layer() = default;
  virtual std::unique_ptr<Runner> finish(Tail tail) = 0;

  std::vector<Tail::Item> items;  // the layer's own: bias and fused activation
  Image pixels = {};              // of its result, as its kernel writes it: an image of that shape, or any that holds as much
  bool takes_tail = true;
};
using LayerBuilder = std::unique_ptr<Layer> (*)(Build&);

// Range of a fused activation, or false for one that no operator has.
bool activation_range(int64_t activation, float* low, float* high);

// Raises Error during a run.
[[noreturn]] void fail_run(const char* text);

}  // namespace bnn_exit
