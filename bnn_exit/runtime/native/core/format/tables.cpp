#include "format/tables.h"

#include "error.h"
#include "text.h"

namespace bnn_exit {
namespace {

// The minimum size of a table: its vtable's offset, and the list entry that refers to it.
constexpr size_t kTableBytes = 8;

// About the memory of a parsed table: a tensor, or an operator with its options.
constexpr uint64_t kTableMemory = 256;

}  // namespace

void Buffer::spend(size_t size) {
  if (size > allowance_) damaged("its parts refer to one another without end");
  allowance_ -= size;
}

void Buffer::check(uint64_t start, uint64_t size) const {
  if (start > bytes_.size || size > bytes_.size - start) {
    damaged("%llu bytes at %llu lie outside its %zu bytes; is it truncated?", static_cast<unsigned long long>(size),
            static_cast<unsigned long long>(start), bytes_.size);
  }
}

uint64_t Buffer::follow(uint64_t position) const {
  uint32_t offset = number<uint32_t>(position);
  if (offset == 0) damaged("an offset at %llu points to itself", static_cast<unsigned long long>(position));
  return position + offset;
}

void require_different(std::vector<std::string> names, const char* what) {
  const std::string* twice = find_repeated(names);
  if (twice) damaged("%s '%s' is there twice", what, twice->c_str());
}

Table Buffer::root() { return Table(*this, follow(0)); }

Table::Table(Buffer& buffer, uint64_t position) : buffer_(&buffer), position_(position) {
  buffer.spend(kTableBytes);
  buffer.claim(kTableMemory);
  int64_t vtable = static_cast<int64_t>(position) - buffer.number<int32_t>(position);
  if (vtable < 0) damaged("the table at %llu has its vtable outside the file", (unsigned long long)position);
  vtable_ = static_cast<uint64_t>(vtable);
  vtable_size_ = buffer.number<uint16_t>(vtable_);
  if (vtable_size_ < 4) damaged("the vtable at %llu is too short", static_cast<unsigned long long>(vtable_));
  buffer.check(vtable_, vtable_size_);
  size_ = buffer.number<uint16_t>(vtable_ + 2);
  buffer.check(position, size_);
}

uint64_t Table::field(int slot) const {
  unsigned entry = 4 + 2 * static_cast<unsigned>(slot);
  if (entry + 2 > vtable_size_) return 0;
  uint16_t offset = buffer_->number<uint16_t>(vtable_ + entry);
  if (offset == 0) return 0;
  if (offset < 4 || offset >= size_) {
    damaged("field %d of the table at %llu lies outside the table", slot, static_cast<unsigned long long>(position_));
  }
  return position_ + offset;
}

Table Table::table(int slot) const {
  uint64_t position = field(slot);
  if (!position) damaged("the table at %llu lacks field %d", static_cast<unsigned long long>(position_), slot);
  return Table(*buffer_, buffer_->follow(position));
}

Table Table::table_at(const List& list, uint32_t index) const {
  return Table(*buffer_, buffer_->follow(list.start + 4ull * index));
}

List Table::elements(int slot, uint64_t size) const {
  uint64_t position = field(slot);
  if (!position) return {};
  uint64_t start = buffer_->follow(position);
  uint32_t count = buffer_->number<uint32_t>(start);
  buffer_->check(start + 4, count * size);
  return {start + 4, count};
}

std::vector<int32_t> Table::int32s(int slot) const {
  List list = elements(slot, 4);
  buffer_->spend(4 * static_cast<size_t>(list.count));
  buffer_->claim(8 * uint64_t{list.count});
  std::vector<int32_t> values(list.count);
  if (list.count) std::memcpy(values.data(), buffer_->bytes().data + list.start, 4 * static_cast<size_t>(list.count));
  return values;
}

Bytes Table::bytes(int slot) const {
  List list = elements(slot, 1);
  return {buffer_->bytes().data + list.start, list.count};
}

Bytes Table::read_bytes(int slot) const {
  Bytes data = bytes(slot);
  buffer_->spend(data.size);
  buffer_->claim(data.size);
  return data;
}

std::string Table::text(int slot) const {
  Bytes data = read_bytes(slot);
  std::string text(reinterpret_cast<const char*>(data.data), data.size);
  if (!is_utf8(text)) damaged("a text in the table at %llu is not UTF-8", static_cast<unsigned long long>(position_));
  return text;
}

}  // namespace bnn_exit
