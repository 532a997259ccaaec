#include "stream/resampler.h"

#include <cfloat>
#include <cmath>
#include <numeric>

namespace bnn_exit {
namespace {

// As in bnn_exit/audio/resample.py.
constexpr double kZeroCrossings = 64, kKaiserBeta = 7.857, kCutoff = 0.961;
constexpr int kBesselTerms = 24;
constexpr size_t kLanes = 8;

typedef float Lanes __attribute__((vector_size(kLanes / 2 * sizeof(float)), aligned(4), may_alias));

struct Ratio {
  size_t up, down, reach, width;
  Ratio(int from_hz, int to_hz) {
    auto divisor = static_cast<size_t>(std::gcd(from_hz, to_hz));
    up = static_cast<size_t>(to_hz) / divisor;
    down = static_cast<size_t>(from_hz) / divisor;
    reach = static_cast<size_t>(std::ceil(kZeroCrossings / cutoff()));
    // Inputs whose coefficient is not 0, lengthened into the past so that it is whole vectors.
    width = (2 * reach + kLanes - 1) / kLanes * kLanes;
  }
  double cutoff() const { return kCutoff * std::min(1.0, static_cast<double>(up) / static_cast<double>(down)); }
  uint64_t coefficients() const { return static_cast<uint64_t>(up) * width; }
};

// I0(beta * sqrt(x)), the Bessel function of the Kaiser window, as a polynomial in x.
double bessel(double x) {
  double terms[kBesselTerms] = {1};
  for (int k = 1; k < kBesselTerms; ++k) terms[k] = terms[k - 1] * (kKaiserBeta / 2 / k) * (kKaiserBeta / 2 / k);
  double value = 0;
  for (int k = kBesselTerms; k-- > 0;) value = value * x + terms[k];
  return value;
}

// The filter at `t` inputs from its centre.
double filter(double t, double cutoff) {
  static const double pi = std::acos(-1.0), highest = bessel(1);
  double crossings = t * cutoff;
  double inside = 1 - crossings / kZeroCrossings * (crossings / kZeroCrossings);
  if (!(inside > 0)) return 0;
  double sinc = crossings == 0 ? 1 : std::sin(pi * crossings) / (pi * crossings);
  return cutoff * sinc * bessel(inside) / highest;
}

float dot(const float* a, const float* b, size_t width) {
  Lanes even = {}, odd = {};
  for (size_t i = 0; i < width; i += kLanes) {
    even += *reinterpret_cast<const Lanes*>(a + i) * *reinterpret_cast<const Lanes*>(b + i);
    odd += *reinterpret_cast<const Lanes*>(a + i + kLanes / 2) * *reinterpret_cast<const Lanes*>(b + i + kLanes / 2);
  }
  even += odd;
  float sum = (even[0] + even[1]) + (even[2] + even[3]);
  return std::min(std::max(sum, -FLT_MAX), FLT_MAX);  // a waveform has no infinity
}

}  // namespace

uint64_t Resampler::bytes(int from_hz, int to_hz) {
  Ratio ratio(from_hz, to_hz);
  return ratio.coefficients() * sizeof(float) + SlidingBuffer::bytes(1, ratio.width + kBlock);
}

uint64_t Resampler::operations(int from_hz, int to_hz) { return Ratio(from_hz, to_hz).width; }

Resampler::Resampler(int from_hz, int to_hz) : history_(1, Ratio(from_hz, to_hz).width + kBlock) {
  Ratio ratio(from_hz, to_hz);
  up_ = ratio.up, down_ = ratio.down, width_ = ratio.width;
  coefficients_.resize(static_cast<size_t>(ratio.coefficients()));
  auto oldest = static_cast<double>(ratio.reach) - static_cast<double>(width_);  // beside the input before the output
  for (size_t phase = 0; phase < up_; ++phase) {
    double time = static_cast<double>(phase) / static_cast<double>(up_);
    for (size_t i = 0; i < width_; ++i) {
      double value = filter(time - (oldest + 1 + static_cast<double>(i)), ratio.cutoff());
      coefficients_[phase * width_ + i] = static_cast<float>(value);
    }
  }
  reset();
}

void Resampler::reset() {
  Ratio ratio(static_cast<int>(down_), static_cast<int>(up_));
  const float silence[kLanes] = {};
  history_.clear();
  phase_ = 0;
  for (size_t left = width_ - ratio.reach - 1; left;) {
    size_t count = std::min(left, kLanes);
    history_.append(silence, count);
    left -= count;
  }
}

size_t Resampler::inputs_for(size_t outputs) const {
  size_t end = (phase_ + (outputs - 1) * down_) / up_ + width_ + history_.owed();
  return end > history_.rows() ? end - history_.rows() : 0;
}

size_t Resampler::make(float* outputs, size_t most) {
  size_t made = 0, first = 0;
  const float* history = history_.data();
  for (; made < most && !history_.owed() && first + width_ <= history_.rows(); ++made) {
    outputs[made] = dot(history + first, coefficients_.data() + phase_ * width_, width_);
    phase_ += down_;
    first += phase_ / up_;
    phase_ %= up_;
  }
  history_.drop(first);
  return made;
}

}  // namespace bnn_exit
