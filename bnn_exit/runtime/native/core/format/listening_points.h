// Listening points in the metadata of a model file: named settings of the gate and the detector of a stream.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "format/json.h"

namespace bnn_exit {

constexpr int kMaxSpanWindows = 1000;  // that a detector looks back on

struct GateSettings {
  double margin_db, rise_db_per_s, hang_over_ms;
};

struct ListeningPoint {
  // A label that makes events. Labels of the file that are not listed are background.
  struct Label {
    uint32_t index;
    double threshold, refractory_ms;
  };

  std::string name, operating_point;
  std::vector<Label> labels;  // in the order of the file
  bool against_background;    // the score; otherwise it is the probability
  double hop_ms, span_ms, release;
  int32_t min_count, of_count;
  bool has_gate;
  GateSettings gate;
};

// The nearest whole number, halves upwards, as bnn_exit/model_file/listening_points.py rounds.
inline double rounded(double value) { return std::floor(value + 0.5); }

// Reads the object with all listening points of a file with these labels. Raises Error for what
// bnn_exit/model_file/listening_points.py refuses; the caller checks the names of operating points.
std::vector<ListeningPoint> read_listening_points(const Json& points, const std::vector<std::string>& labels);

}  // namespace bnn_exit
