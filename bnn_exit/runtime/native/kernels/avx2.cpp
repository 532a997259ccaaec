// AVX2: byte shuffles as tables of counts, 2 pixels x 64 channels.
#define BNN_EXIT_NAME avx2
#include "vec_avx2.h"

#include "binary_common.h"
#include "lut.h"

namespace bnn_exit {
namespace {

struct Micro {
  static constexpr int kPixels = 2;
  static constexpr int kCopies = 1;
  static constexpr int kMaxBlocks = 4;  // of 16 channels

  static std::size_t group_bytes(int words, int channels) { return lut_bytes<16>(words, channels); }
  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    lut_pack<16>(source, words, channels, packed);
  }

  static BNN_INLINE __m256i widened(__m256i counts) {
    return _mm256_add_epi16(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(counts)),
                            _mm256_cvtepu8_epi16(_mm256_extracti128_si256(counts, 1)));
  }

  // Adds the counts of at most kFlush words to the total.
  template <int kBlocks>
  static BNN_INLINE void count(const char* w, int words, const std::uint64_t* panel,
                               __m256i (&total)[kMaxBlocks][kPixels]) {
    __m256i sums[kBlocks][kPixels];
    for (int b = 0; b < kBlocks; ++b) sums[b][0] = sums[b][1] = _mm256_setzero_si256();
    const std::uint8_t* a = reinterpret_cast<const std::uint8_t*>(panel);
    for (int word = 0; word < words; ++word, a += 8 * kPixels) {
      for (int byte = 0; byte < 8; ++byte, w += 32 * kBlocks) {
        const __m256i t0 = _mm256_load_si256(reinterpret_cast<const __m256i*>(kTables.counts[a[byte]]));
        const __m256i t1 = _mm256_load_si256(reinterpret_cast<const __m256i*>(kTables.counts[a[8 + byte]]));
        for (int b = 0; b < kBlocks; ++b) {
          const __m256i nibbles = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + 32 * b));
          sums[b][0] = _mm256_add_epi8(sums[b][0], _mm256_shuffle_epi8(t0, nibbles));
          sums[b][1] = _mm256_add_epi8(sums[b][1], _mm256_shuffle_epi8(t1, nibbles));
          // Keeps the sums in registers: gcc would else regroup them and spill.
          asm("" : "+x"(sums[b][0]), "+x"(sums[b][1]));
        }
      }
    }
    for (int b = 0; b < kBlocks; ++b)
      for (int p = 0; p < kPixels; ++p) total[b][p] = _mm256_add_epi16(total[b][p], widened(sums[b][p]));
  }

  template <int kBlocks>
  static void count_all(const char* w, int words, const std::uint64_t* panels, int tiles,
                        __m256i (&total)[kMaxTiles][kMaxBlocks][kPixels]) {
    for (int k = 0; k < words; k += kFlush, w += kFlush * 8 * 32 * kBlocks) {
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
      const int blocks = channels - channel < 64 ? (channels - channel + 15) / 16 : kMaxBlocks;
      __m256i total[kMaxTiles][kMaxBlocks][kPixels];
      std::memset(total, 0, sizeof total[0] * static_cast<std::size_t>(tiles));
      if (blocks == 4)
        count_all<4>(w, words, panels, tiles, total);
      else if (blocks == 3)
        count_all<3>(w, words, panels, tiles, total);
      else if (blocks == 2)
        count_all<2>(w, words, panels, tiles, total);
      else
        count_all<1>(w, words, panels, tiles, total);
      for (int tile = 0; tile < tiles; ++tile) {
        for (int b = 0; b < blocks; ++b) {
          I16 counts[kPixels];
          for (int p = 0; p < kPixels; ++p)
            counts[p] = {_mm256_cvtepu16_epi32(_mm256_castsi256_si128(total[tile][b][p])),
                         _mm256_cvtepu16_epi32(_mm256_extracti128_si256(total[tile][b][p], 1))};
          emit(tile, channel + 16 * b, counts);
        }
      }
    }
  }
};
}  // namespace
}  // namespace bnn_exit

#include "table.h"
