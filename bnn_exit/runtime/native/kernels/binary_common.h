// Binary convolution: the driver of every instruction set's own kernel, and a plain one for the remaining shapes.
//
// A kernel ("Micro") gives:
//   kPixels                            output pixels computed together, a tile
//   kCopies                            how often the panel holds each word
//   group_bytes(words, channels)       size of the packed weights of one group of channels
//   pack(source, words, channels, to)  source(channel, k) is word k of a filter
//   prepare(panel, words)              changes the words of a tile to what `run` wants
//   run(weights, words, channels, panels, pixels, emit)
//       panels[tile][k][kPixels][kCopies]; emit(tile, channel, counts[kPixels]) for every 16 channels of every tile.
//       Tiles are its inner loop: a block of weights then comes from the nearest cache for all of them but the first.
//       Of the last tile only the first of its pixels need counts, so that there are `pixels` in all.
#pragma once

#include "epilogue.h"

namespace bnn_exit {
namespace {

constexpr int kMaxPanelWords = 1000;  // counts of 64 * 1000 still fit 16 bits
constexpr int kMaxTiles = 8;
constexpr int kPanelBytes = 12 * 1024;  // of all tiles together: they share the nearest cache with the weights

struct BinarySizes {
  int taps, words, group_in, group_out, group_words, panel_words;
  bool plain;  // groups of whole words and of whole blocks of sixteen outputs

  explicit BinarySizes(const BinaryConvShape& s)
      : taps(s.kernel_h * s.kernel_w), words(bit_words(s.in_channels)), group_in(s.in_channels / s.groups),
        group_out(s.out_channels / s.groups), group_words(bit_words(group_in)), panel_words(taps * group_words),
        plain((s.groups == 1 || (group_in % 64 == 0 && group_out % kLanes == 0)) && panel_words <= kMaxPanelWords) {}
};

// Word `k` of LCE's filter of an output channel: int32 words joined in pairs, unused bits cleared.
BNN_INLINE std::uint64_t filter_word(const BinarySizes& z, const std::int32_t* filters, std::ptrdiff_t channel, int k) {
  const int halves = (z.group_in + 31) / 32, tap = k / z.group_words, word = k % z.group_words;
  const std::int32_t* from = filters + (channel * z.taps + tap) * halves + 2 * word;
  std::uint64_t value = static_cast<std::uint32_t>(from[0]);
  if (2 * word + 1 < halves) value |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(from[1])) << 32;
  const int rest = z.group_in - 64 * word;
  return rest < 64 ? value & ((std::uint64_t{1} << rest) - 1) : value;
}

BNN_INLINE int popcount(std::uint64_t x) {
#if defined(__POPCNT__) || !defined(__x86_64__)
  return __builtin_popcountll(x);
#else
  x -= x >> 1 & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
  return static_cast<int>(((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56);
#endif
}

// Gathers the words of all taps of a tile's pixels: panel[k][pixel]. Pixels past the end repeat the last one.
template <int kPixels, int kCopies>
BNN_INLINE void gather(const BinaryConv& layer, const BinarySizes& z, int group, std::ptrdiff_t first, int count,
                       std::uint64_t* panel) {
  const BinaryConvShape& s = layer.shape;
  // Neighbouring taps are neighbours in memory unless something lies between them.
  const bool joined = s.dilation_w == 1 && s.groups == 1;
  const int run = joined ? s.kernel_w * z.words : z.group_words, runs = joined ? 1 : s.kernel_w;
  const std::ptrdiff_t down = s.dilation_h * layer.input_row, right = std::ptrdiff_t{s.dilation_w} * z.words;
  const std::ptrdiff_t step = std::ptrdiff_t{s.stride_w} * z.words;
  std::ptrdiff_t y = first / s.out_w, x = first - y * s.out_w;
  const std::uint64_t* const corner =
      layer.input + y * s.stride_h * layer.input_row + x * step + std::ptrdiff_t{group} * z.group_words;
  // Pixels side by side, of one word each: word k of the next one is word k + 1 of this one.
  if (step == 1 && x + kPixels <= s.out_w) {
    for (int i = 0; i < s.kernel_h; ++i) {
      for (int j = 0; j < runs; ++j) {
        const std::uint64_t* from = corner + i * down + j * right;
        for (int k = 0; k < run; ++k, ++from, panel += kPixels * kCopies) {
          if (kCopies == 1) {
            std::memcpy(panel, from, sizeof *panel * kPixels);
            continue;
          }
          BNN_UNROLL for (int p = 0; p < kPixels; ++p) {
            const std::uint64_t word = from[p];
            for (int copy = 0; copy < kCopies; ++copy) panel[p * kCopies + copy] = word;
          }
        }
      }
    }
    return;
  }
  const std::uint64_t* corners[kPixels];
  for (int p = 0; p < kPixels; ++p) {
    corners[p] = layer.input + y * s.stride_h * layer.input_row + x * step + std::ptrdiff_t{group} * z.group_words;
    if (p + 1 < count && ++x == s.out_w) {
      x = 0;
      ++y;
    }
  }
  for (int i = 0; i < s.kernel_h; ++i) {
    for (int j = 0; j < runs; ++j) {
      const std::ptrdiff_t from = i * down + j * right;
      for (std::ptrdiff_t k = from; k < from + run; ++k, panel += kPixels * kCopies) {
        for (int p = 0; p < kPixels; ++p) {
          const std::uint64_t word = corners[p][k];
          for (int copy = 0; copy < kCopies; ++copy) panel[p * kCopies + copy] = word;
        }
      }
    }
  }
}

// Any shape: each output channel compares its own words, masked to the channels of its group.
// Weights are [out][taps][span].
struct AnyGroups {
  int span, first_word;
  std::ptrdiff_t first_bit;

  AnyGroups(const BinarySizes& z, int group) : first_bit(std::ptrdiff_t{group} * z.group_in) {
    span = z.group_in % 64 ? z.group_words + 1 : z.group_words;
    first_word = static_cast<int>(first_bit / 64);
  }
  // The bits of word `i` of the span that belong to the group.
  std::uint64_t mask(const BinarySizes& z, int i) const {
    const std::ptrdiff_t start = (first_word + i) * std::ptrdiff_t{64};
    const std::ptrdiff_t low = first_bit > start ? first_bit - start : 0, high = first_bit + z.group_in - start;
    if (low >= 64 || high <= 0) return 0;
    const std::uint64_t below = high >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << high) - 1;
    return below >> low << low;
  }
};

void pack_any(const BinaryConvShape& s, const std::int32_t* filters, std::uint64_t* packed) {
  const BinarySizes z(s);
  for (std::ptrdiff_t channel = 0; channel < s.out_channels; ++channel) {
    const AnyGroups g(z, static_cast<int>(channel / z.group_out));
    const int shift = static_cast<int>(g.first_bit % 64);
    for (int tap = 0; tap < z.taps; ++tap) {
      std::uint64_t carried = 0;
      for (int i = 0; i < g.span; ++i) {
        const std::uint64_t word = i < z.group_words ? filter_word(z, filters, channel, tap * z.group_words + i) : 0;
        *packed++ = word << shift | carried;
        carried = shift ? word >> (64 - shift) : 0;
      }
    }
  }
}

int count_any(const BinaryConv& layer, const BinarySizes& z, std::ptrdiff_t y, std::ptrdiff_t x, int channel) {
  const BinaryConvShape& s = layer.shape;
  const AnyGroups g(z, channel / z.group_out);
  const std::uint64_t* weights =
      static_cast<const std::uint64_t*>(layer.weights) + static_cast<std::ptrdiff_t>(channel) * z.taps * g.span;
  const int last = z.words - g.first_word;  // the span may reach beyond the pixel, where the mask is 0
  int count = 0;
  for (int i = 0; i < s.kernel_h; ++i) {
    for (int j = 0; j < s.kernel_w; ++j, weights += g.span) {
      const std::uint64_t* from = layer.input + (y * s.stride_h + i * s.dilation_h) * layer.input_row +
                                  (x * s.stride_w + j * s.dilation_w) * z.words + g.first_word;
      for (int w = 0; w < g.span && w < last; ++w) count += popcount((from[w] ^ weights[w]) & g.mask(z, w));
    }
  }
  return count;
}

void conv_any(const BinaryConv& layer, int row_begin, int row_end) {
  const BinaryConvShape& s = layer.shape;
  const BinarySizes z(s);
  for (std::ptrdiff_t y = row_begin; y < row_end; ++y) {
    for (std::ptrdiff_t x = 0; x < s.out_w; ++x) {
      const Tile<1> tile(layer.output, s.out_w, y * s.out_w + x, y * s.out_w + x + 1);
      for (int channel = 0; channel < s.out_channels; channel += kLanes) {
        std::int32_t counts[kLanes] = {};
        for (int c = 0; c < kLanes && channel + c < s.out_channels; ++c)
          counts[c] = count_any(layer, z, y, x, channel + c);
        const I16 loaded[1] = {load_ints(counts)};
        apply_count_epilogue(layer, tile, loaded, channel);
      }
    }
  }
}

template <class Micro>
std::size_t weights_bytes(const BinaryConvShape& s) {
  const BinarySizes z(s);
  if (z.plain) return static_cast<std::size_t>(s.groups) * Micro::group_bytes(z.panel_words, z.group_out);
  return static_cast<std::size_t>(s.out_channels) * z.taps * AnyGroups(z, 0).span * sizeof(std::uint64_t);
}

template <class Micro>
void pack(const BinaryConvShape& s, const std::int32_t* filters, void* packed) {
  const BinarySizes z(s);
  if (!z.plain) return pack_any(s, filters, static_cast<std::uint64_t*>(packed));
  const std::size_t bytes = Micro::group_bytes(z.panel_words, z.group_out);
  for (int group = 0; group < s.groups; ++group) {
    const auto source = [&](int channel, int k) -> std::uint64_t {
      return channel < z.group_out ? filter_word(z, filters, std::ptrdiff_t{group} * z.group_out + channel, k) : 0;
    };
    Micro::pack(source, z.panel_words, z.group_out, static_cast<char*>(packed) + group * bytes);
  }
}

template <class Micro>
BNN_INLINE int panel_words(const BinarySizes& z) {
  return z.panel_words * Micro::kPixels * Micro::kCopies;
}

template <class Micro>
BNN_INLINE int tile_count(const BinarySizes& z) {
  const int fit = kPanelBytes / 8 / panel_words<Micro>(z);
  return fit < 1 ? 1 : fit > kMaxTiles ? kMaxTiles : fit;
}

template <class Micro>
std::size_t scratch_bytes(const BinaryConvShape& s) {
  const BinarySizes z(s);
  return z.plain ? sizeof(std::uint64_t) * panel_words<Micro>(z) * static_cast<std::size_t>(tile_count<Micro>(z)) : 0;
}

template <class Micro>
BNN_INLINE void conv_plain(const BinaryConv& layer, int row_begin, int row_end, std::uint64_t* panels) {
  constexpr int kPixels = Micro::kPixels;
  const BinarySizes z(layer.shape);
  const std::ptrdiff_t width = layer.shape.out_w, end = row_end * width;
  const std::size_t bytes = Micro::group_bytes(z.panel_words, z.group_out);
  const int together = tile_count<Micro>(z), panel = panel_words<Micro>(z);
  for (int group = 0; group < layer.shape.groups; ++group) {
    const char* weights = static_cast<const char*>(layer.weights) + group * bytes;
    for (std::ptrdiff_t first = row_begin * width; first < end;) {
      Tile<kPixels> tiles[kMaxTiles];
      int count = 0;
      for (; count < together && first < end; ++count, first += kPixels) {
        tiles[count] = Tile<kPixels>(layer.output, layer.shape.out_w, first, end);
        gather<kPixels, Micro::kCopies>(layer, z, group, first, tiles[count].count, panels + count * panel);
        Micro::prepare(panels + count * panel, z.panel_words);
      }
      const int pixels = (count - 1) * kPixels + tiles[count - 1].count;
      Micro::run(weights, z.panel_words, z.group_out, panels, pixels,
                 [&](int tile, int channel, const I16(&counts)[kPixels]) __attribute__((always_inline)) {
                   apply_count_epilogue(layer, tiles[tile], counts, group * z.group_out + channel);
                 });
    }
  }
}

template <class Micro>
void conv_binary(const BinaryConv& layer, int row_begin, int row_end, void* scratch) {
  if (!BinarySizes(layer.shape).plain) return conv_any(layer, row_begin, row_end);
  conv_plain<Micro>(layer, row_begin, row_end, static_cast<std::uint64_t*>(scratch));
}

}  // namespace
}  // namespace bnn_exit
