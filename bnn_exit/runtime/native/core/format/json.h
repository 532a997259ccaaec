// JSON from untrusted bytes: the document is checked once, then read in place, so that it takes no memory of its own.
//
// bnn_exit/strict_json.py has the same rules; the tests run one corpus through both.
#pragma once

#include <cstdint>
#include <string>

#include "format/tables.h"

namespace bnn_exit {

// A value in a checked document; refers to the document's bytes.
class Json {
 public:
  enum class Kind { null, boolean, number, text, list, object };

  // The outermost value. Raises Error if the bytes are no JSON, or break a rule of `strict_json`.
  explicit Json(Bytes document);

  Kind kind() const;
  std::string text() const;  // of a text
  double number() const;     // of a number
  bool is_integer() const;   // whether a number has neither point nor exponent; it then fits into int64_t
  int64_t integer() const;   // of such a number

  // Calls body(Json item) for each item of a list.
  template <typename Body>
  void items(const Body& body) const {
    for (const char* at = first(); at; at = next(at)) body(Json(at, end_));
  }

  // Calls body(std::string name, Json member) for each member of an object.
  template <typename Body>
  void members(const Body& body) const {
    for (const char* at = first(); at; at = next(member(at))) body(Json(at, end_).text(), Json(member(at), end_));
  }

  size_t size() const;                             // of a list or an object
  bool find(const char* name, Json* found) const;  // a member of an object, if there is one of that name

 private:
  Json(const char* at, const char* end) : at_(at), end_(end) {}
  const char* first() const;                 // the first item or name, nullptr if there is none
  const char* next(const char* at) const;    // the item or name after a value
  const char* member(const char* at) const;  // the value after a name

  const char* at_;
  const char* end_;
};

}  // namespace bnn_exit
