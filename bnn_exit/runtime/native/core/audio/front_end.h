// The log-mel features of a waveform: ln(mel_weights @ |rfft(hann * frame)|^2 + log_offset).
#pragma once

#include <cstdint>
#include <memory>

#include "audio/log_mel_block.h"
#include "bnn_exit.h"
#include "busy_guard.h"

namespace bnn_exit {

class FrontEnd {
 public:
  // Raises Error for settings that break a rule.
  FrontEnd(const bnn_exit_features& features, const Kernels& kernels);

  const bnn_exit_features& features() const { return features_; }

  // Estimates for the budget: memory of a front end with such settings, and elementary steps for `samples`.
  static uint64_t bytes(const bnn_exit_features& features);
  uint64_t operations(size_t samples) const;

  size_t frames(size_t samples) const;
  size_t frames_at_once() const { return block_->most(); }  // whose cost is that of one

  // Frame i begins at sample i * hop. `out` is [frames(count)][num_mels]. Allocates nothing.
  // Raises Error while another thread uses it.
  void compute(const float* samples, size_t count, float* out);

 private:
  bnn_exit_features features_;
  std::unique_ptr<LogMelBlock> block_;
  BusyFlag busy_;
};

}  // namespace bnn_exit
