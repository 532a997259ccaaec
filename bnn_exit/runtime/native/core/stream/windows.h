// Windows of an endless waveform, or of values that never end: the network's input at every hop. Log-mel frames are
// computed once and kept for the windows that they are in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "audio/front_end.h"
#include "stream/gate.h"
#include "stream/sliding_buffer.h"

namespace bnn_exit {

class Windows {
 public:
  // `front_end` is nullptr for windows of samples, each of `width` numbers. `hop` is in samples: with a front end, a
  // multiple of its own hop.
  Windows(FrontEnd* front_end, size_t clip_samples, size_t hop, size_t width = 1);

  // Memory and, for the operations of one window, the samples that it costs the front end.
  static uint64_t bytes(const FrontEnd* front_end, size_t clip_samples, size_t width = 1);

  size_t needed() const { return needed_; }  // samples until a window is complete

  // Takes at most needed() samples. `gate`, if not nullptr, sees every new frame.
  void append(const float* samples, size_t count, Gate* gate);

  // The window that is complete, [frames][mels] or [samples][width], until the next call; then moves on by a hop.
  const float* take();

  void reset();

 private:
  void make_frames(Gate* gate);

  FrontEnd* front_end_;
  size_t clip_samples_, hop_, width_;
  size_t needed_;
  SlidingBuffer samples_;     // from the next frame on; without a front end, from the next window on
  SlidingBuffer frames_;      // from the next window on
  std::vector<float> block_;  // [frames_at_once][mels]: the newest frames
};

}  // namespace bnn_exit
