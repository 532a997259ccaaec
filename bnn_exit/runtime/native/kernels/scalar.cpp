// Any processor, with the population count of 64-bit words where it has one: 2 pixels x 4 channels at a time.
#ifndef BNN_EXIT_NAME
#define BNN_EXIT_NAME scalar
#endif
#include "vec_scalar.h"

#include "binary_common.h"
#include "pack_blocks.h"

namespace bnn_exit {
namespace {

struct Micro {
  static constexpr int kPixels = 2;
  static constexpr int kCopies = 1;

  static std::size_t group_bytes(int words, int channels) { return block_bytes(words, channels); }
  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    pack_blocks<4>(source, words, channels, packed);
  }

  // Four channels of both pixels.
  static BNN_INLINE void count(const std::uint64_t* w, int words, const std::uint64_t* panel,
                               std::int32_t (&counts)[kPixels][kLanes], int channel) {
    std::int64_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
    for (int k = 0; k < words; ++k, w += 4) {
      const std::uint64_t a = panel[2 * k], b = panel[2 * k + 1];
      a0 += popcount(a ^ w[0]);
      a1 += popcount(a ^ w[1]);
      a2 += popcount(a ^ w[2]);
      a3 += popcount(a ^ w[3]);
      b0 += popcount(b ^ w[0]);
      b1 += popcount(b ^ w[1]);
      b2 += popcount(b ^ w[2]);
      b3 += popcount(b ^ w[3]);
    }
    const std::int64_t found[2][4] = {{a0, a1, a2, a3}, {b0, b1, b2, b3}};
    for (int p = 0; p < kPixels; ++p)
      for (int i = 0; i < 4; ++i) counts[p][channel + i] = static_cast<std::int32_t>(found[p][i]);
  }

  static BNN_INLINE void prepare(std::uint64_t*, int) {}

  template <class Emit>
  static BNN_INLINE void run(const void* weights, int words, int channels, const std::uint64_t* panels, int pixels,
                             const Emit& emit) {
    const int tiles = (pixels + kPixels - 1) / kPixels;
    const std::uint64_t* w = static_cast<const std::uint64_t*>(weights);
    for (int channel = 0; channel < channels; channel += kLanes, w += std::ptrdiff_t{kLanes} * words) {
      for (int tile = 0; tile < tiles; ++tile) {
        std::int32_t counts[kPixels][kLanes];
        for (int c = 0; c < kLanes; c += 4)
          count(w + std::ptrdiff_t{c} * words, words, panels + std::ptrdiff_t{tile} * kPixels * words, counts, c);
        const I16 loaded[kPixels] = {load_ints(counts[0]), load_ints(counts[1])};
        emit(tile, channel, loaded);
      }
    }
  }
};
}  // namespace
}  // namespace bnn_exit

#include "table.h"
