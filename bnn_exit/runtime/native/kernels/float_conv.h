// Float convolution and dense layer: sixteen output channels in the lanes, inputs broadcast, weights [block][k][16].
#pragma once

#include "epilogue.h"

namespace bnn_exit {
namespace {

constexpr int kDenseBlocks = 2;
constexpr int kDenseSums = 4;  // independent sums of a dense layer, which hide the latency of an addition
constexpr int kSlack = 1;      // floats behind copied rows, so that four can be loaded where three are meant

BNN_INLINE int conv_inputs(const ConvShape& s) { return s.kernel_h * s.kernel_w * (s.in_channels / s.groups); }

// The columns that the windows of an output row span.
BNN_INLINE std::ptrdiff_t span(const ConvShape& s) {
  return std::ptrdiff_t{s.out_w - 1} * s.stride_w + std::ptrdiff_t{s.kernel_w - 1} * s.dilation_w + 1;
}

// Whether no window reaches into the padding: the input is then read in place.
BNN_INLINE bool in_place(const ConvShape& s) {
  const std::ptrdiff_t reach = std::ptrdiff_t{s.kernel_h - 1} * s.dilation_h;
  const std::ptrdiff_t last = std::ptrdiff_t{s.out_h - 1} * s.stride_h + reach;
  return s.pad_top == 0 && s.pad_left == 0 && last < s.in_h && span(s) <= s.in_w;
}

std::size_t conv_weights_bytes(const ConvShape& s) {
  const int filters = s.groups > 1 ? s.out_channels : padded_channels(s.out_channels);
  return sizeof(float) * filters * static_cast<std::size_t>(conv_inputs(s));
}

void conv_pack(const ConvShape& s, const float* filters, float* packed) {
  const std::ptrdiff_t inputs = conv_inputs(s);
  if (s.groups > 1) {
    std::memcpy(packed, filters, conv_weights_bytes(s));
    return;
  }
  for (int block = 0; block < s.out_channels; block += kLanes)
    for (std::ptrdiff_t k = 0; k < inputs; ++k)
      for (int c = block; c < block + kLanes; ++c) *packed++ = c < s.out_channels ? filters[c * inputs + k] : 0.0f;
}

std::size_t conv_scratch_bytes(const ConvShape& s) {
  if (in_place(s) || s.groups > 1) return 0;
  return sizeof(float) * (s.in_channels * static_cast<std::size_t>(s.kernel_h * span(s)) + kSlack);
}

// The offsets of the inputs of a pixel, from its first one: `rows` x `runs` runs of `run` floats. Slack: one float more
// can be read behind the last.
struct Window {
  int rows, runs, run;
  std::ptrdiff_t down, right;
  bool slack;
};

#ifdef BNN_EXIT_BY_ELEMENT
// Adds the products of input `k` + kElement of each pixel.
template <int kElement, int kPixels>
BNN_INLINE void multiply_element(const F4 (&x)[kPixels], const float* weights, F16 (&sums)[kPixels]) {
  const F16 w = load(weights + kElement * kLanes);
  BNN_UNROLL for (int p = 0; p < kPixels; ++p) sums[p] = multiply_add_element<kElement>(x[p], w, sums[p]);
}

// Adds the products of the first inputs of a run, four at a time and then three or two; returns how many.
template <int kPixels>
BNN_INLINE std::ptrdiff_t multiply_several(const float* const (&inputs)[kPixels], std::ptrdiff_t from,
                                           const Window& window, const float* weights, F16 (&sums)[kPixels]) {
  const std::ptrdiff_t run = window.run;
  std::ptrdiff_t k = 0;
  F4 x[kPixels];
  for (; k + 4 <= run; k += 4, weights += 4 * kLanes) {
    BNN_UNROLL for (int p = 0; p < kPixels; ++p) x[p] = load_four(inputs[p] + from + k);
    multiply_element<0>(x, weights, sums);
    multiply_element<1>(x, weights, sums);
    multiply_element<2>(x, weights, sums);
    multiply_element<3>(x, weights, sums);
  }
  if (k + 3 == run && window.slack) {
    BNN_UNROLL for (int p = 0; p < kPixels; ++p) x[p] = load_four(inputs[p] + from + k);
    multiply_element<0>(x, weights, sums);
    multiply_element<1>(x, weights, sums);
    multiply_element<2>(x, weights, sums);
    k += 3;
  } else if (k + 2 <= run) {
    BNN_UNROLL for (int p = 0; p < kPixels; ++p) x[p] = load_two(inputs[p] + from + k);
    multiply_element<0>(x, weights, sums);
    multiply_element<1>(x, weights, sums);
    k += 2;
  }
  return k;
}
#endif

template <int kPixels, int kBlocks>
BNN_INLINE void multiply(const Conv& layer, const Tile<kPixels>& tile, const Window& window,
                         const float* const (&inputs)[kPixels], int channel) {
  const std::ptrdiff_t length = conv_inputs(layer.shape);
  const float* weights = layer.weights + channel * length;
  F16 sums[kBlocks][kPixels];
  BNN_UNROLL for (int b = 0; b < kBlocks; ++b) BNN_UNROLL for (int p = 0; p < kPixels; ++p) sums[b][p] = zero();
  for (int i = 0; i < window.rows; ++i) {
    for (int j = 0; j < window.runs; ++j) {
      const std::ptrdiff_t from = i * window.down + j * window.right;
      std::ptrdiff_t k = from;
#ifdef BNN_EXIT_BY_ELEMENT
      if constexpr (kBlocks == 1) {
        const std::ptrdiff_t several = multiply_several(inputs, from, window, weights, sums[0]);
        k += several;
        weights += several * kLanes;
      }
#endif
      for (; k < from + window.run; ++k, weights += kLanes) {
        F16 w[kBlocks];
        BNN_UNROLL for (int b = 0; b < kBlocks; ++b) w[b] = load(weights + b * length * kLanes);
        BNN_UNROLL for (int p = 0; p < kPixels; ++p) {
          const F16 x = broadcast(inputs[p][k]);
          BNN_UNROLL for (int b = 0; b < kBlocks; ++b) sums[b][p] = multiply_add(x, w[b], sums[b][p]);
        }
      }
    }
  }
  BNN_UNROLL for (int b = 0; b < kBlocks; ++b)
      apply_epilogue(layer.output, tile, sums[b], channel + b * kLanes, layer.shape.out_channels);
}

// Copies the input rows that an output row reads, with zeros for the padding: [kernel_h][span][channels].
BNN_INLINE void copy_rows(const Conv& layer, std::ptrdiff_t y, float* to) {
  const ConvShape& s = layer.shape;
  const std::ptrdiff_t channels = s.in_channels, columns = span(s);
  const std::ptrdiff_t end = s.in_w + s.pad_left < columns ? s.in_w + s.pad_left : columns;
  for (int i = 0; i < s.kernel_h; ++i, to += columns * channels) {
    const std::ptrdiff_t row = y * s.stride_h + i * s.dilation_h - s.pad_top;
    if (row < 0 || row >= s.in_h || end <= s.pad_left) {
      std::memset(to, 0, sizeof(float) * columns * channels);
      continue;
    }
    const float* from = layer.input + row * s.in_w * s.in_pitch;
    std::memset(to, 0, sizeof(float) * s.pad_left * channels);
    float* inside = to + s.pad_left * channels;
    if (s.in_pitch == s.in_channels) {
      std::memcpy(inside, from, sizeof(float) * (end - s.pad_left) * channels);
    } else {
      for (std::ptrdiff_t x = 0; x < end - s.pad_left; ++x)
        std::memcpy(inside + x * channels, from + x * s.in_pitch, sizeof(float) * channels);
    }
    std::memset(to + end * channels, 0, sizeof(float) * (columns - end) * channels);
  }
}

// Consecutive output pixels `first` to `end`, `step` floats of input apart.
BNN_INLINE void conv_pixels(const Conv& layer, const Window& window, const float* input, std::ptrdiff_t step,
                            std::ptrdiff_t first, std::ptrdiff_t end) {
  const int channels = layer.shape.out_channels;
  for (; first < end; first += kConvPixels, input += kConvPixels * step) {
    const Tile<kConvPixels> tile(layer.output, layer.shape.out_w, first, end);
    const float* inputs[kConvPixels];
    for (int p = 0; p < kConvPixels; ++p) inputs[p] = input + (p < tile.count ? p : tile.count - 1) * step;
    int channel = 0;
    for (; channel + (kConvBlocks - 1) * kLanes < channels; channel += kConvBlocks * kLanes)
      multiply<kConvPixels, kConvBlocks>(layer, tile, window, inputs, channel);
    for (; kConvBlocks > 1 && channel < channels; channel += kLanes)
      multiply<kConvPixels, 1>(layer, tile, window, inputs, channel);
  }
}

template <int kBlocks>
BNN_INLINE void dense_blocks(const Conv& layer, int channel) {
  const std::ptrdiff_t length = conv_inputs(layer.shape);
  const float* weights = layer.weights + channel * length;
  F16 sums[kBlocks][kDenseSums];
  for (int b = 0; b < kBlocks; ++b)
    for (int i = 0; i < kDenseSums; ++i) sums[b][i] = zero();
  std::ptrdiff_t k = 0;
  for (; k + kDenseSums <= length; k += kDenseSums)
    for (int i = 0; i < kDenseSums; ++i) {
      const F16 x = broadcast(layer.input[k + i]);
      for (int b = 0; b < kBlocks; ++b)
        sums[b][i] = multiply_add(x, load(weights + (b * length + k + i) * kLanes), sums[b][i]);
    }
  for (; k < length; ++k)
    for (int b = 0; b < kBlocks; ++b)
      sums[b][0] = multiply_add(broadcast(layer.input[k]), load(weights + (b * length + k) * kLanes), sums[b][0]);
  const Tile<1> tile(layer.output, 1, 0, 1);
  for (int b = 0; b < kBlocks; ++b) {
    F16 v[1] = {add(add(sums[b][0], sums[b][1]), add(sums[b][2], sums[b][3]))};
    apply_epilogue(layer.output, tile, v, channel + b * kLanes, layer.shape.out_channels);
  }
}

// One pixel of one tap.
void dense(const Conv& layer) {
  const int channels = layer.shape.out_channels;
  int channel = 0;
  for (; channel + (kDenseBlocks - 1) * kLanes < channels; channel += kDenseBlocks * kLanes)
    dense_blocks<kDenseBlocks>(layer, channel);
  for (; channel < channels; channel += kLanes) dense_blocks<1>(layer, channel);
}

void conv_groups(const Conv& layer, int row_begin, int row_end) {
  const ConvShape& s = layer.shape;
  const int group_in = s.in_channels / s.groups, group_out = s.out_channels / s.groups;
  for (std::ptrdiff_t y = row_begin; y < row_end; ++y) {
    for (std::ptrdiff_t x = 0; x < s.out_w; ++x) {
      const Tile<1> tile(layer.output, s.out_w, y * s.out_w + x, y * s.out_w + x + 1);
      for (int channel = 0; channel < s.out_channels; channel += kLanes) {
        float sums[kLanes] = {};
        for (int c = channel; c < channel + kLanes && c < s.out_channels; ++c) {
          const float* weights = layer.weights + static_cast<std::ptrdiff_t>(c) * conv_inputs(s);
          for (int i = 0; i < s.kernel_h; ++i) {
            for (int j = 0; j < s.kernel_w; ++j, weights += group_in) {
              const std::ptrdiff_t row = y * s.stride_h + i * s.dilation_h - s.pad_top;
              const std::ptrdiff_t column = x * s.stride_w + j * s.dilation_w - s.pad_left;
              if (row < 0 || row >= s.in_h || column < 0 || column >= s.in_w) continue;
              const float* from = layer.input + (row * s.in_w + column) * s.in_pitch + c / group_out * group_in;
              for (int k = 0; k < group_in; ++k) sums[c - channel] += from[k] * weights[k];
            }
          }
        }
        F16 v[1] = {load(sums)};
        apply_epilogue(layer.output, tile, v, channel, s.out_channels);
      }
    }
  }
}

void conv(const Conv& layer, int row_begin, int row_end, void* scratch) {
  const ConvShape& s = layer.shape;
  if (s.groups > 1) return conv_groups(layer, row_begin, row_end);
  const bool copied = !in_place(s);
  if (!copied && s.in_h * s.in_w == 1) {
    if (row_begin < row_end) dense(layer);
    return;
  }
  const std::ptrdiff_t pitch = copied ? s.in_channels : s.in_pitch, width = copied ? span(s) : s.in_w;
  const std::ptrdiff_t step = s.stride_w * pitch;
  // Taps side by side make one run.
  const bool joined = s.kernel_w == 1 || (s.dilation_w == 1 && pitch == s.in_channels);
  const Window window{s.kernel_h,
                      joined ? 1 : s.kernel_w,
                      joined ? s.kernel_w * s.in_channels : s.in_channels,
                      (copied ? 1 : s.dilation_h) * width * pitch,
                      s.dilation_w * pitch,
                      copied};
  // So do rows of a 1x1 convolution without a stride: tiles may span them.
  if (!copied && s.stride_h == 1 && s.stride_w == 1 && s.out_w == s.in_w) {
    const std::ptrdiff_t first = std::ptrdiff_t{row_begin} * s.out_w, end = std::ptrdiff_t{row_end} * s.out_w;
    return conv_pixels(layer, window, layer.input + first * pitch, step, first, end);
  }
  for (std::ptrdiff_t y = row_begin; y < row_end; ++y) {
    const float* input = layer.input + y * s.stride_h * s.in_w * s.in_pitch;
    if (copied) {
      copy_rows(layer, y, static_cast<float*>(scratch));
      input = static_cast<const float*>(scratch);
    }
    conv_pixels(layer, window, input, step, y * s.out_w, (y + 1) * s.out_w);
  }
}

}  // namespace
}  // namespace bnn_exit
