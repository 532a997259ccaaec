// NEON: 4 pixels x 8 channels, two channels in a register, bytes of counts summed pairwise at the end.
#define BNN_EXIT_NAME neon
#include "vec_neon.h"

#include "binary_common.h"

namespace bnn_exit {
namespace {

struct Micro {
  static constexpr int kPixels = 4;
  static constexpr bool kPrefixes = false;
  static constexpr int kCopies = 2;  // both halves of a register compare the same word
  static constexpr int kFlush = 31;  // words whose counts of at most 8 fit a byte

  // [channel / 8][k][8]
  static std::size_t group_bytes(int words, int channels) {
    return sizeof(std::uint64_t) * words * static_cast<std::size_t>(padded_channels(channels));
  }

  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    std::uint64_t* to = static_cast<std::uint64_t*>(packed);
    for (int channel = 0; channel < padded_channels(channels); channel += 8)
      for (int k = 0; k < words; ++k)
        for (int c = channel; c < channel + 8; ++c) *to++ = source(c, k);
  }

  // Counts of eight channels, in 16 bits each.
  static BNN_INLINE void count(const std::uint64_t* w, int words, const std::uint64_t* panel,
                               uint16x8_t (&total)[kPixels]) {
    for (int p = 0; p < kPixels; ++p) total[p] = vdupq_n_u16(0);
    for (int k = 0; k < words; k += kFlush) {
      const int end = words - k < kFlush ? words - k : kFlush;
      uint8x16_t sums[kPixels][4];
      for (int p = 0; p < kPixels; ++p)
        for (int i = 0; i < 4; ++i) sums[p][i] = vdupq_n_u8(0);
      for (int word = 0; word < end; ++word, w += 8, panel += 2 * kPixels) {
        uint8x16_t weights[4];
        for (int i = 0; i < 4; ++i) weights[i] = vreinterpretq_u8_u64(vld1q_u64(w + 2 * i));
        // Two pixels at a time, each step for all: a processor that runs in order waits for no result.
        for (int p = 0; p < kPixels; p += 2) {
          uint8x16_t x[8];
          for (int i = 0; i < 8; ++i)
            x[i] = veorq_u8(vreinterpretq_u8_u64(vld1q_u64(panel + 2 * (p + i / 4))), weights[i % 4]);
          for (int i = 0; i < 8; ++i) x[i] = vcntq_u8(x[i]);
          for (int i = 0; i < 8; ++i) sums[p + i / 4][i % 4] = vaddq_u8(sums[p + i / 4][i % 4], x[i]);
        }
      }
      for (int p = 0; p < kPixels; ++p) {
        const uint16x8_t a = vpaddq_u16(vpaddlq_u8(sums[p][0]), vpaddlq_u8(sums[p][1]));
        const uint16x8_t b = vpaddq_u16(vpaddlq_u8(sums[p][2]), vpaddlq_u8(sums[p][3]));
        total[p] = vaddq_u16(total[p], vpaddq_u16(a, b));
      }
    }
  }

  template <class Emit>
  static BNN_INLINE void run(const void* weights, int words, int channels, const std::uint64_t* panels, int tiles,
                             const Emit& emit) {
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
using ShortMicro = Micro;
constexpr int kShortWords = 0;

}  // namespace
}  // namespace bnn_exit

#include "table.h"
