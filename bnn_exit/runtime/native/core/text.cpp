#include "text.h"

#include <algorithm>

namespace bnn_exit {
namespace {

// bnn_exit/text.py has the same table; a test compares them.
constexpr struct {
  uint32_t first, last;
  const char* what;
} kRefused[] = {
    {0x0000, 0x001F, "a control character"},
    {0x007F, 0x009F, "a control character"},
    {0x061C, 0x061C, "a mark of the writing direction"},
    {0x200B, 0x200B, "an invisible character"},
    {0x200E, 0x200F, "a mark of the writing direction"},
    {0x2028, 0x2029, "a line break"},
    {0x202A, 0x202E, "a change of the writing direction"},
    {0x2060, 0x2064, "an invisible character"},
    {0x2066, 0x206F, "a change of the writing direction"},
    {0xD800, 0xDFFF, "half a character"},
    {0xFEFF, 0xFEFF, "an invisible character"},
    {0xFFF9, 0xFFFB, "an invisible character"},
};

}  // namespace

uint32_t next_character(const char*& at, const char* end) {
  auto lead = static_cast<unsigned char>(*at++);
  if (lead < 0x80) return lead;
  int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  if (lead < 0xc2 || lead > 0xf4 || end - at < more) return kNoCharacter;
  uint32_t character = lead & (0x3fu >> more);
  for (int i = 0; i < more; ++i, ++at) {
    auto next = static_cast<unsigned char>(*at);
    if ((next & 0xc0) != 0x80) return kNoCharacter;
    character = character << 6 | (next & 0x3f);
  }
  // Each character has one form, the shortest; surrogates have none.
  bool shortest = more == 1 || character >= (more == 2 ? 0x800u : 0x10000u);
  if (!shortest || character > 0x10ffff || (character >= 0xd800 && character < 0xe000)) return kNoCharacter;
  return character;
}

bool is_utf8(const std::string& text) {
  const char *at = text.data(), *end = at + text.size();
  while (at != end) {
    if (next_character(at, end) == kNoCharacter) return false;
  }
  return true;
}

const std::string* find_repeated(std::vector<std::string>& texts) {
  std::sort(texts.begin(), texts.end());
  auto twice = std::adjacent_find(texts.begin(), texts.end());
  return twice == texts.end() ? nullptr : &*twice;
}

void append_character(std::string& text, uint32_t character) {
  if (character < 0x80) {
    text += static_cast<char>(character);
    return;
  }
  int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
  constexpr unsigned char kLead[] = {0, 0xc0, 0xe0, 0xf0};
  text += static_cast<char>(kLead[more] | character >> (6 * more));
  while (more--) text += static_cast<char>(0x80 | (character >> (6 * more) & 0x3f));
}

const char* refused_character(uint32_t character) {
  for (const auto& range : kRefused) {
    if (character >= range.first && character <= range.last) return range.what;
  }
  return nullptr;
}

}  // namespace bnn_exit
