// A stream: samples in chunks of any size, to the probabilities of windows, to events.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "bnn_exit.h"
#include "classify/classifier.h"
#include "stream/detector.h"
#include "stream/gate.h"
#include "stream/resampler.h"
#include "stream/windows.h"

namespace bnn_exit {

class Stream {
 public:
  // The classifier must live longer. Raises Error for settings that break a rule, and if the stream needs more than the
  // limits of the classifier leave.
  Stream(Classifier& classifier, const bnn_exit_stream_settings& settings);

  // Takes samples until a window is complete or they are used up. Raises Error before any is taken if one is not
  // finite, or while another thread uses the classifier. Sample is float or int16_t; of values float alone, and each
  // sample is one number of every channel.
  template <typename Sample>
  void push(const Sample* samples, size_t count, size_t* used, bnn_exit_window* window);

  void reset(uint64_t lost_samples);

 private:
  struct Plan;
  Stream(Classifier& classifier, const Plan& plan);

  Gate* gate() { return gate_ ? &*gate_ : nullptr; }
  void feed(const float* samples, size_t count);
  void complete(bnn_exit_window* window);

  Classifier& classifier_;
  std::vector<float> thresholds_;
  double rate_hz_;
  size_t hop_;  // samples, at the rate of the file
  std::optional<Resampler> resampler_;
  std::optional<Gate> gate_;
  std::optional<Detector> detector_;
  Windows windows_;
  std::vector<float> probabilities_;
  uint64_t taken_ = 0;   // samples, lost ones included
  double began_s_ = 0;   // when the piece without gaps began
  uint64_t number_ = 0;  // windows of the piece
};

}  // namespace bnn_exit
