// The definition of the steps, and the comparison of what a kernel stored.
#include <cfloat>
#include <cmath>
#include <cstring>

#include "check.h"

namespace check {

void apply_steps(const Output& output, int pixels, int channels, std::vector<float>& v) {
  for (int s = 0; s < output.step_count; ++s) {
    const Step& step = output.steps[s];
    for (int p = 0; p < pixels; ++p) {
      for (int c = 0; c < channels; ++c) {
        float& x = v[static_cast<std::size_t>(p) * channels + c];
        const float t = step.kind == StepKind::kClamp      ? 0.0f
                        : step.kind == StepKind::kSubValue ? *step.data
                        : step.pitch                       ? step.data[static_cast<std::size_t>(p) * step.pitch + c]
                                                           : step.data[c];
        switch (step.kind) {
          case StepKind::kMulChannel:
          case StepKind::kMulTensor: x = x * t; break;
          case StepKind::kAddChannel:
          case StepKind::kAddTensor: x = x + t; break;
          case StepKind::kSubValue: x = x - t; break;
          case StepKind::kPreluChannel: x = x >= 0 ? x : x * t; break;
          case StepKind::kClamp:
            if (x < step.low) x = step.low;
            if (x > step.high) x = step.high;
            break;
        }
      }
    }
  }
}

void Steps::add(Random& random, Output& output, int pixels, int channels) {
  const int count = random.below(6);
  for (int i = 0; i < count && output.step_count < kMaxSteps; ++i) {
    Step& step = output.steps[output.step_count++];
    step = {};
    step.kind = static_cast<StepKind>(random.below(7));
    if (step.kind == StepKind::kClamp) {
      step.low = random.below(2) ? 0.0f : -INFINITY;
      step.high = random.below(2) ? 6.0f : INFINITY;
      continue;
    }
    const bool tensor = step.kind == StepKind::kAddTensor || step.kind == StepKind::kMulTensor;
    step.pitch = tensor ? channels + random.of({0, 0, 3}) : 0;
    const std::size_t length = tensor ? static_cast<std::size_t>(pixels - 1) * step.pitch + channels : channels;
    data.push_back(reals(random, length, tensor ? 0 : padded_channels(channels)));
    step.data = data.back().data();
  }
}

namespace {
constexpr std::uint64_t kPattern = 0xa5a5a5a5deadbeefu;
constexpr float kUnwritten = 12345.5f;
}  // namespace

Target::Target(Random& random, int h, int w, int c, bool want_values, bool want_bits)
    : height(h), width(w), channels(c), pitch(c + random.of({0, 0, 5})), border(random.below(2)), output() {
  const int words = bit_words(channels);
  row = static_cast<std::ptrdiff_t>(width + 2 * border) * words;
  if (want_values) {
    values.assign(static_cast<std::size_t>(height * width - 1) * pitch + channels, kUnwritten);
    output.values = values.data();
    output.pitch = pitch;
  }
  if (want_bits) {
    bits.assign(static_cast<std::size_t>(height + 2 * border) * row, kPattern);
    output.bits = bits.data() + border * (row + words);
    output.bit_row = row;
    output.bit_pitch = words;
  }
}

std::string Target::compare(const std::vector<float>& expected, double tolerance, const std::vector<bool>* signs) {
  char text[200];
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t pixel = i / pitch, c = i % pitch;
    if (c >= static_cast<std::size_t>(channels)) {
      if (values[i] != kUnwritten) return "wrote between the pixels";
      continue;
    }
    const float want = expected[pixel * channels + c], got = values[i];
    const bool same = tolerance == 0 ? std::memcmp(&want, &got, 4) == 0 || (want == 0 && got == 0)
                                     : std::fabs(want - got) <= tolerance * std::fmax(1.0, std::fabs(want));
    if (same || (std::isnan(want) && std::isnan(got))) continue;
    std::snprintf(text, sizeof text, "pixel %zu channel %zu is %.9g, not %.9g", pixel, c, got, want);
    return text;
  }
  const int words = bit_words(channels);
  for (int y = -border; y < height + border && !bits.empty(); ++y) {
    for (int x = -border; x < width + border; ++x) {
      const std::uint64_t* at = output.bits + y * row + static_cast<std::ptrdiff_t>(x) * words;
      const bool inside = y >= 0 && y < height && x >= 0 && x < width;
      for (int c = 0; c < 64 * words; ++c) {
        const bool got = at[c / 64] >> c % 64 & 1;
        bool want = kPattern >> c % 64 & 1;
        if (inside) {
          const std::size_t i = (static_cast<std::size_t>(y) * width + x) * channels + c;
          if (c >= channels)
            want = false;
          else if (signs)
            want = (*signs)[i];
          else if (tolerance != 0 && std::fabs(expected[i]) < 1e-4)
            continue;  // rounding may turn the sign
          else
            want = expected[i] <= -FLT_MIN;
        }
        if (got == want) continue;
        std::snprintf(text, sizeof text, "bit of row %d column %d channel %d is %d", y, x, c, got);
        return text;
      }
    }
  }
  return "";
}

}  // namespace check
