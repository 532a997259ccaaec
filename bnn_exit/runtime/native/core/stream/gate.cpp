#include "stream/gate.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bnn_exit {

Gate::Gate(const GateSettings& settings, double hop_s, size_t window_frames, size_t mels)
    : mels_(mels), margin_(settings.margin_db), rise_(settings.rise_db_per_s * hop_s),
      // A window with a loud frame in it always runs.
      reach_(std::max(static_cast<double>(window_frames), rounded(settings.hang_over_ms / (hop_s * 1000)))) {
  reset();
}

void Gate::reset() {
  floor_ = std::numeric_limits<double>::infinity();
  quiet_ = reach_;
}

void Gate::push(const float* frame) {
  double total = 0;
  for (size_t band = 0; band < mels_; ++band) total += static_cast<double>(frame[band]);
  double level = total / static_cast<double>(mels_) * (10 / std::log(10.0));
  double risen = floor_ + rise_;
  floor_ = risen < level ? risen : level;
  quiet_ = level > floor_ + margin_ ? 0 : std::min(quiet_ + 1, reach_);
}

}  // namespace bnn_exit
