#include "stream/detector.h"

#include <algorithm>

#include "error.h"

namespace bnn_exit {
namespace {

size_t span_windows(const ListeningPoint& point, double hop_ms) {
  double windows = rounded(point.span_ms / hop_ms);
  if (!(windows <= kMaxSpanWindows)) {
    bad_argument("span_ms of listening point '%s' is %g, but must be at most %d hops of %g ms", point.name.c_str(),
                 point.span_ms, kMaxSpanWindows, hop_ms);
  }
  return static_cast<size_t>(std::max(1.0, windows));
}

}  // namespace

Detector::Detector(const ListeningPoint& point, double hop_ms, size_t classes)
    : min_count_(point.min_count), windows_(span_windows(point, hop_ms)), flags_(static_cast<size_t>(point.of_count)),
      recent_(windows_ * point.labels.size()), spans_(windows_), above_(flags_ * point.labels.size()) {
  labels_.reserve(point.labels.size());
  for (const ListeningPoint::Label& label : point.labels) {
    auto refractory = static_cast<int64_t>(std::max(1.0, rounded(label.refractory_ms / hop_ms)));
    labels_.push_back({label.index, label.threshold, label.threshold * point.release, refractory, 0, 0, 0});
  }
  auto label = point.labels.begin();
  for (uint32_t i = 0; point.against_background && i < classes; ++i) {
    if (label != point.labels.end() && label->index == i)
      ++label;
    else
      background_.push_back(i);
  }
  reset();
}

uint64_t Detector::bytes(const ListeningPoint& point, double hop_ms, size_t classes) {
  uint64_t windows = span_windows(point, hop_ms), labels = point.labels.size();
  return windows * (labels * sizeof(double) + sizeof(Span)) + labels * static_cast<uint64_t>(point.of_count) +
         labels * sizeof(Label) + (point.against_background ? 2 * classes * sizeof(uint32_t) : 0);
}

uint64_t Detector::operations(const ListeningPoint& point, double hop_ms, size_t classes) {
  return (span_windows(point, hop_ms) + 8) * (point.labels.size() + 1) + (point.against_background ? 4 * classes : 0);
}

void Detector::reset() {
  std::fill(recent_.begin(), recent_.end(), 0.0);
  std::fill(spans_.begin(), spans_.end(), Span{});
  std::fill(above_.begin(), above_.end(), uint8_t{0});
  for (Label& label : labels_) label.wait = label.count = 0;
  oldest_ = oldest_flag_ = 0;
}

bool Detector::push(const float* probabilities, double start_s, double end_s, Event* event) {
  double* newest = recent_.data() + oldest_ * labels_.size();
  if (probabilities)
    score(probabilities, newest);
  else
    std::fill_n(newest, labels_.size(), 0.0);
  spans_[oldest_] = {start_s, end_s};
  oldest_ = (oldest_ + 1) % windows_;
  average();
  count_above();
  Label* chosen = nullptr;
  for (Label& label : labels_) {
    if (label.wait) {
      label.wait -= label.mean < label.leave;
    } else if (label.mean >= label.threshold && label.count >= min_count_ && (!chosen || label.mean > chosen->mean)) {
      chosen = &label;
    }
  }
  if (!chosen) return false;
  chosen->wait = chosen->refractory;
  const double* column = recent_.data() + (chosen - labels_.data());
  size_t best = oldest_;
  for (size_t row = 1; row < windows_; ++row) {
    size_t at = (oldest_ + row) % windows_;
    if (column[at * labels_.size()] > column[best * labels_.size()]) best = at;
  }
  *event = {chosen->index, spans_[best].start_s, spans_[best].end_s, chosen->mean};
  return true;
}

void Detector::score(const float* probabilities, double* scores) const {
  double background = 0;
  for (uint32_t label : background_) background += static_cast<double>(probabilities[label]);
  for (size_t i = 0; i < labels_.size(); ++i) {
    const auto own = static_cast<double>(probabilities[labels_[i].index]);
    scores[i] = background_.empty() ? own : own > 0 ? own / (own + background) : 0;
  }
}

// Oldest first, one after the other: sums in another order would differ in the last bit.
void Detector::average() {
  for (Label& label : labels_) label.mean = 0;
  for (size_t row = 0; row < windows_; ++row) {
    const double* values = recent_.data() + (oldest_ + row) % windows_ * labels_.size();
    for (size_t i = 0; i < labels_.size(); ++i) labels_[i].mean += values[i];
  }
  for (Label& label : labels_) label.mean /= static_cast<double>(windows_);
}

void Detector::count_above() {
  uint8_t* flags = above_.data() + oldest_flag_ * labels_.size();
  for (size_t i = 0; i < labels_.size(); ++i) {
    uint8_t is_above = labels_[i].mean >= labels_[i].threshold;
    labels_[i].count += is_above - flags[i];
    flags[i] = is_above;
  }
  oldest_flag_ = (oldest_flag_ + 1) % flags_;
}

}  // namespace bnn_exit
