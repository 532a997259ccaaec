#include "audio/finite.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace bnn_exit {
namespace {

// Without a branch for each sample, so that the compiler makes vectors of it.
bool all_finite(const float* samples, std::size_t count) {
  constexpr std::uint32_t kExponent = 0x7f800000, kLowest = 0x00800000;
  std::uint32_t carry = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, samples + i, sizeof bits);
    // An exponent of ones alone, that of NaN and infinity, carries into the highest bit.
    carry |= (bits & kExponent) + kLowest;
  }
  return !(carry >> 31);
}

}  // namespace

std::size_t first_not_finite(const float* samples, std::size_t count) {
  if (all_finite(samples, count)) return count;
  const float* found = std::find_if(samples, samples + count, [](float sample) { return !std::isfinite(sample); });
  return static_cast<std::size_t>(found - samples);
}

}  // namespace bnn_exit
