#include "contract.h"

#include <cstring>
#include <vector>

void Message::check(bnn_exit_status status) const {
  require(std::memchr(text, 0, sizeof text) != nullptr, "a text does not end");
  require(std::strpbrk(text, "\n\r") == nullptr, "a text is not one line");
  require((status == BNN_EXIT_OK) == (text[0] == 0), "a text without an error, or an error without a text");
}

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
    bnn_exit_answer found = {};
    const char* point = samples == clip ? "balanced" : nullptr;
    bnn_exit_status status = bnn_exit_classify(classifier, waveform.data(), samples, point, thresholds.data(), &found,
                                               message.text, sizeof message.text);
    message.check(status);
    if (status != BNN_EXIT_OK) continue;
    require(found.exit_index >= 0 && found.exit_index < bnn_exit_exit_count(classifier), "an exit that does not exist");
    require(found.label == bnn_exit_label(classifier, found.label_index), "a label that does not exist");
  }
  require(bnn_exit_sample_rate_hz(classifier) > 0, "no sample rate");
  bnn_exit_answer found = {};
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
