#include "format/metadata.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "format/json.h"
#include "format/json_rules.h"
#include "format/model.h"
#include "text.h"

namespace bnn_exit {
namespace {

using Kind = Json::Kind;

constexpr int64_t kFormat = 1;

std::vector<std::string> read_labels(const Json& list) {
  std::vector<std::string> labels;
  labels.reserve(list.size());
  list.items([&](const Json& label) { labels.push_back(of_kind(label, "a label", Kind::text).text()); });
  std::vector<std::string> sorted = labels;
  bool differ = !find_repeated(sorted);
  if (labels.size() < 2 || sorted.front().empty() || !differ)
    damaged("the labels in its metadata must be at least two that are not empty and all differ");
  return labels;
}

int32_t samples_of(const Json& features, const char* name, int32_t rate) {
  double milliseconds = need(features, name, Kind::number).number();
  double samples = std::nearbyint(rate * milliseconds / 1000);
  if (!(samples >= 0 && samples <= INT32_MAX)) damaged("%s in its metadata is %g", name, milliseconds);
  return static_cast<int32_t>(samples);
}

bnn_exit_features read_features(const Json& json) {
  check_names(json, "features",
              {"sample_rate_hz", "window_ms", "hop_ms", "fft_size", "num_mels", "lower_hz", "upper_hz", "log_offset"},
              {"kind"});
  auto count = [&](const char* name) { return static_cast<int32_t>(need_integer(json, name, INT32_MIN, INT32_MAX)); };
  auto real = [&](const char* name) { return need(json, name, Kind::number).number(); };
  bnn_exit_features features = {};
  features.sample_rate_hz = count("sample_rate_hz");
  features.window_samples = samples_of(json, "window_ms", features.sample_rate_hz);
  features.hop_samples = samples_of(json, "hop_ms", features.sample_rate_hz);
  features.fft_size = count("fft_size");
  features.num_mels = count("num_mels");
  features.lower_hz = real("lower_hz");
  features.upper_hz = real("upper_hz");
  features.log_offset = real("log_offset");
  return features;
}

// As in settings/values.py.
constexpr double kMaxValuesRateHz = 1e6;
constexpr size_t kMaxChannels = 4096;

void read_values(const Json& json, Metadata* found) {
  check_names(json, "features", {"kind", "sample_rate_hz", "channels"});
  found->values_rate_hz = need(json, "sample_rate_hz", Kind::number).number();
  if (!(found->values_rate_hz > 0 && found->values_rate_hz <= kMaxValuesRateHz))
    damaged("sample_rate_hz in its metadata is %g", found->values_rate_hz);
  Json list = need(json, "channels", Kind::list);
  if (!list.size() || list.size() > kMaxChannels)
    damaged("channels in its metadata are %zu, but must be 1 to %zu", list.size(), kMaxChannels);
  found->channels.reserve(list.size());
  list.items([&](const Json& channel) { found->channels.push_back(of_kind(channel, "a channel", Kind::text).text()); });
  std::vector<std::string> sorted = found->channels;
  bool differ = !find_repeated(sorted);
  if (sorted.front().empty() || !differ) damaged("the channels in its metadata must not be empty and all differ");
}

bool has_values(const Json& features) {
  Json kind = features;
  if (!features.find("kind", &kind)) return false;
  std::string name = of_kind(kind, "kind", Kind::text).text();
  if (name != "values" && name != "log_mel")
    damaged("kind of the features in its metadata is '%s', but must be log_mel or values", name.c_str());
  return name == "values";
}

void check_cost(const Json& cost) {
  check_names(cost, "a cost", {"binary_macs", "float_macs"}, {"bytes"});
  cost.members([](const std::string& name, const Json& value) { integer(value, name.c_str(), 0, INT64_MAX); });
}

void check_numbers(const Json& list, const char* name, size_t count) {
  list.items([&](const Json& value) { of_kind(value, name, Kind::number); });
  if (list.size() != count) damaged("%s in its metadata has %zu values, but must have %zu", name, list.size(), count);
}

std::vector<float> read_point(const std::string& name, const Json& point, size_t exits, size_t count) {
  check_names(point, "an operating point",
              {"name", "thresholds", "max_accuracy_drop", "accuracy", "exit_shares", "mean_cost"},
              {"split", "sample_count", "confidence", "skipped_share"});
  if (need(point, "name", Kind::text).text() != name) damaged("operating point %s has another name", name.c_str());
  for (const char* number : {"max_accuracy_drop", "accuracy"}) need(point, number, Kind::number);
  check_numbers(need(point, "exit_shares", Kind::list), "exit_shares", exits);
  need(point, "mean_cost", Kind::object).members([](const std::string& cost, const Json& value) {
    of_kind(value, cost.c_str(), Kind::number);
  });
  Json other = point;
  if (point.find("split", &other)) of_kind(other, "split", Kind::text);
  if (point.find("sample_count", &other)) integer(other, "sample_count", INT64_MIN, INT64_MAX);
  for (const char* optional : {"confidence", "skipped_share"}) {
    if (point.find(optional, &other) && other.kind() != Kind::null) of_kind(other, optional, Kind::number);
  }
  Json list = need(point, "thresholds", Kind::list);
  check_numbers(list, "thresholds", count);
  std::vector<float> thresholds;
  thresholds.reserve(count);
  list.items([&](const Json& value) {
    auto threshold = static_cast<float>(value.number());
    if (!(threshold >= 0 && std::isfinite(threshold)))
      damaged("a threshold of operating point %s is %g", name.c_str(), value.number());
    thresholds.push_back(threshold);
  });
  return thresholds;
}

void check_numbers_within(const Json& list) {
  of_kind(list, "what the policy learned", Kind::list).items([](const Json& item) {
    if (item.kind() == Kind::list) return check_numbers_within(item);
    of_kind(item, "what the policy learned", Kind::number);
  });
}

// Checks the lengths of the lists in a list of `settings`.
void check_lengths(const Json& settings, const char* name, size_t count, size_t (*length)(size_t index, size_t classes),
                   size_t classes) {
  Json list = need(settings, name, Kind::list);
  check_numbers_within(list);
  size_t index = 0;
  bool fits = list.size() == count;
  list.items(
      [&](const Json& item) { fits = fits && item.kind() == Kind::list && item.size() == length(index++, classes); });
  if (!fits) damaged("%s of the policy in its metadata does not fit the network", name);
}

// Numbers of classes: ascending, at least one, not all.
void check_background(const Json& list, size_t classes) {
  int64_t least = 0;
  list.items([&](const Json& item) {
    least = 1 + integer(item, "background of the policy", least, static_cast<int64_t>(classes) - 1);
  });
  if (!list.size() || list.size() == classes)
    damaged("background of the policy in its metadata has none or all classes");
}

// The network applies the learned settings of a policy; here only their names and shapes are checked.
void check_policy(const std::string& policy, const Json& settings, size_t exits, size_t classes) {
  if (!settings.size()) return;
  auto one_a_class = [](size_t, size_t count) { return count; };
  auto one_an_exit = [](size_t index, size_t) { return index + 1; };
  if (policy == "scaled_entropy" || policy == "scaled_max_probability" || policy == "scaled_margin") {
    check_names(settings, "policy_settings", {"temperatures"});
    check_numbers(need(settings, "temperatures", Kind::list), "temperatures", exits);
    need(settings, "temperatures", Kind::list).items([](const Json& each) {
      if (!(each.number() > 0)) damaged("a temperature in its metadata is %g", each.number());
    });
  } else if (policy == "ensemble") {
    check_names(settings, "policy_settings", {"weights", "biases"});
    check_lengths(settings, "weights", exits - 1, one_an_exit, classes);
    check_lengths(settings, "biases", exits - 1, one_a_class, classes);
  } else if (policy == "commitment") {
    check_names(settings, "policy_settings", {"weights", "biases"});
    check_lengths(settings, "weights", exits - 1, [](size_t, size_t count) { return count + 1; }, classes);
    check_numbers(need(settings, "biases", Kind::list), "biases", exits - 1);
  } else if (policy == "skip_gate") {
    check_names(settings, "policy_settings", {"weights", "bias"});
    Json weights = need(settings, "weights", Kind::list);
    check_numbers(weights, "weights", std::max<size_t>(weights.size(), 1));
    check_numbers(need(settings, "bias", Kind::list), "bias", 1);
    if (exits < 3) damaged("a skip gate needs at least 3 exits, but there are %zu in its metadata", exits);
  } else if (policy == "class_means" || policy == "class_means_1bit") {
    check_names(settings, "policy_settings", {"means", "spreads"});
    check_lengths(settings, "means", exits - 1, one_a_class, classes);
    check_lengths(settings, "spreads", exits - 1, one_a_class, classes);
  } else if (policy == "rejection") {
    check_names(settings, "policy_settings", {"background"});
    check_background(need(settings, "background", Kind::list), classes);
  } else {
    damaged("policy %s in its metadata has settings, but learns nothing", policy.c_str());
  }
}

// A policy with a skip gate has one threshold more, and a cost of the clips that the gate sends past the early heads.
bool has_skip_gate(const Json& json) {
  bool found = need(json, "policy", Kind::text).text() == "skip_gate";
  Json cost = json;
  if (found != json.find("skipped_cost", &cost))
    damaged("skipped_cost goes with the policy skip_gate, and only with it");
  if (found) check_cost(of_kind(cost, "skipped_cost", Kind::object));
  return found;
}

}  // namespace

Metadata read_metadata(Bytes bytes) {
  Json json(bytes);
  of_kind(json, "the whole", Kind::object);
  int64_t format = need_integer(json, "format", 1, INT64_MAX);
  if (format > kFormat) {
    unsupported("this file is of format %lld, this bnn_exit reads up to %lld: use a newer library", (long long)format,
                (long long)kFormat);
  }
  Metadata found;
  for (const char* name : {"policy", "task", "normalisation", "licence", "attribution", "writer"})
    need(json, name, Kind::text);
  need(json, "model", Kind::object);
  found.labels = read_labels(need(json, "labels", Kind::list));
  std::string input = need(json, "input", Kind::text).text();
  Json features = need(json, "features", Kind::object);
  bool values = has_values(features);
  found.takes_waveforms = input == "waveform";
  if (values ? input != "values" : !found.takes_waveforms && input != "log_mel")
    damaged("input in its metadata is '%s', but must be %s", input.c_str(), values ? "values" : "log_mel or waveform");
  found.clip_samples = static_cast<size_t>(need_integer(json, "clip_samples", 1, kMaxElements));
  Json exits = need(json, "exits", Kind::list);
  exits.items(check_cost);
  found.exits = exits.size();
  if (!found.exits) damaged("exits in its metadata is empty");
  found.thresholds = has_skip_gate(json) ? found.exits : found.exits - 1;
  if (values)
    read_values(features, &found);
  else
    found.features = read_features(features);
  need(json, "operating_points", Kind::object).members([&](const std::string& name, const Json& point) {
    found.operating_points.emplace_back(name, read_point(name, point, found.exits, found.thresholds));
  });
  Json points = json;
  if (json.find("listening_points", &points)) found.listening_points = read_listening_points(points, found.labels);
  for (const ListeningPoint& point : found.listening_points) {
    auto is_its = [&](const auto& known) { return known.first == point.operating_point; };
    if (std::none_of(found.operating_points.begin(), found.operating_points.end(), is_its))
      damaged("listening point %s has an operating point that is not there", point.name.c_str());
  }
  Json settings = json;
  if (json.find("policy_settings", &settings)) {
    of_kind(settings, "policy_settings", Kind::object);
    check_policy(need(json, "policy", Kind::text).text(), settings, found.exits, found.labels.size());
  }
  return found;
}

}  // namespace bnn_exit
