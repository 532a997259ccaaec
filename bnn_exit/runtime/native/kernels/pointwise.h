// Operators on each value of its own, and on bits.
#pragma once

#include "float_window.h"

namespace bnn_exit {
namespace {

void elementwise(const Elementwise& s, int row_begin, int row_end) {
  constexpr int kPixels = 4;
  const std::ptrdiff_t end = std::ptrdiff_t{row_end} * s.width;
  for (std::ptrdiff_t first = std::ptrdiff_t{row_begin} * s.width; first < end; first += kPixels) {
    const Tile<kPixels> tile(s.output, s.width, first, end);
    for (int channel = 0; channel < s.channels; channel += kLanes) {
      F16 v[kPixels];
      const float* pixel = s.input + first * s.in_pitch + channel;
      const bool whole = tile.count == kPixels && s.channels - channel >= kLanes;
      BNN_UNROLL for (int p = 0; p < kPixels; ++p, pixel += s.in_pitch) v[p] = whole ? load(pixel)
                                                                               : p < tile.count
                                                                                   ? load_n(pixel, s.channels - channel)
                                                                                   : zero();
      apply_epilogue(s.output, tile, v, channel, s.channels);
    }
  }
}

void unpack_signs(const Unpack& s, int row_begin, int row_end) {
  for (std::ptrdiff_t y = row_begin; y < row_end; ++y) {
    for (std::ptrdiff_t x = 0; x < s.width; ++x) {
      const std::uint64_t* words = s.input + y * s.input_row + x * bit_words(s.channels);
      float* to = s.output + (y * s.width + x) * s.out_pitch;
      for (int c = 0; c < s.channels; ++c) to[c] = words[c / 64] >> c % 64 & 1 ? -1.0f : 1.0f;
    }
  }
}

void binary_max_pool(const BitPool& s, int row_begin, int row_end) {
  for (std::ptrdiff_t y = row_begin; y < row_end; ++y) {
    const std::ptrdiff_t top = y * s.stride_h - s.pad_top;
    const Taps rows(top, s.kernel_h, 1, s.in_h);
    for (std::ptrdiff_t x = 0; x < s.out_w; ++x) {
      const std::ptrdiff_t left = x * s.stride_w - s.pad_left;
      const Taps columns(left, s.kernel_w, 1, s.in_w);
      std::uint64_t* to = s.output + y * s.output_row + x * s.words;
      for (int w = 0; w < s.words; ++w) {
        std::uint64_t all = ~std::uint64_t{0};
        for (int i = rows.begin; i < rows.end; ++i)
          for (int j = columns.begin; j < columns.end; ++j)
            all &= s.input[(top + i) * s.input_row + (left + j) * s.words + w];
        to[w] = all;
      }
    }
  }
}

}  // namespace
}  // namespace bnn_exit
