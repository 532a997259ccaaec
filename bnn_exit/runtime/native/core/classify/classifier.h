// A model file of bnn_exit with its front end and labels: from a waveform, or a window of values, to a prediction, by
// the settings in the file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "audio/front_end.h"
#include "budget.h"
#include "format/metadata.h"
#include "graph/network.h"

namespace bnn_exit {

class Classifier {
 public:
  Classifier(const void* file, size_t size, const bnn_exit_settings& limits, const Kernels& kernels);

  const std::vector<std::string>& labels() const { return metadata_.labels; }
  double sample_rate_hz() const {
    return takes_values() ? metadata_.values_rate_hz : static_cast<double>(metadata_.features.sample_rate_hz);
  }
  bool takes_values() const { return !metadata_.channels.empty(); }
  const std::vector<std::string>& channels() const { return metadata_.channels; }  // of values
  size_t width() const { return takes_values() ? metadata_.channels.size() : 1; }  // numbers of a sample
  size_t clip_samples() const { return metadata_.clip_samples; }
  size_t exits() const { return metadata_.exits; }
  size_t threshold_count() const { return metadata_.thresholds; }

  // Thresholds of a named operating point; raises Error, which lists the known names.
  const std::vector<float>& thresholds(const char* operating_point) const;

  const std::vector<ListeningPoint>& listening_points() const { return metadata_.listening_points; }

  // The named listening point; raises Error, which lists the known names.
  const ListeningPoint& listening_point(const char* name) const;

  // Raises Error unless the first `count` thresholds can be compared with scores.
  void check_thresholds(const float* thresholds, size_t count) const;

  // A shorter clip is centred between zeros (one of values is refused), of a longer one the centre is taken. Raises
  // Error while another thread uses it. Thresholds are `named`, or else `given`: one for each exit but the last, with
  // which a skip gate is off.
  void classify(const float* waveform, size_t samples, const std::vector<float>* named, const float* given,
                bnn_exit_prediction* prediction);

  // For streams, which make the inputs of the network themselves. They hold busy() in all that they do, so that several
  // may use one classifier in turn.
  BusyFlag& busy() { return busy_; }
  Budget budget() const { return network_.budget(); }  // what is left of the limits
  FrontEnd* front_end() { return front_end_.get(); }   // nullptr for one that takes waveforms or values

  // The prediction for an input of the network: a log-mel [frames][mels], or [clip_samples][width].
  void infer(const float* input, const float* thresholds, bnn_exit_prediction* prediction);

 private:
  void hold_travellers();

  Network network_;
  Metadata metadata_;
  std::unique_ptr<FrontEnd> front_end_;  // none for waveforms and values
  std::vector<float> clip_, log_mel_, probabilities_;
  std::vector<float> given_;  // thresholds of the caller, and 0 for a skip gate
  int32_t exit_index_ = 0;
  float score_ = 0;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
  std::vector<std::vector<uint8_t>> travellers_;  // of the device's half of a split file; aligned as any allocation
  size_t clip_input_ = 0, thresholds_input_ = 0;
  BusyFlag busy_;
};

}  // namespace bnn_exit
