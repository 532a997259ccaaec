#include "ops/build.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <new>

namespace bnn_exit {
namespace {

constexpr int64_t kMaxNumbers = 1 << 12;     // sizes, axes and the like of one operator
constexpr int64_t kFar = 1'000'000'000'000;  // beyond any size: a slice may end anywhere, and no sum of two overflows

}  // namespace

Value* BuildContext::make_value() {
  budget.count_bytes(sizeof(Value));
  values.emplace_back();
  return &values.back();
}

uint64_t product(std::initializer_list<int64_t> factors) {
  uint64_t result = 1;
  for (int64_t factor : factors) {
    if (factor <= 0) return 0;
    if (__builtin_mul_overflow(result, static_cast<uint64_t>(factor), &result)) result = UINT64_MAX;
  }
  return result;
}

void* BuildContext::allocate(size_t size) {
  budget.count_bytes(size);
  return allocate_uncounted(size);
}

void* BuildContext::allocate_uncounted(size_t size) {
  memory.push_back(std::unique_ptr<uint8_t[]>(new uint8_t[size + 2 * kAlign]()));
  auto address = reinterpret_cast<uintptr_t>(memory.back().get());
  return reinterpret_cast<void*>((address + kAlign - 1) / kAlign * kAlign);
}

void Build::refuse(const char* format, ...) const {
  char text[256];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  damaged("%s cannot be computed: %s", op.name.c_str(), text);
}

void Build::claim(uint64_t steps) {
  bool known = std::all_of(in.begin(), in.end(), [](const Value* value) { return !value || value->constant; });
  known ? context.budget.count_load_operations(steps) : context.budget.count_operations(steps);
}

Value& Build::input(size_t index) const {
  if (!given(index)) refuse("it lacks input %zu", index);
  return *in[index];
}

Value& Build::input(size_t index, Type type) const {
  Value& value = input(index);
  if (value.type != type) refuse("input %zu is %s, but must be %s", index, name_of(value.type), name_of(type));
  return value;
}

Value& Build::output(size_t index) const {
  if (index >= out.size()) refuse("it has %zu outputs", out.size());
  return *out[index];
}

std::vector<int64_t> Build::constants(size_t index) const {
  Value& value = input(index);
  if (!value.constant) refuse("input %zu is only known during a run, but must be a constant", index);
  if (value.count() > kMaxNumbers)
    refuse("input %zu has %lld values, but may have %lld", index, (long long)value.count(), (long long)kMaxNumbers);
  std::vector<int64_t> numbers(static_cast<size_t>(value.count()));
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (value.type == Type::int32) {
      numbers[i] = value.as<int32_t>()[i];
    } else if (value.type == Type::int64) {
      numbers[i] = value.as<int64_t>()[i];
    } else {
      refuse("input %zu is %s, but must hold whole numbers", index, name_of(value.type));
    }
    numbers[i] = std::min(std::max(numbers[i], -kFar), kFar);
  }
  return numbers;
}

int64_t Build::constant(size_t index) const {
  std::vector<int64_t> numbers = constants(index);
  if (numbers.empty()) refuse("input %zu is empty", index);
  return numbers[0];
}

void Build::require(const Shape& shape) const {
  if (!allowed(shape)) refuse("it asks for an array of shape %s", to_text(shape).c_str());
}

Value& Build::result(size_t index, Type type, const Shape& shape) {
  require(shape);
  Value& value = output(index);
  value.type = type;
  value.shape = shape;
  claim(static_cast<uint64_t>(value.count()));
  return value;
}

std::unique_ptr<Operation> Build::share(Value& from, const Shape& shape) {
  if (elements(shape) != from.count()) {
    refuse("%lld values do not fit the shape %s", static_cast<long long>(from.count()), to_text(shape).c_str());
  }
  result(from.type, shape).same_as = from.root();
  return nullptr;
}

Value* Build::temporary(size_t bytes) {
  Value* value = context.make_value();
  value->type = Type::uint8;
  value->shape = {static_cast<int64_t>(bytes)};
  if (value->count() > kMaxElements) refuse("it needs %zu bytes of working memory", bytes);
  scratch.push_back(value);
  return value;
}

size_t Build::axis(int64_t number, size_t rank) const {
  int64_t size = static_cast<int64_t>(rank);
  if (number < -size || number >= size) refuse("axis %lld of %zu", static_cast<long long>(number), rank);
  return static_cast<size_t>(number < 0 ? number + size : number);
}

bool activation_range(int64_t activation, float* low, float* high) {
  *low = -INFINITY;
  *high = INFINITY;
  switch (activation) {
    case kNone: return true;
    case kRelu: *low = 0; return true;
    case kReluN1To1: *low = -1, *high = 1; return true;
    case kRelu6: *low = 0, *high = 6; return true;
  }
  return false;
}

float Build::low() const {
  float low, high;
  if (!activation_range(op.options.integer("fused_activation_function"), &low, &high))
    refuse("unknown fused activation");
  return low;
}

float Build::high() const {
  float low, high;
  if (!activation_range(op.options.integer("fused_activation_function"), &low, &high))
    refuse("unknown fused activation");
  return high;
}

void fail_execution(const char* text) { throw Error(BNN_EXIT_RUN, text); }

}  // namespace bnn_exit
