#include "json.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "error.h"

namespace bnn_exit {
namespace {

constexpr int kMaxDepth = 32;

class Reader {
 public:
  explicit Reader(Bytes bytes) : at_(reinterpret_cast<const char*>(bytes.data)), end_(at_ + bytes.size) {}

  Json document() {
    Json value = read(0);
    skip();
    if (at_ != end_) fail();
    return value;
  }

 private:
  [[noreturn]] void fail() { damaged("its metadata are no JSON"); }

  void skip() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  bool take(char expected) {
    skip();
    if (at_ == end_ || *at_ != expected) return false;
    ++at_;
    return true;
  }

  void expect(char expected) {
    if (!take(expected)) fail();
  }

  bool take_word(const char* word) {
    size_t size = std::strlen(word);
    if (static_cast<size_t>(end_ - at_) < size || std::memcmp(at_, word, size) != 0) return false;
    at_ += size;
    return true;
  }

  Json read(int depth) {
    if (depth > kMaxDepth) fail();
    skip();
    if (at_ == end_) fail();
    Json value;
    if (take('{')) {
      value.kind = Json::Kind::object;
      if (take('}')) return value;
      do {
        skip();
        std::string name = text();
        expect(':');
        value.members.emplace_back(std::move(name), read(depth + 1));
      } while (take(','));
      expect('}');
    } else if (take('[')) {
      value.kind = Json::Kind::list;
      if (take(']')) return value;
      do {
        value.items.push_back(read(depth + 1));
      } while (take(','));
      expect(']');
    } else if (*at_ == '"') {
      value.kind = Json::Kind::text;
      value.text = text();
    } else if (take_word("true")) {
      value.kind = Json::Kind::boolean;
      value.number = 1;
    } else if (take_word("false")) {
      value.kind = Json::Kind::boolean;
    } else if (!take_word("null")) {
      value.kind = Json::Kind::number;
      value.number = number();
    }
    return value;
  }

  double number() {
    // The bytes have no NUL behind them, which strtod needs.
    char digits[64];
    size_t size = 0;
    while (at_ != end_ && size + 1 < sizeof digits && std::strchr("+-.0123456789eE", *at_) && *at_) digits[size++] = *at_++;
    digits[size] = 0;
    char* stop = digits;
    double value = std::strtod(digits, &stop);
    if (!size || *stop || !std::isfinite(value)) fail();
    return value;
  }

  unsigned four_digits() {
    if (end_ - at_ < 4) fail();
    char digits[5] = {at_[0], at_[1], at_[2], at_[3], 0};
    char* stop;
    unsigned long value = std::strtoul(digits, &stop, 16);
    if (stop != digits + 4 || digits[0] == '-' || digits[0] == '+' || digits[0] == ' ') fail();
    at_ += 4;
    return static_cast<unsigned>(value);
  }

  static void append(std::string& out, unsigned code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xc0 | code >> 6);
      out += static_cast<char>(0x80 | (code & 63));
    } else if (code < 0x10000) {
      out += static_cast<char>(0xe0 | code >> 12);
      out += static_cast<char>(0x80 | (code >> 6 & 63));
      out += static_cast<char>(0x80 | (code & 63));
    } else {
      out += static_cast<char>(0xf0 | code >> 18);
      out += static_cast<char>(0x80 | (code >> 12 & 63));
      out += static_cast<char>(0x80 | (code >> 6 & 63));
      out += static_cast<char>(0x80 | (code & 63));
    }
  }

  std::string text() {
    if (at_ == end_ || *at_ != '"') fail();
    ++at_;
    std::string out;
    for (;;) {
      if (at_ == end_) fail();
      char c = *at_++;
      if (c == '"') return out;
      if (c != '\\') {
        out += c;
        continue;
      }
      if (at_ == end_) fail();
      c = *at_++;
      const char *plain = "\"\\/bfnrt", *meant = "\"\\/\b\f\n\r\t";
      if (const char* found = c ? std::strchr(plain, c) : nullptr) {
        out += meant[found - plain];
      } else if (c == 'u') {
        unsigned code = four_digits();
        if (code >= 0xd800 && code < 0xdc00 && take_word("\\u")) {
          unsigned low = four_digits();
          if (low < 0xdc00 || low > 0xdfff) fail();
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        append(out, code);
      } else {
        fail();
      }
    }
  }

  const char* at_;
  const char* end_;
};

}  // namespace

const Json& Json::at(const char* name, Kind wanted) const {
  for (const auto& [known, value] : members) {
    if (known != name) continue;
    if (value.kind != wanted) damaged("%s in its metadata is of the wrong kind", name);
    return value;
  }
  damaged("its metadata lack %s", name);
}

int64_t Json::whole(const char* name) const {
  double value = real(name);
  if (value != std::floor(value) || std::fabs(value) > 1e9) damaged("%s in its metadata is %g", name, value);
  return static_cast<int64_t>(value);
}

Json read_json(Bytes bytes) { return Reader(bytes).document(); }

}  // namespace bnn_exit
