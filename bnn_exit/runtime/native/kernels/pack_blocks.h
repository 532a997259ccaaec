// Packed weights of the kernels that count words of 64 bits: [channel / kBlock][k][kBlock].
#pragma once

#include "kernels.h"

namespace bnn_exit {
namespace {

inline std::size_t block_bytes(int words, int channels) {
  return sizeof(std::uint64_t) * words * static_cast<std::size_t>(padded_channels(channels));
}

template <int kBlock, class Source>
void pack_blocks(const Source& source, int words, int channels, void* packed) {
  std::uint64_t* to = static_cast<std::uint64_t*>(packed);
  for (int channel = 0; channel < padded_channels(channels); channel += kBlock)
    for (int k = 0; k < words; ++k)
      for (int c = channel; c < channel + kBlock; ++c) *to++ = source(c, k);
}

}  // namespace
}  // namespace bnn_exit
