// The metadata entry "bnn_exit" of a model file: labels, features, thresholds.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bnn_exit.h"
#include "format/listening_points.h"
#include "format/tables.h"

namespace bnn_exit {

struct Metadata {
  std::vector<std::string> labels;
  bool takes_waveforms = false;       // in place of log-mels
  std::vector<std::string> channels;  // of values of sensors; empty for sound
  double values_rate_hz = 0;          // samples a second of values
  size_t clip_samples = 0, exits = 0;
  size_t thresholds = 0;            // one for each exit but the last, and then one for a skip gate
  bnn_exit_features features = {};  // of sound
  std::vector<std::pair<std::string, std::vector<float>>> operating_points;  // name and thresholds
  std::vector<ListeningPoint> listening_points;
};

// Raises Error for everything that bnn_exit/model_file/metadata.py refuses: both have one set of rules, and the tests
// one corpus. The front end checks its settings itself.
Metadata read_metadata(Bytes json);

// An upper bound of the memory that reading takes, for the budget.
inline uint64_t metadata_bytes(Bytes json) { return 12 * static_cast<uint64_t>(json.size); }

}  // namespace bnn_exit
