#include "classifier.h"

#include <algorithm>
#include <cmath>

#include "json.h"

namespace bnn_exit {
namespace {

constexpr int64_t kFormat = 1;

int32_t samples_of(const Json& features, const char* name, int32_t rate) {
  double samples = std::nearbyint(rate * features.real(name) / 1000);
  if (!(samples >= 0 && samples < 1 << 24)) damaged("%s in its metadata is %g", name, features.real(name));
  return static_cast<int32_t>(samples);
}

bnn_exit_features read_features(const Json& json) {
  bnn_exit_features features = {};
  features.sample_rate_hz = static_cast<int32_t>(json.whole("sample_rate_hz"));
  features.window_samples = samples_of(json, "window_ms", features.sample_rate_hz);
  features.hop_samples = samples_of(json, "hop_ms", features.sample_rate_hz);
  features.fft_size = static_cast<int32_t>(json.whole("fft_size"));
  features.num_mels = static_cast<int32_t>(json.whole("num_mels"));
  features.lower_hz = json.real("lower_hz");
  features.upper_hz = json.real("upper_hz");
  features.log_offset = json.real("log_offset");
  return features;
}

size_t find(const std::vector<Port>& ports, const char* name, Type type, size_t values) {
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name != name) continue;
    const Value& value = *ports[i].value;
    if (value.type != type || static_cast<size_t>(value.count()) != values) {
      damaged("%s is %s %s, but its metadata say %zu values of %s", name, name_of(value.type), to_text(value.shape).c_str(), values, name_of(type));
    }
    return i;
  }
  unsupported("the network has no input or output %s: export the model again", name);
}

}  // namespace

Classifier::Classifier(const void* file, size_t size, const bnn_exit_settings& limits, const Kernels& kernels)
    : network_(file, size, limits, kernels) {
  const Bytes* bytes = network_.metadata("bnn_exit");
  if (!bytes) unsupported("this file was not written by bnn_exit: export it with python -m bnn_exit.export or bnn_exit.export");
  Json json = read_json(*bytes);
  if (json.whole("format") > kFormat) {
    unsupported("this file is of format %lld, this bnn_exit reads up to %lld: use a newer library", (long long)json.whole("format"), (long long)kFormat);
  }
  for (const Json& label : json.at("labels", Json::Kind::list).items) labels_.push_back(label.text);
  exits_ = json.at("exits", Json::Kind::list).items.size();
  int64_t samples = json.whole("clip_samples");
  if (labels_.empty() || exits_ < 1 || samples < 1 || samples > kMaxElements) damaged("its metadata make no sense");
  clip_samples_ = static_cast<size_t>(samples);
  features_ = read_features(json.at("features", Json::Kind::object));
  for (const auto& [name, point] : json.at("operating_points", Json::Kind::object).members) {
    std::vector<float> thresholds;
    for (const Json& value : point.at("thresholds", Json::Kind::list).items) thresholds.push_back(static_cast<float>(value.number));
    if (thresholds.size() != exits_ - 1) damaged("operating point %s has %zu thresholds for %zu exits", name.c_str(), thresholds.size(), exits_);
    points_.emplace_back(name, std::move(thresholds));
  }
  network_.count(clip_samples_ * sizeof(float), clip_samples_);
  clip_.resize(clip_samples_);
  probabilities_.resize(labels_.size());
  bool waveform = json.at("input", Json::Kind::text).text == "waveform";
  if (!waveform) {
    network_.count(FrontEnd::bytes(features_), 0);
    front_end_ = std::make_unique<FrontEnd>(features_);
    network_.count(0, front_end_->operations(clip_samples_));
    size_t values = front_end_->frames(clip_samples_) * static_cast<size_t>(features_.num_mels);
    if (values > static_cast<size_t>(kMaxElements)) damaged("its metadata make no sense");
    network_.count(values * sizeof(float), 0);
    log_mel_.resize(values);
  }
  if (network_.inputs().size() != 2 || network_.outputs().size() != 3) damaged("its inputs and outputs are not those of bnn_exit");
  const std::vector<float>& given = waveform ? clip_ : log_mel_;
  inputs_.resize(2);
  outputs_.resize(3);
  size_t clip_input = find(network_.inputs(), waveform ? "waveform" : "log_mel", Type::float32, given.size());
  thresholds_input_ = find(network_.inputs(), "thresholds", Type::float32, exits_ - 1);
  inputs_[clip_input] = given.data();
  outputs_[find(network_.outputs(), "probabilities", Type::float32, labels_.size())] = probabilities_.data();
  outputs_[find(network_.outputs(), "exit_index", Type::int32, 1)] = &exit_index_;
  outputs_[find(network_.outputs(), "score", Type::float32, 1)] = &score_;
  if (clip_input == thresholds_input_ || std::count(outputs_.begin(), outputs_.end(), nullptr)) damaged("its inputs and outputs are not those of bnn_exit");
}

const std::vector<float>& Classifier::thresholds(const char* operating_point) const {
  std::string known;
  for (const auto& [name, values] : points_) {
    if (name == operating_point) return values;
    known += (known.empty() ? "" : ", ") + name;
  }
  bad_argument("operating_point is '%s', but must be one of %s", operating_point, known.c_str());
}

void Classifier::classify(const float* waveform, size_t samples, const float* thresholds, bnn_exit_answer* answer) {
  Turn turn(turns_, "classifier");
  for (size_t i = 0; i < samples; ++i) {
    if (!std::isfinite(waveform[i])) bad_argument("sample %zu of the waveform is NaN or infinite, but all must be finite", i);
  }
  if (samples >= clip_samples_) {
    std::copy_n(waveform + (samples - clip_samples_) / 2, clip_samples_, clip_.begin());
  } else {
    size_t before = (clip_samples_ - samples) / 2;
    std::fill(clip_.begin(), clip_.end(), 0.0f);
    std::copy_n(waveform, samples, clip_.begin() + static_cast<std::ptrdiff_t>(before));
  }
  if (front_end_) front_end_->run(clip_.data(), clip_.size(), log_mel_.data());
  inputs_[thresholds_input_] = thresholds;
  network_.run(inputs_.data(), outputs_.data());
  if (exit_index_ < 0 || static_cast<size_t>(exit_index_) >= exits_) damaged("the network left at exit %d of %zu", exit_index_, exits_);
  auto best = std::max_element(probabilities_.begin(), probabilities_.end());
  answer->label_index = static_cast<int32_t>(best - probabilities_.begin());
  answer->label = labels_[static_cast<size_t>(answer->label_index)].c_str();
  answer->probabilities = probabilities_.data();
  answer->exit_index = exit_index_;
  answer->score = score_;
}

}  // namespace bnn_exit
