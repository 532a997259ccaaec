// Reads the map of named numbers (a "flexbuffer") in which LCE stores the options of its operators.
//
// A map is three lists: keys, values and one type byte a value. A value's type byte holds its kind in the upper six
// bits and the logarithm of its width in the lower two. The last three bytes of the buffer are the root: value, type,
// width.
#include <cmath>

#include "error.h"
#include "format/options.h"
#include "text.h"

namespace bnn_exit {
namespace {

enum Kind { kNull = 0, kInt = 1, kUint = 2, kFloat = 3, kKey = 4, kString = 5, kMap = 9, kBool = 26 };

uint64_t number(const Buffer& buffer, uint64_t position, unsigned width) {
  switch (width) {
    case 1: return buffer.number<uint8_t>(position);
    case 2: return buffer.number<uint16_t>(position);
    case 4: return buffer.number<uint32_t>(position);
    case 8: return buffer.number<uint64_t>(position);
  }
  damaged("a number in the options of an operator is %u bytes wide", width);
}

double signed_number(const Buffer& buffer, uint64_t position, unsigned width) {
  switch (width) {
    case 1: return buffer.number<int8_t>(position);
    case 2: return buffer.number<int16_t>(position);
    case 4: return buffer.number<int32_t>(position);
    case 8: return static_cast<double>(buffer.number<int64_t>(position));
  }
  damaged("a number in the options of an operator is %u bytes wide", width);
}

double real_number(const Buffer& buffer, uint64_t position, unsigned width) {
  if (width == 4) return buffer.number<float>(position);
  if (width == 8) return buffer.number<double>(position);
  damaged("a number in the options of an operator is %u bytes wide", width);
}

uint64_t before(uint64_t position, uint64_t distance) {
  if (distance > position) damaged("the options of an operator point before their beginning");
  return position - distance;
}

// The target of the offset at a position; these offsets count backwards.
uint64_t back(const Buffer& buffer, uint64_t position, unsigned width) {
  return before(position, number(buffer, position, width));
}

std::string text_to_nul(Buffer& buffer, uint64_t start) {
  buffer.check(start, 1);
  Bytes bytes = buffer.bytes();
  const void* end = std::memchr(bytes.data + start, 0, bytes.size - start);
  if (!end) damaged("a name in the options of an operator has no end");
  size_t size = static_cast<const uint8_t*>(end) - (bytes.data + start);
  buffer.spend(size);
  std::string text(reinterpret_cast<const char*>(bytes.data + start), size);
  if (!is_utf8(text)) damaged("a text in the options of an operator is not UTF-8");
  return text;
}

}  // namespace

Options read_flexbuffer(Bytes bytes) {
  Buffer buffer(bytes);
  buffer.check(0, 3);
  unsigned width = bytes.data[bytes.size - 1];
  unsigned packed = bytes.data[bytes.size - 2];
  if (packed >> 2 != kMap) damaged("the options of an operator are not a map");
  uint64_t values = back(buffer, before(bytes.size - 2, width), width);
  // The width of the map's own elements is in the low bits of the root's type.
  width = 1u << (packed & 3);
  uint64_t count = number(buffer, before(values, width), width);
  uint64_t keys = back(buffer, before(values, 3 * width), width);
  uint64_t key_width = number(buffer, before(values, 2 * width), width);
  if (key_width > 8)
    damaged("a number in the options of an operator is %llu bytes wide", (unsigned long long)key_width);
  buffer.check(values, 0);
  if (count > bytes.size) damaged("the options of an operator have %llu values", (unsigned long long)count);
  buffer.check(values, count * (width + 1));
  buffer.spend(2 * count);
  unsigned wide = static_cast<unsigned>(key_width);
  if (number(buffer, before(keys, wide), wide) != count) {
    damaged("the options of an operator have more keys than values, or fewer");
  }
  Options options;
  std::vector<std::string> names;
  for (uint64_t index = 0; index < count; ++index) {
    std::string name = text_to_nul(buffer, back(buffer, keys + index * wide, wide));
    names.push_back(name);
    unsigned kind = buffer.number<uint8_t>(values + count * width + index) >> 2;
    uint64_t position = values + index * width;
    if (kind == kInt) {
      options.set(name, signed_number(buffer, position, width));
    } else if (kind == kUint || kind == kBool) {
      options.set(name, static_cast<double>(number(buffer, position, width)));
    } else if (kind == kFloat) {
      options.set(name, real_number(buffer, position, width));
    } else if (kind != kNull && kind != kKey && kind != kString) {
      damaged("an option of an operator is of a kind that no operator uses");
    }
  }
  require_different(std::move(names), "the option");
  return options;
}

}  // namespace bnn_exit
