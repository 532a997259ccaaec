// AVX-512 with VPOPCNTDQ: each lane of 32 bits is one output channel, so that no sum crosses lanes.
//
// Words are compared half by half, and one population count serves both halves of a word. Let S_j be the XOR of the
// first j halves of activations and weights, both made beforehand ("prefixes"), S_0 = 0. Bit by bit, S changes as often
// as products are -1; it falls half as often, give or take its last value: changes = 2 * falls + S_last. In two steps
// it falls at most once: where S_1 ? !S_2 : S_0.
#define BNN_EXIT_NAME avx512_vpopcnt
#include "vec_avx512.h"

#include "binary_common.h"
#include "pack_blocks.h"

namespace bnn_exit {
namespace {

struct Micro {
  static constexpr int kPixels = 8;
  static constexpr int kCopies = 1;
  static constexpr int kFalls = 0x74;  // the truth table of S_1 ? !S_2 : S_0

  static std::size_t group_bytes(int words, int channels) { return block_bytes(words, channels); }
  // [channel / 16][k][lower halves 16, upper halves 16]
  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    std::uint32_t* to = static_cast<std::uint32_t*>(packed);
    for (int channel = 0; channel < channels; channel += kLanes, to += std::ptrdiff_t{2} * kLanes * words) {
      for (int i = 0; i < kLanes; ++i) {
        std::uint32_t prefix = 0;
        for (int k = 0; k < words; ++k) {
          const std::uint64_t word = source(channel + i, k);
          for (int half = 0; half < 2; ++half) {
            prefix ^= static_cast<std::uint32_t>(word >> 32 * half);
            to[(2 * k + half) * kLanes + i] = prefix;
          }
        }
      }
    }
  }

  static BNN_INLINE void prepare(std::uint64_t* panel, int words) {
    __m512i last = _mm512_setzero_si512();  // the prefix before this word, in both halves
    for (int k = 0; k < words; ++k, panel += kPixels) {
      const __m512i word = _mm512_loadu_si512(panel);
      const __m512i prefix = _mm512_xor_si512(_mm512_xor_si512(word, _mm512_slli_epi64(word, 32)), last);
      _mm512_storeu_si512(panel, prefix);
      last = _mm512_shuffle_epi32(prefix, _MM_PERM_DDBB);
    }
  }

  // Of the first `kSome` pixels.
  template <int kSome>
  static BNN_INLINE void count(const char* w, int words, const std::uint64_t* a, I16 (&counts)[kPixels]) {
    const int* halves = reinterpret_cast<const int*>(a);
    __m512i falls[kSome], state[kSome];
    for (int p = 0; p < kSome; ++p) falls[p] = state[p] = _mm512_setzero_si512();
    for (int k = 0; k < words; ++k, w += 128, halves += 2 * kPixels) {
      const __m512i low = _mm512_load_si512(w), high = _mm512_load_si512(w + 64);
      for (int p = 0; p < kSome; ++p) {
        const __m512i s1 = _mm512_xor_si512(_mm512_set1_epi32(halves[2 * p]), low);
        const __m512i s2 = _mm512_xor_si512(_mm512_set1_epi32(halves[2 * p + 1]), high);
        const __m512i fall = _mm512_ternarylogic_epi32(state[p], s1, s2, kFalls);
        falls[p] = _mm512_add_epi32(falls[p], _mm512_popcnt_epi32(fall));
        state[p] = s2;
        // Keeps the sums in registers: gcc would else regroup them and spill.
        asm("" : "+v"(falls[p]), "+v"(state[p]));
      }
    }
    for (int p = 0; p < kPixels; ++p)
      counts[p] = p < kSome ? _mm512_add_epi32(_mm512_add_epi32(falls[p], falls[p]), _mm512_popcnt_epi32(state[p]))
                            : _mm512_setzero_si512();
  }

  template <class Emit>
  static BNN_INLINE void run(const void* weights, int words, int channels, const std::uint64_t* panels, int pixels,
                             const Emit& emit) {
    const char* block = static_cast<const char*>(weights);
    for (int channel = 0; channel < channels; channel += kLanes, block += std::ptrdiff_t{128} * words) {
      const std::uint64_t* panel = panels;
      for (int tile = 0; tile * kPixels < pixels; ++tile, panel += std::ptrdiff_t{kPixels} * words) {
        I16 counts[kPixels];
        if (pixels - tile * kPixels > kPixels / 2)
          count<kPixels>(block, words, panel, counts);
        else
          count<kPixels / 2>(block, words, panel, counts);
        emit(tile, channel, counts);
      }
    }
  }
};

}  // namespace
}  // namespace bnn_exit

#include "table.h"
