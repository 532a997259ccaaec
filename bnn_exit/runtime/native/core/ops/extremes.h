// The larger and the smaller of two numbers, for elementwise operators and reductions.
#pragma once

namespace bnn_exit {

// NaN if either is.
struct Maximum {
  template <typename T>
  T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};
struct Minimum {
  template <typename T>
  T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
};

}  // namespace bnn_exit
