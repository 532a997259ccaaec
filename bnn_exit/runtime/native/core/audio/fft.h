// The discrete Fourier transform of real numbers, for sizes that are powers of two, of several rows at once.
#pragma once

#include <cstddef>
#include <vector>

namespace bnn_exit {

constexpr int kRows = 4;  // transformed together, interleaved

// A real transform of `size` values is a complex transform of half the size, whose results are then unpacked.
class RealFft {
 public:
  // `size` must be a power of two and at least 2.
  explicit RealFft(int size);

  int size() const { return size_; }
  int bins() const { return size_ / 2 + 1; }
  size_t work_bytes() const { return static_cast<size_t>(bins()) * 2 * kRows * sizeof(double); }

  // Where in `work` the values 2 * i and 2 * i + 1 of the rows belong: at [place(i)][0] and [place(i)][1].
  int place(int i) const { return order_[static_cast<size_t>(i)]; }

  // `work` is double [size / 2 + 1][2][kRows], aligned to 32 bytes. On entry it holds the values of each row at their
  // places; on return [i] are the real and imaginary parts of bin i.
  void forward(double* work) const;

 private:
  int size_;
  std::vector<double> twiddles_;  // [size / 2][2]: exp(-2 pi i k / size)
  std::vector<int> order_;        // bit-reversed indices of the half-size transform
};

}  // namespace bnn_exit
