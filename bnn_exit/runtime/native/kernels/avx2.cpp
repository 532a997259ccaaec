// AVX2: byte shuffles as tables of counts, 2 pixels x 64 channels.
#define BNN_EXIT_NAME avx2
#include "vec_avx2.h"

#include "binary_common.h"
#include "lut.h"

namespace bnn_exit {
namespace {

struct Micro {
  static constexpr int kPixels = 2;
  static constexpr bool kPrefixes = false;
  static constexpr int kCopies = 1;

  static std::size_t group_bytes(int words, int channels) { return lut_bytes<16>(words, channels); }
  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    lut_pack<16>(source, words, channels, packed);
  }

  static BNN_INLINE __m256i widened(__m256i counts) {
    return _mm256_add_epi16(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(counts)),
                            _mm256_cvtepu8_epi16(_mm256_extracti128_si256(counts, 1)));
  }

  template <int kBlocks>
  static BNN_INLINE void count(const char* w, int words, const std::uint64_t* panel,
                               __m256i (&total)[kBlocks][kPixels]) {
    for (int b = 0; b < kBlocks; ++b) total[b][0] = total[b][1] = _mm256_setzero_si256();
    const std::uint8_t* a = reinterpret_cast<const std::uint8_t*>(panel);
    for (int k = 0; k < words; k += kFlush) {
      const int end = words - k < kFlush ? words - k : kFlush;
      __m256i sums[kBlocks][kPixels];
      for (int b = 0; b < kBlocks; ++b) sums[b][0] = sums[b][1] = _mm256_setzero_si256();
      for (int word = 0; word < end; ++word, a += 16) {
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
  }

  template <int kBlocks, class Emit>
  static BNN_INLINE void block(const char* w, int words, const std::uint64_t* panel, int channel, const Emit& emit) {
    __m256i total[kBlocks][kPixels];
    count<kBlocks>(w, words, panel, total);
    for (int b = 0; b < kBlocks; ++b) {
      I16 counts[kPixels];
      for (int p = 0; p < kPixels; ++p)
        counts[p] = {_mm256_cvtepu16_epi32(_mm256_castsi256_si128(total[b][p])),
                     _mm256_cvtepu16_epi32(_mm256_extracti128_si256(total[b][p], 1))};
      emit(channel + 16 * b, counts);
    }
  }

  template <class Emit>
  static BNN_INLINE void run(const void* weights, int words, int channels, const std::uint64_t* panel,
                             const Emit& emit) {
    const char* w = static_cast<const char*>(weights);
    const std::ptrdiff_t bytes = words * std::ptrdiff_t{16};
    for (int channel = 0; channel < channels; channel += 64, w += 64 * bytes) {
      const int rest = channels - channel;
      if (rest > 48)
        block<4>(w, words, panel, channel, emit);
      else if (rest > 32)
        block<3>(w, words, panel, channel, emit);
      else if (rest > 16)
        block<2>(w, words, panel, channel, emit);
      else
        block<1>(w, words, panel, channel, emit);
    }
  }
};
using ShortMicro = Micro;
constexpr int kShortWords = 0;

}  // namespace
}  // namespace bnn_exit

#include "table.h"
