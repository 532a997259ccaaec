// NEON: 4 pixels x 8 channels, two channels in a register, bytes of counts summed pairwise at the end.
#define BNN_EXIT_NAME neon
#include "vec_neon.h"

#include "binary_common.h"
#include "neon_count.h"
#include "pack_blocks.h"

namespace bnn_exit {
namespace {

struct Micro {
  static constexpr int kPixels = 4;
  static constexpr int kCopies = 2;  // both halves of a register compare the same word

  static std::size_t group_bytes(int words, int channels) { return block_bytes(words, channels); }
  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    pack_blocks<8>(source, words, channels, packed);
  }

  // Counts of eight channels, in 16 bits each.
  static BNN_INLINE void count(const std::uint64_t* w, int words, const std::uint64_t* panel,
                               uint16x8_t (&total)[kPixels]) {
    neon_count(w, panel, words < kNeonFlush ? words : kNeonFlush, total);
    for (int k = kNeonFlush; k < words; k += kNeonFlush) {
      uint16x8_t more[kPixels];
      neon_count(w + 8 * k, panel + 8 * k, words - k < kNeonFlush ? words - k : kNeonFlush, more);
      for (int p = 0; p < kPixels; ++p) total[p] = vaddq_u16(total[p], more[p]);
    }
  }

  static BNN_INLINE void prepare(std::uint64_t*, int) {}

  template <class Emit>
  static BNN_INLINE void run(const void* weights, int words, int channels, const std::uint64_t* panels, int pixels,
                             const Emit& emit) {
    const int tiles = (pixels + kPixels - 1) / kPixels;
    const std::uint64_t* w = static_cast<const std::uint64_t*>(weights);
    const std::ptrdiff_t half = std::ptrdiff_t{8} * words;
    for (int channel = 0; channel < channels; channel += kLanes, w += 2 * half) {
      for (int tile = 0; tile < tiles; ++tile) {
        const std::uint64_t* panel = panels + std::ptrdiff_t{tile} * kPixels * kCopies * words;
        uint16x8_t low[kPixels], high[kPixels];
        count(w, words, panel, low);
        count(w + half, words, panel, high);
        I16 counts[kPixels];
        for (int p = 0; p < kPixels; ++p) {
          counts[p].q[0] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low[p])));
          counts[p].q[1] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low[p])));
          counts[p].q[2] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high[p])));
          counts[p].q[3] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high[p])));
        }
        emit(tile, channel, counts);
      }
    }
  }
};
}  // namespace
}  // namespace bnn_exit

#include "table.h"
