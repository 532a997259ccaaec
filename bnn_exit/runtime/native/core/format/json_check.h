// Checks a JSON document, and decodes its texts and numbers. `end` is the end of the document.
#pragma once

#include <cstdint>
#include <string>

namespace bnn_exit {

inline bool is_json_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Raises Error if the bytes are no JSON, or break a rule of `strict_json`.
void check_json(const char* at, const char* end);

// The text whose opening quote is at `at`.
std::string json_text(const char* at, const char* end);

// The number at `at`.
double json_number(const char* at, const char* end);
bool is_json_integer(const char* at, const char* end);
int64_t json_integer(const char* at, const char* end);

}  // namespace bnn_exit
