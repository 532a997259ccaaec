#include "ops/value.h"

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

void Value::assign(const void* values) {
  const size_t size = bytes();  // not in the loop: it multiplies the axes and checks each product
  std::memcpy(data, values, size);
  if (type != Type::boolean) return;
  auto* bools = as<uint8_t>();
  for (size_t i = 0; i < size; ++i) bools[i] = bools[i] != 0;
}

}  // namespace bnn_exit
