// Rules that values in the metadata of a file must meet. Each function raises Error for one that does not.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "format/json.h"

namespace bnn_exit {

const Json& of_kind(const Json& value, const char* name, Json::Kind kind);

// The member of that name.
Json need(const Json& object, const char* name, Json::Kind kind);

// The names of an object must be all of `needed`, any of `allowed`, and no others.
void check_names(const Json& object, const char* what, std::initializer_list<const char*> needed,
                 std::initializer_list<const char*> allowed = {});

int64_t integer(const Json& value, const char* name, int64_t least, int64_t most);
int64_t need_integer(const Json& object, const char* name, int64_t least, int64_t most);

double real(const Json& value, const char* name, double least, double most);
double need_real(const Json& object, const char* name, double least, double most);

}  // namespace bnn_exit
