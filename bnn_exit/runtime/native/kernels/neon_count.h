// The inner loop of binary layers on NEON, in the order in which a processor that runs in order never waits: eight
// results are under way at a time, and the next words are loaded while the last ones are counted. Compilers either
// undo this order or run out of registers (sums of 4 pixels x 8 channels, their words and the eight fill all 32).
#pragma once

#include "vec_neon.h"

namespace bnn_exit {
namespace {

// clang-format off: assembler.
// v0-v15: sums of bytes, four registers a pixel, two channels in each. v16-v19: weights of eight channels.
// v20-v23: a word of each pixel, twice. v24-v31: results under way.
#define BNN_FOUR(operation, to0, to1, to2, to3) \
  operation(to0, 16) operation(to1, 17) operation(to2, 18) operation(to3, 19)
#define BNN_XOR_20(to, w) "eor v" #to ".16b, v20.16b, v" #w ".16b\n"
#define BNN_XOR_21(to, w) "eor v" #to ".16b, v21.16b, v" #w ".16b\n"
#define BNN_XOR_22(to, w) "eor v" #to ".16b, v22.16b, v" #w ".16b\n"
#define BNN_XOR_23(to, w) "eor v" #to ".16b, v23.16b, v" #w ".16b\n"
#define BNN_COUNT(to, unused) "cnt v" #to ".16b, v" #to ".16b\n"
#define BNN_ADD(sum, x) "add v" #sum ".16b, v" #sum ".16b, v" #x ".16b\n"
#define BNN_COUNT_8 BNN_FOUR(BNN_COUNT, 24, 25, 26, 27) BNN_FOUR(BNN_COUNT, 28, 29, 30, 31)
#define BNN_LOAD                                              \
  "ld1 {v16.16b, v17.16b, v18.16b, v19.16b}, [%[w]], #64\n" \
  "ld1 {v20.16b, v21.16b, v22.16b, v23.16b}, [%[panel]], #64\n"
// One word more of all pixels and channels; `load` the next one, or nothing.
#define BNN_WORD(load)                                                                                    \
  BNN_FOUR(BNN_XOR_20, 24, 25, 26, 27) BNN_FOUR(BNN_XOR_21, 28, 29, 30, 31) BNN_COUNT_8                     \
  BNN_ADD(0, 24) BNN_ADD(1, 25) BNN_ADD(2, 26) BNN_ADD(3, 27)                                             \
  BNN_ADD(4, 28) BNN_ADD(5, 29) BNN_ADD(6, 30) BNN_ADD(7, 31)                                             \
  BNN_FOUR(BNN_XOR_22, 24, 25, 26, 27) BNN_FOUR(BNN_XOR_23, 28, 29, 30, 31) load BNN_COUNT_8                \
  BNN_ADD(8, 24) BNN_ADD(9, 25) BNN_ADD(10, 26) BNN_ADD(11, 27)                                           \
  BNN_ADD(12, 28) BNN_ADD(13, 29) BNN_ADD(14, 30) BNN_ADD(15, 31)
// The bytes of a pixel, eight for each channel, become one number of 16 bits for each channel, in the first register.
#define BNN_REDUCE(a, b, c, d)                                                                             \
  "uaddlp v" #a ".8h, v" #a ".16b\n uaddlp v" #b ".8h, v" #b ".16b\n"                                      \
  "uaddlp v" #c ".8h, v" #c ".16b\n uaddlp v" #d ".8h, v" #d ".16b\n"                                      \
  "addp v" #a ".8h, v" #a ".8h, v" #b ".8h\n addp v" #c ".8h, v" #c ".8h, v" #d ".8h\n"                    \
  "addp v" #a ".8h, v" #a ".8h, v" #c ".8h\n"

// clang-format on
constexpr int kNeonFlush = 31;  // words whose counts of at most 8 fit a byte

// Counts of 4 pixels x 8 channels over 1 to kNeonFlush words: weights [word][8], panel [word][4][2].
BNN_INLINE void neon_count(const std::uint64_t* weights, const std::uint64_t* panel, int words,
                           uint16x8_t (&counts)[4]) {
  register uint16x8_t c0 __asm__("v0");
  register uint16x8_t c1 __asm__("v4");
  register uint16x8_t c2 __asm__("v8");
  register uint16x8_t c3 __asm__("v12");
  // clang-format off
  __asm__(
      BNN_LOAD
      // The first word: its counts are the sums.
      BNN_FOUR(BNN_XOR_20, 0, 1, 2, 3) BNN_FOUR(BNN_XOR_21, 4, 5, 6, 7)
      BNN_FOUR(BNN_XOR_22, 8, 9, 10, 11) BNN_FOUR(BNN_XOR_23, 12, 13, 14, 15)
      BNN_FOUR(BNN_COUNT, 0, 1, 2, 3) BNN_FOUR(BNN_COUNT, 4, 5, 6, 7)
      BNN_FOUR(BNN_COUNT, 8, 9, 10, 11) BNN_FOUR(BNN_COUNT, 12, 13, 14, 15)
      "subs %w[n], %w[n], #1\n"
      "b.eq 4f\n"  // all words are done
      BNN_LOAD
      // The rest: one alone if their number is even, then two at a time, and the last, after which nothing is loaded.
      "tbnz %w[n], #0, 1f\n"
      BNN_WORD(BNN_LOAD)
      "sub %w[n], %w[n], #1\n"
      "1: subs %w[n], %w[n], #1\n"
      "b.eq 3f\n"
      "2:\n"
      BNN_WORD(BNN_LOAD) BNN_WORD(BNN_LOAD)
      "subs %w[n], %w[n], #2\n"
      "b.ne 2b\n"
      "3:\n"
      BNN_WORD("")
      "4:\n"
      BNN_REDUCE(0, 1, 2, 3) BNN_REDUCE(4, 5, 6, 7) BNN_REDUCE(8, 9, 10, 11) BNN_REDUCE(12, 13, 14, 15)
      : [w] "+r"(weights), [panel] "+r"(panel), [n] "+r"(words), "=w"(c0), "=w"(c1), "=w"(c2), "=w"(c3)
      :
      : "cc", "memory", "v1", "v2", "v3", "v5", "v6", "v7", "v9", "v10", "v11", "v13", "v14", "v15", "v16", "v17",
        "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
  // clang-format on
  counts[0] = c0, counts[1] = c1, counts[2] = c2, counts[3] = c3;
}

#undef BNN_FOUR
#undef BNN_XOR_20
#undef BNN_XOR_21
#undef BNN_XOR_22
#undef BNN_XOR_23
#undef BNN_COUNT
#undef BNN_ADD
#undef BNN_COUNT_8
#undef BNN_LOAD
#undef BNN_WORD
#undef BNN_REDUCE

}  // namespace
}  // namespace bnn_exit
