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
  int64_t row() const { return (left + width + right) * words; }     // words from row to row
  int64_t image() const { return (top + height + bottom) * row(); }  // words from clip to clip
  int64_t origin() const { return top * row() + left * words; }      // of pixel (0, 0)
  size_t bytes() const { return static_cast<size_t>(batch * image()) * sizeof(uint64_t); }
};

struct Value {
  Type type = Type::float32;
  Shape shape;
  void* data = nullptr;   // set by the memory plan, for constants while the file is loaded
  bool constant = false;  // known while the file is loaded
  Value* same_as =
      nullptr;  // the value whose memory it shares, as the result of a RESHAPE does; that value shares none
  std::unique_ptr<BitLayout> bits;  // if set, the memory is laid out like this instead of as the file's int32 words
  int channels = 0;  // of a value that holds bits, in either layout: no bit beyond them is set; 0 if unknown

  // Lifetime, for the memory plan. Times count the nodes of the whole network, branches included.
  int64_t first_use = -1;
  int64_t last_use = -1;
  bool own_memory = false;  // shares memory with no other value, so that borders are cleared only once

  int64_t count() const { return elements(shape); }
  size_t bytes() const { return bits ? bits->bytes() : static_cast<size_t>(count()) * size_of(type); }
  Value* root() { return same_as ? same_as : this; }
  const Value* root() const { return same_as ? same_as : this; }

  // Copies values of a caller or a file, in which any byte but 0 is true.
  void assign(const void* values);

  // Whether the file declares the tensor with this type and shape.
  bool matches(const TensorInfo& tensor) const {
    return type == tensor.type && (shape == tensor.shape || tensor.dynamic);
  }

  void use_file_layout() { bits = nullptr, own_memory = false; }

  // Widens the border to what a reader needs. Only before the value has memory, which is laid out with its border.
  void widen(int64_t top, int64_t left, int64_t bottom, int64_t right);

  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace bnn_exit
