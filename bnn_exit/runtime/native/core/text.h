// UTF-8, and which characters a text in a model file may hold.
#pragma once

#include <cstdint>
#include <string>

namespace bnn_exit {

constexpr uint32_t kNoCharacter = 0xffffffff;

// The character at `at`, which moves behind it; kNoCharacter if the bytes are no UTF-8 there.
uint32_t next_character(const char*& at, const char* end);

void append_character(std::string& text, uint32_t character);

bool is_utf8(const std::string& text);

// What keeps a character out of the texts of a file, such as "a control character"; nullptr if nothing does.
const char* refused_character(uint32_t character);

}  // namespace bnn_exit
