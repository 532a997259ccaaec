#include "audio/mel_bands.h"

#include <algorithm>
#include <cmath>

namespace bnn_exit {

std::vector<double> hann(int size) {
  std::vector<double> window;
  for (int i = 0; i < size; ++i) window.push_back(0.5 - 0.5 * std::cos(2 * std::acos(-1.0) * i / size));
  return window;
}

MelBands::MelBands(const bnn_exit_features& features) {
  const int bins = features.fft_size / 2 + 1;
  auto mel = [](double hz) { return 2595 * std::log10(1 + hz / 700); };
  double low = mel(features.lower_hz), step = (mel(features.upper_hz) - low) / (features.num_mels + 1);
  auto corner = [&](int index) { return 700 * (std::pow(10, (low + step * index) / 2595) - 1); };
  for (int band = 0; band < features.num_mels; ++band) {
    double left = corner(band), centre = corner(band + 1), right = corner(band + 2);
    MelBand entry = {0, 0, static_cast<int32_t>(weights.size())};
    // Only the bins of a band are visited, and one more on either side against rounding: most bands and bins do not
    // overlap.
    double width = static_cast<double>(features.sample_rate_hz) / features.fft_size;
    int begin = std::max(0, static_cast<int>(left / width) - 1),
        end = std::min(bins, static_cast<int>(right / width) + 2);
    for (int bin = begin; bin < end; ++bin) {
      double hz = bin * width;
      // The reference backend holds weights in float32.
      float weight = static_cast<float>(std::min((hz - left) / (centre - left), (right - hz) / (right - centre)));
      if (!(weight > 0)) {
        if (entry.count) break;
        continue;
      }
      if (!entry.count++) entry.first = bin;
      weights.push_back(weight);
    }
    bands.push_back(entry);
  }
}

}  // namespace bnn_exit
