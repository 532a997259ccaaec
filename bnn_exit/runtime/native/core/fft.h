// The discrete Fourier transform of real numbers, for sizes that are powers of two.
#pragma once

#include <complex>
#include <vector>

namespace bnn_exit {

// A real transform of `size` values is a complex one of half the size, whose results are then taken apart.
class RealFft {
 public:
  // `size` must be a power of two and at least 2.
  explicit RealFft(int size);

  int size() const { return size_; }
  int bins() const { return size_ / 2 + 1; }

  // `work` holds size / 2 + 1 numbers: at first the values in pairs (their memory is that of `size` floats), at the end
  // the spectrum [bins].
  void forward(std::complex<double>* work) const;

 private:
  int size_;
  std::vector<std::complex<double>> turns_;  // exp(-2 pi i k / size), k < size / 2
  std::vector<int> order_;                   // bit-reversed indices of the half-size transform
};

}  // namespace bnn_exit
