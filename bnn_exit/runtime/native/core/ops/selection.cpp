// SELECT, CAST, ARG_MAX and ARG_MIN.
#include <cmath>
#include <limits>

#include "ops/broadcast.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

template <typename T>
void expand(const Broadcast& plan, const T* from, T* to) {
  each_row(plan, [&](int64_t a, int64_t, int64_t count, int64_t step, int64_t) {
    for (int64_t i = 0; i < count; ++i) *to++ = from[a + i * step];
  });
}

template <typename T>
std::unique_ptr<Operation> select_as(Build& build, const Shape& condition_shape, Value& out) {
  Value &condition = build.input(0), &chosen = build.input(1), &other = build.input(2);
  Broadcast choices = broadcast(build, chosen.shape, out.shape), others = broadcast(build, other.shape, out.shape);
  Broadcast conditions = broadcast(build, condition_shape, out.shape);
  build.claim(product({out.count(), 3}));
  for (const Broadcast& plan : {choices, others, conditions})
    build.claim(product({out.count() ? rows_of(plan) : 0, 8}));
  Value* second = build.temporary(out.bytes());
  return make_operation([=, &condition, &chosen, &other, &out] {
    expand(choices, chosen.as<const T>(), out.as<T>());
    expand(others, other.as<const T>(), second->as<T>());
    T* to = out.as<T>();
    const T* from = second->as<const T>();
    each_row(conditions, [&](int64_t a, int64_t, int64_t count, int64_t step, int64_t) {
      for (int64_t i = 0; i < count; ++i, ++to, ++from) {
        if (!condition.as<const bool>()[a + i * step]) *to = *from;
      }
    });
  });
}

std::unique_ptr<Operation> choose(Build& build, const Shape& condition_shape) {
  build.input(0, Type::boolean);
  Value &chosen = build.input(1), &other = build.input(2, chosen.type);
  Shape shape = broadcast(build, broadcast(build, condition_shape, chosen.shape).shape, other.shape).shape;
  Value& out = build.result(chosen.type, shape);
  switch (size_of(chosen.type)) {
    case 1: return select_as<uint8_t>(build, condition_shape, out);
    case 2: return select_as<uint16_t>(build, condition_shape, out);
    case 4: return select_as<uint32_t>(build, condition_shape, out);
    case 8: return select_as<uint64_t>(build, condition_shape, out);
    default: build.refuse("values of %s are not supported", name_of(chosen.type));
  }
}

// In the old form a list of conditions chooses whole rows.
std::unique_ptr<Operation> select(Build& build) {
  Shape shape = build.input(0).shape;
  size_t rank = build.input(1).shape.size();
  if (shape.size() == 1 && rank > 1) shape.insert(shape.end(), rank - 1, 1);
  return choose(build, shape);
}

std::unique_ptr<Operation> select_v2(Build& build) { return choose(build, build.input(0).shape); }

float half_to_float(uint16_t half) {
  int exponent = half >> 10 & 31, fraction = half & 1023;
  float value = exponent == 31 ? (fraction ? NAN : INFINITY)
                : exponent     ? std::ldexp(static_cast<float>(fraction + 1024), exponent - 25)
                               : std::ldexp(static_cast<float>(fraction), -24);
  return half & 0x8000 ? -value : value;
}

struct Half {
  uint16_t bits;
  operator double() const { return half_to_float(bits); }
};

// Conversions that C++ leaves undefined give the lowest number, as x86 does.
template <typename To, typename From>
To convert(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return static_cast<double>(value) != 0;
  } else if constexpr (std::is_floating_point_v<To> || std::is_integral_v<From>) {
    return static_cast<To>(value);
  } else {
    double number = static_cast<double>(value), limit = std::ldexp(1.0, std::numeric_limits<To>::digits);
    bool fits = number > (std::is_signed_v<To> ? -limit - 1 : -1.0) && number < limit;
    if (!fits || number < static_cast<double>(std::numeric_limits<To>::lowest()))
      return std::numeric_limits<To>::lowest();
    return static_cast<To>(number);
  }
}

template <typename From, typename To>
std::unique_ptr<Operation> cast_from_to(Value& in, Value& out, int stride) {
  return make_operation([&in, &out, stride] {
    const From* from = in.as<const From>();
    To* to = out.as<To>();
    for (int64_t i = 0, count = out.count(); i < count; ++i) to[i] = convert<To>(from[i * stride]);
  });
}

template <typename From>
std::unique_ptr<Operation> cast_from(Build& build, Value& in, Value& out, int stride = 1) {
  switch (out.type) {
    case Type::float32: return cast_from_to<From, float>(in, out, stride);
    case Type::float64: return cast_from_to<From, double>(in, out, stride);
    case Type::int32: return cast_from_to<From, int32_t>(in, out, stride);
    case Type::int64: return cast_from_to<From, int64_t>(in, out, stride);
    case Type::int8: return cast_from_to<From, int8_t>(in, out, stride);
    case Type::uint8: return cast_from_to<From, uint8_t>(in, out, stride);
    case Type::boolean: return cast_from_to<From, bool>(in, out, stride);
    default: build.refuse("a result of %s is not supported", name_of(out.type));
  }
}

std::unique_ptr<Operation> cast(Build& build) {
  Value& in = build.input(0);
  Value& out = build.result(build.output().type, in.shape);
  build.claim(product({in.count(), in.type == Type::float16 ? 16 : 4}));
  switch (in.type) {
    case Type::float32: return cast_from<float>(build, in, out);
    case Type::float16: return cast_from<Half>(build, in, out);
    case Type::float64: return cast_from<double>(build, in, out);
    case Type::int32: return cast_from<int32_t>(build, in, out);
    case Type::int64: return cast_from<int64_t>(build, in, out);
    case Type::int8: return cast_from<int8_t>(build, in, out);
    case Type::uint8: return cast_from<uint8_t>(build, in, out);
    case Type::boolean: return cast_from<bool>(build, in, out);
    case Type::complex64: return cast_from<float>(build, in, out, 2);  // the real part
    default: build.refuse("values of %s are not supported", name_of(in.type));
  }
}

template <typename In, typename Out, bool greatest>
std::unique_ptr<Operation> find_in(Value& in, Value& out, int64_t size, int64_t inner) {
  return make_operation([&in, &out, size, inner] {
    for (int64_t i = 0, count = out.count(); i < count; ++i) {
      const In* from = in.as<const In>() + i / inner * inner * size + i % inner;
      int64_t best = 0;
      for (int64_t k = 1; k < size && from[best * inner] == from[best * inner]; ++k) {
        In value = from[k * inner], record = from[best * inner];
        if ((greatest ? value > record : value < record) || value != value) best = k;
      }
      out.as<Out>()[i] = static_cast<Out>(best);
    }
  });
}

template <bool greatest>
std::unique_ptr<Operation> find(Build& build) {
  Value& in = build.input(0);
  size_t axis = build.axis(build.constant(1), in.shape.size());
  Shape shape = in.shape;
  int64_t size = shape[axis],
          inner = elements(Shape(shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, shape.end()));
  shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  if (!in.count()) build.refuse("its input is empty");
  bool wide = build.output().type == Type::int64;
  Value& out = build.result(wide ? Type::int64 : Type::int32, shape);
  build.claim(
      product({in.count(), inner > 1 ? 16 : 2}));  // values that are compared may be far from each other in memory
  if (in.type == Type::float32) {
    return wide ? find_in<float, int64_t, greatest>(in, out, size, inner)
                : find_in<float, int32_t, greatest>(in, out, size, inner);
  }
  build.input(0, Type::int32);
  return wide ? find_in<int32_t, int64_t, greatest>(in, out, size, inner)
              : find_in<int32_t, int32_t, greatest>(in, out, size, inner);
}

}  // namespace

const std::vector<NamedBuilder>& selection_operators() {
  static const std::vector<NamedBuilder> list = {
      {"SELECT", select},       {"SELECT_V2", select_v2}, {"CAST", cast}, {"ARG_MAX", find<true>},
      {"ARG_MIN", find<false>}, {"DEQUANTIZE", cast},  // of float16 weights; quantized tensors are refused when a file
                                                       // is loaded
  };
  return list;
}

}  // namespace bnn_exit
