// A layer with the later operators that are fused into its epilogue, which is applied before its results are stored.
#pragma once

#include "ops/build.h"

namespace bnn_exit {

struct Fusion {
  std::unique_ptr<Layer> layer;  // nullptr once it is dissolved
  Value* source = nullptr;       // of a fusion without a layer of the file: the value that its steps change
  Epilogue epilogue;
  Value* current = nullptr;  // the result so far; nullptr if only signs are stored
  size_t node = 0;           // index of the node that executes it
  int64_t uses = 0;          // readers of `current` outside the fusion
  std::vector<Value*> reads, scratch;
  std::string names;  // of its operators, for the printed plan

  // Fuses an operator that reads `current`, if an epilogue can compute it. The result of a float operator becomes
  // `current`; an LceQuantize only adds an output.
  bool absorb(Build& build);

  // Whether `next` takes the place of this fusion, which only brings values into a range, and reads what it reads.
  bool dissolve(Layer& next);

  std::unique_ptr<Operation> make();

 private:
  bool absorb_one(Build& build);
  bool absorb_signs(Build& build);
  bool absorb_clamp(Build& build, float low, float high);
  bool absorb_limit(Build& build, const Value& limit);
  bool absorb_value(Build& build, Value& value);
  bool absorb_operand(Build& build, size_t side);
  bool fits(size_t count) const { return epilogue.steps.size() + count <= kMaxSteps; }
};

// Starts a fusion without a layer, for an operator that an epilogue can compute; false if none can.
bool start_pointwise(Build& build, Fusion& fusion);

}  // namespace bnn_exit
