// Reads flatbuffer tables from untrusted bytes: every offset, vtable, list and text is checked before use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace bnn_exit {

struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

class Table;

// The bytes of a file, and how much more of it may be read.
//
// A sane file refers to each table and each list element once, so no more is read than the file holds. Counting what is
// read keeps a small file whose lists refer to one another from unfolding into billions of elements.
class Buffer {
 public:
  // `claim` is called with an upper bound of the memory that the parsed parts take.
  explicit Buffer(Bytes bytes, std::function<void(uint64_t)> claim = nullptr)
      : bytes_(bytes), allowance_(2 * bytes.size + 4096), claim_(std::move(claim)) {}

  Bytes bytes() const { return bytes_; }
  void spend(size_t size);
  void claim(uint64_t size) const {
    if (claim_) claim_(size);
  }
  void check(uint64_t start, uint64_t size) const;

  template <typename T>
  T number(uint64_t position) const {
    check(position, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data + position, sizeof value);
    return value;
  }

  // The target of the offset at a position; offsets are unsigned, so it lies after the position.
  uint64_t follow(uint64_t position) const;
  Table root();

 private:
  Bytes bytes_;
  size_t allowance_;
  std::function<void(uint64_t)> claim_;
};

// Raises Error if a name occurs twice: readers would differ in which one they choose.
void require_different(std::vector<std::string> names, const char* what);

// A list of `count` elements that begins at `start`; an absent list is empty.
struct List {
  uint64_t start = 0;
  uint32_t count = 0;
};

// A flatbuffer table: a vtable holds the 16-bit offset of each numbered field, 0 for an absent one.
class Table {
 public:
  Table(Buffer& buffer, uint64_t position);

  template <typename T>
  T number(int slot, T default_value) const {
    uint64_t position = field(slot);
    return position ? buffer_->number<T>(position) : default_value;
  }
  bool has(int slot) const { return field(slot) != 0; }
  Table table(int slot) const;
  List tables(int slot) const { return elements(slot, 4); }
  Table table_at(const List& list, uint32_t index) const;
  std::vector<int32_t> int32s(int slot) const;
  Bytes bytes(int slot) const;       // to be read later, such as constants
  Bytes read_bytes(int slot) const;  // to be read now: counted, since many tables may refer to them
  std::string text(int slot) const;

 private:
  uint64_t field(int slot) const;  // position, or 0 if absent: only the root's offset lies at 0
  List elements(int slot, uint64_t size) const;

  Buffer* buffer_;
  uint64_t position_;
  uint64_t vtable_;
  uint16_t vtable_size_;
  uint16_t size_;
};

}  // namespace bnn_exit
