#include "format/json_check.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "error.h"
#include "text.h"

namespace bnn_exit {
namespace {

constexpr size_t kMaxMembers = 1024;
constexpr int kMaxDepth = 32, kMaxNumber = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_in_number(char c) { return is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'; }

[[noreturn]] void fail() { damaged("its metadata are no JSON"); }

// A number as it is written; the bytes are not terminated by NUL.
std::string number_at(const char* at, const char* end) {
  const char* after = at;
  while (after != end && is_in_number(*after)) ++after;
  return std::string(at, after);
}

bool is_integer_text(const std::string& digits) { return digits.find_first_of(".eE") == std::string::npos; }

int64_t to_integer(const std::string& digits) {
  errno = 0;
  int64_t value = std::strtoll(digits.c_str(), nullptr, 10);
  if (errno) damaged("the number %s in its metadata does not fit into 64 bits", digits.c_str());
  return value;
}

double to_real(const std::string& digits) {
  if (is_integer_text(digits)) return static_cast<double>(to_integer(digits));
  double value = std::strtod(digits.c_str(), nullptr);
  if (!std::isfinite(value)) damaged("the number %s in its metadata is too large", digits.c_str());
  return value;
}

// Reads a document from its first to its last byte, and stores only the names of the objects that are open.
class Checker {
 public:
  Checker(const char* at, const char* end) : at_(at), end_(end) {}

  void document() {
    value(0);
    skip();
    if (at_ != end_) fail();
  }

  // The text whose opening quote is next.
  std::string text() {
    expect('"');
    std::string out;
    while (at_ != end_ && *at_ != '"') {
      uint32_t character = *at_ == '\\' ? escaped() : next_character(at_, end_);
      if (character == kNoCharacter) fail();
      const char* refused = refused_character(character);
      if (refused) damaged("a text in its metadata holds U+%04X, %s", static_cast<unsigned>(character), refused);
      append_character(out, character);
    }
    expect('"');
    return out;
  }

 private:
  void skip() {
    while (at_ != end_ && is_json_space(*at_)) ++at_;
  }

  bool take(char expected) {
    if (at_ == end_ || *at_ != expected) return false;
    ++at_;
    return true;
  }

  bool take_word(const char* word) {
    size_t size = std::strlen(word);
    if (static_cast<size_t>(end_ - at_) < size || std::memcmp(at_, word, size) != 0) return false;
    at_ += size;
    return true;
  }

  void expect(char expected) {
    if (!take(expected)) fail();
  }

  void value(int depth) {
    skip();
    if (at_ == end_ || depth > kMaxDepth) fail();
    if (*at_ == '{') {
      object(depth);
    } else if (take('[')) {
      skip();
      if (take(']')) return;
      do {
        value(depth + 1);
        skip();
      } while (take(','));
      expect(']');
    } else if (*at_ == '"') {
      text();
    } else if (!take_word("true") && !take_word("false") && !take_word("null")) {
      number();
    }
  }

  void object(int depth) {
    expect('{');
    skip();
    if (take('}')) return;
    std::vector<std::string> names;
    do {
      skip();
      if (names.size() == kMaxMembers) damaged("an object in its metadata has more than %zu members", kMaxMembers);
      names.push_back(text());
      skip();
      expect(':');
      value(depth + 1);
      skip();
    } while (take(','));
    expect('}');
    const std::string* twice = find_repeated(names);
    if (twice) damaged("'%s' is twice in its metadata", twice->c_str());
  }

  void digits() {
    if (at_ == end_ || !is_digit(*at_)) fail();
    while (at_ != end_ && is_digit(*at_)) ++at_;
  }

  void number() {
    const char* start = at_;
    take('-');
    if (!take('0')) digits();
    if (take('.')) digits();
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      digits();
    }
    if (at_ - start > kMaxNumber) damaged("a number in its metadata has more than %d characters", kMaxNumber);
    to_real(std::string(start, at_));
  }

  uint32_t four_digits() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      if (at_ == end_) fail();
      char c = *at_++;
      uint32_t digit = is_digit(c)                          ? static_cast<uint32_t>(c - '0')
                       : (c | 32) >= 'a' && (c | 32) <= 'f' ? static_cast<uint32_t>((c | 32) - 'a' + 10)
                                                            : 16;
      if (digit > 15) fail();
      code = code << 4 | digit;
    }
    return code;
  }

  // The character after a backslash. An unpaired surrogate is returned as it is, and is refused by the caller.
  uint32_t escaped() {
    ++at_;
    if (at_ == end_) fail();
    char c = *at_++;
    if (c == 'u') {
      uint32_t code = four_digits();
      const char* after = at_;
      if (code >= 0xd800 && code < 0xdc00 && take_word("\\u")) {
        uint32_t low = four_digits();
        if (low >= 0xdc00 && low < 0xe000) return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at_ = after;
      }
      return code;
    }
    constexpr char kPlain[] = "\"\\/bfnrt", kMeant[] = "\"\\/\b\f\n\r\t";
    const char* found = c ? std::strchr(kPlain, c) : nullptr;
    if (!found) fail();
    return static_cast<unsigned char>(kMeant[found - kPlain]);
  }

  const char* at_;
  const char* end_;
};

}  // namespace

void check_json(const char* at, const char* end) { Checker(at, end).document(); }

std::string json_text(const char* at, const char* end) { return Checker(at, end).text(); }

double json_number(const char* at, const char* end) { return to_real(number_at(at, end)); }

bool is_json_integer(const char* at, const char* end) { return is_integer_text(number_at(at, end)); }

int64_t json_integer(const char* at, const char* end) { return to_integer(number_at(at, end)); }

}  // namespace bnn_exit
