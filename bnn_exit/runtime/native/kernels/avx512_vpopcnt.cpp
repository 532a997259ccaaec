// AVX-512 with VPOPCNTDQ: each lane is one output channel, so that no sum crosses lanes.
//
// One population count serves two words. Let S_j be the XOR of the first j words of activations and weights, both made
// beforehand ("prefixes"), S_0 = 0. Bit by bit, S changes as often as products are -1; it falls half as often, give or
// take its last value: changes = 2 * falls + S_last. In two steps it falls at most once: where S_1 ? !S_2 : S_0.
#define BNN_EXIT_NAME avx512_vpopcnt
#include "vec_avx512.h"

#include "binary_common.h"
#include "pack_blocks.h"

namespace bnn_exit {
namespace {

// [channel / 16][k][even channels 8, odd channels 8]: the counts of a pair join to one word of two 32-bit counts.
template <bool kPrefixes, class Source>
void lane_pack(const Source& source, int words, int channels, void* packed) {
  std::uint64_t* to = static_cast<std::uint64_t*>(packed);
  for (int channel = 0; channel < channels; channel += kLanes, to += kLanes * words) {
    for (int i = 0; i < kLanes; ++i) {
      std::uint64_t prefix = 0;
      for (int k = 0; k < words; ++k) {
        const std::uint64_t word = source(channel + i % 8 * 2 + i / 8, k);
        prefix ^= word;
        to[kLanes * k + i] = kPrefixes && in_pair(k, words) ? prefix : word;
      }
    }
  }
}

template <class Counter, class Emit>
BNN_INLINE void lane_run(const void* weights, int words, int channels, const std::uint64_t* panels, int tiles,
                         const Emit& emit) {
  constexpr int kPixels = Counter::kPixels;
  const char* block = static_cast<const char*>(weights);
  for (int channel = 0; channel < channels; channel += kLanes, block += std::ptrdiff_t{128} * words) {
    for (int tile = 0; tile < tiles; ++tile) {
      I16 counts[kPixels];
      Counter::count(block, words, panels + std::ptrdiff_t{tile} * kPixels * words, counts);
      emit(tile, channel, counts);
    }
  }
}

BNN_INLINE __m512i joined(__m512i even, __m512i odd) { return _mm512_or_si512(even, _mm512_slli_epi64(odd, 32)); }

// The plain way, for few words, where the ends of the other would cost more than it saves: 8 pixels x 16 channels.
// Words are halved, so that a lane of 32 bits is one channel and nothing is left to be joined.
struct ShortMicro {
  static constexpr int kPixels = 8;
  static constexpr bool kPrefixes = false;
  static constexpr int kCopies = 1;

  static std::size_t group_bytes(int words, int channels) { return block_bytes(words, channels); }
  // [channel / 16][k][lower halves 16, upper halves 16]
  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    std::uint32_t* to = static_cast<std::uint32_t*>(packed);
    for (int channel = 0; channel < channels; channel += kLanes)
      for (int k = 0; k < words; ++k)
        for (int half = 0; half < 2; ++half)
          for (int i = 0; i < kLanes; ++i) *to++ = static_cast<std::uint32_t>(source(channel + i, k) >> 32 * half);
  }

  static BNN_INLINE void count(const char* w, int words, const std::uint64_t* a, I16 (&counts)[kPixels]) {
    const int* halves = reinterpret_cast<const int*>(a);
    for (int p = 0; p < kPixels; ++p) counts[p] = _mm512_setzero_si512();
    for (int k = 0; k < words; ++k, w += 128, halves += 2 * kPixels) {
      const __m512i low = _mm512_load_si512(w), high = _mm512_load_si512(w + 64);
      for (int p = 0; p < kPixels; ++p) {
        const __m512i x = _mm512_xor_si512(_mm512_set1_epi32(halves[2 * p]), low);
        const __m512i y = _mm512_xor_si512(_mm512_set1_epi32(halves[2 * p + 1]), high);
        counts[p] = _mm512_add_epi32(counts[p], _mm512_popcnt_epi32(x));
        counts[p] = _mm512_add_epi32(counts[p], _mm512_popcnt_epi32(y));
        // Keeps the sums in registers: gcc would else regroup them and spill.
        asm("" : "+v"(counts[p]));
      }
    }
  }

  template <class Emit>
  static BNN_INLINE void run(const void* weights, int words, int channels, const std::uint64_t* panels, int tiles,
                             const Emit& emit) {
    lane_run<ShortMicro>(weights, words, channels, panels, tiles, emit);
  }
};
constexpr int kShortWords = 16;

// Two words at a time: 4 pixels x 16 channels, and as many states.
struct Micro {
  static constexpr int kPixels = 4;
  static constexpr bool kPrefixes = true;
  static constexpr int kCopies = 1;
  static constexpr int kFalls = 0x74;  // the truth table of S_1 ? !S_2 : S_0

  static std::size_t group_bytes(int words, int channels) { return block_bytes(words, channels); }
  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    lane_pack<kPrefixes>(source, words, channels, packed);
  }

  static BNN_INLINE void count(const char* w, int words, const std::uint64_t* a, I16 (&counts)[kPixels]) {
    __m512i falls[kPixels][2], state[kPixels][2];
    for (int p = 0; p < kPixels; ++p)
      for (int half = 0; half < 2; ++half) falls[p][half] = state[p][half] = _mm512_setzero_si512();
    for (int k = 1; k < words; k += 2, w += 256, a += 2 * kPixels) {
      for (int p = 0; p < kPixels; ++p) {
        const __m512i a1 = _mm512_set1_epi64(static_cast<long long>(a[p]));
        const __m512i a2 = _mm512_set1_epi64(static_cast<long long>(a[kPixels + p]));
        for (int half = 0; half < 2; ++half) {
          const __m512i s1 = _mm512_xor_si512(a1, _mm512_load_si512(w + 64 * half));
          const __m512i s2 = _mm512_xor_si512(a2, _mm512_load_si512(w + 64 * half + 128));
          const __m512i fall = _mm512_ternarylogic_epi64(state[p][half], s1, s2, kFalls);
          falls[p][half] = _mm512_add_epi64(falls[p][half], _mm512_popcnt_epi64(fall));
          state[p][half] = s2;
          // Keeps the sums in registers: gcc would else regroup them and spill.
          asm("" : "+v"(falls[p][half]), "+v"(state[p][half]));
        }
      }
    }
    for (int p = 0; p < kPixels; ++p) {
      const __m512i last = joined(_mm512_popcnt_epi64(state[p][0]), _mm512_popcnt_epi64(state[p][1]));
      const __m512i fell = joined(falls[p][0], falls[p][1]);
      counts[p] = _mm512_add_epi32(_mm512_add_epi32(fell, fell), last);
    }
    if (words % 2) {
      for (int p = 0; p < kPixels; ++p) {
        const __m512i x = _mm512_set1_epi64(static_cast<long long>(a[p]));
        const __m512i even = _mm512_popcnt_epi64(_mm512_xor_si512(x, _mm512_load_si512(w)));
        const __m512i odd = _mm512_popcnt_epi64(_mm512_xor_si512(x, _mm512_load_si512(w + 64)));
        counts[p] = _mm512_add_epi32(counts[p], joined(even, odd));
      }
    }
  }

  template <class Emit>
  static BNN_INLINE void run(const void* weights, int words, int channels, const std::uint64_t* panels, int tiles,
                             const Emit& emit) {
    lane_run<Micro>(weights, words, channels, panels, tiles, emit);
  }
};

}  // namespace
}  // namespace bnn_exit

#include "table.h"
