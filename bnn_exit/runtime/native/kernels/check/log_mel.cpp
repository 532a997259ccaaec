// The front end against its definition: a sum for each bin of the spectrum, and for each band.
#include <algorithm>
#include <cmath>

#include "audio/log_mel_block.h"
#include "check.h"

namespace check {
namespace {

const double kPi = std::acos(-1.0);

// The logarithm of each band of one frame, and the loudest power of a bin.
std::vector<double> defined(const bnn_exit_features& f, const float* samples, double* loudest) {
  std::vector<double> power;
  for (int k = 0; k <= f.fft_size / 2; ++k) {
    double re = 0, im = 0;
    for (int i = 0; i < f.window_samples; ++i) {
      const double value = samples[i] * (0.5 - 0.5 * std::cos(2 * kPi * i / f.window_samples));
      const double angle = 2 * kPi * (static_cast<std::int64_t>(i) * k % f.fft_size) / f.fft_size;
      re += value * std::cos(angle), im -= value * std::sin(angle);
    }
    power.push_back(re * re + im * im);
  }
  *loudest = *std::max_element(power.begin(), power.end());
  const auto mel = [](double hz) { return 2595 * std::log10(1 + hz / 700); };
  const double low = mel(f.lower_hz), step = (mel(f.upper_hz) - low) / (f.num_mels + 1);
  const auto corner = [&](int i) { return 700 * (std::pow(10, (low + step * i) / 2595) - 1); };
  std::vector<double> bands;
  for (int band = 0; band < f.num_mels; ++band) {
    const double left = corner(band), centre = corner(band + 1), right = corner(band + 2);
    double total = f.log_offset;
    for (int k = 0; k <= f.fft_size / 2; ++k) {
      const double hz = static_cast<double>(k) * f.sample_rate_hz / f.fft_size;
      total += power[static_cast<std::size_t>(k)] *
               std::max(0.0, std::min((hz - left) / (centre - left), (right - hz) / (right - centre)));
    }
    bands.push_back(std::log(total));
  }
  return bands;
}

}  // namespace

Result check_log_mel(const Kernels& kernels, std::uint64_t seed, int cases) {
  Random random{seed};
  Result result;
  for (int n = 0; n < cases; ++n) {
    bnn_exit_features f{};
    f.sample_rate_hz = random.of({1000, 8000, 16000});
    f.fft_size = 16 << random.below(5);
    f.window_samples = random.between(2, f.fft_size);
    f.hop_samples = random.between(1, 2 * f.fft_size);
    f.num_mels = random.between(1, 20);
    f.lower_hz = f.sample_rate_hz / 100.0 * random.below(10);
    f.upper_hz = f.sample_rate_hz / 100.0 * random.between(20, 50);
    f.log_offset = std::pow(10.0, -random.between(0, 12));
    const auto block = log_mel_in_float(f, kernels);
    const int most = static_cast<int>(block->most()), frames = random.between(1, most);
    const std::size_t mels = static_cast<std::size_t>(f.num_mels);
    Array<float> samples(static_cast<std::size_t>(f.window_samples + (frames - 1) * f.hop_samples));
    for (std::size_t i = 0; i < samples.size; ++i) samples[i] = random.real();
    Array<float> out(static_cast<std::size_t>(frames) * mels);
    block->compute(samples.data, static_cast<std::size_t>(frames), out.data);
    std::string problem;
    for (int frame = 0; frame < frames; ++frame) {
      double loudest = 0;
      const std::vector<double> expected = defined(f, samples.data + frame * f.hop_samples, &loudest);
      for (std::size_t band = 0; band < mels; ++band) {
        const double power = std::exp(expected[band]),
                     found = std::exp(out[static_cast<std::size_t>(frame) * mels + band]);
        if (!(std::fabs(found - power) <= 2e-5 * power + 1e-10 * loudest))
          problem = "frame " + std::to_string(frame) + " band " + std::to_string(band);
      }
    }
    char name[200];
    std::snprintf(name, sizeof name, " log_mel window %d hop %d size %d bands %d frames %d", f.window_samples,
                  f.hop_samples, f.fft_size, f.num_mels, frames);
    note(result, problem, kernels.isa + std::string(name));
  }
  return result;
}

}  // namespace check
