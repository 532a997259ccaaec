// Whether samples are numbers.
#pragma once

#include <cstddef>

namespace bnn_exit {

// The index of the first sample that is NaN or infinite, or `count` if all are finite.
std::size_t first_not_finite(const float* samples, std::size_t count);

}  // namespace bnn_exit
