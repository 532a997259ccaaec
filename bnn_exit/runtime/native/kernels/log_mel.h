// The log-mel front end of a block of frames, a frame in each lane of a register.
#pragma once

#include "kernels.h"

namespace bnn_exit {
namespace {

typedef std::int32_t RowBits __attribute__((vector_size(sizeof(Row))));
constexpr int kRowLanes = sizeof(Row) / sizeof(float);

BNN_INLINE Row row_at(const float* p) { return *reinterpret_cast<const Row*>(p); }  // aligned to its size
BNN_INLINE void keep(float* p, Row v) { *reinterpret_cast<Row*>(p) = v; }

struct ComplexRow {
  Row re, im;
};
BNN_INLINE ComplexRow complex_at(const float* p) { return {row_at(p), row_at(p + kRowLanes)}; }
BNN_INLINE void keep(float* p, ComplexRow v) {
  keep(p, v.re);
  keep(p + kRowLanes, v.im);
}
BNN_INLINE ComplexRow sum(ComplexRow a, ComplexRow b) { return {a.re + b.re, a.im + b.im}; }
BNN_INLINE ComplexRow difference(ComplexRow a, ComplexRow b) { return {a.re - b.re, a.im - b.im}; }
// v times the number (w[0], w[1])
BNN_INLINE ComplexRow turned(ComplexRow v, const float* w) {
  const Row re = broadcast_row(w[0]), im = broadcast_row(w[1]);
  return {multiply_add(v.re, re, -(v.im * im)), multiply_add(v.re, im, v.im * re)};
}

// ln(v) of numbers that are not subnormal: a power of two, and a polynomial of the rest, which is within 7e-9.
BNN_INLINE Row logarithm(Row v) {
  const RowBits bits = reinterpret_cast<RowBits>(v);
  // The rest lies from sqrt(1/2) to sqrt(2).
  const RowBits exponent = (bits - 0x3f3504f3) >> 23;
  const Row rest = reinterpret_cast<Row>(bits - (exponent << 23)) - 1.0f;
  Row p = broadcast_row(0.0867265984416008f);
  p = multiply_add(p, rest, broadcast_row(-0.14379364252090454f));
  p = multiply_add(p, rest, broadcast_row(0.14977949857711792f));
  p = multiply_add(p, rest, broadcast_row(-0.16564367711544037f));
  p = multiply_add(p, rest, broadcast_row(0.19954876601696014f));
  p = multiply_add(p, rest, broadcast_row(-0.2500170171260834f));
  p = multiply_add(p, rest, broadcast_row(0.33334165811538696f));
  const Row square = rest * rest, power = as_row(exponent);
  // ln 2 in two parts: the first times a whole number is exact.
  p = multiply_add(p * rest, square, power * -2.12194440e-4f);
  p = multiply_add(square, broadcast_row(-0.5f), p);
  const Row found = multiply_add(power, broadcast_row(0.693359375f), rest + p);
  // Infinity and NaN stay what they are.
  return v <= 3.402823466e38f ? found : v + v;
}

// The windowed samples as half as many complex numbers, in the order that the transform takes.
BNN_INLINE void log_mel_window(const LogMel& plan, const float* const (&from)[kRowLanes], float* work) {
  int i = 0;
  for (; i + 4 <= plan.window; i += 4) {
    Row v[4] = {four_of_each(from, 0, i), four_of_each(from, 1, i), four_of_each(from, 2, i), four_of_each(from, 3, i)};
    transpose_fours(v);
    float* first = work + static_cast<std::ptrdiff_t>(plan.places[i / 2]) * 2 * kRowLanes;
    float* second = work + static_cast<std::ptrdiff_t>(plan.places[i / 2 + 1]) * 2 * kRowLanes;
    keep(first, v[0] * plan.weights_of_window[i]);
    keep(first + kRowLanes, v[1] * plan.weights_of_window[i + 1]);
    keep(second, v[2] * plan.weights_of_window[i + 2]);
    keep(second + kRowLanes, v[3] * plan.weights_of_window[i + 3]);
  }
  for (; i < 2 * plan.half; i += 2) {
    float* to = work + static_cast<std::ptrdiff_t>(plan.places[i / 2]) * 2 * kRowLanes;
    for (int lane = 0; lane < 2 * kRowLanes; ++lane) {
      const int at = i + lane / kRowLanes;
      to[lane] = at < plan.window ? from[lane % kRowLanes][at] * plan.weights_of_window[at] : 0.0f;
    }
  }
}

// Two stages of the complex transform at once (radix 4), so that each number is read and written half as often.
// In bit-reversed order the second quarter holds the indices that are 2 modulo 4.
template <bool kTurns>
BNN_INLINE void log_mel_butterfly(float* p, std::ptrdiff_t apart, const float* turns) {
  ComplexRow a = complex_at(p), b = complex_at(p + apart), c = complex_at(p + 2 * apart), d = complex_at(p + 3 * apart);
  if (kTurns) {
    b = turned(b, turns);
    c = turned(c, turns + 2);
    d = turned(d, turns + 4);
  }
  const ComplexRow e = sum(a, b), f = difference(a, b), g = sum(c, d), h = difference(c, d);
  keep(p, sum(e, g));
  keep(p + 2 * apart, difference(e, g));
  keep(p + apart, ComplexRow{f.re + h.im, f.im - h.re});
  keep(p + 3 * apart, ComplexRow{f.re - h.im, f.im + h.re});
}

BNN_INLINE void log_mel_transform(const LogMel& plan, float* work) {
  constexpr std::ptrdiff_t kStep = 2 * kRowLanes;
  int length = 1;
  if (__builtin_ctz(static_cast<unsigned>(plan.half)) % 2) {
    for (std::ptrdiff_t at = 0; at < plan.half; at += 2) {
      float* p = work + at * kStep;
      const ComplexRow a = complex_at(p), b = complex_at(p + kStep);
      keep(p, sum(a, b));
      keep(p + kStep, difference(a, b));
    }
    length = 2;
  }
  const float* turns = plan.turns;
  for (; length < plan.half; length *= 4) {
    for (std::ptrdiff_t at = 0; at < plan.half; at += 4 * length) {
      log_mel_butterfly<false>(work + at * kStep, length * kStep, nullptr);
    }
    for (std::ptrdiff_t k = 1; k < length; ++k, turns += 6) {
      for (std::ptrdiff_t at = k; at < plan.half; at += 4 * length)
        log_mel_butterfly<true>(work + at * kStep, length * kStep, turns);
    }
  }
}

// Even samples were the real parts and odd ones the imaginary: X[k] = E[k] + turn[k] O[k]. Only powers are kept, that
// of bin k where its real part was. The window brought the factor of 1/2.
BNN_INLINE void log_mel_powers(const LogMel& plan, float* work) {
  constexpr std::ptrdiff_t kStep = 2 * kRowLanes;
  const ComplexRow first = complex_at(work);
  const Row all = first.re + first.im, alternate = first.re - first.im;
  keep(work, 4.0f * (all * all));
  keep(work + plan.half * kStep, 4.0f * (alternate * alternate));
  for (int k = 1; k <= plan.half / 2; ++k) {
    float *low = work + k * kStep, *high = work + (plan.half - k) * kStep;
    const ComplexRow a = complex_at(low), b = complex_at(high);
    const ComplexRow even = {a.re + b.re, a.im - b.im}, odd = {a.im + b.im, b.re - a.re};
    const ComplexRow turned_odd = turned(odd, plan.unpack + 2 * k);
    const ComplexRow x = sum(even, turned_odd), y = difference(even, turned_odd);
    keep(high, multiply_add(y.re, y.re, y.im * y.im));
    keep(low, multiply_add(x.re, x.re, x.im * x.im));
  }
}

BNN_INLINE Row log_mel_band(const LogMel& plan, int band, const float* power) {
  const MelBand& entry = plan.bands[band];
  const float* p = power + std::ptrdiff_t{entry.first} * 2 * kRowLanes;
  const float* w = plan.band_weights + entry.weights;
  Row total = broadcast_row(0.0f);
  for (int bin = 0; bin < entry.count; ++bin, p += 2 * kRowLanes)
    total = multiply_add(row_at(p), broadcast_row(w[bin]), total);
  return logarithm(total + plan.log_offset);
}

int log_mel_frames() { return kRowLanes; }

std::size_t log_mel_scratch_bytes(const LogMel& plan) {
  return (static_cast<std::size_t>(plan.half) + 1) * 2 * sizeof(Row);
}

void log_mel(const LogMel& plan, const float* samples, int frames, float* out, void* scratch) {
  float* work = static_cast<float*>(scratch);
  const float* from[kRowLanes];
  for (int lane = 0; lane < kRowLanes; ++lane)
    from[lane] = samples + std::ptrdiff_t{lane < frames ? lane : frames - 1} * plan.hop;
  log_mel_window(plan, from, work);
  log_mel_transform(plan, work);
  log_mel_powers(plan, work);
  int band = 0;
  for (; band + 4 <= plan.mels; band += 4) {
    Row v[4];
    for (int i = 0; i < 4; ++i) v[i] = log_mel_band(plan, band + i, work);
    transpose_fours(v);
    for (int i = 0; i < 4; ++i) {
      for (int lane = i; lane < kRowLanes && lane < frames; lane += 4)
        std::memcpy(out + std::ptrdiff_t{lane} * plan.mels + band,
                    reinterpret_cast<const float*>(&v[i]) + lane / 4 * 4, 4 * sizeof(float));
    }
  }
  for (; band < plan.mels; ++band) {
    const Row v = log_mel_band(plan, band, work);
    for (int lane = 0; lane < frames && lane < kRowLanes; ++lane) out[std::ptrdiff_t{lane} * plan.mels + band] = v[lane];
  }
}

}  // namespace
}  // namespace bnn_exit
