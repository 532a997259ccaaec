// Operators that move values without changing them share one operation: each axis of the result maps its indices to
// offsets in the input, and the sum of these over all axes is the offset of an element.
#pragma once

#include <functional>
#include <vector>

#include "ops/build.h"

namespace bnn_exit {

constexpr int64_t kFill = -1;  // an offset that stands for the fill value

// `offset(i)` is what index i adds to the offset in the input, or kFill. It is called for each i in [0, size) while the
// file is loaded.
struct Axis {
  int64_t size;
  std::function<int64_t(int64_t)> offset;
};

Axis steps(int64_t size, int64_t stride, int64_t start = 0);

Shape strides_of(const Shape& shape);

// Gives the output the axes' shape. `fill` is one value, nullptr for zeros.
std::unique_ptr<Operation> move(Build& build, size_t output, Value& in, const std::vector<Axis>& axes,
                                int64_t offset = 0, const void* fill = nullptr);

}  // namespace bnn_exit
