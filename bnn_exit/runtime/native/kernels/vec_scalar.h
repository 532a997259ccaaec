// Sixteen floats or whole numbers in vectors of four, which the compiler maps to what there is (SSE2 on x86-64).
// Everything of an instruction set lives in an unnamed namespace: were two translation units with other flags to share
// an inline function, the linker would keep one of them, and it might be one that this processor cannot execute.
#pragma once

#include <cfloat>
#include <cstring>

#include "kernels.h"

#define BNN_INLINE inline __attribute__((always_inline))

namespace bnn_exit {
namespace {

typedef float F4 __attribute__((vector_size(16)));
typedef std::int32_t I4 __attribute__((vector_size(16)));
struct F16 {
  F4 q[4];
};
struct I16 {
  I4 q[4];
};

constexpr int kConvPixels = 3;
constexpr int kConvBlocks = 1;

BNN_INLINE F16 load(const float* p) {
  F16 r;
  std::memcpy(&r, p, sizeof r);
  return r;
}
BNN_INLINE F16 zero() { return F16{}; }
BNN_INLINE F16 load_n(const float* p, int n) {
  if (n >= kLanes) return load(p);
  F16 r = zero();
  std::memcpy(&r, p, static_cast<std::size_t>(n) * sizeof(float));
  return r;
}
// Lane i is p[i / kTimes]; kTimes is 2, 4, 8 or 16.
template <int kTimes>
BNN_INLINE F16 repeated(const float* p) {
  F16 r;
  for (int i = 0; i < kLanes; ++i) r.q[i / 4][i % 4] = p[i / kTimes];
  return r;
}
BNN_INLINE void store(float* p, F16 v) { std::memcpy(p, &v, sizeof v); }
BNN_INLINE void store_n(float* p, F16 v, int n) {
  if (n >= kLanes) return store(p, v);
  std::memcpy(p, &v, static_cast<std::size_t>(n) * sizeof(float));
}
BNN_INLINE I16 load_ints(const std::int32_t* p) {
  I16 r;
  std::memcpy(&r, p, sizeof r);
  return r;
}
BNN_INLINE F16 broadcast(float x) {
  F4 f = {x, x, x, x};
  return F16{{f, f, f, f}};
}

#define BNN_EACH(expression)                       \
  F16 r;                                           \
  for (int i = 0; i < 4; ++i) r.q[i] = expression; \
  return r
BNN_INLINE F16 add(F16 a, F16 b) { BNN_EACH(a.q[i] + b.q[i]); }
BNN_INLINE F16 mul(F16 a, F16 b) { BNN_EACH(a.q[i] * b.q[i]); }
BNN_INLINE F16 multiply_add(F16 a, F16 b, F16 c) { BNN_EACH(a.q[i] * b.q[i] + c.q[i]); }
BNN_INLINE F16 at_least(F16 v, F16 low) { BNN_EACH(v.q[i] < low.q[i] ? low.q[i] : v.q[i]); }  // NaN stays NaN
// NaN if either is.
BNN_INLINE F16 greatest(F16 a, F16 b) { BNN_EACH(a.q[i] > b.q[i] || a.q[i] != a.q[i] ? a.q[i] : b.q[i]); }
BNN_INLINE F16 at_most(F16 v, F16 high) { BNN_EACH(v.q[i] > high.q[i] ? high.q[i] : v.q[i]); }
BNN_INLINE F16 prelu(F16 v, F16 slope) { BNN_EACH(v.q[i] >= 0 ? v.q[i] : v.q[i] * slope.q[i]); }
BNN_INLINE F16 as_float(I16 counts) { BNN_EACH(__builtin_convertvector(counts.q[i], F4)); }
#undef BNN_EACH

// float(clamp(2 * count, low, high))
BNN_INLINE F16 clamped_twice(I16 counts, std::int32_t low, std::int32_t high) {
  F16 r;
  const I4 lows = {low, low, low, low}, highs = {high, high, high, high};
  for (int i = 0; i < 4; ++i) {
    I4 v = counts.q[i] + counts.q[i];
    v = v < lows ? lows : v;
    v = v > highs ? highs : v;
    r.q[i] = __builtin_convertvector(v, F4);
  }
  return r;
}

BNN_INLINE unsigned lane_bits(I4 truth, int i) {
  const auto bits = static_cast<unsigned>((truth[0] & 1) | (truth[1] & 2) | (truth[2] & 4) | (truth[3] & 8));
  return bits << (4 * i);
}
BNN_INLINE unsigned negative_bits(F16 v) {
  unsigned bits = 0;
  const F4 least = {-FLT_MIN, -FLT_MIN, -FLT_MIN, -FLT_MIN};
  for (int i = 0; i < 4; ++i) bits |= lane_bits(v.q[i] <= least, i);
  return bits;
}
BNN_INLINE unsigned greater_bits(I16 counts, I16 thresholds) {
  unsigned bits = 0;
  for (int i = 0; i < 4; ++i) bits |= lane_bits(counts.q[i] > thresholds.q[i], i);
  return bits;
}

// ---- Rows: as many floats as a register holds ----
typedef F4 Row;
BNN_INLINE Row broadcast_row(float x) { return F4{x, x, x, x}; }
// The four floats, again and again.
BNN_INLINE Row repeated_four(const float* p) { return Row{p[0], p[1], p[2], p[3]}; }
BNN_INLINE Row as_row(I4 v) { return __builtin_convertvector(v, F4); }
BNN_INLINE Row multiply_add(Row x, Row y, Row z) { return x * y + z; }
// c - a * b
BNN_INLINE Row minus_product(Row c, Row a, Row b) { return c - a * b; }
// from[which][at] and the next three.
BNN_INLINE Row four_of_each(const float* const (&from)[4], int which, std::ptrdiff_t at) {
  Row v;
  std::memcpy(&v, from[which] + at, sizeof v);
  return v;
}
// Lane k of v[i] becomes lane i of v[k].
BNN_INLINE void transpose_fours(Row (&v)[4]) {
  const Row a = v[0], b = v[1], c = v[2], d = v[3];
  for (int i = 0; i < 4; ++i) v[i] = Row{a[i], b[i], c[i], d[i]};
}

}  // namespace
}  // namespace bnn_exit
