// AVX-512 (F, BW, DQ, VL) without VPOPCNTDQ: the tables of avx2.cpp in wider registers, 4 pixels x 64 channels.
#define BNN_EXIT_NAME avx512
#include "vec_avx512.h"

#include "binary_common.h"
#include "lut.h"

namespace bnn_exit {
namespace {

struct Micro {
  static constexpr int kPixels = 4;
  static constexpr int kCopies = 1;
  static constexpr int kMaxBlocks = 2;  // of 32 channels

  static std::size_t group_bytes(int words, int channels) { return lut_bytes<32>(words, channels); }
  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    lut_pack<32>(source, words, channels, packed);
  }

  // Adds the counts of at most kFlush words to the total. A register counts 32 channels: the low nibbles of 16 of them,
  // the high ones, and so on for the other 16.
  template <int kBlocks>
  static BNN_INLINE void count(const char* w, int words, const std::uint64_t* panel,
                               __m512i (&total)[kMaxBlocks][kPixels]) {
    __m512i sums[kBlocks][kPixels];
    for (int b = 0; b < kBlocks; ++b)
      for (int p = 0; p < kPixels; ++p) sums[b][p] = _mm512_setzero_si512();
    const std::uint8_t* a = reinterpret_cast<const std::uint8_t*>(panel);
    for (int word = 0; word < words; ++word, a += 8 * kPixels) {
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
      for (int p = 0; p < kPixels; ++p) total[b][p] = _mm512_add_epi16(total[b][p], widened(sums[b][p]));
  }

  // 32 channels in 16 bits each.
  static BNN_INLINE __m512i widened(__m512i counts) {
    // The quarters are low, high, low, high: side by side come the low ones, then the high ones.
    const __m512i sorted = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 1, 4, 5, 2, 3, 6, 7), counts);
    return _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(sorted)),
                            _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(sorted, 1)));
  }

  template <int kBlocks>
  static void count_all(const char* w, int words, const std::uint64_t* panels, int tiles,
                        __m512i (&total)[kMaxTiles][kMaxBlocks][kPixels]) {
    for (int k = 0; k < words; k += kFlush, w += kFlush * 8 * 64 * kBlocks) {
      const int some = words - k < kFlush ? words - k : kFlush;
      for (int tile = 0; tile < tiles; ++tile)
        count<kBlocks>(w, some, panels + (std::ptrdiff_t{tile} * words + k) * kPixels, total[tile]);
    }
  }

  static BNN_INLINE void prepare(std::uint64_t*, int) {}

  template <class Emit>
  static BNN_INLINE void run(const void* weights, int words, int channels, const std::uint64_t* panels, int pixels,
                             const Emit& emit) {
    const int tiles = (pixels + kPixels - 1) / kPixels;
    const char* w = static_cast<const char*>(weights);
    for (int channel = 0; channel < channels; channel += 64, w += std::ptrdiff_t{64} * 16 * words) {
      const int rest = channels - channel;
      __m512i total[kMaxTiles][kMaxBlocks][kPixels];
      std::memset(total, 0, sizeof total[0] * static_cast<std::size_t>(tiles));
      if (rest > 32)
        count_all<2>(w, words, panels, tiles, total);
      else
        count_all<1>(w, words, panels, tiles, total);
      for (int tile = 0; tile < tiles; ++tile) {
        for (int b = 0; 16 * b < rest && b < 2 * kMaxBlocks; ++b) {
          I16 counts[kPixels];
          for (int p = 0; p < kPixels; ++p) {
            const __m512i both = total[tile][b / 2][p];
            const __m256i half = b % 2 ? _mm512_extracti64x4_epi64(both, 1) : _mm512_castsi512_si256(both);
            counts[p] = _mm512_cvtepu16_epi32(half);
          }
          emit(tile, channel + 16 * b, counts);
        }
      }
    }
  }
};
}  // namespace
}  // namespace bnn_exit

#include "table.h"
