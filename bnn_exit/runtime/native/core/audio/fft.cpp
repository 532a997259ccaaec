#include "audio/fft.h"

#include <cmath>

#include "multiversioning.h"

namespace bnn_exit {
namespace {

typedef double Row __attribute__((vector_size(kRows * sizeof(double))));

struct Complex {
  Row re, im;
};

// The complex transform of half the size; inputs are in bit-reversed order. `twiddles` are those of the whole size.
BNN_EXIT_MULTIVERSION void transform(double* memory, const double* twiddles, int half) {
  auto* work = reinterpret_cast<Complex*>(memory);
  // Two stages at once where possible (radix 4): each value is then read and written half as often.
  int length = 1;
  int stages = 0;
  for (int n = half; n > 1; n /= 2) ++stages;
  if (stages % 2) {
    for (int start = 0; start < half; start += 2) {
      Complex a = work[start], b = work[start + 1];
      work[start] = {a.re + b.re, a.im + b.im};
      work[start + 1] = {a.re - b.re, a.im - b.im};
    }
    length = 2;
  }
  for (; length < half; length *= 4) {
    int stride = half / length / 2;  // of the twiddles, for the second of the two stages: size / (4 length)
    for (int k = 0; k < length; ++k) {
      double c1 = twiddles[4 * k * stride], s1 = twiddles[4 * k * stride + 1];
      double c2 = twiddles[2 * k * stride], s2 = twiddles[2 * k * stride + 1];
      double c3 = c1 * c2 - s1 * s2, s3 = c1 * s2 + s1 * c2;
      for (int start = k; start < half; start += 4 * length) {
        Complex *p0 = work + start, *p1 = p0 + length, *p2 = p1 + length, *p3 = p2 + length;
        // In bit-reversed order the second quarter holds the indices that are 2 modulo 4.
        Complex a = *p0, b = *p1, c = *p2, d = *p3;
        Row br = b.re * c1 - b.im * s1, bi = b.re * s1 + b.im * c1;
        Row cr = c.re * c2 - c.im * s2, ci = c.re * s2 + c.im * c2;
        Row dr = d.re * c3 - d.im * s3, di = d.re * s3 + d.im * c3;
        Row er = a.re + br, ei = a.im + bi, fr = a.re - br, fi = a.im - bi;
        Row gr = cr + dr, gi = ci + di, hr = cr - dr, hi = ci - di;
        *p0 = {er + gr, ei + gi};
        *p2 = {er - gr, ei - gi};
        *p1 = {fr + hi, fi - hr};
        *p3 = {fr - hi, fi + hr};
      }
    }
  }
}

// Even values were the real parts and odd ones the imaginary: X[k] = E[k] + twiddle[k] O[k].
BNN_EXIT_MULTIVERSION void unpack(double* memory, const double* twiddles, int half) {
  auto* work = reinterpret_cast<Complex*>(memory);
  Complex first = work[0];
  Row zero = {};
  work[half] = {first.re - first.im, zero};
  work[0] = {first.re + first.im, zero};
  for (int k = 1; k <= half / 2; ++k) {
    Complex a = work[k], b = work[half - k];
    Row even_re = 0.5 * (a.re + b.re), even_im = 0.5 * (a.im - b.im);
    Row odd_re = 0.5 * (a.im + b.im), odd_im = 0.5 * (b.re - a.re);
    double c = twiddles[2 * k], s = twiddles[2 * k + 1];
    Row re = odd_re * c - odd_im * s, im = odd_re * s + odd_im * c;
    work[half - k] = {even_re - re, im - even_im};
    work[k] = {even_re + re, even_im + im};
  }
}

}  // namespace

RealFft::RealFft(int size) : size_(size), twiddles_(static_cast<size_t>(size)), order_(static_cast<size_t>(size) / 2) {
  const double pi = std::acos(-1.0);
  for (size_t k = 0; k < twiddles_.size() / 2; ++k) {
    twiddles_[2 * k] = std::cos(2 * pi * static_cast<double>(k) / size);
    twiddles_[2 * k + 1] = -std::sin(2 * pi * static_cast<double>(k) / size);
  }
  for (size_t i = 1, half = order_.size(); i < half; ++i) {
    order_[i] = order_[i / 2] / 2 + (i % 2 ? static_cast<int>(half) / 2 : 0);
  }
}

void RealFft::forward(double* work) const {
  int half = size_ / 2;
  transform(work, twiddles_.data(), half);
  unpack(work, twiddles_.data(), half);
}

}  // namespace bnn_exit
