#include "classify/classifier.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "audio/finite.h"
#include "error.h"

namespace bnn_exit {
namespace {

constexpr const char* kSignature = "serving_default";

const Bytes& metadata_of(const Network& network) {
  const Bytes* bytes = network.metadata("bnn_exit");
  if (!bytes && network.metadata("bnn_exit_split"))
    unsupported("this is the server's half of a split file, which takes no sound");
  if (!bytes)
    unsupported("this file was not written by bnn_exit: export it with python -m bnn_exit.export or bnn_exit.export");
  return *bytes;
}

// Invalid settings are the file's fault here, even if the file computes its features itself.
uint64_t bytes_of_front_end(const bnn_exit_features& features) {
  try {
    return FrontEnd::bytes(features);
  } catch (const Error& error) {
    damaged("%s", error.what());
  }
}

const Signature& signature_of(const Model& model) {
  for (const Signature& signature : model.signatures) {
    if (signature.name == kSignature && signature.subgraph == 0) return signature;
  }
  unsupported("the signature %s of the main subgraph is missing: export the model again", kSignature);
}

// The index of the network's input or output of that name in the signature. The order has no meaning.
size_t find(const std::vector<std::pair<std::string, uint32_t>>& named, const std::vector<int32_t>& listed,
            const std::vector<Port>& ports, const std::vector<TensorInfo>& tensors, const char* name, Type type,
            const Shape& shape) {
  for (const auto& [known, tensor] : named) {
    if (known != name) continue;
    size_t index =
        static_cast<size_t>(std::find(listed.begin(), listed.end(), static_cast<int32_t>(tensor)) - listed.begin());
    if (index == listed.size()) break;
    const Value& value = *ports[index].value;
    if (value.type != type || value.shape != shape || tensors[tensor].shape != shape) {
      damaged("%s is %s %s, but its metadata say %s %s", name, name_of(value.type), to_text(value.shape).c_str(),
              name_of(type), to_text(shape).c_str());
    }
    return index;
  }
  unsupported("the signature %s has no %s: export the model again", kSignature, name);
}

}  // namespace

Classifier::Classifier(const void* file, size_t size, const bnn_exit_settings& limits, const Kernels& kernels)
    : network_(file, size, limits, kernels) {
  const Bytes& json = metadata_of(network_);
  network_.count(metadata_bytes(json), 0);
  metadata_ = read_metadata(json);
  const bnn_exit_features& features = metadata_.features;
  auto samples = static_cast<int64_t>(clip_samples()), classes = static_cast<int64_t>(labels().size());
  Shape clip_shape = {1, samples};
  if (takes_values()) clip_shape = {1, samples, 1, static_cast<int64_t>(width())};
  if (elements(clip_shape) > kMaxElements)
    damaged("its metadata ask for an input of the shape %s", to_text(clip_shape).c_str());
  size_t numbers = clip_samples() * width();
  network_.count(numbers * sizeof(float), numbers);
  clip_.resize(numbers);
  probabilities_.resize(labels().size());
  given_.resize(threshold_count());
  uint64_t front_end_bytes = takes_values() ? 0 : bytes_of_front_end(features);
  const char* input_name = takes_values() ? "values" : metadata_.takes_waveforms ? "waveform" : "log_mel";
  if (!takes_values() && !metadata_.takes_waveforms) {
    network_.count(front_end_bytes, 0);
    front_end_ = std::make_unique<FrontEnd>(features, kernels);
    network_.count(0, front_end_->operations(clip_samples()));
    clip_shape = {1, static_cast<int64_t>(front_end_->frames(clip_samples())), features.num_mels, 1};
    if (elements(clip_shape) > kMaxElements)
      damaged("its metadata ask for features of the shape %s", to_text(clip_shape).c_str());
    auto values = static_cast<size_t>(elements(clip_shape));
    network_.count(values * sizeof(float), 0);
    log_mel_.resize(values);
  }
  const Subgraph& main = network_.model().subgraphs[0];
  const Signature& signature = signature_of(network_.model());
  auto input = [&](const char* name, const Shape& shape) {
    return find(signature.inputs, main.inputs, network_.inputs(), main.tensors, name, Type::float32, shape);
  };
  auto output = [&](const char* name, Type type, const Shape& shape) {
    return find(signature.outputs, main.outputs, network_.outputs(), main.tensors, name, type, shape);
  };
  inputs_.resize(network_.inputs().size());
  outputs_.resize(network_.outputs().size());
  clip_input_ = input(input_name, clip_shape);
  thresholds_input_ = input("thresholds", {static_cast<int64_t>(threshold_count())});
  outputs_[output("probabilities", Type::float32, {1, classes})] = probabilities_.data();
  outputs_[output("exit_index", Type::int32, {1})] = &exit_index_;
  outputs_[output("score", Type::float32, {1})] = &score_;
  if (network_.metadata("bnn_exit_split")) hold_travellers();
  if (inputs_.size() != 2 || outputs_.size() < 3 || clip_input_ == thresholds_input_ ||
      std::count(outputs_.begin(), outputs_.end(), nullptr)) {
    damaged("its inputs and outputs are not those of bnn_exit");
  }
}

// The device's half of a split file also gives what travels to the server, which nobody reads here.
void Classifier::hold_travellers() {
  travellers_.resize(outputs_.size());
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i]) continue;
    size_t bytes = network_.outputs()[i].value->bytes();
    network_.count(bytes, 0);
    travellers_[i].resize(bytes);
    outputs_[i] = travellers_[i].data();
  }
}

const std::vector<float>& Classifier::thresholds(const char* operating_point) const {
  std::string known;
  for (const auto& [name, values] : metadata_.operating_points) {
    if (name == operating_point) return values;
    known += (known.empty() ? "" : ", ") + name;
  }
  bad_argument("operating_point is '%s', but must be one of %s", operating_point, known.c_str());
}

const ListeningPoint& Classifier::listening_point(const char* name) const {
  std::string known;
  for (const ListeningPoint& point : listening_points()) {
    if (point.name == name) return point;
    known += (known.empty() ? "" : ", ") + point.name;
  }
  if (known.empty()) {
    bad_argument(
        "listening_point is '%s', but the file has none: python -m bnn_exit.calibrate FILE --stream NEGATIVES "
        "--max-false-accepts-per-hour 0.5 makes one, of hours of sound without the words (NEGATIVES)",
        name);
  }
  bad_argument("listening_point is '%s', but must be one of %s", name, known.c_str());
}

void Classifier::check_thresholds(const float* thresholds, size_t count) const {
  for (size_t i = 0; i < count; ++i) {
    if (!(thresholds[i] >= 0 && std::isfinite(thresholds[i])))
      bad_argument("threshold %zu is %g, but must be a finite number of at least 0", i,
                   static_cast<double>(thresholds[i]));
  }
}

void Classifier::classify(const float* waveform, size_t samples, const std::vector<float>* named, const float* given,
                          bnn_exit_prediction* prediction) {
  BusyGuard guard(busy_, "classifier");
  if (!named) {
    check_thresholds(given, exits() - 1);
    std::copy_n(given, exits() - 1, given_.begin());
  }
  if (takes_values() && samples < clip_samples())
    bad_argument("there are %zu samples, but a window of this file has %zu", samples, clip_samples());
  if (samples > SIZE_MAX / sizeof(float) / width())
    bad_argument("samples is %zu, but no memory holds so many", samples);
  const size_t numbers = samples * width();
  if (const size_t i = first_not_finite(waveform, numbers); i < numbers)
    bad_argument("sample %zu of the %s is NaN or infinite, but all must be finite", i / width(),
                 takes_values() ? "values" : "waveform");
  if (samples >= clip_samples()) {
    std::copy_n(waveform + (samples - clip_samples()) / 2 * width(), clip_.size(), clip_.begin());
  } else {
    size_t before = (clip_samples() - samples) / 2;
    std::fill(clip_.begin(), clip_.end(), 0.0f);
    std::copy_n(waveform, samples, clip_.begin() + static_cast<std::ptrdiff_t>(before));
  }
  if (front_end_) front_end_->compute(clip_.data(), clip_.size(), log_mel_.data());
  infer(front_end_ ? log_mel_.data() : clip_.data(), named ? named->data() : given_.data(), prediction);
}

void Classifier::infer(const float* input, const float* thresholds, bnn_exit_prediction* prediction) {
  inputs_[clip_input_] = input;
  inputs_[thresholds_input_] = thresholds;
  network_.infer(inputs_.data(), outputs_.data());
  if (exit_index_ < 0 || static_cast<size_t>(exit_index_) >= exits())
    damaged("the network left at exit %d of %zu", exit_index_, exits());
  auto best = std::max_element(probabilities_.begin(), probabilities_.end());
  prediction->label_index = static_cast<int32_t>(best - probabilities_.begin());
  prediction->label = labels()[static_cast<size_t>(prediction->label_index)].c_str();
  prediction->probabilities = probabilities_.data();
  prediction->exit_index = exit_index_;
  prediction->score = score_;
}

}  // namespace bnn_exit
