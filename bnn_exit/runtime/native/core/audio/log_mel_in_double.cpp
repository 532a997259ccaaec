#include "audio/log_mel_block.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "audio/fft.h"
#include "audio/mel_bands.h"
#include "multiversioning.h"

namespace bnn_exit {
namespace {

typedef double Row __attribute__((vector_size(kRows * sizeof(double))));

BNN_EXIT_MULTIVERSION void powers(const double* spectrum, int bins, double* out) {
  auto* from = reinterpret_cast<const Row*>(spectrum);
  auto* to = reinterpret_cast<Row*>(out);
  for (int bin = 0; bin < bins; ++bin) to[bin] = from[2 * bin] * from[2 * bin] + from[2 * bin + 1] * from[2 * bin + 1];
}

// Adds the powers of a segment to the band that rises there and to the one that falls.
BNN_EXIT_MULTIVERSION void weigh(const double* power, const float* weights, int count, double* rising,
                                 double* falling) {
  auto* from = reinterpret_cast<const Row*>(power);
  Row up = {}, down = {};
  for (int bin = 0; bin < count; ++bin) {
    up += from[bin] * static_cast<double>(weights[2 * bin]);
    down += from[bin] * static_cast<double>(weights[2 * bin + 1]);
  }
  for (int row = 0; row < kRows; ++row) rising[row] = up[row], falling[row] += down[row];
}

class InDouble final : public LogMelBlock {
 public:
  explicit InDouble(const bnn_exit_features& features)
      : hop_(features.hop_samples), log_offset_(features.log_offset), fft_(features.fft_size), bands_(features),
        window_(hann(features.window_samples)), memory_(fft_.work_bytes() / sizeof(double) + 8) {
    auto address = reinterpret_cast<uintptr_t>(memory_.data());
    work_ = reinterpret_cast<double*>((address + 63) / 64 * 64);
  }

  size_t most() const override { return kRows; }

  void compute(const float* samples, size_t frames, float* out) override {
    const auto rows = static_cast<int>(frames), mels = static_cast<int>(bands_.segments.size()) - 1;
    std::memset(work_, 0, fft_.work_bytes());
    for (size_t i = 0; i < window_.size(); ++i) {
      double* to = work_ + (2 * fft_.place(static_cast<int>(i / 2)) + static_cast<int>(i % 2)) * kRows;
      for (int row = 0; row < rows; ++row) to[row] = samples[i + static_cast<size_t>(row) * hop_] * window_[i];
    }
    fft_.forward(work_);
    // In place: the power of bin i overwrites the spectrum of bin i / 2, which is no longer needed.
    powers(work_, fft_.bins(), work_);
    const float* weights = bands_.weights.data();
    double risen[kRows] = {};
    for (int segment = 0; segment <= mels; ++segment) {
      const MelSegment& entry = bands_.segments[static_cast<size_t>(segment)];
      double totals[kRows], rising[kRows];
      std::memcpy(totals, risen, sizeof totals);
      weigh(work_ + entry.first * kRows, weights, entry.count, rising, totals);
      std::memcpy(risen, rising, sizeof risen);
      weights += 2 * entry.count;
      for (int row = 0; segment > 0 && row < rows; ++row)
        out[row * mels + segment - 1] = std::log(static_cast<float>(totals[row] + log_offset_));
    }
  }

 private:
  size_t hop_;
  double log_offset_;
  RealFft fft_;
  MelBands bands_;
  std::vector<double> window_, memory_;
  double* work_;  // of the transform
};

}  // namespace

std::unique_ptr<LogMelBlock> log_mel_in_double(const bnn_exit_features& features) {
  return std::make_unique<InDouble>(features);
}

}  // namespace bnn_exit
