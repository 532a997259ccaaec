// What layers share: windows, padding, and how a tail becomes the kernels' output.
#pragma once

#include "ops/build.h"

namespace bnn_exit {

struct Window {
  int32_t kernel, stride, dilation;
  int32_t in, out;
  int32_t before;  // padding in front of the input
  int32_t after;   // behind it, as far as the last window reaches
};

// The window along "height" or "width", by TFLite's rule: an uneven rest of SAME padding goes behind the input.
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

// A tail with its addresses, ready for clip after clip.
class BoundTail {
 public:
  BoundTail(Tail tail, const Image& pixels) : tail_(std::move(tail)), floats_(pixels.floats()), pitch_(pixels.channels) {}
  void bind();                       // when every value has its address
  Output output(int64_t clip) const;

 private:
  Tail tail_;
  int64_t floats_;  // of one clip
  int32_t pitch_;
  Output first_ = {};
};

// From LCE's int32 words or the kernels' layout to the kernels', and back to LCE's. Bits beyond the channels of `to` are left out.
void copy_in(const Value& from, const Value& to);
void copy_out(const Value& from, const Value& to);

// The bits of a value as a reader of so many channels sees them, in the kernels' layout. If the value is not laid out like
// this, or has other channels, they are copied before each run: what lies beyond a reader's channels has no effect.
class BitInput {
 public:
  BitInput(Build& build, Value& value, int channels);
  const BitLayout& layout() const { return *bits_->bits; }
  void widen(int64_t top, int64_t left, int64_t bottom, int64_t right) { bits_->widen(top, left, bottom, right); }
  const uint64_t* get();  // during a run: pixel (0, 0) of the first clip

 private:
  Value* value_;
  Value* bits_;
};

class BitOutput {
 public:
  BitOutput(Build& build, Value& value, int channels);  // the value has its shape
  const BitLayout& layout() const { return *bits_->bits; }
  Value* value() { return bits_; }
  uint64_t* get();  // during a run: pixel (0, 0) of the first clip
  void done();      // during a run, after the last bit was written

 private:
  Value* value_;
  Value* bits_;
};

}  // namespace bnn_exit
