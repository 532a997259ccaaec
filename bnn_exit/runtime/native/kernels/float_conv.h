// Float convolution and dense layer: sixteen output channels in the lanes, inputs broadcast, weights [block][k][16].
#pragma once

#include "finish.h"

namespace bnn_exit {
namespace {

constexpr int kDenseBlocks = 4;

BNN_INLINE int conv_inputs(const ConvShape& s) { return s.kernel_h * s.kernel_w * (s.in_channels / s.groups); }

// Each pixel's inputs already lie together: a 1x1 convolution without stride over the border.
BNN_INLINE bool in_place(const ConvShape& s) {
  return s.kernel_h == 1 && s.kernel_w == 1 && s.groups == 1 && s.pad_top == 0 && s.pad_left == 0 &&
         (s.out_h - 1) * s.stride_h < s.in_h && (s.out_w - 1) * s.stride_w < s.in_w;
}

std::size_t conv_weights_bytes(const ConvShape& s) {
  if (s.groups > 1) return sizeof(float) * s.out_channels * static_cast<std::size_t>(conv_inputs(s));
  return sizeof(float) * padded_channels(s.out_channels) * static_cast<std::size_t>(conv_inputs(s));
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
  return in_place(s) ? 0 : sizeof(float) * kConvPixels * static_cast<std::size_t>(conv_inputs(s));
}

// The inputs of one pixel, zeros where a tap lies in the padding.
BNN_INLINE void gather_pixel(const Conv& layer, std::ptrdiff_t y, std::ptrdiff_t x, float* to) {
  const ConvShape& s = layer.shape;
  const std::ptrdiff_t channels = s.in_channels;
  for (int i = 0; i < s.kernel_h; ++i) {
    const std::ptrdiff_t row = y * s.stride_h + i * s.dilation_h - s.pad_top;
    for (int j = 0; j < s.kernel_w; ++j, to += channels) {
      const std::ptrdiff_t column = x * s.stride_w + j * s.dilation_w - s.pad_left;
      const bool inside = row >= 0 && row < s.in_h && column >= 0 && column < s.in_w;
      const float* from = layer.input + (row * s.in_w + column) * s.in_pitch;
      if (channels == 1)
        *to = inside ? *from : 0.0f;
      else
        for (std::ptrdiff_t c = 0; c < channels; ++c) to[c] = inside ? from[c] : 0.0f;
    }
  }
}

template <int kPixels, int kBlocks>
BNN_INLINE void multiply(const Conv& layer, const Tile<kPixels>& tile, const float* const (&inputs)[kPixels],
                         int channel) {
  const std::ptrdiff_t length = conv_inputs(layer.shape);
  const float* weights = layer.weights + channel * length;
  F16 sums[kBlocks][kPixels];
  for (int b = 0; b < kBlocks; ++b)
    for (int p = 0; p < kPixels; ++p) sums[b][p] = zero();
  for (std::ptrdiff_t k = 0; k < length; ++k) {
    F16 w[kBlocks];
    for (int b = 0; b < kBlocks; ++b) w[b] = load(weights + (b * length + k) * kLanes);
    for (int p = 0; p < kPixels; ++p) {
      const F16 x = broadcast(inputs[p][k]);
      for (int b = 0; b < kBlocks; ++b) sums[b][p] = multiply_add(x, w[b], sums[b][p]);
    }
  }
  for (int b = 0; b < kBlocks; ++b)
    finish(layer.output, tile, sums[b], channel + b * kLanes, layer.shape.out_channels);
}

template <int kPixels, int kBlocks>
void multiply_all(const Conv& layer, const Tile<kPixels>& tile, const float* const (&inputs)[kPixels]) {
  int channel = 0;
  if (kBlocks > 1)
    for (; channel + (kBlocks - 1) * kLanes < layer.shape.out_channels; channel += kBlocks * kLanes)
      multiply<kPixels, kBlocks>(layer, tile, inputs, channel);
  for (; channel < layer.shape.out_channels; channel += kLanes) multiply<kPixels, 1>(layer, tile, inputs, channel);
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
        finish(layer.output, tile, v, channel, s.out_channels);
      }
    }
  }
}

template <int kPixels, int kBlocks>
void conv_tiles(const Conv& layer, int row_begin, int row_end, float* panel) {
  const ConvShape& s = layer.shape;
  const std::ptrdiff_t width = s.out_w, end = row_end * width, length = conv_inputs(s);
  const bool gathered = !in_place(s);
  for (std::ptrdiff_t first = row_begin * width; first < end; first += kPixels) {
    const Tile<kPixels> tile(layer.output, s.out_w, first, end);
    const float* inputs[kPixels];
    std::ptrdiff_t y = first / width, x = first - y * width;
    for (int p = 0; p < kPixels; ++p) {
      if (p >= tile.count) {
        inputs[p] = inputs[p - 1];
        continue;
      }
      inputs[p] = gathered ? panel + p * length : layer.input + (y * s.stride_h * s.in_w + x * s.stride_w) * s.in_pitch;
      if (gathered) gather_pixel(layer, y, x, panel + p * length);
      if (++x == width) {
        x = 0;
        ++y;
      }
    }
    multiply_all<kPixels, kBlocks>(layer, tile, inputs);
  }
}

void conv(const Conv& layer, int row_begin, int row_end, void* scratch) {
  if (layer.shape.groups > 1) return conv_groups(layer, row_begin, row_end);
  float* panel = static_cast<float*>(scratch);
  // One pixel, as in a dense layer: more channels at a time, which hides the latency of the sums.
  if ((row_end - row_begin) * layer.shape.out_w == 1) return conv_tiles<1, kDenseBlocks>(layer, row_begin, row_end, panel);
  conv_tiles<kConvPixels, kConvBlocks>(layer, row_begin, row_end, panel);
}

}  // namespace
}  // namespace bnn_exit
