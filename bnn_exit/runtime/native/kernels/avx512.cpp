// AVX-512 (F, BW, DQ, VL) without VPOPCNTDQ: the tables of avx2.cpp in wider registers, 4 pixels x 64 channels.
#define BNN_EXIT_NAME avx512
#include "vec_avx512.h"

#include "binary_common.h"
#include "lut.h"

namespace bnn_exit {
namespace {

struct Micro {
  static constexpr int kPixels = 4;
  static constexpr bool kPrefixes = false;
  static constexpr int kCopies = 1;

  static std::size_t group_bytes(int words, int channels) { return lut_bytes<32>(words, channels); }
  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    lut_pack<32>(source, words, channels, packed);
  }

  // A register counts 32 channels: for 16 of them the low nibbles, the high ones, and so on for the other 16.
  template <int kBlocks>
  static BNN_INLINE void count(const char* w, int words, const std::uint64_t* panel,
                               __m512i (&total)[2 * kBlocks][kPixels]) {
    for (int b = 0; b < 2 * kBlocks; ++b)
      for (int p = 0; p < kPixels; ++p) total[b][p] = _mm512_setzero_si512();
    const std::uint8_t* a = reinterpret_cast<const std::uint8_t*>(panel);
    for (int k = 0; k < words; k += kFlush) {
      const int end = words - k < kFlush ? words - k : kFlush;
      __m512i sums[kBlocks][kPixels];
      for (int b = 0; b < kBlocks; ++b)
        for (int p = 0; p < kPixels; ++p) sums[b][p] = _mm512_setzero_si512();
      for (int word = 0; word < end; ++word, a += 8 * kPixels) {
        for (int byte = 0; byte < 8; ++byte, w += 64 * kBlocks) {
          __m512i nibbles[kBlocks];
          for (int b = 0; b < kBlocks; ++b) nibbles[b] = _mm512_load_si512(w + 64 * b);
          for (int p = 0; p < kPixels; ++p) {
            const __m512i table = _mm512_broadcast_i64x4(
                _mm256_load_si256(reinterpret_cast<const __m256i*>(kTables.counts[a[8 * p + byte]])));
            for (int b = 0; b < kBlocks; ++b) {
              sums[b][p] = _mm512_add_epi8(sums[b][p], _mm512_shuffle_epi8(table, nibbles[b]));
              // Keeps the sums in registers: gcc would else regroup them and spill.
              asm("" : "+v"(sums[b][p]));
            }
          }
        }
      }
      for (int b = 0; b < kBlocks; ++b)
        for (int p = 0; p < kPixels; ++p)
          for (int half = 0; half < 2; ++half)
            total[2 * b + half][p] = _mm512_add_epi32(total[2 * b + half][p], widened(sums[b][p], half));
    }
  }

  static BNN_INLINE __m512i widened(__m512i counts, int half) {
    const __m128i low = half ? _mm512_extracti32x4_epi32(counts, 2) : _mm512_castsi512_si128(counts);
    const __m128i high = half ? _mm512_extracti32x4_epi32(counts, 3) : _mm512_extracti32x4_epi32(counts, 1);
    return _mm512_add_epi32(_mm512_cvtepu8_epi32(low), _mm512_cvtepu8_epi32(high));
  }

  template <int kBlocks, class Emit>
  static BNN_INLINE void block(const char* w, int words, const std::uint64_t* panel, int channel, int channels,
                               const Emit& emit) {
    __m512i total[2 * kBlocks][kPixels];
    count<kBlocks>(w, words, panel, total);
    for (int b = 0; b < 2 * kBlocks; ++b)
      if (channel + 16 * b < channels) emit(channel + 16 * b, total[b]);
  }

  template <class Emit>
  static BNN_INLINE void run(const void* weights, int words, int channels, const std::uint64_t* panel,
                             const Emit& emit) {
    const char* w = static_cast<const char*>(weights);
    const std::ptrdiff_t bytes = words * std::ptrdiff_t{16};
    for (int channel = 0; channel < channels; channel += 64, w += 64 * bytes) {
      if (channels - channel > 32)
        block<2>(w, words, panel, channel, channels, emit);
      else
        block<1>(w, words, panel, channel, channels, emit);
    }
  }
};
using ShortMicro = Micro;
constexpr int kShortWords = 0;

}  // namespace
}  // namespace bnn_exit

#include "table.h"
