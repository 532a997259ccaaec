// From the probabilities of windows to events, by a listening point. bnn_exit/runtime/detector.py does the same, to the
// last bit, and explains it.
#pragma once

#include <cstdint>
#include <vector>

#include "format/listening_points.h"

namespace bnn_exit {

struct Event {
  uint32_t label;
  double start_s, end_s;  // of the averaged window in which the label was most probable
  double probability;     // mean of the label's score over the averaged windows
};

class Detector {
 public:
  // `hop_ms` is the stream's, `classes` are all labels of the file. Raises Error if the span of the point holds too
  // many such hops.
  Detector(const ListeningPoint& point, double hop_ms, size_t classes);

  // Memory of a detector, and elementary steps for one window.
  static uint64_t bytes(const ListeningPoint& point, double hop_ms, size_t classes);
  static uint64_t operations(const ListeningPoint& point, double hop_ms, size_t classes);

  // Takes the next window. `probabilities` [classes] is nullptr for one that did not run. Returns whether it made an
  // event.
  bool push(const float* probabilities, double start_s, double end_s, Event* event);

  void reset();

 private:
  struct Label {
    uint32_t index;
    double threshold, leave;
    int64_t refractory;  // windows
    int64_t wait;        // windows below `leave` until the label is armed again
    int32_t count;       // of the flags in `above_`
    double mean;
  };
  struct Span {
    double start_s, end_s;
  };

  void score(const float* probabilities, double* scores) const;
  void average();
  void count_above();

  std::vector<Label> labels_;
  std::vector<uint32_t> background_;  // of a score against background; else empty
  int32_t min_count_;
  size_t windows_, flags_;      // that are averaged, and counted
  std::vector<double> recent_;  // [windows_][labels], a ring
  std::vector<Span> spans_;     // [windows_], a ring
  std::vector<uint8_t> above_;  // [flags_][labels], a ring
  size_t oldest_ = 0, oldest_flag_ = 0;
};

}  // namespace bnn_exit
