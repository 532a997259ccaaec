// Float convolution, depthwise convolution, pooling and steps against their definition in double precision.
#include <cmath>

#include "check.h"

namespace check {
namespace {

constexpr double kTolerance = 1e-5;

std::string name(const Kernels& kernels, const char* kernel, const ConvShape& s) {
  char text[300];
  std::snprintf(text, sizeof text,
                "%s %s in %dx%dx%d out %dx%dx%d kernel %dx%d stride %d,%d dilation %d,%d padding %d,%d groups %d",
                kernels.isa, kernel, s.in_h, s.in_w, s.in_channels, s.out_h, s.out_w, s.out_channels, s.kernel_h,
                s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w, s.pad_top, s.pad_left, s.groups);
  return text;
}

// The definition for any number of groups. `filters` are [out][kernel_h][kernel_w][in / groups]; a depthwise layer
// stores [kernel_h][kernel_w][out].
std::vector<float> expected_conv(const ConvShape& s, const std::vector<float>& input, const std::vector<float>& filters,
                                 bool depthwise) {
  std::vector<float> result;
  const int group_in = s.in_channels / s.groups, group_out = s.out_channels / s.groups;
  for (int y = 0; y < s.out_h; ++y) {
    for (int x = 0; x < s.out_w; ++x) {
      for (int o = 0; o < s.out_channels; ++o) {
        double sum = 0;
        for (int t = 0; t < s.kernel_h * s.kernel_w; ++t) {
          const int iy = y * s.stride_h + t / s.kernel_w * s.dilation_h - s.pad_top;
          const int ix = x * s.stride_w + t % s.kernel_w * s.dilation_w - s.pad_left;
          if (iy < 0 || iy >= s.in_h || ix < 0 || ix >= s.in_w) continue;
          for (int i = 0; i < group_in; ++i) {
            const std::size_t filter = (static_cast<std::size_t>(o) * s.kernel_h * s.kernel_w + t) * group_in + i;
            const std::size_t pixel = (static_cast<std::size_t>(iy) * s.in_w + ix) * s.in_pitch;
            const double w = filters[depthwise ? static_cast<std::size_t>(t) * s.out_channels + o : filter];
            sum += w * input[pixel + o / group_out * group_in + i];
          }
        }
        result.push_back(static_cast<float>(sum));
      }
    }
  }
  return result;
}

ConvShape random_shape(Random& random) {
  ConvShape s{};
  s.groups = 1;
  s.kernel_h = random.between(1, 4), s.kernel_w = random.between(1, 4);
  if (random.below(3) == 0) s.kernel_h = s.kernel_w = 1;
  s.stride_h = random.between(1, 2), s.stride_w = random.between(1, 2);
  s.dilation_h = random.between(1, 2), s.dilation_w = random.between(1, 2);
  s.pad_top = random.below(s.kernel_h), s.pad_left = random.below(s.kernel_w);
  s.in_h = random.between(1, 7), s.in_w = random.between(1, 19);
  s.out_h = (s.in_h - 1) / s.stride_h + 1, s.out_w = (s.in_w - 1) / s.stride_w + 1;  // may lie in the padding behind
  return s;
}

}  // namespace

Result check_conv(const Kernels& kernels, std::uint64_t seed, int cases) {
  Random random{seed};
  Result result;
  for (int n = 0; n < cases; ++n) {
    ConvShape s = random_shape(random);
    if (random.below(4) == 0) {
      s.in_h = s.in_w = s.out_h = s.out_w = s.kernel_h = s.kernel_w = 1;
      s.pad_top = s.pad_left = 0;
    }
    s.groups = random.of({1, 1, 1, 1, 2, 3});
    s.in_channels = s.groups * random.of({1, 2, 3, 16, 17, 64});
    s.out_channels = s.groups * random.of({1, 5, 12, 15, 16, 17, 32, 33, 64, 65});
    s.in_pitch = s.in_channels + random.of({0, 0, 2});
    const int pixels = s.out_h * s.out_w;
    const auto input = reals(random, static_cast<std::size_t>(s.in_h * s.in_w - 1) * s.in_pitch + s.in_channels);
    const std::size_t inputs = static_cast<std::size_t>(s.kernel_h) * s.kernel_w * s.in_channels / s.groups;
    const auto filters = reals(random, s.out_channels * inputs);
    auto expected = expected_conv(s, input, filters, false);
    const bool bits = random.below(3) == 0;
    Target target(random, s.out_h, s.out_w, s.out_channels, !bits || random.below(2), bits);
    Steps steps;
    steps.add(random, target.output, pixels, s.out_channels);
    apply_steps(target.output, pixels, s.out_channels, expected);
    Array<char> weights(kernels.conv_weights_bytes(s)), scratch(kernels.conv_scratch_bytes(s));
    float* packed = reinterpret_cast<float*>(weights.data);
    kernels.conv_pack(s, filters.data(), packed);
    const int middle = random.below(s.out_h + 1);
    kernels.conv({s, input.data(), packed, target.output}, 0, middle, scratch.data);
    kernels.conv({s, input.data(), packed, target.output}, middle, s.out_h, scratch.data);
    note(result, target.compare(expected, 20 * kTolerance), name(kernels, "conv", s));
  }
  return result;
}

Result check_depthwise(const Kernels& kernels, std::uint64_t seed, int cases) {
  Random random{seed};
  Result result;
  for (int n = 0; n < cases; ++n) {
    ConvShape s = random_shape(random);
    s.in_channels = s.groups = random.of({1, 3, 8, 15, 16, 17, 32, 40, 64, 65});
    s.out_channels = s.in_channels * random.of({1, 1, 1, 2, 3, 4, 8, 16});
    s.in_pitch = s.in_channels + random.of({0, 0, 2});
    const int pixels = s.out_h * s.out_w;
    const auto input = reals(random, static_cast<std::size_t>(s.in_h * s.in_w - 1) * s.in_pitch + s.in_channels);
    const auto filters = reals(random, static_cast<std::size_t>(s.kernel_h) * s.kernel_w * s.out_channels);
    auto expected = expected_conv(s, input, filters, true);
    Target target(random, s.out_h, s.out_w, s.out_channels, true, random.below(2));
    Steps steps;
    steps.add(random, target.output, pixels, s.out_channels);
    apply_steps(target.output, pixels, s.out_channels, expected);
    Array<char> weights(kernels.depthwise_weights_bytes(s));
    float* packed = reinterpret_cast<float*>(weights.data);
    kernels.depthwise_pack(s, filters.data(), packed);
    kernels.depthwise({s, input.data(), packed, target.output}, 0, s.out_h);
    note(result, target.compare(expected, kTolerance), name(kernels, "depthwise", s));
  }
  return result;
}

namespace {

Result check_pool(const Kernels& kernels, std::uint64_t seed, int cases, bool average) {
  Random random{seed};
  Result result;
  for (int n = 0; n < cases; ++n) {
    ConvShape s = random_shape(random);
    if (random.below(4) == 0) {
      s.kernel_h = s.in_h, s.kernel_w = s.in_w, s.out_h = s.out_w = 1;
      s.pad_top = s.pad_left = 0;
    }
    if (random.below(4) == 0) {  // over whole rows that a vector, or several, go through
      s.in_w = s.kernel_w = random.between(15, 70), s.kernel_h = s.stride_h = s.out_w = 1, s.out_h = s.in_h;
      s.pad_top = s.pad_left = 0;
    }
    const int channels = random.of({1, 1, 3, 16, 17, 31, 64, 65}), pitch = channels + random.of({0, 0, 2});
    const auto input = reals(random, static_cast<std::size_t>(s.in_h * s.in_w - 1) * pitch + channels);
    const float low = average && random.below(2) ? 0.0f : -INFINITY,
                high = average && random.below(2) ? 1.0f : INFINITY;
    std::vector<float> expected;
    for (int i = 0; i < s.out_h * s.out_w * channels; ++i) {
      const int c = i % channels, x = i / channels % s.out_w, y = i / channels / s.out_w;
      double sum = 0, most = -INFINITY;
      int count = 0;
      for (int t = 0; t < s.kernel_h * s.kernel_w; ++t) {
        const int iy = y * s.stride_h - s.pad_top + t / s.kernel_w, ix = x * s.stride_w - s.pad_left + t % s.kernel_w;
        if (iy < 0 || iy >= s.in_h || ix < 0 || ix >= s.in_w) continue;
        const double v = input[static_cast<std::size_t>(iy * s.in_w + ix) * pitch + c];
        sum += std::fmin(std::fmax(v, low), high), ++count, most = std::fmax(most, v);
      }
      expected.push_back(static_cast<float>(average ? sum / count : most));
    }
    Target target(random, s.out_h, s.out_w, channels, true, random.below(2));
    Steps steps;
    steps.add(random, target.output, s.out_h * s.out_w, channels);
    apply_steps(target.output, s.out_h * s.out_w, channels, expected);
    const Pool layer{s.in_h,     s.in_w,     channels,  pitch,      s.out_h, s.out_w, s.kernel_h,   s.kernel_w,
                     s.stride_h, s.stride_w, s.pad_top, s.pad_left, low,     high,    input.data(), target.output};
    (average ? kernels.average_pool : kernels.max_pool)(layer, 0, s.out_h);
    note(result, target.compare(expected, kTolerance), name(kernels, average ? "average_pool" : "max_pool", s));
  }
  return result;
}

}  // namespace

Result check_average_pool(const Kernels& kernels, std::uint64_t seed, int cases) {
  return check_pool(kernels, seed, cases, true);
}
Result check_max_pool(const Kernels& kernels, std::uint64_t seed, int cases) {
  return check_pool(kernels, seed, cases, false);
}

Result check_elementwise(const Kernels& kernels, std::uint64_t seed, int cases) {
  Random random{seed};
  Result result;
  for (int n = 0; n < cases; ++n) {
    const int height = random.between(1, 4), width = random.between(1, 9), channels = random.between(1, 70);
    std::vector<float> input = reals(random, static_cast<std::size_t>(height) * width * channels);
    for (auto& v : input)
      if (random.below(10) == 0) {
        const float odd[] = {0.0f, -0.0f, 1e-39f, -1e-39f, NAN, -NAN, INFINITY, -INFINITY, -1.1754944e-38f, -1e-30f};
        v = odd[random.below(10)];
      }
    auto expected = input;
    Target target(random, height, width, channels, random.below(2), true);
    Steps steps;
    if (random.below(2)) steps.add(random, target.output, height * width, channels);
    apply_steps(target.output, height * width, channels, expected);
    const Elementwise layer{height, width, channels, channels, input.data(), target.output};
    kernels.elementwise(layer, 0, height);
    note(result, target.compare(expected, 0), std::string(kernels.isa) + " elementwise " + std::to_string(channels));
  }
  return result;
}

}  // namespace check
