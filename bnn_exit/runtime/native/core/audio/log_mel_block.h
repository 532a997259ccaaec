// Log-mel frames that are computed together.
#pragma once

#include <cstddef>
#include <memory>

#include "bnn_exit.h"
#include "kernels/kernels.h"

namespace bnn_exit {

class LogMelBlock {
 public:
  virtual ~LogMelBlock() = default;

  virtual size_t most() const = 0;  // frames at once

  // log-mel [frames][num_mels] of at most `most` frames. Allocates nothing. A frame is the same among any others.
  virtual void compute(const float* samples, size_t frames, float* out) = 0;
};

// By the kernels, in float32. Null for settings that only the general way can do: transforms of less than 16, and
// offsets below 1e-30, which float32 holds badly.
std::unique_ptr<LogMelBlock> log_mel_in_float(const bnn_exit_features& features, const Kernels& kernels);

// The general way, for all settings.
std::unique_ptr<LogMelBlock> log_mel_in_double(const bnn_exit_features& features);

}  // namespace bnn_exit
