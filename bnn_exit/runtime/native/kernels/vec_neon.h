// Sixteen floats or whole numbers in four NEON registers.
#pragma once

#include <arm_neon.h>

#include <cfloat>
#include <cstring>

#include "kernels.h"

#define BNN_INLINE inline __attribute__((always_inline))

namespace bnn_exit {
namespace {

struct F16 {
  float32x4_t q[4];
};
struct I16 {
  int32x4_t q[4];
};

constexpr int kConvPixels = 4;
constexpr int kConvBlocks = 1;

#define BNN_EACH(expression)                       \
  F16 r;                                           \
  for (int i = 0; i < 4; ++i) r.q[i] = expression; \
  return r
BNN_INLINE F16 load(const float* p) { BNN_EACH(vld1q_f32(p + 4 * i)); }
BNN_INLINE F16 broadcast(float x) { BNN_EACH(vdupq_n_f32(x)); }
BNN_INLINE F16 zero() { return broadcast(0.0f); }
BNN_INLINE F16 load_n(const float* p, int n) {
  if (n >= kLanes) return load(p);
  float whole[kLanes] = {};
  std::memcpy(whole, p, static_cast<std::size_t>(n) * sizeof(float));
  return load(whole);
}
// Lane i is p[i / kTimes]; kTimes is 2, 4, 8 or 16.
template <int kTimes>
BNN_INLINE F16 repeated(const float* p) {
  if (kTimes == 2) {
    const float32x4x2_t low = vzipq_f32(vld1q_f32(p), vld1q_f32(p)),
                        high = vzipq_f32(vld1q_f32(p + 4), vld1q_f32(p + 4));
    return {{low.val[0], low.val[1], high.val[0], high.val[1]}};
  }
  BNN_EACH(vld1q_dup_f32(p + 4 * i / kTimes));
}
// Four floats, each of which can be a factor of a whole register: one load in place of four.
#define BNN_EXIT_BY_ELEMENT
typedef float32x4_t F4;
BNN_INLINE F4 load_four(const float* p) { return vld1q_f32(p); }
BNN_INLINE F4 load_two(const float* p) { return vcombine_f32(vld1_f32(p), vdup_n_f32(0)); }
// x[kElement] * w + sum
template <int kElement>
BNN_INLINE F16 multiply_add_element(F4 x, F16 w, F16 sum) {
  for (int i = 0; i < 4; ++i) sum.q[i] = vfmaq_laneq_f32(sum.q[i], w.q[i], x, kElement);
  return sum;
}
// multiply_add(repeated<4>(p), w, sum)
BNN_INLINE F16 multiply_add_four(const float* p, F16 w, F16 sum) {
  const F4 x = load_four(p);
  return {{vfmaq_laneq_f32(sum.q[0], w.q[0], x, 0), vfmaq_laneq_f32(sum.q[1], w.q[1], x, 1),
           vfmaq_laneq_f32(sum.q[2], w.q[2], x, 2), vfmaq_laneq_f32(sum.q[3], w.q[3], x, 3)}};
}
BNN_INLINE void store(float* p, F16 v) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v.q[i]);
}
BNN_INLINE void store_n(float* p, F16 v, int n) {
  if (n >= kLanes) return store(p, v);
  float whole[kLanes];
  store(whole, v);
  std::memcpy(p, whole, static_cast<std::size_t>(n) * sizeof(float));
}
BNN_INLINE I16 load_ints(const std::int32_t* p) {
  I16 r;
  for (int i = 0; i < 4; ++i) r.q[i] = vld1q_s32(p + 4 * i);
  return r;
}
BNN_INLINE F16 add(F16 a, F16 b) { BNN_EACH(vaddq_f32(a.q[i], b.q[i])); }
BNN_INLINE F16 mul(F16 a, F16 b) { BNN_EACH(vmulq_f32(a.q[i], b.q[i])); }
BNN_INLINE F16 multiply_add(F16 a, F16 b, F16 c) { BNN_EACH(vfmaq_f32(c.q[i], a.q[i], b.q[i])); }
// What is not outside stays as it is: NaN, and -0 at a bound of 0, which the processor's own maximum would change.
BNN_INLINE F16 at_least(F16 v, F16 low) { BNN_EACH(vbslq_f32(vcltq_f32(v.q[i], low.q[i]), low.q[i], v.q[i])); }
BNN_INLINE F16 at_most(F16 v, F16 high) { BNN_EACH(vbslq_f32(vcgtq_f32(v.q[i], high.q[i]), high.q[i], v.q[i])); }
BNN_INLINE F16 greatest(F16 a, F16 b) { BNN_EACH(vmaxq_f32(a.q[i], b.q[i])); }  // NaN if either is
BNN_INLINE F16 prelu(F16 v, F16 slope) {
  BNN_EACH(vbslq_f32(vcgezq_f32(v.q[i]), v.q[i], vmulq_f32(v.q[i], slope.q[i])));
}
BNN_INLINE F16 as_float(I16 counts) { BNN_EACH(vcvtq_f32_s32(counts.q[i])); }
// float(clamp(2 * count, low, high))
BNN_INLINE F16 clamped_twice(I16 counts, std::int32_t low, std::int32_t high) {
  const int32x4_t l = vdupq_n_s32(low), h = vdupq_n_s32(high);
  BNN_EACH(vcvtq_f32_s32(vminq_s32(vmaxq_s32(vaddq_s32(counts.q[i], counts.q[i]), l), h)));
}
#undef BNN_EACH

BNN_INLINE unsigned lane_bits(const uint32x4_t (&truth)[4]) {
  static const std::uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint16x8_t low = vcombine_u16(vmovn_u32(truth[0]), vmovn_u32(truth[1]));
  const uint16x8_t high = vcombine_u16(vmovn_u32(truth[2]), vmovn_u32(truth[3]));
  const uint8x16_t octets = vandq_u8(vcombine_u8(vmovn_u16(low), vmovn_u16(high)), vld1q_u8(weights));
  const unsigned first = vaddv_u8(vget_low_u8(octets)), last = vaddv_u8(vget_high_u8(octets));
  return first | last << 8;
}
BNN_INLINE unsigned negative_bits(F16 v) {
  uint32x4_t truth[4];
  for (int i = 0; i < 4; ++i) truth[i] = vcleq_f32(v.q[i], vdupq_n_f32(-FLT_MIN));
  return lane_bits(truth);
}
BNN_INLINE unsigned greater_bits(I16 counts, I16 thresholds) {
  uint32x4_t truth[4];
  for (int i = 0; i < 4; ++i) truth[i] = vcgtq_s32(counts.q[i], thresholds.q[i]);
  return lane_bits(truth);
}

// ---- Rows: as many floats as a register holds ----
typedef float32x4_t Row;
BNN_INLINE Row broadcast_row(float x) { return vdupq_n_f32(x); }
// The four floats, again and again.
BNN_INLINE Row repeated_four(const float* p) { return vld1q_f32(p); }
template <class Bits>
BNN_INLINE Row as_row(Bits v) {
  return vcvtq_f32_s32(reinterpret_cast<int32x4_t>(v));
}
BNN_INLINE Row multiply_add(Row x, Row y, Row z) { return vfmaq_f32(z, x, y); }
// c - a * b
BNN_INLINE Row minus_product(Row c, Row a, Row b) { return vfmsq_f32(c, a, b); }
// from[which][at] and the next three.
BNN_INLINE Row four_of_each(const float* const (&from)[4], int which, std::ptrdiff_t at) {
  return vld1q_f32(from[which] + at);
}
// Lane k of v[i] becomes lane i of v[k].
BNN_INLINE void transpose_fours(Row (&v)[4]) {
  const float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(v[0], v[1])),
                    b = vreinterpretq_f64_f32(vtrn2q_f32(v[0], v[1]));
  const float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(v[2], v[3])),
                    d = vreinterpretq_f64_f32(vtrn2q_f32(v[2], v[3]));
  v[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c)), v[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
  v[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c)), v[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}

}  // namespace
}  // namespace bnn_exit
