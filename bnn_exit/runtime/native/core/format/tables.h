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
// A file written by anyone sane refers to each table and each list element once, so what is read cannot exceed what is
// there. Counting it stops a small file whose lists all point at one another from unfolding into billions.
class Buffer {
 public:
  // `claim` is called with the memory that may be made of what is read.
  explicit Buffer(Bytes bytes, std::function<void(uint64_t)> claim = nullptr)
      : bytes_(bytes), allowance_(2 * bytes.size + 4096), claim_(std::move(claim)) {}

  Bytes bytes() const { return bytes_; }
  void spend(size_t size);
  void claim(uint64_t size) const { if (claim_) claim_(size); }
  void check(uint64_t start, uint64_t size) const;

  template <typename T>
  T number(uint64_t position) const {
    check(position, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data + position, sizeof value);
    return value;
  }

  // Where the offset at a position points; offsets are unsigned, so always forward.
  uint64_t follow(uint64_t position) const;
  Table root();

 private:
  Bytes bytes_;
  size_t allowance_;
  std::function<void(uint64_t)> claim_;
};

// Raises Error if one of the names is there twice: readers would choose differently.
void require_different(std::vector<std::string> names, const char* what);

// A list of `count` elements that begins at `start`; an absent list is empty.
struct List {
  uint64_t start = 0;
  uint32_t count = 0;
};

// One flatbuffer table: a vtable of 16-bit offsets says where each numbered field lies, 0 meaning absent.
class Table {
 public:
  Table(Buffer& buffer, uint64_t position);

  template <typename T>
  T number(int slot, T missing) const {
    uint64_t position = field(slot);
    return position ? buffer_->number<T>(position) : missing;
  }
  bool has(int slot) const { return field(slot) != 0; }
  Table table(int slot) const;
  List tables(int slot) const { return elements(slot, 4); }
  Table table_at(const List& list, uint32_t index) const;
  std::vector<int32_t> int32s(int slot) const;
  Bytes bytes(int slot) const;       // for later, as those of constants
  Bytes read_bytes(int slot) const;  // to be gone through now: counted, since many tables may share them
  std::string text(int slot) const;

 private:
  uint64_t field(int slot) const;  // 0 if absent: nothing but the root's offset lies there
  List elements(int slot, uint64_t size) const;

  Buffer* buffer_;
  uint64_t position_;
  uint64_t vtable_;
  uint16_t vtable_size_;
  uint16_t size_;
};

}  // namespace bnn_exit
