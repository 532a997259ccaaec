#include "value.h"

#include <algorithm>

#include "error.h"

namespace bnn_exit {

void Value::widen(int64_t top, int64_t left, int64_t bottom, int64_t right) {
  if (data) broken("a border is widened after its value was allocated");
  bits->top = std::max(bits->top, top);
  bits->left = std::max(bits->left, left);
  bits->bottom = std::max(bits->bottom, bottom);
  bits->right = std::max(bits->right, right);
}

void Value::take(const void* values) {
  std::memcpy(data, values, bytes());
  if (type != Type::boolean) return;
  for (size_t i = 0; i < bytes(); ++i) as<uint8_t>()[i] = as<uint8_t>()[i] != 0;
}

}  // namespace bnn_exit
