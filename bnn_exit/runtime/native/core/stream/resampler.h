// Converts the sample rate of an endless waveform: the filter of bnn_exit/audio/resample.py with its state kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stream/sliding_buffer.h"

namespace bnn_exit {

// Output n is the band-limited signal at the time of input n * from / to; before the first input there is silence. What
// comes out does not depend on how the input is cut.
class Resampler {
 public:
  static constexpr size_t kBlock = 512;  // inputs that are appended at once, at most

  Resampler(int from_hz, int to_hz);

  // Memory of a resampler, and elementary steps for one output.
  static uint64_t bytes(int from_hz, int to_hz);
  static uint64_t operations(int from_hz, int to_hz);

  // How many more inputs are needed until `outputs` further outputs can be made; at least 1 output.
  size_t inputs_for(size_t outputs) const;

  // Appends at most kBlock inputs. Before, make() must have returned fewer outputs than it was asked for.
  void append(const float* inputs, size_t count) { history_.append(inputs, count); }

  // Writes the next outputs, those whose inputs are there and at most `most`; returns how many.
  size_t make(float* outputs, size_t most);

  void reset();

 private:
  size_t up_, down_, width_;
  std::vector<float> coefficients_;  // [up][width]: of an output at that phase, from the oldest input on
  SlidingBuffer history_;            // from the first input on that the next output reads
  size_t phase_ = 0;                 // of the next output, in 1 / up of an input
};

}  // namespace bnn_exit
