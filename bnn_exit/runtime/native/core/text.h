// UTF-8, and the characters that a text in a model file may hold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bnn_exit {

constexpr uint32_t kNoCharacter = 0xffffffff;

// Reads the character at `at` and moves `at` to the next one; kNoCharacter if the bytes are not UTF-8.
uint32_t next_character(const char*& at, const char* end);

void append_character(std::string& text, uint32_t character);

bool is_utf8(const std::string& text);

// Sorts the texts; returns one that occurs twice, or nullptr.
const std::string* find_repeated(std::vector<std::string>& texts);

// Why a text may not hold a character, such as "a control character"; nullptr if it may.
const char* refused_character(uint32_t character);

}  // namespace bnn_exit
