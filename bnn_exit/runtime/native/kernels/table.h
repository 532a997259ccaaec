// The table of one instruction set. The including file has defined BNN_EXIT_NAME, its vectors and its `Micro`, and
// `ShortMicro` for layers of less than `kShortWords` words (0 and the same where there is none).
#pragma once

#include "binary_common.h"
#include "float_conv.h"
#include "float_window.h"
#include "log_mel.h"
#include "pointwise.h"

namespace bnn_exit {
namespace {

// Layers of few words may have a kernel of their own.
BNN_INLINE bool is_short(const BinaryConvShape& shape) { return BinarySizes(shape).panel_words < kShortWords; }

std::size_t binary_weights_bytes(const BinaryConvShape& shape) {
  return is_short(shape) ? weights_bytes<ShortMicro>(shape) : weights_bytes<Micro>(shape);
}
void binary_pack(const BinaryConvShape& shape, const std::int32_t* filters, void* packed) {
  is_short(shape) ? pack<ShortMicro>(shape, filters, packed) : pack<Micro>(shape, filters, packed);
}
std::size_t binary_scratch_bytes(const BinaryConvShape& shape) {
  return is_short(shape) ? scratch_bytes<ShortMicro>(shape) : scratch_bytes<Micro>(shape);
}
void binary_conv(const BinaryConv& layer, int row_begin, int row_end, void* scratch) {
  is_short(layer.shape) ? conv_binary<ShortMicro>(layer, row_begin, row_end, scratch)
                        : conv_binary<Micro>(layer, row_begin, row_end, scratch);
}

}  // namespace

#define BNN_EXIT_QUOTE(name) #name
#define BNN_EXIT_TEXT(name) BNN_EXIT_QUOTE(name)
#define BNN_EXIT_JOIN(name) name##_kernels
#define BNN_EXIT_TABLE(name) BNN_EXIT_JOIN(name)
extern const Kernels BNN_EXIT_TABLE(BNN_EXIT_NAME);
const Kernels BNN_EXIT_TABLE(BNN_EXIT_NAME) = {
    BNN_EXIT_TEXT(BNN_EXIT_NAME),
#define BNN_EXIT_KERNEL(result, name, arguments) name,
#include "kernels.inc"
};

}  // namespace bnn_exit
