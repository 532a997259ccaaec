// The kernels that do the arithmetic, one table of functions for each instruction set.
//
// Layouts
//   float   NHWC; `pitch` floats from one pixel to the next, rows without gaps (a row holds width * pitch floats).
//   bits    NHWC; a pixel is `words` uint64, channel c in bit c % 64 of word c / 64, set where the value is negative.
//           Unused bits of the last word are 0. `row` words from one row to the next, so that an image may have a
//           border. A border of zero words is padding with +1: whoever allocates the image clears the border once,
//           kernels that write bits touch only the pixels themselves.
//   per-channel arrays (scale, shift, data of steps, thresholds) are padded with zeros to a multiple of kLanes.
//
// Nothing here allocates, throws or keeps state. A kernel computes the output rows [row_begin, row_end), so that
// threads can share one call; each brings its own scratch, aligned to kAlign. Images hold one clip: loop over a batch.
// Every pointer to prepared weights is aligned to kAlign and was packed by the same table that runs it.
// Kernels do not check shapes: the core has checked them while it loaded the file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bnn_exit {

constexpr int kLanes = 16;          // per-channel arrays are padded to a multiple of this
constexpr std::size_t kAlign = 64;  // of weights and scratch, in bytes
constexpr int kMaxSteps = 8;

inline constexpr int padded_channels(int channels) { return (channels + kLanes - 1) / kLanes * kLanes; }
inline constexpr int bit_words(int channels) { return (channels + 63) / 64; }

// The epilogue of a float result: steps that are applied before it is stored, in the order of the list. Each step is
// rounded on its own.
enum class StepKind : std::int32_t {
  kMulChannel,    // v * data[channel]
  kAddChannel,    // v + data[channel]
  kPreluChannel,  // v >= 0 ? v : v * data[channel]
  kSubValue,      // v - data[0], one value that is known only when the layer runs
  kAddTensor,     // v + data[pixel * pitch + channel]     pixel = y * width + x of the output
  kMulTensor,     // v * data[pixel * pitch + channel]
  kClamp,         // min(max(v, low), high); NaN stays NaN
};

struct Step {
  StepKind kind;
  std::int32_t pitch;  // of the tensor steps
  const float* data;
  float low, high;  // of kClamp
};

// Where results go. Either pointer may be null; both may be set. Tensor steps may read what `values` points to.
struct Output {
  float* values;           // pixel (0, 0)
  std::int32_t pitch;      // floats from pixel to pixel
  std::int32_t bit_pitch;  // words from pixel to pixel
  std::uint64_t* bits;     // pixel (0, 0), within any border; set where v <= -FLT_MIN (NaN, zeros, subnormals: not set)
  std::ptrdiff_t bit_row;  // words from row to row
  std::int32_t step_count;
  Step steps[kMaxSteps];
};

// ---- Binary convolution -------------------------------------------------------------------------------------------
struct BinaryConvShape {
  std::int32_t in_channels, out_channels, groups;
  std::int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  std::int32_t out_h, out_w;
};

// With `count` = number of products that are -1:
//   thresholds set:  bit = count > thresholds[channel]; only output.bits is written, and steps are not used
//   otherwise:       v = float(clamp(2 * count, clamp_low, clamp_high)) * scale[channel] + shift[channel], then steps.
//                    Without a clamp (INT32_MIN, INT32_MAX) twice the scale must be finite.
// Padding by +1 is the border of the input. Padding by 0 is the same, and a kAddTensor step as the first one with the
// table of binary_zero_padding().
struct BinaryConv {
  BinaryConvShape shape;
  const std::uint64_t* input;  // what tap (0, 0) of output pixel (0, 0) reads: in the border if there is padding
  std::ptrdiff_t input_row;    // words from row to row
  const void* weights;
  const float* scale;
  const float* shift;
  const std::int32_t* thresholds;
  std::int32_t clamp_low, clamp_high;
  Output output;
};

// ---- Float convolution, dense layer (1x1 on one pixel), depthwise convolution ---------------------------------------
struct ConvShape {
  std::int32_t in_h, in_w, in_channels, in_pitch;
  std::int32_t out_h, out_w, out_channels, groups;  // depthwise: groups == in_channels
  std::int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
};

// Sums in float32, in any order; then the steps (a bias is a kAddChannel step).
struct Conv {
  ConvShape shape;
  const float* input;
  const float* weights;
  Output output;
};

// ---- Pooling, elementwise -------------------------------------------------------------------------------------------
// Padding takes no part: a window at the edge holds fewer values. Every window holds at least one.
struct Pool {  // of an average, values are first brought into [low, high]; NaN stays NaN
  std::int32_t in_h, in_w, channels, in_pitch, out_h, out_w;
  std::int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  float low, high;
  const float* input;
  Output output;
};

// The greatest of +1 and -1.
struct BitPool {
  std::int32_t in_h, in_w, words, out_h, out_w;
  std::int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  const std::uint64_t* input;  // pixel (0, 0)
  std::ptrdiff_t input_row;
  std::uint64_t* output;  // pixel (0, 0)
  std::ptrdiff_t output_row;
};

// Steps on a float image: multiply, add, PReLU, ReLU, sign packing, and chains of them. `output.values` may be `input`.
struct Elementwise {
  std::int32_t height, width, channels, in_pitch;
  const float* input;
  Output output;
};

// Bits as floats +1 and -1.
struct Unpack {
  std::int32_t height, width, channels, out_pitch;
  const std::uint64_t* input;
  std::ptrdiff_t input_row;
  float* output;
};

// ---- Log-mel front end ---------------------------------------------------------------------------------------------
// The bins between two corners of the bands, which count for the band that rises there and for the one that falls.
struct MelSegment {
  std::int32_t first, count;
};

// Frame i begins at sample i * hop. In float32; sums and products of a frame do not depend on other frames.
struct LogMel {
  std::int32_t window, hop, half, mels;  // half: of the transform's size, a power of two and at least 8
  const float* weights_of_window;        // [window], times 1/2
  const std::int32_t* places;            // [half]: where the complex number i goes, bit-reversed
  const float* twiddles;                 // twiddle factors after the first two stages, in the order of their use
  const float* unpack;                   // [half / 2 + 1][2]: exp(-2 pi i k / size)
  const MelSegment* segments;            // [mels + 1]
  const float* bin_weights;              // [bins of all segments][2]: of the band that rises, of the one that falls
  float log_offset;                      // at least FLT_MIN
};

// ---- The tables ---------------------------------------------------------------------------------------------------
struct Kernels {
  const char* isa;
#define BNN_EXIT_KERNEL(result, name, arguments) result(*name) arguments;
#include "kernels.inc"
};

// Every instruction set that this library was built with, the fastest last.
int isa_count();
const Kernels& isa_kernels(int index);
bool isa_runs_here(int index);  // does this processor (and its operating system) have it?
// The fastest that runs here, or the one named (or null / "auto"). Null if it is unknown or does not run here.
const Kernels* select_kernels(const char* isa);

// ---- Helpers for load time, not bound to an instruction set --------------------------------------------------------
// LCE's constants of a float result, padded: scale = -multiplier, shift = bias + largest * multiplier, with
// largest = kernel_h * kernel_w * in_channels / groups.
void binary_constants(const BinaryConvShape& shape, const float* multiplier, const float* bias, float* scale,
                      float* shift);
// What padding by zeros changes, [out_h][out_w][out_channels], to be added to the result. `filters` as LCE stores them.
void binary_zero_padding(const BinaryConvShape& shape, int in_h, int in_w, int pad_top, int pad_left,
                         const std::int32_t* filters, const float* multiplier, float* table);

}  // namespace bnn_exit
