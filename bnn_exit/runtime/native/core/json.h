// Reads JSON from untrusted bytes, as far as the metadata of a file need it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tables.h"

namespace bnn_exit {

struct Json {
  enum class Kind { null, boolean, number, text, list, object };

  Kind kind = Kind::null;
  double number = 0;  // of a boolean: 0 or 1
  std::string text;
  std::vector<Json> items;                            // of a list
  std::vector<std::pair<std::string, Json>> members;  // of an object

  // The member of that name, which must be there and of that kind.
  const Json& at(const char* name, Kind wanted) const;
  double real(const char* name) const { return at(name, Kind::number).number; }
  int64_t whole(const char* name) const;
};

// Raises Error if the bytes are no JSON.
Json read_json(Bytes bytes);

}  // namespace bnn_exit
