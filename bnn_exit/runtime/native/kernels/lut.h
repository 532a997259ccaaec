// Tables for processors without a vector population count: entry a has popcount((a & 15) ^ i) for i = 0..15, then
// popcount((a >> 4) ^ i), so that one byte shuffle counts 4 bits of an activation against sixteen channels and more.
// Weights are stored as nibbles: for each byte of k, for each sixteen channels, 16 low nibbles and 16 high nibbles.
#pragma once

#include "epilogue.h"

namespace bnn_exit {
namespace {

struct CountTables {
  alignas(64) std::uint8_t counts[256][32];
  constexpr CountTables() : counts() {
    for (int a = 0; a < 256; ++a) {
      for (int i = 0; i < 16; ++i) {
        counts[a][i] = bits((a & 15) ^ i);
        counts[a][16 + i] = bits((a >> 4) ^ i);
      }
    }
  }
  static constexpr std::uint8_t bits(int x) {
    return static_cast<std::uint8_t>((x & 1) + (x >> 1 & 1) + (x >> 2 & 1) + (x >> 3 & 1));
  }
};
constexpr CountTables kTables;

constexpr int kFlush = 7;  // words whose counts fit a byte: 7 * 8 bytes of at most 4 each per nibble

// Blocks of 64 channels, the last one of 16, 32, 48 or 64 (`unit` = 16) or of 32 or 64 (`unit` = 32).
template <int kUnit>
std::size_t lut_bytes(int words, int channels) {
  return static_cast<std::size_t>((channels + kUnit - 1) / kUnit * kUnit) * words * 16;
}

template <int kUnit, class Source>
void lut_pack(const Source& source, int words, int channels, void* packed) {
  std::uint8_t* to = static_cast<std::uint8_t*>(packed);
  const int padded = (channels + kUnit - 1) / kUnit * kUnit;
  for (int block = 0; block < padded; block += 64) {
    const int end = block + 64 < padded ? block + 64 : padded;
    for (int byte = 0; byte < 8 * words; ++byte) {
      for (int channel = block; channel < end; channel += 16, to += 32) {
        for (int i = 0; i < 16; ++i) {
          const unsigned value = source(channel + i, byte / 8) >> (byte % 8 * 8) & 255;
          to[i] = value & 15;
          to[16 + i] = static_cast<std::uint8_t>(value >> 4);
        }
      }
    }
  }
}

}  // namespace
}  // namespace bnn_exit
