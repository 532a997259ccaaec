// Sixteen floats or whole numbers in two AVX registers.
#pragma once

#include <immintrin.h>

#include <cfloat>
#include <cstring>

#include "kernels.h"

#define BNN_INLINE inline __attribute__((always_inline))

namespace bnn_exit {
namespace {

struct F16 {
  __m256 a, b;
};
struct I16 {
  __m256i a, b;
};

constexpr int kConvPixels = 6;
constexpr int kConvBlocks = 1;

BNN_INLINE F16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
BNN_INLINE F16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
BNN_INLINE F16 broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
BNN_INLINE __m256i first(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
BNN_INLINE F16 load_n(const float* p, int n) {
  if (n >= kLanes) return load(p);
  return {_mm256_maskload_ps(p, first(n)), n > 8 ? _mm256_maskload_ps(p + 8, first(n - 8)) : _mm256_setzero_ps()};
}
// Lane i is p[i / kTimes]; kTimes is 2, 4, 8 or 16.
template <int kTimes>
BNN_INLINE F16 repeated(const float* p) {
  const __m256 values = _mm256_maskload_ps(p, first(kLanes / kTimes));
  const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), high = _mm256_add_epi32(low, _mm256_set1_epi32(8));
  return {_mm256_permutevar8x32_ps(values, _mm256_srli_epi32(low, __builtin_ctz(kTimes))),
          _mm256_permutevar8x32_ps(values, _mm256_srli_epi32(high, __builtin_ctz(kTimes)))};
}
// Lane i is p[i % 4], which a load does for nothing.
#define BNN_EXIT_TILES_FOUR
BNN_INLINE F16 tiled_four(const float* p) {
  const __m256 both = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p));
  return {both, both};
}
// Lane 4 i + j is lane 4 j + i.
BNN_INLINE F16 transposed_four(F16 v) {
  const __m256 even = _mm256_unpacklo_ps(v.a, v.b), odd = _mm256_unpackhi_ps(v.a, v.b);
  const __m256 a = _mm256_permute2f128_ps(even, odd, 0x20), b = _mm256_permute2f128_ps(even, odd, 0x31);
  const __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
  return {_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31)};
}
BNN_INLINE void store(float* p, F16 v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
BNN_INLINE void store_n(float* p, F16 v, int n) {
  if (n >= kLanes) return store(p, v);
  _mm256_maskstore_ps(p, first(n), v.a);
  if (n > 8) _mm256_maskstore_ps(p + 8, first(n - 8), v.b);
}
BNN_INLINE I16 load_ints(const std::int32_t* p) {
  const __m256i* q = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
BNN_INLINE F16 add(F16 x, F16 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
BNN_INLINE F16 mul(F16 x, F16 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
BNN_INLINE F16 multiply_add(F16 x, F16 y, F16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
// The processor's max and min give the second operand if one is NaN, so NaN stays NaN.
BNN_INLINE F16 at_least(F16 v, F16 low) { return {_mm256_max_ps(low.a, v.a), _mm256_max_ps(low.b, v.b)}; }
BNN_INLINE F16 at_most(F16 v, F16 high) { return {_mm256_min_ps(high.a, v.a), _mm256_min_ps(high.b, v.b)}; }
// NaN if either is.
BNN_INLINE __m256 greatest(__m256 a, __m256 b) {
  return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
BNN_INLINE F16 greatest(F16 x, F16 y) { return {greatest(x.a, y.a), greatest(x.b, y.b)}; }
BNN_INLINE __m256 prelu(__m256 v, __m256 slope) {
  return _mm256_blendv_ps(_mm256_mul_ps(v, slope), v, _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GE_OQ));
}
BNN_INLINE F16 prelu(F16 v, F16 slope) { return {prelu(v.a, slope.a), prelu(v.b, slope.b)}; }

BNN_INLINE __m256 clamped_twice(__m256i count, __m256i low, __m256i high) {
  return _mm256_cvtepi32_ps(_mm256_min_epi32(_mm256_max_epi32(_mm256_add_epi32(count, count), low), high));
}
BNN_INLINE F16 as_float(I16 counts) { return {_mm256_cvtepi32_ps(counts.a), _mm256_cvtepi32_ps(counts.b)}; }
// float(clamp(2 * count, low, high))
BNN_INLINE F16 clamped_twice(I16 counts, std::int32_t low, std::int32_t high) {
  const __m256i l = _mm256_set1_epi32(low), h = _mm256_set1_epi32(high);
  return {clamped_twice(counts.a, l, h), clamped_twice(counts.b, l, h)};
}
BNN_INLINE unsigned lane_bits(__m256 a, __m256 b) {
  return static_cast<unsigned>(_mm256_movemask_ps(a)) | static_cast<unsigned>(_mm256_movemask_ps(b)) << 8;
}
BNN_INLINE unsigned negative_bits(F16 v) {
  const __m256 least = _mm256_set1_ps(-FLT_MIN);
  return lane_bits(_mm256_cmp_ps(v.a, least, _CMP_LE_OQ), _mm256_cmp_ps(v.b, least, _CMP_LE_OQ));
}
BNN_INLINE unsigned greater_bits(I16 counts, I16 thresholds) {
  return lane_bits(_mm256_castsi256_ps(_mm256_cmpgt_epi32(counts.a, thresholds.a)),
                   _mm256_castsi256_ps(_mm256_cmpgt_epi32(counts.b, thresholds.b)));
}

// ---- Rows: as many floats as a register holds ----
typedef __m256 Row;
BNN_INLINE Row broadcast_row(float x) { return _mm256_set1_ps(x); }
// The four floats, again and again.
BNN_INLINE Row repeated_four(const float* p) { return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p)); }
template <class Bits>
BNN_INLINE Row as_row(Bits v) {
  return _mm256_cvtepi32_ps(reinterpret_cast<__m256i>(v));
}
BNN_INLINE Row multiply_add(Row x, Row y, Row z) { return _mm256_fmadd_ps(x, y, z); }
// c - a * b
BNN_INLINE Row minus_product(Row c, Row a, Row b) { return _mm256_fnmadd_ps(a, b, c); }
// Lanes 4 j to 4 j + 3 are from[4 j + which][at] and the next three.
BNN_INLINE Row four_of_each(const float* const (&from)[8], int which, std::ptrdiff_t at) {
  return _mm256_loadu2_m128(from[4 + which] + at, from[which] + at);
}
// Lane 4 j + k of v[i] becomes lane 4 j + i of v[k].
BNN_INLINE void transpose_fours(Row (&v)[4]) {
  const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(v[0], v[1])),
                b = _mm256_castps_pd(_mm256_unpackhi_ps(v[0], v[1]));
  const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(v[2], v[3])),
                d = _mm256_castps_pd(_mm256_unpackhi_ps(v[2], v[3]));
  v[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c)), v[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
  v[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d)), v[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
}

}  // namespace
}  // namespace bnn_exit
