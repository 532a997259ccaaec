// A layer and the later operators that become part of it: they are done on its results before these are stored.
#pragma once

#include "ops/build.h"

namespace bnn_exit {

struct Group {
  std::unique_ptr<Layer> layer;
  Tail tail;
  Value* current = nullptr;   // the result so far
  size_t node = 0;            // in whose place the group runs
  int64_t uses = 0;           // readers of `current` that are not part of the group
  std::vector<Value*> reads, scratch;
  std::string names;          // of its operators

  // Takes an operator that reads `current` into the group, if it is of a kind that a tail can hold. A float operator
  // becomes the new result; an LceQuantize only adds an output.
  bool absorb(Build& build);

  std::unique_ptr<Runner> finish();

 private:
  bool absorb_one(Build& build);
  bool absorb_signs(Build& build);
  bool absorb_clamp(Build& build, float low, float high);
  bool absorb_operand(Build& build, size_t side);
  bool room(size_t count) const { return tail.items.size() + count <= kMaxSteps; }
};

// A group without a layer of its own, for an operator that a tail could hold; false if it could not.
bool start_pointwise(Build& build, Group& group);

}  // namespace bnn_exit
