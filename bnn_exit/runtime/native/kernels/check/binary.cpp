// Binary convolution, pooling and unpacking against their definition, bit by bit.
#include <climits>

#include "check.h"

namespace check {
namespace {

struct Case {
  BinaryConvShape s;
  int in_h, in_w, top, left, bottom, right;
  bool zero_padding, thresholds, values, bits, steps;
};

std::string name(const Case& c) {
  char text[300];
  std::snprintf(text, sizeof text,
                "in %dx%dx%d out %dx%dx%d kernel %dx%d stride %d,%d dilation %d,%d groups %d padding %d,%d,%d,%d "
                "zero %d thresholds %d values %d bits %d steps %d",
                c.in_h, c.in_w, c.s.in_channels, c.s.out_h, c.s.out_w, c.s.out_channels, c.s.kernel_h, c.s.kernel_w,
                c.s.stride_h, c.s.stride_w, c.s.dilation_h, c.s.dilation_w, c.s.groups, c.top, c.left, c.bottom,
                c.right, c.zero_padding, c.thresholds, c.values, c.bits, c.steps);
  return text;
}

std::string run(const Kernels& kernels, Random& random, const Case& c) {
  const BinaryConvShape& s = c.s;
  const int words = bit_words(s.in_channels), group_in = s.in_channels / s.groups, halves = (group_in + 31) / 32;
  const int taps = s.kernel_h * s.kernel_w, pixels = s.out_h * s.out_w, group_out = s.out_channels / s.groups;
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(c.left + c.in_w + c.right) * words;
  std::vector<std::uint64_t> image(static_cast<std::size_t>(c.top + c.in_h + c.bottom) * row, 0);
  for (int y = 0; y < c.in_h; ++y)
    for (int x = 0; x < c.in_w; ++x)
      for (int i = 0; i < s.in_channels; ++i)
        image[(c.top + y) * row + (c.left + x) * words + i / 64] |= (random.word() & 1) << i % 64;
  // Unused bits of the filters are random, because a damaged file may set them.
  std::vector<std::int32_t> filters(static_cast<std::size_t>(s.out_channels) * taps * halves);
  for (auto& word : filters) word = static_cast<std::int32_t>(random.word());

  const int largest = taps * group_in;
  std::vector<float> expected(static_cast<std::size_t>(pixels) * s.out_channels);
  std::vector<bool> signs(expected.size());
  const std::size_t padded = padded_channels(s.out_channels);
  const std::vector<float> multiplier = reals(random, s.out_channels), bias = reals(random, s.out_channels);
  std::vector<float> scale(padded), shift(padded);
  binary_constants(s, multiplier.data(), bias.data(), scale.data(), shift.data());
  std::vector<std::int32_t> thresholds(padded, 0);
  for (int i = 0; i < s.out_channels; ++i)
    thresholds[i] = random.below(6) ? random.below(largest + 1) : random.of({-1, largest, INT_MAX, INT_MIN});
  const int low = random.below(3) ? INT_MIN : random.below(largest), high = random.below(3) ? INT_MAX : low + largest;
  for (int y = 0; y < s.out_h; ++y) {
    for (int x = 0; x < s.out_w; ++x) {
      for (int o = 0; o < s.out_channels; ++o) {
        int count = 0;
        float added = 0;
        for (int t = 0; t < taps; ++t) {
          const int iy = y * s.stride_h + t / s.kernel_w * s.dilation_h;
          const int ix = x * s.stride_w + t % s.kernel_w * s.dilation_w;
          const bool inside = iy >= c.top && iy < c.top + c.in_h && ix >= c.left && ix < c.left + c.in_w;
          for (int i = 0; i < group_in; ++i) {
            const int channel = o / group_out * group_in + i;
            const int a = image[iy * row + ix * words + channel / 64] >> channel % 64 & 1;
            const int w = filters[(static_cast<std::size_t>(o) * taps + t) * halves + i / 32] >> i % 32 & 1;
            count += a ^ w;
            if (!inside) added += w ? -1.0f : 1.0f;
          }
        }
        const std::size_t at = (static_cast<std::size_t>(y) * s.out_w + x) * s.out_channels + o;
        signs[at] = count > thresholds[o];
        int twice = 2 * count;
        if (twice < low) twice = low;
        if (twice > high) twice = high;
        expected[at] = static_cast<float>(twice) * -multiplier[o];
        expected[at] += static_cast<float>(bias[o] + static_cast<double>(largest) * multiplier[o]);
        if (c.zero_padding) expected[at] += added * -multiplier[o];
      }
    }
  }

  Target target(random, s.out_h, s.out_w, s.out_channels, c.values && !c.thresholds, c.bits || c.thresholds);
  Steps steps;
  std::vector<float> table(expected.size());
  const std::vector<float> before = expected;
  if (c.zero_padding) {
    binary_zero_padding(s, c.in_h, c.in_w, c.top, c.left, filters.data(), multiplier.data(), table.data());
    target.output.steps[target.output.step_count++] = {StepKind::kAddTensor, s.out_channels, table.data(), 0, 0};
  }
  const int own = target.output.step_count;
  if (c.steps) steps.add(random, target.output, pixels, s.out_channels);
  Output rest = target.output;
  rest.step_count -= own;
  for (int i = 0; i < rest.step_count; ++i) rest.steps[i] = target.output.steps[own + i];
  apply_steps(rest, pixels, s.out_channels, expected);

  Array<char> weights(kernels.binary_weights_bytes(s)), scratch(kernels.binary_scratch_bytes(s));
  kernels.binary_pack(s, filters.data(), weights.data);
  const BinaryConv layer{s,
                         image.data(),
                         row,
                         weights.data,
                         scale.data(),
                         shift.data(),
                         c.thresholds ? thresholds.data() : nullptr,
                         low,
                         high,
                         target.output};
  const int middle = random.below(s.out_h + 1);  // as two threads would do it
  kernels.binary_conv(layer, 0, middle, scratch.data);
  kernels.binary_conv(layer, middle, s.out_h, scratch.data);
  return target.compare(expected, 0, c.thresholds ? &signs : nullptr);
}

Case random_case(Random& random) {
  Case c{};
  BinaryConvShape& s = c.s;
  const int kind = random.below(10);
  if (kind < 7) {
    s.groups = 1;
    s.in_channels = random.of({1, 3, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129, 192, 256, 449});
    s.out_channels = random.of({1, 2, 4, 7, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 130});
  } else {
    s.groups = random.between(2, 4);
    s.in_channels = s.groups * (kind == 7 ? random.of({32, 96}) : random.of({64, 128}));
    s.out_channels = s.groups * (kind == 9 ? random.of({3, 8, 20, 33}) : random.of({16, 32, 80}));
  }
  s.kernel_h = random.between(1, 5), s.kernel_w = random.between(1, 5);
  s.stride_h = random.between(1, 3), s.stride_w = random.between(1, 3);
  s.dilation_h = random.between(1, 2), s.dilation_w = random.between(1, 2);
  s.out_h = random.between(1, 4), s.out_w = random.between(1, 18);
  const int reach_h = (s.kernel_h - 1) * s.dilation_h, reach_w = (s.kernel_w - 1) * s.dilation_w;
  c.top = random.between(0, reach_h), c.bottom = random.between(0, reach_h);
  c.left = random.between(0, reach_w), c.right = random.between(0, reach_w);
  c.in_h = (s.out_h - 1) * s.stride_h + reach_h + 1 - c.top - c.bottom;
  c.in_w = (s.out_w - 1) * s.stride_w + reach_w + 1 - c.left - c.right;
  if (c.in_h < 1) c.bottom += c.in_h - 1, c.in_h = 1;
  if (c.in_w < 1) c.right += c.in_w - 1, c.in_w = 1;
  if (c.bottom < 0) c.top += c.bottom, c.bottom = 0;
  if (c.right < 0) c.left += c.right, c.right = 0;
  c.thresholds = random.below(3) == 0;
  c.zero_padding = !c.thresholds && random.below(4) == 0;
  c.bits = random.below(2), c.values = !c.bits || random.below(2), c.steps = random.below(2);
  return c;
}

}  // namespace

Result check_binary_conv(const Kernels& kernels, std::uint64_t seed, int cases) {
  Random random{seed};
  Result result;
  for (int i = 0; i < cases; ++i) {
    const Case c = random_case(random);
    note(result, run(kernels, random, c), std::string(kernels.isa) + " binary_conv " + name(c));
  }
  // So many words that counts no longer fit 16 bits: just below the limit of the fast kernels, and above it.
  for (const int channels : {111 * 64, 112 * 64}) {
    Case c{{channels, 17, 1, 3, 3, 1, 1, 1, 1, 1, 3}, 1, 3, 1, 1, 1, 1, false, false, true, true, true};
    note(result, run(kernels, random, c), std::string(kernels.isa) + " binary_conv " + name(c));
  }
  return result;
}

Result check_binary_max_pool(const Kernels& kernels, std::uint64_t seed, int cases) {
  Random random{seed};
  Result result;
  for (int n = 0; n < cases; ++n) {
    BitPool p{};
    p.kernel_h = random.between(1, 3), p.kernel_w = random.between(1, 3);
    p.stride_h = random.between(1, 3), p.stride_w = random.between(1, 3);
    p.pad_top = random.below(p.kernel_h), p.pad_left = random.below(p.kernel_w);
    p.in_h = random.between(p.kernel_h, 7), p.in_w = random.between(p.kernel_w, 9), p.words = random.between(1, 3);
    p.out_h = (p.in_h + p.pad_top - 1) / p.stride_h + 1, p.out_w = (p.in_w + p.pad_left - 1) / p.stride_w + 1;
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(p.in_w + 1) * p.words;
    std::vector<std::uint64_t> image(static_cast<std::size_t>(p.in_h * row));
    for (auto& word : image) word = random.word() | random.word();
    std::vector<std::uint64_t> output(static_cast<std::size_t>(p.out_h) * p.out_w * p.words);
    p.input = image.data(), p.input_row = row, p.output = output.data();
    p.output_row = static_cast<std::ptrdiff_t>(p.out_w) * p.words;
    kernels.binary_max_pool(p, 0, p.out_h);
    std::string problem;
    for (int i = 0; i < static_cast<int>(output.size()); ++i) {
      const int w = i % p.words, x = i / p.words % p.out_w, y = i / p.words / p.out_w;
      std::uint64_t all = ~std::uint64_t{0};
      for (int t = 0; t < p.kernel_h * p.kernel_w; ++t) {
        const int iy = y * p.stride_h - p.pad_top + t / p.kernel_w, ix = x * p.stride_w - p.pad_left + t % p.kernel_w;
        if (iy >= 0 && iy < p.in_h && ix >= 0 && ix < p.in_w) all &= image[iy * row + ix * p.words + w];
      }
      if (all != output[i]) problem = "word " + std::to_string(i);
    }
    note(result, problem, std::string(kernels.isa) + " binary_max_pool " + std::to_string(n));
  }
  return result;
}

Result check_unpack_signs(const Kernels& kernels, std::uint64_t seed, int cases) {
  Random random{seed};
  Result result;
  for (int n = 0; n < cases; ++n) {
    const int channels = random.between(1, 140), width = random.between(1, 4), height = random.between(1, 4);
    const int words = bit_words(channels), row = (width + 1) * words;
    std::vector<std::uint64_t> image(static_cast<std::size_t>(height) * row);
    for (auto& word : image) word = random.word();
    std::vector<float> output(static_cast<std::size_t>(height) * width * channels);
    kernels.unpack_signs({height, width, channels, channels, image.data(), row, output.data()}, 0, height);
    std::string problem;
    for (std::size_t i = 0; i < output.size(); ++i) {
      const int c = static_cast<int>(i) % channels, x = static_cast<int>(i) / channels % width;
      const int y = static_cast<int>(i) / channels / width;
      if (output[i] != (image[y * row + x * words + c / 64] >> c % 64 & 1 ? -1.0f : 1.0f)) problem = std::to_string(i);
    }
    note(result, problem, std::string(kernels.isa) + " unpack_signs " + std::to_string(channels));
  }
  return result;
}

}  // namespace check
