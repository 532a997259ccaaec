// The log-mel features of a waveform: ln(mel_weights @ |rfft(hann * frame)|^2 + log_offset).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "audio/fft.h"
#include "bnn_exit.h"
#include "busy_guard.h"

namespace bnn_exit {

class FrontEnd {
 public:
  // Raises Error for settings that break a rule.
  explicit FrontEnd(const bnn_exit_features& features);

  const bnn_exit_features& features() const { return features_; }

  // Estimates for the budget: memory of a front end with such settings, and elementary steps for `samples`.
  static uint64_t bytes(const bnn_exit_features& features);
  uint64_t operations(size_t samples) const;

  size_t frames(size_t samples) const;

  // Frame i begins at sample i * hop. `out` is [frames(count)][num_mels]. Allocates nothing.
  // Raises Error while another thread uses it.
  void compute(const float* samples, size_t count, float* out);

 private:
  void compute_block(const float* samples, int rows, float* out);

  bnn_exit_features features_;
  RealFft fft_;
  std::vector<double> window_;
  struct Band {
    int first, count;  // bins with a weight above 0
    size_t weights;    // index of its first weight
  };
  std::vector<Band> bands_;
  std::vector<double> weights_;
  std::vector<double> memory_;
  double* work_;  // of the transform
  BusyFlag busy_;
};

}  // namespace bnn_exit
