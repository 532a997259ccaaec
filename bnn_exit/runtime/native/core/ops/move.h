// Operators that put values elsewhere without changing them share one step: each axis of the result says where in the
// input its indices lie, and the sum over an element's axes is its place.
#pragma once

#include <functional>
#include <vector>

#include "ops/build.h"

namespace bnn_exit {

constexpr int64_t kFill = -1;  // a place: no value of the input, but the fill value, goes here

// `place(i)` is what index i adds to the place in the input, or kFill. It is asked for each i in [0, size) at load time.
struct Axis {
  int64_t size;
  std::function<int64_t(int64_t)> place;
};

Axis steps(int64_t size, int64_t stride, int64_t start = 0);

Shape strides_of(const Shape& shape);

// Gives the output the axes' shape. `fill` is one value, nullptr for zeros.
std::unique_ptr<Runner> move(Build& build, size_t output, Value& in, const std::vector<Axis>& axes, int64_t offset = 0,
                             const void* fill = nullptr);

}  // namespace bnn_exit
