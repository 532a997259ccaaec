#include "audio/mel_bands.h"

#include <cmath>

namespace bnn_exit {

std::vector<double> hann(int size) {
  std::vector<double> window;
  for (int i = 0; i < size; ++i) window.push_back(0.5 - 0.5 * std::cos(2 * std::acos(-1.0) * i / size));
  return window;
}

MelBands::MelBands(const bnn_exit_features& features) {
  auto mel = [](double hz) { return 2595 * std::log10(1 + hz / 700); };
  double low = mel(features.lower_hz), step = (mel(features.upper_hz) - low) / (features.num_mels + 1);
  auto corner = [&](int index) { return 700 * (std::pow(10, (low + step * index) / 2595) - 1); };
  double width = static_cast<double>(features.sample_rate_hz) / features.fft_size;
  int bin = 0, bins = features.fft_size / 2 + 1;
  while (bin < bins && bin * width < corner(0)) ++bin;
  for (int segment = 0; segment <= features.num_mels; ++segment) {
    double left = corner(segment), right = corner(segment + 1);
    MelSegment entry = {bin, 0};
    for (; bin < bins && bin * width < right; ++bin, ++entry.count) {
      double hz = bin * width;
      // The reference backend holds weights in float32.
      weights.push_back(segment < features.num_mels ? static_cast<float>((hz - left) / (right - left)) : 0);
      weights.push_back(segment > 0 ? static_cast<float>((right - hz) / (right - left)) : 0);
    }
    segments.push_back(entry);
  }
}

}  // namespace bnn_exit
