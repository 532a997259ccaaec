#include "fft.h"

#include <cmath>
#include <utility>

namespace bnn_exit {

RealFft::RealFft(int size) : size_(size), turns_(static_cast<size_t>(size) / 2), order_(static_cast<size_t>(size) / 2) {
  const double pi = std::acos(-1.0);
  for (size_t k = 0; k < turns_.size(); ++k) turns_[k] = std::polar(1.0, -2 * pi * static_cast<double>(k) / size);
  for (size_t i = 1, half = order_.size(); i < half; ++i) {
    order_[i] = order_[i / 2] / 2 + (i % 2 ? static_cast<int>(half) / 2 : 0);
  }
}

void RealFft::forward(std::complex<double>* work) const {
  using Complex = std::complex<double>;
  int half = size_ / 2;
  for (int i = 0; i < half; ++i) {
    if (i < order_[static_cast<size_t>(i)]) std::swap(work[i], work[order_[static_cast<size_t>(i)]]);
  }
  for (int length = 2; length <= half; length *= 2) {
    int stride = size_ / length;  // of turns_, which are made for the whole size
    for (int start = 0; start < half; start += length) {
      for (int k = 0; k < length / 2; ++k) {
        Complex a = work[start + k], b = work[start + k + length / 2], turn = turns_[static_cast<size_t>(k * stride)];
        Complex turned(b.real() * turn.real() - b.imag() * turn.imag(), b.real() * turn.imag() + b.imag() * turn.real());
        work[start + k] = a + turned;
        work[start + k + length / 2] = a - turned;
      }
    }
  }
  // Even values were the real parts and odd ones the imaginary: X[k] = E[k] + turn[k] O[k].
  Complex first = work[0];
  work[half] = first.real() - first.imag();
  work[0] = first.real() + first.imag();
  for (int k = 1; k <= half / 2; ++k) {
    Complex a = work[k], b = std::conj(work[half - k]);
    Complex even = 0.5 * (a + b), difference = 0.5 * (a - b);
    Complex odd(difference.imag(), -difference.real());
    Complex turn = turns_[static_cast<size_t>(k)];
    Complex turned(odd.real() * turn.real() - odd.imag() * turn.imag(), odd.real() * turn.imag() + odd.imag() * turn.real());
    work[k] = even + turned;
    if (k != half - k) work[half - k] = std::conj(even - turned);
  }
}

}  // namespace bnn_exit
