// What happens to results before they are stored: the steps, the float store, the packing of signs.
#pragma once

#include "kernels.h"

namespace bnn_exit {
namespace {

// Some consecutive output pixels; they may span rows. `count` of them exist, the rest is computed and dropped.
template <int kPixels>
struct Tile {
  std::ptrdiff_t first;
  int count;
  std::uint64_t* bits[kPixels];

  BNN_INLINE Tile(const Output& output, int width, std::ptrdiff_t first_pixel, std::ptrdiff_t end)
      : first(first_pixel), count(end - first_pixel < kPixels ? static_cast<int>(end - first_pixel) : kPixels) {
    if (!output.bits) return;
    std::ptrdiff_t y = first / width, x = first - y * width;
    for (int p = 0; p < count; ++p) {
      bits[p] = output.bits + y * output.bit_row + x * output.bit_pitch;
      if (++x == width) {
        x = 0;
        ++y;
      }
    }
  }
};

// Sixteen signs of a pixel, from a channel that is a multiple of 16 on. The last ones clear the rest of their word.
BNN_INLINE void store_bits(std::uint64_t* pixel, int channel, int channels, unsigned bits) {
  char* target = reinterpret_cast<char*>(pixel) + channel / 8;
  if (channels - channel > kLanes) {
    const std::uint16_t value = static_cast<std::uint16_t>(bits);
    std::memcpy(target, &value, sizeof value);
    return;
  }
  std::uint16_t value = static_cast<std::uint16_t>(bits & ((1u << (channels - channel)) - 1u));
  for (int from = channel; from == channel || from % 64; from += kLanes) {
    std::memcpy(target, &value, sizeof value);
    target += sizeof value;
    value = 0;
  }
}

// Applies the steps to sixteen channels of each pixel of a tile and stores the results.
template <int kPixels>
BNN_INLINE void finish(const Output& output, const Tile<kPixels>& tile, F16 (&v)[kPixels], int channel, int channels) {
  const int lanes = channels - channel < kLanes ? channels - channel : kLanes;
  const int count = tile.count;
  for (int s = 0; s < output.step_count; ++s) {
    const Step& step = output.steps[s];
    const float* data = step.data;
    switch (step.kind) {
      case StepKind::kMulChannel: {
        const F16 d = load(data + channel);
        for (int p = 0; p < kPixels; ++p) v[p] = mul(v[p], d);
        break;
      }
      case StepKind::kAddChannel: {
        const F16 d = load(data + channel);
        for (int p = 0; p < kPixels; ++p) v[p] = add(v[p], d);
        break;
      }
      case StepKind::kPreluChannel: {
        const F16 d = load(data + channel);
        for (int p = 0; p < kPixels; ++p) v[p] = prelu(v[p], d);
        break;
      }
      case StepKind::kAddTensor: {
        data += tile.first * step.pitch + channel;
        for (int p = 0; p < kPixels; ++p)
          if (p < count) v[p] = add(v[p], load_n(data + static_cast<std::ptrdiff_t>(p) * step.pitch, lanes));
        break;
      }
      case StepKind::kMulTensor: {
        data += tile.first * step.pitch + channel;
        for (int p = 0; p < kPixels; ++p)
          if (p < count) v[p] = mul(v[p], load_n(data + static_cast<std::ptrdiff_t>(p) * step.pitch, lanes));
        break;
      }
      case StepKind::kClamp: {
        const F16 low = broadcast(step.low), high = broadcast(step.high);
        for (int p = 0; p < kPixels; ++p) v[p] = at_most(at_least(v[p], low), high);
        break;
      }
    }
  }
  if (output.values) {
    float* values = output.values + tile.first * output.pitch + channel;
    for (int p = 0; p < kPixels; ++p)
      if (p < count) store_n(values + static_cast<std::ptrdiff_t>(p) * output.pitch, v[p], lanes);
  }
  if (output.bits) {
    for (int p = 0; p < kPixels; ++p)
      if (p < count) store_bits(tile.bits[p], channel, channels, negative_bits(v[p]));
  }
}

// Counts of a binary convolution: thresholds, or a float result.
template <int kPixels>
BNN_INLINE void finish_counts(const BinaryConv& layer, const Tile<kPixels>& tile, const I16 (&counts)[kPixels],
                              int channel) {
  const int channels = layer.shape.out_channels;
  if (layer.thresholds) {
    const I16 thresholds = load_whole(layer.thresholds + channel);
    for (int p = 0; p < kPixels; ++p)
      if (p < tile.count) store_bits(tile.bits[p], channel, channels, greater_bits(counts[p], thresholds));
    return;
  }
  const F16 scale = load(layer.scale + channel), shift = load(layer.shift + channel);
  F16 v[kPixels];
  for (int p = 0; p < kPixels; ++p)
    v[p] = add(mul(clamped_twice(counts[p], layer.clamp_low, layer.clamp_high), scale), shift);
  finish(layer.output, tile, v, channel, channels);
}

}  // namespace
}  // namespace bnn_exit
