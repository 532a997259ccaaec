#include "stream/stream.h"

#include <algorithm>
#include <limits>

#include "audio/finite.h"
#include "error.h"

namespace bnn_exit {
namespace {

constexpr double kDefaultHopMs = 100, kMaxHopMs = 60000;
constexpr const char* kDefaultOperatingPoint = "balanced";
constexpr uint64_t kMaxTaken = uint64_t{1} << 53;  // all that are exact as a double

// Samples of a hop, at the rate of the file.
size_t hop_samples(Classifier& classifier, double hop_ms) {
  if (!(hop_ms > 0 && hop_ms <= kMaxHopMs))
    bad_argument("hop_ms is %g, but must be above 0 and at most %g", hop_ms, kMaxHopMs);
  double rate = classifier.sample_rate_hz();
  double unit = classifier.front_end() ? classifier.front_end()->features().hop_samples : 1;
  double exact = rate * hop_ms / 1000;
  double hop = std::max(1.0, std::nearbyint(exact / unit)) * unit;
  if (std::fabs(hop - exact) > 1e-6 * exact) {
    bad_argument("hop_ms is %g, but must be a multiple of the %g ms from frame to frame: the nearest is %g", hop_ms,
                 1000 * unit / rate, 1000 * hop / rate);
  }
  return static_cast<size_t>(hop);
}

double checked_rate(const Classifier& classifier, int rate_hz) {
  if (!rate_hz || rate_hz == classifier.sample_rate_hz()) return classifier.sample_rate_hz();
  if (classifier.takes_values())
    bad_argument("sample_rate_hz is %d, but the file takes values at %g Hz", rate_hz, classifier.sample_rate_hz());
  if (rate_hz < BNN_EXIT_STREAM_MIN_RATE_HZ || rate_hz > BNN_EXIT_MAX_SAMPLE_RATE_HZ) {
    bad_argument("sample_rate_hz is %d, but must be from %d to %d", rate_hz, BNN_EXIT_STREAM_MIN_RATE_HZ,
                 BNN_EXIT_MAX_SAMPLE_RATE_HZ);
  }
  return rate_hz;
}

float full_scale(float sample) { return sample; }
float full_scale(int16_t sample) { return static_cast<float>(sample) / 32768; }

const float* numbers(const float* samples) { return samples; }
const float* numbers(const int16_t*) {
  bad_argument("values of sensors have no full scale, so they cannot be given as int16: give them as float");
}

void check_finite(const int16_t*, size_t, size_t) {}
void check_finite(const float* samples, size_t count, size_t width) {
  if (const size_t i = first_not_finite(samples, count * width); i < count * width)
    bad_argument("sample %zu is NaN or infinite, but all must be finite", i / width);
}

}  // namespace

// The settings with all defaults in place, checked, and within the limits.
struct Stream::Plan {
  const ListeningPoint* point = nullptr;
  double hop_ms;
  size_t hop;
  double rate_hz;
  const float* thresholds;
  size_t given_thresholds;  // how many there are: a caller gives none for a skip gate, which is off then

  Plan(Classifier& classifier, const bnn_exit_stream_settings& settings) {
    if (settings.listening_point) point = &classifier.listening_point(settings.listening_point);
    hop_ms = settings.hop_ms != 0 ? settings.hop_ms : point ? point->hop_ms : kDefaultHopMs;
    hop = hop_samples(classifier, hop_ms);
    rate_hz = checked_rate(classifier, settings.sample_rate_hz);
    const char* named = settings.operating_point ? settings.operating_point
                        : point                  ? point->operating_point.c_str()
                                                 : kDefaultOperatingPoint;
    bool given = settings.thresholds && !settings.operating_point;
    thresholds = given ? settings.thresholds : classifier.thresholds(named).data();
    given_thresholds = given ? classifier.exits() - 1 : classifier.threshold_count();
    classifier.check_thresholds(thresholds, given_thresholds);
    if (point && point->has_gate && !classifier.front_end()) {
      bad_argument("listening point '%s' has a gate, which needs log-mel frames, but this file takes %s",
                   point->name.c_str(), classifier.takes_values() ? "values" : "waveforms");
    }
    claim(classifier);
  }

  void claim(Classifier& classifier) const {
    FrontEnd* front_end = classifier.front_end();
    Budget budget = classifier.budget();
    budget.count_bytes(Windows::bytes(front_end, classifier.clip_samples(), classifier.width()));
    budget.count_bytes((classifier.exits() + classifier.labels().size()) * sizeof(float));
    budget.count_operations((classifier.clip_samples() + hop) * classifier.width());
    if (front_end) budget.count_operations(front_end->operations(hop));
    if (point) {
      budget.count_bytes(Detector::bytes(*point, hop_ms, classifier.labels().size()));
      budget.count_operations(Detector::operations(*point, hop_ms, classifier.labels().size()));
    }
    if (rate_hz != classifier.sample_rate_hz()) {
      auto from_hz = static_cast<int>(rate_hz), own_hz = static_cast<int>(classifier.sample_rate_hz());
      budget.count_bytes(Resampler::bytes(from_hz, own_hz));
      budget.count_operations(Resampler::operations(from_hz, own_hz) * (classifier.clip_samples() + hop));
    }
  }
};

Stream::Stream(Classifier& classifier, const bnn_exit_stream_settings& settings)
    : Stream(classifier, Plan(classifier, settings)) {}

Stream::Stream(Classifier& classifier, const Plan& plan)
    : classifier_(classifier), thresholds_(plan.thresholds, plan.thresholds + plan.given_thresholds),
      rate_hz_(plan.rate_hz), hop_(plan.hop),
      windows_(classifier.front_end(), classifier.clip_samples(), plan.hop, classifier.width()),
      probabilities_(classifier.labels().size()) {
  thresholds_.resize(classifier.threshold_count());
  double own_hz = classifier.sample_rate_hz();
  if (rate_hz_ != own_hz) resampler_.emplace(static_cast<int>(rate_hz_), static_cast<int>(own_hz));
  if (!plan.point) return;
  detector_.emplace(*plan.point, plan.hop_ms, classifier.labels().size());
  if (!plan.point->has_gate) return;
  const bnn_exit_features& features = classifier.front_end()->features();
  gate_.emplace(plan.point->gate, static_cast<double>(features.hop_samples) / own_hz,
                classifier.front_end()->frames(classifier.clip_samples()), static_cast<size_t>(features.num_mels));
}

void Stream::reset(uint64_t lost_samples) {
  BusyGuard guard(classifier_.busy(), "classifier");
  if (lost_samples > kMaxTaken - taken_)
    bad_argument("lost_samples is %llu, but must be below 2^53", static_cast<unsigned long long>(lost_samples));
  taken_ += lost_samples;
  began_s_ = static_cast<double>(taken_) / rate_hz_;
  number_ = 0;
  windows_.reset();
  if (resampler_) resampler_->reset();
  if (gate_) gate_->reset();
  if (detector_) detector_->reset();
}

template <typename Sample>
void Stream::push(const Sample* samples, size_t count, size_t* used, bnn_exit_window* window) {
  *used = 0;
  *window = {};
  BusyGuard guard(classifier_.busy(), "classifier");
  size_t needed = resampler_ ? resampler_->inputs_for(windows_.needed()) : windows_.needed();
  size_t take = std::min(count, needed);
  check_finite(samples, take, classifier_.width());
  if (take > kMaxTaken - taken_) bad_argument("the stream is longer than 2^53 samples: reset it");
  feed(nullptr, 0);  // outputs that the resampler could not deliver before
  if (classifier_.takes_values()) {
    windows_.append(numbers(samples), take, nullptr);
  } else {
    float block[Resampler::kBlock];
    for (size_t at = 0; at < take;) {
      size_t part = std::min(take - at, Resampler::kBlock);
      for (size_t i = 0; i < part; ++i) block[i] = full_scale(samples[at + i]);
      feed(block, part);
      at += part;
    }
  }
  taken_ += take;
  *used = take;
  if (!windows_.needed()) complete(window);
}

template void Stream::push(const float*, size_t, size_t*, bnn_exit_window*);
template void Stream::push(const int16_t*, size_t, size_t*, bnn_exit_window*);

// At most Resampler::kBlock samples, and no more than until the window is complete.
void Stream::feed(const float* samples, size_t count) {
  if (!resampler_) {
    if (count) windows_.append(samples, count, gate());
    return;
  }
  if (count) resampler_->append(samples, count);
  float block[Resampler::kBlock];
  while (size_t most = std::min(windows_.needed(), Resampler::kBlock)) {
    size_t made = resampler_->make(block, most);
    if (!made) break;
    windows_.append(block, made, gate());
  }
}

void Stream::complete(bnn_exit_window* window) {
  double own_hz = classifier_.sample_rate_hz();
  window->start_s = began_s_ + static_cast<double>(number_++ * hop_) / own_hz;
  window->end_s = window->start_s + static_cast<double>(classifier_.clip_samples()) / own_hz;
  const float* input = windows_.take();
  bool runs = !gate_ || gate_->is_open();
  bnn_exit_prediction prediction = {nullptr, 0, -1, std::numeric_limits<float>::quiet_NaN(), nullptr};
  std::fill(probabilities_.begin(), probabilities_.end(), 0.0f);
  Event event;
  try {
    if (runs) classifier_.infer(input, thresholds_.data(), &prediction);
  } catch (...) {
    if (detector_) detector_->push(nullptr, window->start_s, window->end_s, &event);
    throw;
  }
  if (runs) std::copy_n(prediction.probabilities, probabilities_.size(), probabilities_.begin());
  window->complete = 1;
  window->exit_index = prediction.exit_index;
  window->score = prediction.score;
  window->probabilities = probabilities_.data();
  if (!detector_ || !detector_->push(runs ? probabilities_.data() : nullptr, window->start_s, window->end_s, &event))
    return;
  window->has_event = 1;
  window->event = {classifier_.labels()[event.label].c_str(),
                   static_cast<int32_t>(event.label),
                   prediction.exit_index,
                   event.start_s,
                   event.end_s,
                   window->end_s,
                   event.probability};
}

}  // namespace bnn_exit
