#include "audio/front_end.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "error.h"
#include "multiversioning.h"

namespace bnn_exit {
namespace {

typedef double Row __attribute__((vector_size(kRows * sizeof(double))));

const bnn_exit_features& checked(const bnn_exit_features& f) {
  if (f.sample_rate_hz < BNN_EXIT_MIN_SAMPLE_RATE_HZ || f.sample_rate_hz > BNN_EXIT_MAX_SAMPLE_RATE_HZ) {
    bad_argument("sample_rate_hz is %d, but must be from %d to %d", f.sample_rate_hz, BNN_EXIT_MIN_SAMPLE_RATE_HZ,
                 BNN_EXIT_MAX_SAMPLE_RATE_HZ);
  }
  if (f.window_samples < 2) bad_argument("window_samples is %d, but must be at least 2", f.window_samples);
  if (f.hop_samples < 1 || f.hop_samples > BNN_EXIT_MAX_HOP_SAMPLES) {
    bad_argument("hop_samples is %d, but must be from 1 to %d", f.hop_samples, BNN_EXIT_MAX_HOP_SAMPLES);
  }
  if (f.fft_size < f.window_samples || f.fft_size > BNN_EXIT_MAX_FFT_SIZE || (f.fft_size & (f.fft_size - 1))) {
    bad_argument("fft_size is %d, but must be a power of two, at least the window of %d and at most %d", f.fft_size,
                 f.window_samples, BNN_EXIT_MAX_FFT_SIZE);
  }
  int most = std::min(BNN_EXIT_MAX_MELS, BNN_EXIT_MAX_MEL_WEIGHTS / (f.fft_size / 2 + 1));
  if (f.num_mels < 1 || f.num_mels > most)
    bad_argument("num_mels is %d, but must be from 1 to %d with an fft_size of %d", f.num_mels, most, f.fft_size);
  if (!(f.lower_hz >= 0 && f.lower_hz < f.upper_hz && f.upper_hz <= f.sample_rate_hz / 2.0)) {
    bad_argument("the bands reach from %g to %g Hz, but must lie between 0 and half the sample rate", f.lower_hz,
                 f.upper_hz);
  }
  if (!(f.log_offset > 0) || std::isinf(f.log_offset))
    bad_argument("log_offset is %g, but must be above 0", f.log_offset);
  return f;
}

BNN_EXIT_MULTIVERSION void powers(const double* spectrum, int bins, double* out) {
  auto* from = reinterpret_cast<const Row*>(spectrum);
  auto* to = reinterpret_cast<Row*>(out);
  for (int bin = 0; bin < bins; ++bin) to[bin] = from[2 * bin] * from[2 * bin] + from[2 * bin + 1] * from[2 * bin + 1];
}

BNN_EXIT_MULTIVERSION void weigh(const double* power, const double* weights, int count, double* out) {
  auto* from = reinterpret_cast<const Row*>(power);
  Row total = {};
  for (int bin = 0; bin < count; ++bin) total += from[bin] * weights[bin];
  std::memcpy(out, &total, sizeof total);
}

}  // namespace

FrontEnd::FrontEnd(const bnn_exit_features& features) : features_(checked(features)), fft_(features.fft_size) {
  const double pi = std::acos(-1.0);
  int bins = fft_.bins();
  for (int i = 0; i < features.window_samples; ++i)
    window_.push_back(0.5 - 0.5 * std::cos(2 * pi * i / features.window_samples));
  // Triangles of height 1 between corners that are evenly spaced on the HTK mel scale.
  auto mel = [](double hz) { return 2595 * std::log10(1 + hz / 700); };
  double low = mel(features.lower_hz), step = (mel(features.upper_hz) - low) / (features.num_mels + 1);
  auto corner = [&](int index) { return 700 * (std::pow(10, (low + step * index) / 2595) - 1); };
  for (int band = 0; band < features.num_mels; ++band) {
    double left = corner(band), centre = corner(band + 1), right = corner(band + 2);
    Band entry = {0, 0, weights_.size()};
    // Only the bins of a band are visited, and one more on either side against rounding: most bands and bins do not
    // overlap.
    double width = static_cast<double>(features.sample_rate_hz) / features.fft_size;
    int begin = std::max(0, static_cast<int>(left / width) - 1),
        end = std::min(bins, static_cast<int>(right / width) + 2);
    for (int bin = begin; bin < end; ++bin) {
      double hz = bin * width;
      // The reference backend holds weights in float32.
      float weight = static_cast<float>(std::min((hz - left) / (centre - left), (right - hz) / (right - centre)));
      if (!(weight > 0)) {
        if (entry.count) break;
        continue;
      }
      if (!entry.count++) entry.first = bin;
      weights_.push_back(weight);
    }
    bands_.push_back(entry);
  }
  size_t doubles = static_cast<size_t>(bins) * 2 * kRows;
  memory_.resize(doubles + 8);
  auto address = reinterpret_cast<uintptr_t>(memory_.data());
  work_ = reinterpret_cast<double*>((address + 63) / 64 * 64);
}

uint64_t FrontEnd::bytes(const bnn_exit_features& features) {
  checked(features);
  uint64_t row = sizeof(double) * kRows;
  // The transform's memory and tables, the window, and weights: a bin lies in at most three bands.
  return static_cast<uint64_t>(features.fft_size) * (row + 4 * sizeof(double)) +
         static_cast<uint64_t>(features.window_samples) * sizeof(double) +
         static_cast<uint64_t>(features.num_mels) * sizeof(Band);
}

uint64_t FrontEnd::operations(size_t samples) const {
  uint64_t frame =
      static_cast<uint64_t>(features_.window_samples) + static_cast<uint64_t>(features_.num_mels) + weights_.size();
  uint64_t steps = 1;
  while (1 << steps < features_.fft_size) ++steps;
  return (frames(samples) + kRows) * (frame + static_cast<uint64_t>(features_.fft_size) * steps);
}

size_t FrontEnd::frames(size_t samples) const {
  size_t window = static_cast<size_t>(features_.window_samples);
  return samples < window ? 0 : 1 + (samples - window) / static_cast<size_t>(features_.hop_samples);
}

void FrontEnd::compute(const float* samples, size_t count, float* out) {
  BusyGuard guard(busy_, "front end");
  size_t total = frames(count);
  for (size_t first = 0; first < total; first += kRows) {
    size_t rows = std::min<size_t>(kRows, total - first);
    compute_block(samples + first * static_cast<size_t>(features_.hop_samples), static_cast<int>(rows),
                  out + first * static_cast<size_t>(features_.num_mels));
  }
}

void FrontEnd::compute_block(const float* samples, int rows, float* out) {
  const int window = features_.window_samples, hop = features_.hop_samples, mels = features_.num_mels;
  std::memset(work_, 0, fft_.work_bytes());
  for (int i = 0; i < window; ++i) {
    const float* from = samples + i;
    const double factor = window_[static_cast<size_t>(i)];
    double* to = work_ + (2 * fft_.place(i / 2) + i % 2) * kRows;
    if (rows == kRows) {  // a number that the compiler knows
      for (int row = 0; row < kRows; ++row) to[row] = from[static_cast<ptrdiff_t>(row) * hop] * factor;
    } else {
      for (int row = 0; row < rows; ++row) to[row] = from[static_cast<ptrdiff_t>(row) * hop] * factor;
    }
  }
  fft_.forward(work_);
  // In place: the power of bin i overwrites the spectrum of bin i / 2, which is no longer needed.
  powers(work_, fft_.bins(), work_);
  for (int band = 0; band < mels; ++band) {
    const Band& entry = bands_[static_cast<size_t>(band)];
    double totals[kRows];
    weigh(work_ + entry.first * kRows, weights_.data() + entry.weights, entry.count, totals);
    for (int row = 0; row < rows; ++row) {
      out[row * mels + band] = std::log(static_cast<float>(totals[row] + features_.log_offset));
    }
  }
}

}  // namespace bnn_exit
