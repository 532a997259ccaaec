// Compares every kernel of every instruction set of this machine with its definition, written out in plain loops.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../kernels.h"

namespace check {

using namespace bnn_exit;

struct Random {
  std::uint64_t state;
  std::uint64_t word() {
    state += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  int below(int n) { return static_cast<int>(word() % static_cast<std::uint64_t>(n)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  float real() { return static_cast<float>(static_cast<double>(word() >> 11) / 9007199254740992.0 * 4 - 2); }
  template <int N>
  int of(const int (&values)[N]) {
    return values[below(N)];
  }
};

// An aligned array of exactly the length asked for, so that a sanitizer sees every step beyond it.
template <class T>
struct Array {
  T* data;
  std::size_t size;
  explicit Array(std::size_t n) : size(n) {
    // The end lies at the end of the allocation, the start is aligned: the length is rounded up only where it must be.
    data = static_cast<T*>(std::aligned_alloc(kAlign, (n * sizeof(T) + kAlign - 1) / kAlign * kAlign + kAlign));
    if (!data) std::abort();
  }
  Array(const Array&) = delete;
  ~Array() { std::free(data); }
  T& operator[](std::size_t i) { return data[i]; }
};

inline std::vector<float> reals(Random& random, std::size_t n, std::size_t padded = 0) {
  std::vector<float> values(n > padded ? n : padded, 0.0f);
  for (std::size_t i = 0; i < n; ++i) values[i] = random.real();
  return values;
}

// What the steps do, from their definition. `v` becomes the float result; `size` values make a pixel.
void apply_steps(const Output& output, int pixels, int channels, std::vector<float>& v);
// A random chain of steps and the data that they refer to.
struct Steps {
  std::vector<std::vector<float>> data;
  void add(Random& random, Output& output, int pixels, int channels);
};
// An output of its own memory, filled with a pattern, to compare with what the steps give.
struct Target {
  int height, width, channels, pitch, border;
  std::vector<float> values;
  std::vector<std::uint64_t> bits;
  std::ptrdiff_t row;
  Output output;
  Target(Random& random, int height, int width, int channels, bool want_values, bool want_bits);
  // Empty if the values are within `tolerance` (0: the same bits), the signs are `signs` or those of the expected
  // values, and nothing else was written.
  std::string compare(const std::vector<float>& expected, double tolerance, const std::vector<bool>* signs = nullptr);
};

// The checks: number of cases that agree; prints those that do not. `cases` scales the random part.
struct Result {
  int agree = 0, differ = 0;
};
Result check_binary_conv(const Kernels& kernels, std::uint64_t seed, int cases);
Result check_conv(const Kernels& kernels, std::uint64_t seed, int cases);
Result check_depthwise(const Kernels& kernels, std::uint64_t seed, int cases);
Result check_average_pool(const Kernels& kernels, std::uint64_t seed, int cases);
Result check_max_pool(const Kernels& kernels, std::uint64_t seed, int cases);
Result check_binary_max_pool(const Kernels& kernels, std::uint64_t seed, int cases);
Result check_elementwise(const Kernels& kernels, std::uint64_t seed, int cases);
Result check_log_mel(const Kernels& kernels, std::uint64_t seed, int cases);
Result check_unpack_signs(const Kernels& kernels, std::uint64_t seed, int cases);

inline void note(Result& result, const std::string& problem, const std::string& what) {
  if (problem.empty()) {
    ++result.agree;
    return;
  }
  ++result.differ;
  if (result.differ < 8) std::printf("DIFFERS %s: %s\n", what.c_str(), problem.c_str());
}

}  // namespace check
