// What layers share: windows, padding, working memory, epilogues, and the conversion of bits.
#pragma once

#include "ops/build.h"

namespace bnn_exit {

struct Window {
  int32_t kernel, stride, dilation;
  int32_t in, out;
  int32_t before;  // padding before the input
  int32_t after;   // padding after it, as far as the last window reaches
};

// The window along "height" or "width", by TFLite's rule: if SAME padding is odd, the larger half follows the input.
Window window(const Build& build, const char* side, int64_t in, int64_t kernel);

// The shape of a value as an image; refused unless it has four axes, none of them empty.
Image image(const Build& build, const Value& value);

// A constant of floats, one for each channel, padded with zeros to a multiple of kLanes.
std::vector<float> per_channel(const Build& build, size_t index, int64_t channels);

const void* constant_data(const Build& build, size_t index, Type type);

// Adds the fused activation of an operator to its layer.
void add_activation(const Build& build, Layer& layer);

// Working memory of a layer, for each part of its rows.
class Scratch {
 public:
  Scratch() = default;
  Scratch(Build& build, size_t bytes, int parts);
  void* part(int number) const { return value_->as<uint8_t>() + static_cast<size_t>(number) * pitch_; }

 private:
  Value* value_ = nullptr;
  size_t pitch_ = 0;
};

// An epilogue with its addresses, for the clips of a batch one after another.
class BoundEpilogue {
 public:
  BoundEpilogue(Epilogue epilogue, const Image& pixels)
      : epilogue_(std::move(epilogue)), floats_(pixels.floats()), pitch_(pixels.channels) {}
  void bind();  // when every value has its address
  Output output(int64_t clip) const;

 private:
  Epilogue epilogue_;
  int64_t floats_;  // of one clip
  int32_t pitch_;
  Output first_ = {};
};

// Copies to the kernels' layout, from LCE's int32 words or from the kernels' layout. Bits beyond the channels of `to`
// are cleared.
void copy_in(const Value& from, const Value& to);
// Copies from the kernels' layout to LCE's int32 words.
void copy_out(const Value& from, const Value& to);

// The bits of a value in the kernels' layout, for a reader of `channels` channels. If the value has another layout or
// number of channels, the bits are copied before each execution: bits beyond a reader's channels must have no effect.
class BitInput {
 public:
  BitInput(Build& build, Value& value, int channels);
  const BitLayout& layout() const { return *bits_->bits; }
  void widen(int64_t top, int64_t left, int64_t bottom, int64_t right) { bits_->widen(top, left, bottom, right); }
  const uint64_t* get();  // pixel (0, 0) of the first clip; copies if needed, so call it in each execution

 private:
  Value* value_;
  Value* bits_;
};

class BitOutput {
 public:
  BitOutput(Build& build, Value& value, int channels);  // the value has its shape
  const BitLayout& layout() const { return *bits_->bits; }
  Value* value() { return bits_; }
  uint64_t* get();  // pixel (0, 0) of the first clip
  void flush();     // call it in each execution, after the last bit was written

 private:
  Value* value_;
  Value* bits_;
};

}  // namespace bnn_exit
