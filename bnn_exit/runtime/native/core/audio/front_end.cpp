#include "audio/front_end.h"

#include <algorithm>
#include <cmath>

#include "audio/fft.h"
#include "audio/mel_bands.h"
#include "error.h"

namespace bnn_exit {
namespace {

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

}  // namespace

FrontEnd::FrontEnd(const bnn_exit_features& features, const Kernels& kernels)
    : features_(checked(features)), block_(log_mel_in_float(features, kernels)) {
  if (!block_) block_ = log_mel_in_double(features);
}

uint64_t FrontEnd::bytes(const bnn_exit_features& features) {
  checked(features);
  // The widest block, whose memory is kLanes floats or kRows doubles for each number of the transform, its tables, the
  // window, and weights: a bin lies in at most two bands.
  return static_cast<uint64_t>(features.fft_size) * (kLanes * sizeof(float) + 4 * sizeof(double)) +
         static_cast<uint64_t>(features.window_samples) * sizeof(double) +
         static_cast<uint64_t>(features.num_mels) * sizeof(MelSegment);
}

uint64_t FrontEnd::operations(size_t samples) const {
  // Each bin has two weights.
  uint64_t bins = static_cast<uint64_t>(features_.fft_size) / 2 + 1;
  uint64_t frame =
      static_cast<uint64_t>(features_.window_samples) + static_cast<uint64_t>(features_.num_mels) + 2 * bins;
  uint64_t steps = 1;
  while (1 << steps < features_.fft_size) ++steps;
  return (frames(samples) + block_->most()) * (frame + static_cast<uint64_t>(features_.fft_size) * steps);
}

size_t FrontEnd::frames(size_t samples) const {
  size_t window = static_cast<size_t>(features_.window_samples);
  return samples < window ? 0 : 1 + (samples - window) / static_cast<size_t>(features_.hop_samples);
}

void FrontEnd::compute(const float* samples, size_t count, float* out) {
  BusyGuard guard(busy_, "front end");
  size_t total = frames(count), most = block_->most();
  for (size_t first = 0; first < total; first += most) {
    block_->compute(samples + first * static_cast<size_t>(features_.hop_samples), std::min(most, total - first),
                    out + first * static_cast<size_t>(features_.num_mels));
  }
}

}  // namespace bnn_exit
