// Float operators that slide a window over each channel on its own: depthwise convolution and pooling.
#pragma once

#include <cmath>

#include "epilogue.h"

namespace bnn_exit {
namespace {

constexpr int kWindowPixels = 4;

// The taps [begin, end) of an axis that lie inside the input.
struct Taps {
  int begin, end;
  BNN_INLINE Taps(std::ptrdiff_t start, int taps, int dilation, int size) {
    begin = start >= 0 ? 0 : static_cast<int>((-start + dilation - 1) / dilation);
    const std::ptrdiff_t fit = size > start ? (size - start + dilation - 1) / dilation : 0;
    end = fit < taps ? static_cast<int>(fit) : taps;
  }
};

// Whether sums are kept with output 4 i + j of a block of sixteen in lane 4 j + i: each input channel has four outputs,
// and a load can put four inputs into all four places, but not each into four lanes side by side.
BNN_INLINE bool keeps_tiled([[maybe_unused]] const ConvShape& s) {
#ifdef BNN_EXIT_TILES_FOUR
  return s.out_channels == 4 * s.in_channels && s.out_channels % kLanes == 0;
#else
  return false;
#endif
}

// [tap][channel], channels padded.
std::size_t depthwise_weights_bytes(const ConvShape& s) {
  return sizeof(float) * padded_channels(s.out_channels) * static_cast<std::size_t>(s.kernel_h * s.kernel_w);
}

void depthwise_pack(const ConvShape& s, const float* filters, float* packed) {
  const std::ptrdiff_t taps = s.kernel_h * s.kernel_w, padded = padded_channels(s.out_channels);
  const bool tiled = keeps_tiled(s);
  for (std::ptrdiff_t tap = 0; tap < taps; ++tap) {
    for (std::ptrdiff_t c = 0; c < padded; ++c) {
      const std::ptrdiff_t channel = tiled ? c - c % kLanes + c % 4 * 4 + c % kLanes / 4 : c;
      packed[tap * padded + c] = channel < s.out_channels ? filters[tap * s.out_channels + channel] : 0.0f;
    }
  }
}

// Loads the inputs of a pixel for the block of output channels from `channel` on, if every input channel has kTimes
// outputs. Blocks of kTimes 1 may have an end; those of 2, 4, 8 and 16 are whole; kTimes 0 is any `times`.
template <int kTimes, bool kWhole = false>
BNN_INLINE F16 load_repeated(const float* pixel, int channel, int channels, int times) {
  if constexpr (kTimes == 1 && kWhole) return load(pixel + channel);
  if constexpr (kTimes == 1) return load_n(pixel + channel, channels - channel);
  if constexpr (kTimes > 1) return repeated<kTimes>(pixel + channel / kTimes);
  float values[kLanes] = {};
  for (int i = 0; i < kLanes && channel + i < channels; ++i) values[i] = pixel[(channel + i) / times];
  return load(values);
}

// load_repeated<kTimes>(...) * w + sum, in the order in which sums are kept
template <int kTimes, bool kWhole = false>
BNN_INLINE F16 multiply_add_repeated(const float* pixel, int channel, int channels, int times, F16 w, F16 sum) {
#ifdef BNN_EXIT_BY_ELEMENT
  if constexpr (kTimes == 4) return multiply_add_four(pixel + channel / 4, w, sum);
#endif
#ifdef BNN_EXIT_TILES_FOUR
  if constexpr (kTimes == 4) return multiply_add(tiled_four(pixel + channel / 4), w, sum);
#endif
  return multiply_add(load_repeated<kTimes, kWhole>(pixel, channel, channels, times), w, sum);
}

// A kept sum, channel by channel.
template <int kTimes>
BNN_INLINE F16 in_order(F16 sum) {
#ifdef BNN_EXIT_TILES_FOUR
  if constexpr (kTimes == 4) return transposed_four(sum);
#endif
  return sum;
}

// Pixels of one row whose windows lie wholly between the left and right edges, and the taps of `rows`.
template <int kTimes, bool kWhole, int kPixels>
BNN_INLINE void depthwise_block(const Conv& layer, const Tile<kPixels>& tile, const float* corner, const Taps& rows,
                                int channel) {
  const ConvShape& s = layer.shape;
  const std::ptrdiff_t padded = padded_channels(s.out_channels), step = std::ptrdiff_t{s.stride_w} * s.in_pitch;
  const std::ptrdiff_t right = std::ptrdiff_t{s.dilation_w} * s.in_pitch;
  const std::ptrdiff_t down = std::ptrdiff_t{s.dilation_h} * s.in_w * s.in_pitch;
  F16 sums[kPixels];
  BNN_UNROLL for (int p = 0; p < kPixels; ++p) sums[p] = zero();
  const float* weights = layer.weights + rows.begin * s.kernel_w * padded + channel;
  for (int i = rows.begin; i < rows.end; ++i) {
    for (int j = 0; j < s.kernel_w; ++j, weights += padded) {
      const F16 w = load(weights);
      const float* from = corner + i * down + j * right;
      BNN_UNROLL for (int p = 0; p < kPixels; ++p) {
        sums[p] = multiply_add_repeated<kTimes, kWhole>(from, channel, s.out_channels, kTimes, w, sums[p]);
        from += step;
      }
    }
  }
  BNN_UNROLL for (int p = 0; p < kPixels; ++p) sums[p] = in_order<kTimes>(sums[p]);
  apply_epilogue(layer.output, tile, sums, channel, s.out_channels);
}

template <int kTimes, int kPixels>
BNN_INLINE void depthwise_inside(const Conv& layer, std::ptrdiff_t y, std::ptrdiff_t x, const float* corner,
                                 const Taps& rows) {
  const int channels = layer.shape.out_channels;
  const std::ptrdiff_t first = y * layer.shape.out_w + x;
  const Tile<kPixels> tile(layer.output, layer.shape.out_w, first, first + kPixels);
  int channel = 0;
  for (; channel + kLanes <= channels; channel += kLanes)
    depthwise_block<kTimes, true>(layer, tile, corner, rows, channel);
  if (kTimes == 1 && channel < channels) depthwise_block<1, false>(layer, tile, corner, rows, channel);
}

template <int kTimes>
void depthwise_edge(const Conv& layer, std::ptrdiff_t y, std::ptrdiff_t x, const Taps& rows) {
  const ConvShape& s = layer.shape;
  const int times = s.out_channels / s.in_channels;
  const std::ptrdiff_t padded = padded_channels(s.out_channels);
  const std::ptrdiff_t top = y * s.stride_h - s.pad_top, left = x * s.stride_w - s.pad_left;
  const Taps columns(left, s.kernel_w, s.dilation_w, s.in_w);
  const Tile<1> tile(layer.output, s.out_w, y * s.out_w + x, y * s.out_w + x + 1);
  for (int channel = 0; channel < s.out_channels; channel += kLanes) {
    F16 sum[1] = {zero()};
    for (int i = rows.begin; i < rows.end; ++i) {
      for (int j = columns.begin; j < columns.end; ++j) {
        const F16 w = load(layer.weights + (i * s.kernel_w + j) * padded + channel);
        const float* from = layer.input + ((top + i * s.dilation_h) * s.in_w + left + j * s.dilation_w) * s.in_pitch;
        sum[0] = multiply_add_repeated<kTimes>(from, channel, s.out_channels, times, w, sum[0]);
      }
    }
    sum[0] = in_order<kTimes>(sum[0]);
    apply_epilogue(layer.output, tile, sum, channel, s.out_channels);
  }
}

// kTimes 0: no block has a fast way, every pixel goes the way of the edges.
template <int kTimes>
void depthwise_rows(const Conv& layer, int row_begin, int row_end) {
  const ConvShape& s = layer.shape;
  const std::ptrdiff_t reach = std::ptrdiff_t{s.kernel_w - 1} * s.dilation_w;
  // Output columns [begin, end) have whole windows.
  std::ptrdiff_t begin = (s.pad_left + s.stride_w - 1) / s.stride_w;
  std::ptrdiff_t end = s.in_w + s.pad_left > reach ? (s.in_w + s.pad_left - reach - 1) / s.stride_w + 1 : 0;
  if (end > s.out_w) end = s.out_w;
  if (kTimes == 0 || begin > end) begin = end = s.out_w;
  for (std::ptrdiff_t y = row_begin; y < row_end; ++y) {
    const std::ptrdiff_t top = y * s.stride_h - s.pad_top;
    const Taps rows(top, s.kernel_h, s.dilation_h, s.in_h);
    std::ptrdiff_t x = 0;
    for (; x < begin; ++x) depthwise_edge<kTimes>(layer, y, x, rows);
    if constexpr (kTimes != 0) {
      const auto corner = [&] { return layer.input + (top * s.in_w + x * s.stride_w - s.pad_left) * s.in_pitch; };
      for (; x + kWindowPixels <= end; x += kWindowPixels)
        depthwise_inside<kTimes, kWindowPixels>(layer, y, x, corner(), rows);
      for (; x < end; ++x) depthwise_inside<kTimes, 1>(layer, y, x, corner(), rows);
    }
    for (; x < s.out_w; ++x) depthwise_edge<kTimes>(layer, y, x, rows);
  }
}

void depthwise(const Conv& layer, int row_begin, int row_end) {
  const ConvShape& s = layer.shape;
  const int times = s.out_channels / s.in_channels;
  if (times == 1) return depthwise_rows<1>(layer, row_begin, row_end);
  if (s.out_channels % kLanes) return depthwise_rows<0>(layer, row_begin, row_end);
  switch (times) {
    case 2: return depthwise_rows<2>(layer, row_begin, row_end);
    case 4: return depthwise_rows<4>(layer, row_begin, row_end);
    case 8: return depthwise_rows<8>(layer, row_begin, row_end);
    case 16: return depthwise_rows<16>(layer, row_begin, row_end);
    default: return depthwise_rows<0>(layer, row_begin, row_end);
  }
}

// The greatest of at least kLanes values side by side, NaN if one is; the last vector may overlap the one before.
BNN_INLINE float greatest_of(const float* values, std::ptrdiff_t count) {
  F16 most = load(values);
  for (std::ptrdiff_t i = kLanes; i + kLanes <= count; i += kLanes) most = greatest(load(values + i), most);
  most = greatest(load(values + count - kLanes), most);
  alignas(64) float lanes[kLanes];
  store(lanes, most);
  for (int half = kLanes / 2; half; half /= 2)
    for (int i = 0; i < half; ++i)
      lanes[i] = lanes[i] > lanes[i + half] || lanes[i] != lanes[i] ? lanes[i] : lanes[i + half];
  return lanes[0];
}

// Pixels of one row, whose windows have the same taps.
template <bool kAverage, bool kClamps, int kPixels>
BNN_INLINE void pool_pixels(const Pool& s, std::ptrdiff_t y, std::ptrdiff_t x, const Taps& rows, const Taps& columns) {
  // One channel is one lane of a vector, but the values of a row then lie side by side.
  const bool side_by_side = !kAverage && s.in_pitch == 1 && columns.end - columns.begin >= kLanes;
  const F16 low = broadcast(s.low), high = broadcast(s.high);
  const F16 share = broadcast(1.0f / static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin)));
  const std::ptrdiff_t first = y * s.out_w + x, step = std::ptrdiff_t{s.stride_w} * s.in_pitch;
  const std::ptrdiff_t top = y * s.stride_h - s.pad_top, left = x * s.stride_w - s.pad_left;
  const Tile<kPixels> tile(s.output, s.out_w, first, first + kPixels);
  for (int channel = 0; channel < s.channels; channel += kLanes) {
    const int lanes = s.channels - channel;
    const float* corner = s.input + (top * s.in_w + left) * s.in_pitch + channel;
    const auto at = [&](int i, int j, int p) __attribute__((always_inline)) {
      const F16 x = load_n(corner + (std::ptrdiff_t{i} * s.in_w + j) * s.in_pitch + p * step, lanes);
      return kClamps ? at_most(at_least(x, low), high) : x;
    };
    F16 v[kPixels];
    BNN_UNROLL for (int p = 0; p < kPixels; ++p) v[p] = kAverage ? zero() : at(rows.begin, columns.begin, p);
    for (int i = rows.begin; i < rows.end; ++i) {
      if (side_by_side) {
        BNN_UNROLL for (int p = 0; p < kPixels; ++p) {
          const float* from = corner + std::ptrdiff_t{i} * s.in_w + columns.begin + p * step;
          v[p] = greatest(broadcast(greatest_of(from, columns.end - columns.begin)), v[p]);
        }
        continue;
      }
      for (int j = columns.begin; j < columns.end; ++j)
        BNN_UNROLL for (int p = 0; p < kPixels; ++p) v[p] =
            kAverage ? add(v[p], at(i, j, p)) : greatest(at(i, j, p), v[p]);
    }
    // A greatest value of 0 is +0, in whatever order the values come.
    BNN_UNROLL for (int p = 0; p < kPixels; ++p) v[p] = kAverage ? mul(v[p], share) : add(v[p], zero());
    apply_epilogue(s.output, tile, v, channel, s.channels);
  }
}

template <bool kAverage, bool kClamps = false>
BNN_INLINE void pool(const Pool& s, int row_begin, int row_end) {
  for (std::ptrdiff_t y = row_begin; y < row_end; ++y) {
    const Taps rows(y * s.stride_h - s.pad_top, s.kernel_h, 1, s.in_h);
    for (std::ptrdiff_t x = 0; x < s.out_w;) {
      const std::ptrdiff_t left = x * s.stride_w - s.pad_left;
      const std::ptrdiff_t last = left + std::ptrdiff_t{kWindowPixels - 1} * s.stride_w + s.kernel_w;
      if (x + kWindowPixels <= s.out_w && left >= 0 && last <= s.in_w) {
        pool_pixels<kAverage, kClamps, kWindowPixels>(s, y, x, rows, Taps(left, s.kernel_w, 1, s.in_w));
        x += kWindowPixels;
      } else {
        pool_pixels<kAverage, kClamps, 1>(s, y, x, rows, Taps(left, s.kernel_w, 1, s.in_w));
        ++x;
      }
    }
  }
}

void average_pool(const Pool& layer, int row_begin, int row_end) {
  const bool clamps = layer.low > -INFINITY || layer.high < INFINITY;
  clamps ? pool<true, true>(layer, row_begin, row_end) : pool<true>(layer, row_begin, row_end);
}
void max_pool(const Pool& layer, int row_begin, int row_end) { pool<false>(layer, row_begin, row_end); }

}  // namespace
}  // namespace bnn_exit
