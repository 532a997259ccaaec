// An energy gate: which windows of a stream are loud enough to run the network. bnn_exit/runtime/gate.py does the same,
// to the last bit.
#pragma once

#include <cstddef>

#include "format/listening_points.h"

namespace bnn_exit {

class Gate {
 public:
  // `hop_s` is from frame to frame, in seconds; `window_frames` are the frames of a window.
  Gate(const GateSettings& settings, double hop_s, size_t window_frames, size_t mels);

  void push(const float* frame);  // the next frame [mels]

  // Whether a window that ends with the newest frame should run.
  bool is_open() const { return quiet_ < reach_; }

  void reset();

 private:
  size_t mels_;
  double margin_, rise_, reach_;
  double floor_, quiet_;  // noise floor in dB; frames since the last loud one
};

}  // namespace bnn_exit
