#include "format/json_rules.h"

#include <algorithm>

#include "error.h"

namespace bnn_exit {

const Json& of_kind(const Json& value, const char* name, Json::Kind kind) {
  if (value.kind() != kind) damaged("%s in its metadata is of the wrong kind", name);
  return value;
}

Json need(const Json& object, const char* name, Json::Kind kind) {
  Json found = object;
  if (!object.find(name, &found)) damaged("its metadata lack %s", name);
  return of_kind(found, name, kind);
}

void check_names(const Json& object, const char* what, std::initializer_list<const char*> needed,
                 std::initializer_list<const char*> allowed) {
  of_kind(object, what, Json::Kind::object);
  size_t found = 0;
  object.members([&](const std::string& name, const Json&) {
    auto is_name = [&](const char* known) { return name == known; };
    bool is_needed = std::any_of(needed.begin(), needed.end(), is_name);
    if (!is_needed && std::none_of(allowed.begin(), allowed.end(), is_name))
      damaged("%s in its metadata has an unknown '%s'", what, name.c_str());
    found += is_needed;
  });
  if (found != needed.size()) damaged("%s in its metadata lacks a value", what);
}

int64_t integer(const Json& value, const char* name, int64_t least, int64_t most) {
  of_kind(value, name, Json::Kind::number);
  if (!value.is_integer() || value.integer() < least || value.integer() > most)
    damaged("%s in its metadata is %g", name, value.number());
  return value.integer();
}

int64_t need_integer(const Json& object, const char* name, int64_t least, int64_t most) {
  return integer(need(object, name, Json::Kind::number), name, least, most);
}

double real(const Json& value, const char* name, double least, double most) {
  double number = of_kind(value, name, Json::Kind::number).number();
  if (!(number >= least && number <= most)) damaged("%s in its metadata is %g", name, number);
  return number;
}

double need_real(const Json& object, const char* name, double least, double most) {
  return real(need(object, name, Json::Kind::number), name, least, most);
}

}  // namespace bnn_exit
