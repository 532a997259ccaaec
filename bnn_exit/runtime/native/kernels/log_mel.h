// The log-mel front end of a block of frames, a frame in each lane of a register.
#pragma once

#include "kernels.h"

namespace bnn_exit {
#ifdef BNN_EXIT_HALF_ROWS
extern const Kernels BNN_EXIT_HALF_ROWS;
#endif
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
BNN_INLINE ComplexRow rotated(ComplexRow v, const float* w) {
  const Row re = broadcast_row(w[0]), im = broadcast_row(w[1]);
  return {minus_product(v.re * re, v.im, im), multiply_add(v.re, im, v.im * re)};
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

// Four windowed samples of each frame, a register each.
BNN_INLINE void log_mel_samples(const LogMel& plan, const float* const (&from)[kRowLanes], int at, Row (&v)[4]) {
  if (at + 4 <= plan.window) {
    const Row weights = repeated_four(plan.weights_of_window + at);
    for (int i = 0; i < 4; ++i) v[i] = four_of_each(from, i, at) * weights;
    transpose_fours(v);
    return;
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = broadcast_row(0.0f);
    for (int lane = 0; at + i < plan.window && lane < kRowLanes; ++lane)
      v[i][lane] = from[lane][at + i] * plan.weights_of_window[at + i];
  }
}

// Two stages of a transform at once (radix 4), so that each number is read and written half as often. In bit-reversed
// order the second quarter holds the indices that are 2 modulo 4.
BNN_INLINE void log_mel_butterfly(float* p, std::ptrdiff_t apart, ComplexRow a, ComplexRow b, ComplexRow c,
                                  ComplexRow d) {
  const ComplexRow e = sum(a, b), f = difference(a, b), g = sum(c, d), h = difference(c, d);
  keep(p, sum(e, g));
  keep(p + 2 * apart, difference(e, g));
  keep(p + apart, ComplexRow{f.re + h.im, f.im - h.re});
  keep(p + 3 * apart, ComplexRow{f.re - h.im, f.im + h.re});
}

// Windowed samples, even ones as real parts and odd ones as imaginary, through the first two stages.
BNN_INLINE void log_mel_begin(const LogMel& plan, const float* const (&from)[kRowLanes], float* work) {
  constexpr std::ptrdiff_t kStep = 2 * kRowLanes;
  const int quarter = plan.half / 2;  // in samples
  for (int i = 0; i < quarter; i += 4) {
    Row a[4], b[4], c[4], d[4];
    log_mel_samples(plan, from, i, a);
    log_mel_samples(plan, from, i + 2 * quarter, b);
    log_mel_samples(plan, from, i + quarter, c);
    log_mel_samples(plan, from, i + 3 * quarter, d);
    for (int j = 0; j < 2; ++j) {
      log_mel_butterfly(work + plan.places[i / 2 + j] * kStep, kStep, {a[2 * j], a[2 * j + 1]},
                        {b[2 * j], b[2 * j + 1]}, {c[2 * j], c[2 * j + 1]}, {d[2 * j], d[2 * j + 1]});
    }
  }
}

// The stages from those of `length` to those of `size` on `size` numbers; returns the twiddle factors of what follows.
BNN_INLINE const float* log_mel_stages(float* work, std::ptrdiff_t length, std::ptrdiff_t size, const float* twiddles) {
  constexpr std::ptrdiff_t kStep = 2 * kRowLanes;
  for (; 2 * length < size; length *= 4) {
    const std::ptrdiff_t apart = length * kStep;
    for (std::ptrdiff_t k = 0; k < length; ++k, twiddles += 6) {
      for (std::ptrdiff_t at = k; at < size; at += 4 * length) {
        float* p = work + at * kStep;
        log_mel_butterfly(p, apart, complex_at(p), rotated(complex_at(p + apart), twiddles),
                          rotated(complex_at(p + 2 * apart), twiddles + 2),
                          rotated(complex_at(p + 3 * apart), twiddles + 4));
      }
    }
  }
  for (std::ptrdiff_t k = 0; length < size && k < length; ++k, twiddles += 2) {
    float *p = work + k * kStep, *q = p + length * kStep;
    const ComplexRow a = complex_at(p), b = rotated(complex_at(q), twiddles);
    keep(p, sum(a, b));
    keep(q, difference(a, b));
  }
  return twiddles;
}

BNN_INLINE void log_mel_transform(const LogMel& plan, float* work) {
  constexpr std::ptrdiff_t kStep = 2 * kRowLanes, kPart = 16384 / (kStep * sizeof(float));
  // A part that fits the first level of the cache goes through all of its stages before the next one.
  std::ptrdiff_t part = 4;
  while (4 * part <= plan.half && 4 * part <= kPart) part *= 4;
  const float* twiddles = plan.twiddles;
  for (std::ptrdiff_t at = 0; at < plan.half; at += part)
    twiddles = log_mel_stages(work + at * kStep, 4, part, plan.twiddles);
  log_mel_stages(work, part, plan.half, twiddles);
}

// Even samples were the real parts and odd ones the imaginary: X[k] = E[k] + twiddle[k] O[k]. Only powers are kept,
// that of bin k where its real part was. The window brought the factor of 1/2.
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
    const ComplexRow rotated_odd = rotated(odd, plan.unpack + 2 * k);
    const ComplexRow x = sum(even, rotated_odd), y = difference(even, rotated_odd);
    keep(high, multiply_add(y.re, y.re, y.im * y.im));
    keep(low, multiply_add(x.re, x.re, x.im * x.im));
  }
}

// The logarithms of up to four bands from `band` on.
BNN_INLINE void log_mel_store(const LogMel& plan, Row (&v)[4], int band, int count, int frames, float* out) {
  for (int i = 0; i < 4; ++i) v[i] = logarithm(v[i] + plan.log_offset);
  transpose_fours(v);
  for (int lane = 0; lane < kRowLanes && lane < frames; ++lane) {
    const float* bands = reinterpret_cast<const float*>(&v[lane % 4]) + lane / 4 * 4;
    float* to = out + std::ptrdiff_t{lane} * plan.mels + band;
    if (count == 4)
      std::memcpy(to, bands, 4 * sizeof(float));
    else
      for (int i = 0; i < count; ++i) to[i] = bands[i];
  }
}

int log_mel_frames() { return kRowLanes; }

std::size_t log_mel_scratch_bytes(const LogMel& plan) {
  return (static_cast<std::size_t>(plan.half) + 1) * 2 * sizeof(Row);
}

void log_mel(const LogMel& plan, const float* samples, int frames, float* out, void* scratch) {
#ifdef BNN_EXIT_HALF_ROWS
  // The last frames of a clip would leave most lanes idle. A frame is the same bits in a row of any width.
  if (2 * frames <= kRowLanes) return BNN_EXIT_HALF_ROWS.log_mel(plan, samples, frames, out, scratch);
#endif
  float* work = static_cast<float*>(scratch);
  const float* from[kRowLanes];
  for (int lane = 0; lane < kRowLanes; ++lane)
    from[lane] = samples + std::ptrdiff_t{lane < frames ? lane : frames - 1} * plan.hop;
  log_mel_begin(plan, from, work);
  log_mel_transform(plan, work);
  log_mel_powers(plan, work);
  const float* weights = plan.bin_weights;
  Row risen = broadcast_row(0.0f), v[4] = {};
  for (int segment = 0; segment <= plan.mels; ++segment) {
    const MelSegment entry = plan.segments[segment];
    const float* power = work + std::ptrdiff_t{entry.first} * 2 * kRowLanes;
    Row rising = broadcast_row(0.0f), falling = risen;
    for (int bin = 0; bin < entry.count; ++bin, power += 2 * kRowLanes, weights += 2) {
      const Row p = row_at(power);
      rising = multiply_add(p, broadcast_row(weights[0]), rising);
      falling = multiply_add(p, broadcast_row(weights[1]), falling);
    }
    risen = rising;
    const int band = segment - 1;
    if (band < 0) continue;
    v[band % 4] = falling;
    if (band % 4 == 3 || segment == plan.mels) log_mel_store(plan, v, band / 4 * 4, band % 4 + 1, frames, out);
  }
}

}  // namespace
}  // namespace bnn_exit
