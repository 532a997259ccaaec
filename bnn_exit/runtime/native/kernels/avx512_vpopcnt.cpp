// AVX-512 with VPOPCNTDQ: 8 pixels x 16 channels, each lane one output channel, so that no sum crosses lanes.
#define BNN_EXIT_NAME avx512_vpopcnt
#include "vec_avx512.h"

#include "binary_common.h"

namespace bnn_exit {
namespace {

struct Micro {
  static constexpr int kPixels = 8;

  // [channel / 16][k][even channels 8, odd channels 8]: the counts of a pair join to one word of two 32-bit counts.
  static std::size_t group_bytes(int words, int channels) {
    return sizeof(std::uint64_t) * words * static_cast<std::size_t>(padded_channels(channels));
  }

  template <class Source>
  static void pack(const Source& source, int words, int channels, void* packed) {
    std::uint64_t* to = static_cast<std::uint64_t*>(packed);
    for (int channel = 0; channel < channels; channel += kLanes)
      for (int k = 0; k < words; ++k)
        for (int i = 0; i < kLanes; ++i) *to++ = source(channel + i % 8 * 2 + i / 8, k);
  }

  template <class Emit>
  static BNN_INLINE void run(const void* weights, int words, int channels, const std::uint64_t* panel,
                             const Emit& emit) {
    const char* w = static_cast<const char*>(weights);
    for (int channel = 0; channel < channels; channel += kLanes) {
      __m512i even[kPixels], odd[kPixels];
      for (int p = 0; p < kPixels; ++p) even[p] = odd[p] = _mm512_setzero_si512();
      const std::uint64_t* a = panel;
      for (int k = 0; k < words; ++k, w += 128, a += kPixels) {
        const __m512i w0 = _mm512_load_si512(w), w1 = _mm512_load_si512(w + 64);
        for (int p = 0; p < kPixels; ++p) {
          const __m512i x = _mm512_set1_epi64(static_cast<long long>(a[p]));
          even[p] = _mm512_add_epi64(even[p], _mm512_popcnt_epi64(_mm512_xor_si512(x, w0)));
          odd[p] = _mm512_add_epi64(odd[p], _mm512_popcnt_epi64(_mm512_xor_si512(x, w1)));
          // Keeps the sums in registers: gcc would else regroup them and spill.
          asm("" : "+v"(even[p]), "+v"(odd[p]));
        }
      }
      I16 counts[kPixels];
      for (int p = 0; p < kPixels; ++p) counts[p] = _mm512_or_si512(even[p], _mm512_slli_epi64(odd[p], 32));
      emit(channel, counts);
    }
  }
};

}  // namespace
}  // namespace bnn_exit

#include "table.h"
