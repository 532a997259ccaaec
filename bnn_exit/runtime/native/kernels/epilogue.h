// The epilogue of every kernel: applies the steps to the results, then stores the floats and packs the signs.
#pragma once

#include "kernels.h"

#define BNN_UNROLL _Pragma("GCC unroll 16")

namespace bnn_exit {
namespace {

// Some consecutive output pixels; they may span rows. `count` of them exist, the rest is computed and dropped.
template <int kPixels>
struct Tile {
  std::ptrdiff_t first;
  int count;
  std::uint64_t* bits[kPixels];

  Tile() = default;
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

// Sixteen signs of each pixel, from a channel that is a multiple of 16 on. The last ones clear the rest of their word.
template <bool kWhole, int kPixels>
BNN_INLINE void store_bits(const Tile<kPixels>& tile, int channel, int channels, const unsigned (&bits)[kPixels]) {
  const unsigned mask = kWhole || channels - channel >= kLanes ? 0xffffu : (1u << (channels - channel)) - 1u;
  const bool clears = channels - channel <= kLanes && (channel + kLanes) % 64;
  BNN_UNROLL for (int p = 0; p < kPixels; ++p) {
    if (!kWhole && p >= tile.count) break;
    char* target = reinterpret_cast<char*>(tile.bits[p]) + channel / 8;
    const std::uint16_t value = static_cast<std::uint16_t>(bits[p] & mask);
    std::memcpy(target, &value, sizeof value);
    if (clears)
      for (int rest = (channel + kLanes) % 64; rest < 64; rest += 8) target[(rest - channel % 64) / 8] = 0;
  }
}

// Applies the steps to sixteen channels of each pixel of a tile and stores the results.
// Whole: all pixels and all sixteen channels exist.
template <bool kWhole, int kPixels>
BNN_INLINE void apply_epilogue_tile(const Output& output, const Tile<kPixels>& tile, F16 (&v)[kPixels], int channel,
                                    int channels) {
  const int lanes = kWhole || channels - channel >= kLanes ? kLanes : channels - channel;
  const auto each = [&](auto change) __attribute__((always_inline)) {
    BNN_UNROLL for (int p = 0; p < kPixels; ++p) if (kWhole || p < tile.count) change(p);
  };
  for (int s = 0; s < output.step_count; ++s) {
    const Step& step = output.steps[s];
    if (step.kind == StepKind::kClamp) {
      const F16 low = broadcast(step.low), high = broadcast(step.high);
      each([&](int p) __attribute__((always_inline)) { v[p] = at_most(at_least(v[p], low), high); });
      continue;
    }
    if (step.kind == StepKind::kSubValue) {
      const F16 d = broadcast(-*step.data);  // v - d is v + (-d), to the last bit
      each([&](int p) __attribute__((always_inline)) { v[p] = add(v[p], d); });
      continue;
    }
    const float* data = step.data + channel;
    // From pixel to pixel by additions alone: compilers otherwise multiply for each of them.
    const auto each_pixel = [&](auto change) __attribute__((always_inline)) {
      const std::ptrdiff_t pitch = step.pitch;
      const float* pixel = data + tile.first * pitch;
      each([&](int p) __attribute__((always_inline)) {
        change(p, kWhole ? load(pixel) : load_n(pixel, lanes));
        pixel += pitch;
      });
    };
    switch (step.kind) {
      case StepKind::kMulChannel: {
        const F16 d = load(data);
        each([&](int p) __attribute__((always_inline)) { v[p] = mul(v[p], d); });
        break;
      }
      case StepKind::kAddChannel: {
        const F16 d = load(data);
        each([&](int p) __attribute__((always_inline)) { v[p] = add(v[p], d); });
        break;
      }
      case StepKind::kPreluChannel: {
        const F16 d = load(data);
        each([&](int p) __attribute__((always_inline)) { v[p] = prelu(v[p], d); });
        break;
      }
      case StepKind::kAddTensor:
        each_pixel([&](int p, F16 x) __attribute__((always_inline)) { v[p] = add(v[p], x); });
        break;
      case StepKind::kMulTensor:
        each_pixel([&](int p, F16 x) __attribute__((always_inline)) { v[p] = mul(v[p], x); });
        break;
      case StepKind::kClamp:
      case StepKind::kSubValue: break;
    }
  }
  if (output.values) {
    const std::ptrdiff_t pitch = output.pitch;
    float* pixel = output.values + tile.first * pitch + channel;
    each([&](int p) __attribute__((always_inline)) {
      if (kWhole)
        store(pixel, v[p]);
      else
        store_n(pixel, v[p], lanes);
      pixel += pitch;
    });
  }
  if (output.bits) {
    unsigned bits[kPixels];
    BNN_UNROLL for (int p = 0; p < kPixels; ++p) bits[p] = negative_bits(v[p]);
    store_bits<kWhole>(tile, channel, channels, bits);
  }
}

// Tiles that are not whole are few. In the library for boards, which should be small, all kernels share the code for
// them, which would otherwise be a third of it; on a PC the call is not worth the room.
#ifdef __aarch64__
#define BNN_SHARED __attribute__((noinline))
#else
#define BNN_SHARED BNN_INLINE
#endif

template <int kPixels>
BNN_SHARED void apply_partial_epilogue(const Output& output, const Tile<kPixels>& tile, F16 (&v)[kPixels], int channel,
                                       int channels) {
  apply_epilogue_tile<false>(output, tile, v, channel, channels);
}

template <int kPixels>
BNN_INLINE void apply_epilogue(const Output& output, const Tile<kPixels>& tile, F16 (&v)[kPixels], int channel,
                               int channels) {
  if (tile.count == kPixels && channels - channel >= kLanes) {
    apply_epilogue_tile<true>(output, tile, v, channel, channels);
    return;
  }
  // Copies, so that compilers keep what a whole tile needs in registers.
  const Tile<kPixels> partial = tile;
  F16 values[kPixels];
  BNN_UNROLL for (int p = 0; p < kPixels; ++p) values[p] = v[p];
  apply_partial_epilogue(output, partial, values, channel, channels);
}

// Counts of a binary convolution: thresholds, or a float result.
template <int kPixels>
BNN_INLINE void apply_count_epilogue(const BinaryConv& layer, const Tile<kPixels>& tile, const I16 (&counts)[kPixels],
                                     int channel) {
  const int channels = layer.shape.out_channels;
  if (layer.thresholds) {
    const I16 thresholds = load_ints(layer.thresholds + channel);
    unsigned bits[kPixels];
    BNN_UNROLL for (int p = 0; p < kPixels; ++p) bits[p] = greater_bits(counts[p], thresholds);
    if (tile.count == kPixels && channels - channel >= kLanes)
      store_bits<true>(tile, channel, channels, bits);
    else
      store_bits<false>(tile, channel, channels, bits);
    return;
  }
  const F16 scale = load(layer.scale + channel), shift = load(layer.shift + channel);
  F16 v[kPixels];
  if (layer.clamp_low == INT32_MIN && layer.clamp_high == INT32_MAX) {
    const F16 twice = add(scale, scale);  // the same product to the last bit, and one step less
    BNN_UNROLL for (int p = 0; p < kPixels; ++p) v[p] = add(mul(as_float(counts[p]), twice), shift);
  } else {
    BNN_UNROLL for (int p = 0; p < kPixels; ++p) v[p] =
        add(mul(clamped_twice(counts[p], layer.clamp_low, layer.clamp_high), scale), shift);
  }
  apply_epilogue(layer.output, tile, v, channel, channels);
}

}  // namespace
}  // namespace bnn_exit
