// A value of a loaded network: what an operator reads or writes.
#pragma once

#include <cstdint>
#include <memory>

#include "format/model.h"

namespace bnn_exit {

// Bits as the kernels take them: uint64 words with a border of zeros, as wide as the widest reader needs.
struct BitLayout {
  int words = 0;
  int64_t batch = 0, height = 0, width = 0;
  int64_t top = 0, left = 0, bottom = 0, right = 0;
  int64_t row() const { return (left + width + right) * words; }              // words from row to row
  int64_t image() const { return (top + height + bottom) * row(); }           // words from clip to clip
  int64_t origin() const { return top * row() + left * words; }               // of pixel (0, 0)
  size_t bytes() const { return static_cast<size_t>(batch * image()) * sizeof(uint64_t); }
};

struct Value {
  Type type = Type::float32;
  Shape shape;
  void* data = nullptr;      // set once the plan is complete, at load time for constants
  bool constant = false;     // known at load time
  Value* same_as = nullptr;  // shares the memory of that value, which shares none, as the result of a RESHAPE does
  std::unique_ptr<BitLayout> bits;  // if set, the memory is laid out like this instead of as the file's int32 words
  int channels = 0;          // of a value that holds bits, in either layout: none beyond them is set; 0 if nobody knows

  // For the arena: the times of its first and last use. Times count the steps of the whole network, branches included.
  int64_t born = -1;
  int64_t dies = -1;
  bool kept = false;  // has memory of its own, which is zero at first: borders are cleared once

  int64_t count() const { return elements(shape); }
  size_t bytes() const { return bits ? bits->bytes() : static_cast<size_t>(count()) * size_of(type); }
  Value* root() { return same_as ? same_as : this; }
  const Value* root() const { return same_as ? same_as : this; }

  // Copies values from outside, where any byte but 0 is true.
  void take(const void* values);

  void use_file_layout() { bits = nullptr, kept = false; }

  // Room for what a reader sees beyond the edges. Not once there is memory, which was laid out without it.
  void widen(int64_t top, int64_t left, int64_t bottom, int64_t right);

  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace bnn_exit
