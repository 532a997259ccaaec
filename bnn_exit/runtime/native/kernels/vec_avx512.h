// Sixteen floats or whole numbers in one AVX-512 register.
#pragma once

#include <immintrin.h>

#include <cfloat>
#include <cstring>

#include "kernels.h"

#define BNN_INLINE inline __attribute__((always_inline))

namespace bnn_exit {
namespace {

using F16 = __m512;
using I16 = __m512i;

constexpr int kConvPixels = 8;
constexpr int kConvBlocks = 2;

BNN_INLINE __mmask16 first(int n) { return static_cast<__mmask16>(n >= kLanes ? 0xffffu : (1u << n) - 1u); }
BNN_INLINE F16 load(const float* p) { return _mm512_loadu_ps(p); }
BNN_INLINE F16 load_n(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
// Lane i is p[i / kTimes]; kTimes is 2, 4, 8 or 16.
template <int kTimes>
BNN_INLINE F16 repeated(const float* p) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_permutexvar_ps(_mm512_srli_epi32(lanes, __builtin_ctz(kTimes)), load_n(p, kLanes / kTimes));
}
// Lane i is p[i % 4], which a load does for nothing.
#define BNN_EXIT_TILES_FOUR
BNN_INLINE F16 tiled_four(const float* p) { return _mm512_broadcast_f32x4(_mm_loadu_ps(p)); }
// Lane 4 i + j is lane 4 j + i.
BNN_INLINE F16 transposed_four(F16 v) {
  return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
}
BNN_INLINE void store(float* p, F16 v) { _mm512_storeu_ps(p, v); }
BNN_INLINE void store_n(float* p, F16 v, int n) {
  if (n >= kLanes) return store(p, v);
  _mm512_mask_storeu_ps(p, first(n), v);
}
BNN_INLINE I16 load_ints(const std::int32_t* p) { return _mm512_loadu_si512(p); }
BNN_INLINE F16 zero() { return _mm512_setzero_ps(); }
BNN_INLINE F16 broadcast(float x) { return _mm512_set1_ps(x); }
BNN_INLINE F16 add(F16 a, F16 b) { return _mm512_add_ps(a, b); }
BNN_INLINE F16 mul(F16 a, F16 b) { return _mm512_mul_ps(a, b); }
BNN_INLINE F16 multiply_add(F16 a, F16 b, F16 c) { return _mm512_fmadd_ps(a, b, c); }
// The processor's max and min give the second operand if one is NaN, so NaN stays NaN.
BNN_INLINE F16 at_least(F16 v, F16 low) { return _mm512_max_ps(low, v); }
BNN_INLINE F16 at_most(F16 v, F16 high) { return _mm512_min_ps(high, v); }
// NaN if either is.
BNN_INLINE F16 greatest(F16 a, F16 b) {
  return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
BNN_INLINE F16 prelu(F16 v, F16 slope) {
  return _mm512_mask_mul_ps(v, _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NGE_UQ), v, slope);
}
BNN_INLINE F16 as_float(I16 counts) { return _mm512_cvtepi32_ps(counts); }
// float(clamp(2 * count, low, high))
BNN_INLINE F16 clamped_twice(I16 counts, std::int32_t low, std::int32_t high) {
  const __m512i twice = _mm512_add_epi32(counts, counts);
  const __m512i clamped = _mm512_min_epi32(_mm512_max_epi32(twice, _mm512_set1_epi32(low)), _mm512_set1_epi32(high));
  return _mm512_cvtepi32_ps(clamped);
}
BNN_INLINE unsigned negative_bits(F16 v) { return _mm512_cmp_ps_mask(v, _mm512_set1_ps(-FLT_MIN), _CMP_LE_OQ); }
BNN_INLINE unsigned greater_bits(I16 counts, I16 thresholds) { return _mm512_cmpgt_epi32_mask(counts, thresholds); }

// ---- Rows: as many floats as a register holds ----
#define BNN_EXIT_HALF_ROWS avx2_kernels  // runs wherever this table does
typedef __m512 Row;
BNN_INLINE Row broadcast_row(float x) { return _mm512_set1_ps(x); }
// The four floats, again and again.
BNN_INLINE Row repeated_four(const float* p) { return _mm512_broadcast_f32x4(_mm_loadu_ps(p)); }
template <class Bits>
BNN_INLINE Row as_row(Bits v) {
  return _mm512_cvtepi32_ps(reinterpret_cast<__m512i>(v));
}
// c - a * b
BNN_INLINE Row minus_product(Row c, Row a, Row b) { return _mm512_fnmadd_ps(a, b, c); }
// Lanes 4 j to 4 j + 3 are from[4 j + which][at] and the next three.
BNN_INLINE Row four_of_each(const float* const (&from)[16], int which, std::ptrdiff_t at) {
  __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(from[which] + at));
  v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(from[4 + which] + at));
  v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(from[8 + which] + at));
  return _mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(from[12 + which] + at));
}
// Lane 4 j + k of v[i] becomes lane 4 j + i of v[k].
BNN_INLINE void transpose_fours(Row (&v)[4]) {
  const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(v[0], v[1])),
                b = _mm512_castps_pd(_mm512_unpackhi_ps(v[0], v[1]));
  const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(v[2], v[3])),
                d = _mm512_castps_pd(_mm512_unpackhi_ps(v[2], v[3]));
  v[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c)), v[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
  v[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d)), v[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
}

}  // namespace
}  // namespace bnn_exit
