// SELECT, CAST, ARG_MAX and ARG_MIN.
#include <cmath>
#include <limits>

#include "ops/broadcast.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

// In this file only the loop over some values is compiled for each type; everything around it is shared, which keeps
// the library small.

struct SelectLoops {
  void (*copy)(const void* from, int64_t step, void* to, int64_t count);
  void (*replace)(const bool* kept, int64_t step, const void* other, void* to, int64_t count);
};

template <typename T>
void copy(const void* from, int64_t step, void* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) static_cast<T*>(to)[i] = static_cast<const T*>(from)[i * step];
}

// Values of `other` where `kept` is false.
template <typename T>
void replace(const bool* kept, int64_t step, const void* other, void* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!kept[i * step]) static_cast<T*>(to)[i] = static_cast<const T*>(other)[i];
}

template <typename T>
SelectLoops select_loops() {
  return {copy<T>, replace<T>};
}

SelectLoops select_loops_of(const Build& build, Type type) {
  switch (size_of(type)) {
    case 1: return select_loops<uint8_t>();
    case 2: return select_loops<uint16_t>();
    case 4: return select_loops<uint32_t>();
    case 8: return select_loops<uint64_t>();
    default: build.refuse("values of %s are not supported", name_of(type));
  }
}

std::unique_ptr<Operation> choose(Build& build, const Shape& condition_shape) {
  build.input(0, Type::boolean);
  Value &condition = build.input(0), &chosen = build.input(1), &other = build.input(2, chosen.type);
  Shape shape = broadcast(build, broadcast(build, condition_shape, chosen.shape).shape, other.shape).shape;
  Value& out = build.result(chosen.type, shape);
  const SelectLoops loops = select_loops_of(build, chosen.type);
  Broadcast choices = broadcast(build, chosen.shape, shape), others = broadcast(build, other.shape, shape);
  Broadcast conditions = broadcast(build, condition_shape, shape);
  build.claim(product({out.count(), 3}));
  for (const Broadcast& plan : {choices, others, conditions})
    build.claim(product({out.count() ? rows_of(plan) : 0, 8}));
  Value* second = build.temporary(out.bytes());
  return make_operation([=, &condition, &chosen, &other, &out] {
    const size_t size = size_of(out.type);
    auto expand = [&](const Broadcast& plan, const Value& value, uint8_t* to) {
      each_row(plan, [&](int64_t a, int64_t, int64_t count, int64_t step, int64_t) {
        loops.copy(value.as<const uint8_t>() + static_cast<size_t>(a) * size, step, to, count);
        to += static_cast<size_t>(count) * size;
      });
    };
    expand(choices, chosen, out.as<uint8_t>());
    expand(others, other, second->as<uint8_t>());
    auto *to = out.as<uint8_t>(), *from = second->as<uint8_t>();
    each_row(conditions, [&](int64_t a, int64_t, int64_t count, int64_t step, int64_t) {
      loops.replace(condition.as<const bool>() + a, step, from, to, count);
      to += static_cast<size_t>(count) * size;
      from += static_cast<size_t>(count) * size;
    });
  });
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

using CastLoop = void (*)(const void* in, int stride, void* out, int64_t count);

template <typename From, typename To>
void cast_values(const void* in, int stride, void* out, int64_t count) {
  const From* from = static_cast<const From*>(in);
  for (int64_t i = 0; i < count; ++i) static_cast<To*>(out)[i] = convert<To>(from[i * stride]);
}

template <typename From>
CastLoop cast_from(const Build& build, Type to) {
  switch (to) {
    case Type::float32: return cast_values<From, float>;
    case Type::float64: return cast_values<From, double>;
    case Type::int32: return cast_values<From, int32_t>;
    case Type::int64: return cast_values<From, int64_t>;
    case Type::int8: return cast_values<From, int8_t>;
    case Type::uint8: return cast_values<From, uint8_t>;
    case Type::boolean: return cast_values<From, bool>;
    default: build.refuse("a result of %s is not supported", name_of(to));
  }
}

CastLoop cast_loop(const Build& build, Type from, Type to) {
  switch (from) {
    case Type::float32: return cast_from<float>(build, to);
    case Type::float16: return cast_from<Half>(build, to);
    case Type::float64: return cast_from<double>(build, to);
    case Type::int32: return cast_from<int32_t>(build, to);
    case Type::int64: return cast_from<int64_t>(build, to);
    case Type::int8: return cast_from<int8_t>(build, to);
    case Type::uint8: return cast_from<uint8_t>(build, to);
    case Type::boolean: return cast_from<bool>(build, to);
    case Type::complex64: return cast_from<float>(build, to);  // the real part
    default: build.refuse("values of %s are not supported", name_of(from));
  }
}

std::unique_ptr<Operation> cast(Build& build) {
  Value& in = build.input(0);
  Value& out = build.result(build.output().type, in.shape);
  build.claim(product({in.count(), in.type == Type::float16 ? 16 : 4}));
  const CastLoop loop = cast_loop(build, in.type, out.type);
  const int stride = in.type == Type::complex64 ? 2 : 1;
  return make_operation([&in, &out, loop, stride] { loop(in.data, stride, out.data, out.count()); });
}

struct Search {
  int64_t size, inner;  // of the axis, and of those after it
  bool wide;            // the results are int64
};
using FindLoop = void (*)(const Search& search, const void* in, void* out, int64_t count);

template <typename T, bool greatest>
void find_each(const Search& search, const void* in, void* out, int64_t count) {
  const int64_t size = search.size, inner = search.inner;
  for (int64_t i = 0; i < count; ++i) {
    const T* from = static_cast<const T*>(in) + i / inner * inner * size + i % inner;
    int64_t best = 0;
    for (int64_t k = 1; k < size && from[best * inner] == from[best * inner]; ++k) {
      T value = from[k * inner], record = from[best * inner];
      if ((greatest ? value > record : value < record) || value != value) best = k;
    }
    if (search.wide) {
      static_cast<int64_t*>(out)[i] = best;
    } else {
      static_cast<int32_t*>(out)[i] = static_cast<int32_t>(best);
    }
  }
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
  FindLoop loop = find_each<float, greatest>;
  if (in.type != Type::float32) {
    build.input(0, Type::int32);
    loop = find_each<int32_t, greatest>;
  }
  return make_operation(
      [&in, &out, loop, search = Search{size, inner, wide}] { loop(search, in.data, out.data, out.count()); });
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
