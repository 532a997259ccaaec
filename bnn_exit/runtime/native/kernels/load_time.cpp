// What a binary convolution needs besides its weights, computed once when a file is loaded.
#include "kernels.h"

namespace bnn_exit {

void binary_constants(const BinaryConvShape& s, const float* multiplier, const float* bias, float* scale,
                      float* shift) {
  const double largest = static_cast<double>(s.kernel_h) * s.kernel_w * (s.in_channels / s.groups);
  for (int c = 0; c < padded_channels(s.out_channels); ++c) {
    const bool real = c < s.out_channels;
    scale[c] = real ? -multiplier[c] : 0.0f;
    // Rounded once, from double: the order of operations decides the last bit of every result.
    shift[c] = real ? static_cast<float>(bias[c] + largest * multiplier[c]) : 0.0f;
  }
}

namespace {

// Sum of the +1 and -1 of one tap of a filter.
int tap_sum(const std::int32_t* words, int channels) {
  int sum = channels;
  for (int c = 0; c < channels; ++c)
    sum -= 2 * static_cast<int>(static_cast<std::uint32_t>(words[c / 32]) >> c % 32 & 1);
  return sum;
}

}  // namespace

void binary_zero_padding(const BinaryConvShape& s, int in_h, int in_w, int pad_top, int pad_left,
                         const std::int32_t* filters, const float* multiplier, float* table) {
  const int channels = s.in_channels / s.groups;
  const std::ptrdiff_t words = (channels + 31) / 32, taps = std::ptrdiff_t{s.kernel_h} * s.kernel_w;
  for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{s.out_h} * s.out_w * s.out_channels; ++i) table[i] = 0.0f;
  for (int c = 0; c < s.out_channels; ++c) {
    for (int i = 0; i < s.kernel_h; ++i) {
      for (int j = 0; j < s.kernel_w; ++j) {
        const float sum = static_cast<float>(tap_sum(filters + (c * taps + i * s.kernel_w + j) * words, channels));
        for (std::ptrdiff_t y = 0; y < s.out_h; ++y) {
          const std::ptrdiff_t row = y * s.stride_h + i * s.dilation_h - pad_top;
          for (std::ptrdiff_t x = 0; x < s.out_w; ++x) {
            const std::ptrdiff_t column = x * s.stride_w + j * s.dilation_w - pad_left;
            const bool inside = row >= 0 && row < in_h && column >= 0 && column < in_w;
            if (!inside) table[(y * s.out_w + x) * s.out_channels + c] += sum;  // whole numbers: exact
          }
        }
      }
    }
  }
  for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{s.out_h} * s.out_w * s.out_channels; ++i)
    table[i] *= -multiplier[i % s.out_channels];
}

}  // namespace bnn_exit
