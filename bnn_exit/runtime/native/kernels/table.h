// The table of one instruction set. The including file has defined BNN_EXIT_NAME, its vectors and its `Micro`.
#pragma once

#include "binary_common.h"
#include "float_conv.h"
#include "float_window.h"
#include "log_mel.h"
#include "pointwise.h"

namespace bnn_exit {
namespace {

std::size_t binary_weights_bytes(const BinaryConvShape& shape) { return weights_bytes<Micro>(shape); }
void binary_pack(const BinaryConvShape& shape, const std::int32_t* filters, void* packed) {
  pack<Micro>(shape, filters, packed);
}
std::size_t binary_scratch_bytes(const BinaryConvShape& shape) { return scratch_bytes<Micro>(shape); }
void binary_conv(const BinaryConv& layer, int row_begin, int row_end, void* scratch) {
  conv_binary<Micro>(layer, row_begin, row_end, scratch);
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
