// The tables of the log-mel features: the window, and the weights of the bands.
#pragma once

#include <vector>

#include "bnn_exit.h"
#include "kernels/kernels.h"

namespace bnn_exit {

// The periodic Hann window.
std::vector<double> hann(int size);

// Triangles of height 1 between corners that are evenly spaced on the HTK mel scale.
struct MelBands {
  explicit MelBands(const bnn_exit_features& features);

  std::vector<MelBand> bands;
  std::vector<float> weights;
};

}  // namespace bnn_exit
