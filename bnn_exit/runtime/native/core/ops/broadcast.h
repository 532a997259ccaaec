// NumPy's broadcasting, which is TFLite's: walks two arrays in the order of the result.
#pragma once

#include <algorithm>

#include "ops/build.h"

namespace bnn_exit {

struct Broadcast {
  Shape shape;   // of the result
  int rank = 0;  // of the walk: axes that are contiguous on both sides are joined
  int64_t sizes[kMaxDimensions] = {};
  int64_t strides[2][kMaxDimensions] = {};
};

inline int64_t rows_of(const Broadcast& plan) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < plan.rank; ++axis) rows *= plan.sizes[axis];
  return rows;
}

Broadcast broadcast(const Build& build, const Shape& left, const Shape& right);

// Calls row(offset of the left, offset of the right, count, step of the left, step of the right) for each innermost
// row.
template <typename Row>
void each_row(const Broadcast& plan, Row row) {
  int64_t index[kMaxDimensions] = {}, offsets[2] = {};
  int inner = plan.rank - 1;
  for (int axis = 0; axis < plan.rank; ++axis) {
    if (plan.sizes[axis] == 0) return;
  }
  for (;;) {
    row(offsets[0], offsets[1], plan.sizes[inner], plan.strides[0][inner], plan.strides[1][inner]);
    int axis = inner - 1;
    for (; axis >= 0; --axis) {
      for (int side = 0; side < 2; ++side) offsets[side] += plan.strides[side][axis];
      if (++index[axis] < plan.sizes[axis]) break;
      index[axis] = 0;
      for (int side = 0; side < 2; ++side) offsets[side] -= plan.strides[side][axis] * plan.sizes[axis];
    }
    if (axis < 0) return;
  }
}

// The range of a fused activation. Booleans have none.
void clamp_in_place(Value& values, float low, float high);

}  // namespace bnn_exit
