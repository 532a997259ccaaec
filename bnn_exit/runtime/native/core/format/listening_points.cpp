#include "format/listening_points.h"

#include <algorithm>
#include <cfloat>

#include "error.h"
#include "format/json_rules.h"

namespace bnn_exit {
namespace {

using Kind = Json::Kind;

constexpr double kMaxMs = 60000, kMaxRefractoryMs = 3600000;

// Finds the index of a label by bisection: files may have very many labels and points.
class LabelIndex {
 public:
  explicit LabelIndex(const std::vector<std::string>& labels) : labels_(labels), sorted_(labels.size()) {
    for (size_t i = 0; i < sorted_.size(); ++i) sorted_[i] = static_cast<uint32_t>(i);
    std::sort(sorted_.begin(), sorted_.end(), [&](uint32_t a, uint32_t b) { return labels[a] < labels[b]; });
  }
  uint32_t of(const std::string& label) const {
    auto found = std::lower_bound(sorted_.begin(), sorted_.end(), label,
                                  [&](uint32_t index, const std::string& text) { return labels_[index] < text; });
    if (found == sorted_.end() || labels_[*found] != label)
      damaged("a listening point has a threshold for '%s', which is no label", label.c_str());
    return *found;
  }
  size_t count() const { return labels_.size(); }

 private:
  const std::vector<std::string>& labels_;
  std::vector<uint32_t> sorted_;
};

std::vector<ListeningPoint::Label> read_thresholds(const Json& point, const LabelIndex& index) {
  std::vector<ListeningPoint::Label> labels;
  Json thresholds = need(point, "thresholds", Kind::object);
  labels.reserve(thresholds.size());
  thresholds.members([&](const std::string& label, const Json& value) {
    labels.push_back({index.of(label), real(value, "a threshold of a listening point", DBL_TRUE_MIN, 1), 0});
  });
  if (labels.empty()) damaged("a listening point in its metadata has no thresholds");
  std::sort(labels.begin(), labels.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  return labels;
}

void read_refractory(const Json& point, const LabelIndex& index, std::vector<ListeningPoint::Label>* labels) {
  Json value = point;
  if (!point.find("refractory_ms", &value)) damaged("its metadata lack refractory_ms");
  if (value.kind() == Kind::number) {
    double all = real(value, "refractory_ms", 0, kMaxRefractoryMs);
    for (ListeningPoint::Label& label : *labels) label.refractory_ms = all;
    return;
  }
  size_t known = 0;
  of_kind(value, "refractory_ms", Kind::object).members([&](const std::string& name, const Json& time) {
    uint32_t wanted = index.of(name);
    auto found =
        std::lower_bound(labels->begin(), labels->end(), wanted,
                         [](const ListeningPoint::Label& label, uint32_t number) { return label.index < number; });
    if (found == labels->end() || found->index != wanted)
      damaged("refractory_ms in its metadata has '%s', which has no threshold", name.c_str());
    found->refractory_ms = real(time, "refractory_ms", 0, kMaxRefractoryMs);
    ++known;
  });
  if (known != labels->size()) damaged("refractory_ms in its metadata lacks a label");
}

void read_gate(const Json& point, ListeningPoint* found) {
  Json gate = point;
  if (!point.find("gate", &gate)) damaged("its metadata lack gate");
  found->has_gate = gate.kind() != Kind::null;
  if (!found->has_gate) return;
  check_names(gate, "a gate", {"margin_db", "rise_db_per_s", "hang_over_ms"});
  found->gate.margin_db = need_real(gate, "margin_db", 0, 100);
  found->gate.rise_db_per_s = need_real(gate, "rise_db_per_s", DBL_TRUE_MIN, 100);
  found->gate.hang_over_ms = need_real(gate, "hang_over_ms", 0, kMaxMs);
}

// The score may be missing, as in files of earlier versions.
void read_score(const Json& point, const LabelIndex& index, ListeningPoint* found) {
  Json score = point;
  if (!point.find("score", &score)) return;
  std::string name = of_kind(score, "score", Kind::text).text();
  if (name == "probability") return;
  if (name != "against_background")
    damaged("the score of listening point %s is '%s', which this version does not know", found->name.c_str(),
            name.c_str());
  found->against_background = true;
  if (found->labels.size() == index.count())
    damaged("listening point %s has a score against background, but a threshold for every label", found->name.c_str());
}

ListeningPoint read_point(const std::string& name, const Json& point, const LabelIndex& index) {
  check_names(point, "a listening point",
              {"name", "operating_point", "thresholds", "hop_ms", "span_ms", "release", "min_count", "of_count",
               "refractory_ms", "gate", "figures"},
              {"score"});
  ListeningPoint found = {};
  found.name = need(point, "name", Kind::text).text();
  if (found.name != name) damaged("listening point %s has another name", name.c_str());
  found.operating_point = need(point, "operating_point", Kind::text).text();
  found.labels = read_thresholds(point, index);
  read_refractory(point, index, &found.labels);
  found.hop_ms = need_real(point, "hop_ms", DBL_TRUE_MIN, kMaxMs);
  found.span_ms = need_real(point, "span_ms", DBL_TRUE_MIN, kMaxMs);
  if (!(rounded(found.span_ms / found.hop_ms) <= kMaxSpanWindows))
    damaged("span_ms of listening point %s is more than %d hops", name.c_str(), kMaxSpanWindows);
  found.release = need_real(point, "release", 0, 1);
  found.of_count = static_cast<int32_t>(need_integer(point, "of_count", 1, kMaxSpanWindows));
  found.min_count = static_cast<int32_t>(need_integer(point, "min_count", 1, found.of_count));
  read_gate(point, &found);
  read_score(point, index, &found);
  need(point, "figures", Kind::object).members([](const std::string& figure, const Json& value) {
    if (value.kind() != Kind::text) of_kind(value, figure.c_str(), Kind::number);
  });
  return found;
}

}  // namespace

std::vector<ListeningPoint> read_listening_points(const Json& points, const std::vector<std::string>& labels) {
  std::vector<ListeningPoint> found;
  of_kind(points, "listening_points", Kind::object);
  if (!points.size()) return found;
  LabelIndex index(labels);
  found.reserve(points.size());
  points.members([&](const std::string& name, const Json& point) { found.push_back(read_point(name, point, index)); });
  return found;
}

}  // namespace bnn_exit
