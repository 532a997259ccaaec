#include "contract.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

void Message::check(bnn_exit_status status) const {
  require(std::memchr(text, 0, sizeof text) != nullptr, "a text does not end");
  require(std::strpbrk(text, "\n\r") == nullptr, "a text is not one line");
  require((status == BNN_EXIT_OK) == (text[0] == 0), "a text without an error, or an error without a text");
}

namespace {

// What a stream makes of samples in chunks of this size: windows as bytes, one after the other. `status` is the first
// error, if any.
std::vector<uint8_t> run_stream(bnn_exit_classifier* classifier, const bnn_exit_stream_settings& settings,
                                const std::vector<float>& samples, size_t chunk, bnn_exit_status* status) {
  bnn_exit_stream* stream = nullptr;
  Message message;
  *status = bnn_exit_stream_new(classifier, &settings, &stream, message.text, sizeof message.text);
  message.check(*status);
  require((*status == BNN_EXIT_OK) == (stream != nullptr), "a stream and an error, or neither");
  std::vector<uint8_t> found;
  auto classes = static_cast<size_t>(bnn_exit_label_count(classifier));
  for (size_t at = 0; stream && at < samples.size();) {
    size_t used = 0, count = std::min(chunk, samples.size() - at);
    bnn_exit_window window;
    *status =
        bnn_exit_stream_push(stream, samples.data() + at, count, &used, &window, message.text, sizeof message.text);
    message.check(*status);
    if (*status != BNN_EXIT_OK) break;
    require(used == count || window.complete, "samples were left without a window");
    at += used;
    if (!window.complete) continue;
    require(window.exit_index >= -1 && window.exit_index < bnn_exit_exit_count(classifier), "a window's exit");
    require(window.start_s < window.end_s, "a window's time");
    auto* bytes = reinterpret_cast<const uint8_t*>(window.probabilities);
    found.insert(found.end(), bytes, bytes + classes * sizeof(float));
    found.push_back(static_cast<uint8_t>(window.exit_index + 1));
    found.push_back(static_cast<uint8_t>(window.has_event));
    if (!window.has_event) continue;
    require(window.event.label == bnn_exit_label(classifier, window.event.label_index), "an event's label");
    require(window.event.probability > 0 && window.event.end_s <= window.event.time_s, "an event's values");
  }
  if (stream) require(bnn_exit_stream_reset(stream, 5, nullptr, 0) == BNN_EXIT_OK, "a stream cannot be reset");
  bnn_exit_stream_free(stream);
  return found;
}

void check_streams(bnn_exit_classifier* classifier) {
  std::vector<float> samples(6000);
  for (size_t i = 0; i < samples.size(); ++i)
    samples[i] = static_cast<float>(i * i % 997) / 997 * (i / 1000 % 2) - 0.1f;
  for (int32_t point = -1; point < 3; ++point) {
    const char* name = point < 0 ? nullptr : bnn_exit_listening_point(classifier, point);
    if (point >= 0 && !name) break;
    for (int32_t rate : {0, 24000}) {
      std::vector<float> thresholds(static_cast<size_t>(bnn_exit_exit_count(classifier)), 0.5f);
      bnn_exit_stream_settings settings = {rate, 0, nullptr, thresholds.data(), name};
      bnn_exit_status whole, cut;
      std::vector<uint8_t> found = run_stream(classifier, settings, samples, samples.size(), &whole);
      require(run_stream(classifier, settings, samples, 700, &cut) == found && whole == cut,
              "a stream depends on its chunks");
    }
  }
}

}  // namespace

Loaded check_classifier(const uint8_t* file, size_t size, const bnn_exit_settings& settings) {
  bnn_exit_classifier* classifier = nullptr;
  Message message;
  const bnn_exit_status loaded =
      bnn_exit_classifier_new(file, size, &settings, &classifier, message.text, sizeof message.text);
  message.check(loaded);
  require((loaded == BNN_EXIT_OK) == (classifier != nullptr), "a classifier and an error, or neither");
  if (!classifier) return {loaded, message.text};
  require(bnn_exit_label(classifier, bnn_exit_label_count(classifier)) == nullptr, "labels do not end");
  std::vector<float> thresholds(static_cast<size_t>(bnn_exit_exit_count(classifier)), 0.5f);
  size_t clip = bnn_exit_clip_samples(classifier);
  for (size_t samples : {clip, clip / 2 + 1, clip + 1}) {
    std::vector<float> waveform(samples);
    for (size_t i = 0; i < samples; ++i) waveform[i] = static_cast<float>(i % 7) * 0.1f - 0.3f;
    bnn_exit_prediction found = {};
    const char* point = samples == clip ? "balanced" : nullptr;
    bnn_exit_status status = bnn_exit_classify(classifier, waveform.data(), samples, point, thresholds.data(), &found,
                                               message.text, sizeof message.text);
    message.check(status);
    if (status != BNN_EXIT_OK) continue;
    require(found.exit_index >= 0 && found.exit_index < bnn_exit_exit_count(classifier), "an exit that does not exist");
    require(found.label == bnn_exit_label(classifier, found.label_index), "a label that does not exist");
  }
  check_streams(classifier);
  require(bnn_exit_sample_rate_hz(classifier) > 0, "no sample rate");
  bnn_exit_prediction found = {};
  float silence = 0;
  auto refuses = [&](const float* waveform, const char* point) {
    return bnn_exit_classify(classifier, waveform, 1, point, nullptr, &found, nullptr, 0) == BNN_EXIT_ARGUMENT;
  };
  require(refuses(nullptr, nullptr), "classified without a waveform");
  require(refuses(&silence, nullptr), "classified without thresholds");
  require(refuses(&silence, "no such point"), "classified with an unknown operating point");
  bnn_exit_classifier_free(classifier);
  return {loaded, ""};
}

void check_misuse(const uint8_t* file, size_t size, const bnn_exit_settings& limits) {
  Message message;
  const bnn_exit_settings many = {0, 0, 300}, negative = {0, 0, -1};
  bnn_exit_network* network = nullptr;
  for (const bnn_exit_settings* settings : {&many, &negative}) {
    bnn_exit_status status = bnn_exit_load(file, size, settings, &network, message.text, sizeof message.text);
    message.check(status);
    require(status == BNN_EXIT_ARGUMENT && !network, "an invalid number of threads");
  }
  require(bnn_exit_load(nullptr, 1, nullptr, &network, message.text, 5) == BNN_EXIT_ARGUMENT, "no file");
  require(std::strlen(message.text) == 4, "a text is not cut to its buffer");
  require(bnn_exit_load(file, size, nullptr, nullptr, nullptr, 0) == BNN_EXIT_ARGUMENT, "no pointer for a network");
  setenv("BNN_EXIT_ISA", "none", 1);
  require(*bnn_exit_isa() == 0, "an instruction set that is not there");
  require(bnn_exit_load(file, size, nullptr, &network, message.text, sizeof message.text) == BNN_EXIT_ARGUMENT,
          "loaded with an unknown instruction set");
  unsetenv("BNN_EXIT_ISA");
  require(*bnn_exit_isa() != 0 && *bnn_exit_version() != 0, "no name");
  if (bnn_exit_load(file, size, &limits, &network, nullptr, 0) == BNN_EXIT_OK) {
    bnn_exit_tensor tensor;
    const void* data;
    size_t data_size;
    require(bnn_exit_input(network, -1, &tensor) == BNN_EXIT_ARGUMENT, "input -1");
    require(bnn_exit_output(network, bnn_exit_output_count(network), &tensor) == BNN_EXIT_ARGUMENT,
            "one output too many");
    require(bnn_exit_metadata(network, nullptr, &data, &data_size) == BNN_EXIT_ARGUMENT, "metadata without a name");
    require(bnn_exit_metadata(network, "none", &data, &data_size) == BNN_EXIT_OK && !data && !data_size,
            "metadata that are not there");
    require(bnn_exit_run(network, nullptr, nullptr, nullptr, 0) == BNN_EXIT_ARGUMENT, "a run without inputs");
  }
  bnn_exit_free(network);
  bnn_exit_front_end* front_end = nullptr;
  bnn_exit_features features = {16000, 400, 160, 512, 20, 20, 7600, 1e-6};
  require(bnn_exit_front_end_new(&features, &front_end, nullptr, 0) == BNN_EXIT_OK, "good features");
  std::vector<float> waveform(1040, 0.25f), log_mel(bnn_exit_frames(front_end, waveform.size()) * 20);
  bnn_exit_log_mel(front_end, waveform.data(), waveform.size(), log_mel.data());
  require(bnn_exit_frames(front_end, 399) == 0, "frames of less than a window");
  bnn_exit_front_end_free(front_end);
  for (int32_t bnn_exit_features::* field :
       {&bnn_exit_features::sample_rate_hz, &bnn_exit_features::window_samples, &bnn_exit_features::hop_samples,
        &bnn_exit_features::fft_size, &bnn_exit_features::num_mels}) {
    bnn_exit_features odd = features;
    odd.*field = -1;
    message.check(bnn_exit_front_end_new(&odd, &front_end, message.text, sizeof message.text));
    require(!front_end, "features below 0");
  }
  require(bnn_exit_front_end_new(nullptr, &front_end, nullptr, 0) == BNN_EXIT_ARGUMENT, "no features");
  bnn_exit_classifier* classifier = nullptr;
  require(bnn_exit_classifier_new(nullptr, 1, nullptr, &classifier, nullptr, 0) == BNN_EXIT_ARGUMENT, "no file");
  bnn_exit_stream* stream = nullptr;
  require(bnn_exit_stream_new(nullptr, nullptr, &stream, nullptr, 0) == BNN_EXIT_ARGUMENT, "no classifier");
  bnn_exit_window window;
  size_t used;
  require(bnn_exit_stream_push(nullptr, nullptr, 0, &used, &window, nullptr, 0) == BNN_EXIT_ARGUMENT, "no stream");
  require(bnn_exit_stream_reset(nullptr, 0, nullptr, 0) == BNN_EXIT_ARGUMENT, "no stream to reset");
  bnn_exit_stream_free(nullptr);
  bnn_exit_classifier_free(nullptr);
  bnn_exit_front_end_free(nullptr);
}
