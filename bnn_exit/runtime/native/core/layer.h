// What layers share: windows, padding, and how a tail becomes the kernels' output.
#pragma once

#include "build.h"

namespace bnn_exit {

struct Window {
  int32_t kernel, stride, dilation;
  int32_t in, out;
  int32_t before;  // padding in front of the input
  int32_t after;   // behind it, as far as the last window reaches
};

// The window along "height" or "width", by TFLite's rule: an uneven rest of SAME padding goes behind the input.
Window window(const Build& build, const char* side, int64_t in, int64_t kernel);

// The shape of a value as clips of height x width x channels; refused unless it has four axes, none of them empty.
struct Image {
  int64_t batch;
  int32_t height, width, channels;
  int64_t floats() const { return int64_t{height} * width * channels; }
};
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
  BoundTail(Tail tail, int64_t floats, int32_t pitch) : tail_(std::move(tail)), floats_(floats), pitch_(pitch) {}
  void bind();                       // when every value has its address
  Output output(int64_t clip) const;

 private:
  Tail tail_;
  int64_t floats_;  // of one clip
  int32_t pitch_;
  Output first_ = {};
};

// LCE's int32 words from and to the kernels' layout.
void copy_in(const int32_t* words, const BitLayout& layout, uint64_t* bits);
void copy_out(const uint64_t* bits, const BitLayout& layout, int32_t* words);

// Values that hold bits: those of an input in the kernels' layout. If the plan has not laid the value out like this, they
// are copied before each run.
class BitInput {
 public:
  BitInput(Build& build, Value& value, int channels);
  BitLayout& layout() { return *bits_->bits; }
  const uint64_t* get();  // during a run: pixel (0, 0) of the first clip

 private:
  Value* value_;
  Value* bits_;
};

class BitOutput {
 public:
  BitOutput(Build& build, Value& value, int channels);  // the value has its shape
  BitLayout& layout() { return *bits_->bits; }
  Value* value() { return bits_; }
  uint64_t* get();  // during a run: pixel (0, 0) of the first clip
  void done();      // during a run, after the last bit was written

 private:
  Value* value_;
  Value* bits_;
};

}  // namespace bnn_exit
