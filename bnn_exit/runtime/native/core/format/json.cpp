#include "format/json.h"

#include "error.h"
#include "format/json_check.h"

namespace bnn_exit {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 22;

// The end of the text whose opening quote is at `at`, in a checked document.
const char* end_of_text(const char* at) {
  for (++at; *at != '"'; ++at) at += *at == '\\';
  return at + 1;
}

const char* skip_spaces(const char* at) {
  while (is_json_space(*at)) ++at;
  return at;
}

}  // namespace

// From here on the document is known to be valid, so only the end of a number must be compared with the end of the
// document.

Json::Json(Bytes document) : at_(reinterpret_cast<const char*>(document.data)), end_(at_ + document.size) {
  if (document.size > kMaxBytes) damaged("its metadata have %zu bytes, but may have %zu", document.size, kMaxBytes);
  check_json(at_, end_);
  at_ = skip_spaces(at_);
}

Json::Kind Json::kind() const {
  switch (*at_) {
    case '{': return Kind::object;
    case '[': return Kind::list;
    case '"': return Kind::text;
    case 't':
    case 'f': return Kind::boolean;
    case 'n': return Kind::null;
  }
  return Kind::number;
}

std::string Json::text() const { return json_text(at_, end_); }

double Json::number() const { return json_number(at_, end_); }

bool Json::is_integer() const { return is_json_integer(at_, end_); }

int64_t Json::integer() const { return json_integer(at_, end_); }

size_t Json::size() const {
  size_t count = 0;
  bool names = kind() == Kind::object;
  for (const char* at = first(); at; at = next(names ? member(at) : at)) ++count;
  return count;
}

bool Json::find(const char* name, Json* found) const {
  for (const char* at = first(); at; at = next(member(at))) {
    if (Json(at, end_).text() != name) continue;
    *found = Json(member(at), end_);
    return true;
  }
  return false;
}

const char* Json::first() const {
  const char* at = skip_spaces(at_ + 1);
  return *at == ']' || *at == '}' ? nullptr : at;
}

const char* Json::member(const char* at) const { return skip_spaces(skip_spaces(end_of_text(at)) + 1); }

const char* Json::next(const char* at) const {
  // Skips a value, with everything in it, up to the comma or bracket after it.
  for (int depth = 0; depth || (*at != ',' && *at != ']' && *at != '}');) {
    if (*at == '"') {
      at = end_of_text(at);
      continue;
    }
    depth += (*at == '[' || *at == '{') - (*at == ']' || *at == '}');
    ++at;
  }
  return *at == ',' ? skip_spaces(at + 1) : nullptr;
}

}  // namespace bnn_exit
