// The tables of the log-mel features: the window, and the weights of the bands.
#pragma once

#include <vector>

#include "bnn_exit.h"
#include "kernels/kernels.h"

namespace bnn_exit {

// The periodic Hann window.
std::vector<double> hann(int size);

// Triangles of height 1 between corners that are evenly spaced on the HTK mel scale: band b rises from corner b on,
// and falls from corner b + 1 to corner b + 2. So between two corners one band rises and the one before it falls.
struct MelBands {
  explicit MelBands(const bnn_exit_features& features);

  std::vector<MelSegment> segments;  // [num_mels + 1]
  std::vector<float> weights;        // [bins of all segments][2]: of the band that rises, of the one that falls
};

}  // namespace bnn_exit
