// Operators on two values with NumPy's broadcasting, which is TFLite's.
#include <cmath>
#include <limits>

#include "ops/broadcast.h"
#include "ops/extremes.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

template <typename T>
using Unsigned = std::make_unsigned_t<T>;

// Integers wrap around, as NumPy's do.
struct Add {
  float operator()(float a, float b) const { return a + b; }
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<Unsigned<T>>(a) + static_cast<Unsigned<T>>(b));
  }
};
struct Sub {
  float operator()(float a, float b) const { return a - b; }
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<Unsigned<T>>(a) - static_cast<Unsigned<T>>(b));
  }
};
struct Mul {
  float operator()(float a, float b) const { return a * b; }
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<Unsigned<T>>(a) * static_cast<Unsigned<T>>(b));
  }
};

template <typename T>
T divide_whole(T a, T b) {
  if (b == 0) fail_execution("a whole number is divided by zero");
  return b == -1 ? Sub()(T{0}, a) : static_cast<T>(a / b);
}

struct Div {
  float operator()(float a, float b) const { return a / b; }
  template <typename T>
  T operator()(T a, T b) const {
    return divide_whole(a, b);
  }
};
struct FloorMod {
  float operator()(float a, float b) const {
    float rest = std::fmod(a, b);
    if (rest == 0) return std::copysign(0.0f, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
  }
  template <typename T>
  T operator()(T a, T b) const {
    if (b == 0) fail_execution("a whole number is divided by zero");
    if (b == -1) return 0;
    T rest = a % b;
    return rest && (rest < 0) != (b < 0) ? rest + b : rest;
  }
};
struct FloorDiv {
  float operator()(float a, float b) const { return std::floor(a / b); }
  template <typename T>
  T operator()(T a, T b) const {
    T quotient = divide_whole(a, b);
    return b != -1 && a % b && (a < 0) != (b < 0) ? quotient - 1 : quotient;
  }
};
struct SquaredDifference {
  template <typename T>
  T operator()(T a, T b) const {
    return Mul()(Sub()(a, b), Sub()(a, b));
  }
};
struct Power {
  float operator()(float a, float b) const {
    return static_cast<float>(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
};

struct Less {
  template <typename T>
  bool operator()(T a, T b) const {
    return a < b;
  }
};
struct LessEqual {
  template <typename T>
  bool operator()(T a, T b) const {
    return a <= b;
  }
};
struct Greater {
  template <typename T>
  bool operator()(T a, T b) const {
    return a > b;
  }
};
struct GreaterEqual {
  template <typename T>
  bool operator()(T a, T b) const {
    return a >= b;
  }
};
struct Equal {
  template <typename T>
  bool operator()(T a, T b) const {
    return a == b;
  }
};
struct NotEqual {
  template <typename T>
  bool operator()(T a, T b) const {
    return a != b;
  }
};
struct And {
  bool operator()(bool a, bool b) const { return a && b; }
};
struct Or {
  bool operator()(bool a, bool b) const { return a || b; }
};

// The steps of one value beyond the first.
template <typename Op>
int64_t steps_of(bool whole) {
  if (std::is_same_v<Op, FloorMod>) return whole ? 16 : 512;
  if (std::is_same_v<Op, Div> || std::is_same_v<Op, FloorDiv>) return whole ? 16 : 4;
  return std::is_same_v<Op, Power> ? 64 : 1;
}

template <typename In, typename Out, typename Op>
std::unique_ptr<Operation> make(Build& build, Type type, bool activates, float low, float high) {
  Value &left = build.input(0), &right = build.input(1, left.type);
  Broadcast plan = broadcast(build, left.shape, right.shape);
  Value& out = build.result(type, plan.shape);
  // Each row costs as much as eight values; division, remainder and power cost more than a step.
  build.claim(product({out.count() ? rows_of(plan) : 0, 8}));
  build.claim(product({out.count(), steps_of<Op>(std::is_integral_v<In>) + activates}));
  return make_operation([&left, &right, &out, plan, activates, low, high] {
    Out* to = out.as<Out>();
    each_row(plan, [&](int64_t a, int64_t b, int64_t count, int64_t step_a, int64_t step_b) {
      const In *x = left.as<const In>() + a, *y = right.as<const In>() + b;
      if (step_a == 1 && step_b == 1) {
        for (int64_t i = 0; i < count; ++i) to[i] = Op()(x[i], y[i]);
      } else if (step_a == 1 && step_b == 0) {
        // A value of its own, which results cannot overwrite, so that compilers make vectors of the loop.
        const In second = *y;
        for (int64_t i = 0; i < count; ++i) to[i] = Op()(x[i], second);
      } else if (step_a == 0 && step_b == 1) {
        const In first = *x;
        for (int64_t i = 0; i < count; ++i) to[i] = Op()(first, y[i]);
      } else {
        for (int64_t i = 0; i < count; ++i) to[i] = Op()(x[i * step_a], y[i * step_b]);
      }
      to += count;
    });
    if (activates) clamp_in_place(out.as<Out>(), out.count(), low, high);
  });
}

template <typename Op>
std::unique_ptr<Operation> build_numbers(Build& build, bool fused) {
  bool activates = fused && build.activates();
  float low = activates ? build.low() : 0, high = activates ? build.high() : 0;
  switch (build.input(0).type) {
    case Type::float32: return make<float, float, Op>(build, Type::float32, activates, low, high);
    case Type::int32: return make<int32_t, int32_t, Op>(build, Type::int32, activates, low, high);
    case Type::int64: return make<int64_t, int64_t, Op>(build, Type::int64, activates, low, high);
    default: build.refuse("values of %s are not supported", name_of(build.input(0).type));
  }
}

template <typename Op>
std::unique_ptr<Operation> arithmetic(Build& build) {
  return build_numbers<Op>(build, true);
}

template <typename Op>
std::unique_ptr<Operation> plain(Build& build) {
  return build_numbers<Op>(build, false);
}

template <typename Op>
std::unique_ptr<Operation> compare(Build& build) {
  switch (build.input(0).type) {
    case Type::float32: return make<float, bool, Op>(build, Type::boolean, false, 0, 0);
    case Type::int32: return make<int32_t, bool, Op>(build, Type::boolean, false, 0, 0);
    case Type::int64: return make<int64_t, bool, Op>(build, Type::boolean, false, 0, 0);
    case Type::boolean: return make<bool, bool, Op>(build, Type::boolean, false, 0, 0);
    default: build.refuse("values of %s are not supported", name_of(build.input(0).type));
  }
}

template <typename Op>
std::unique_ptr<Operation> logical(Build& build) {
  build.input(0, Type::boolean);
  return make<bool, bool, Op>(build, Type::boolean, false, 0, 0);
}

std::unique_ptr<Operation> power(Build& build) {
  build.input(0, Type::float32);
  return make<float, float, Power>(build, Type::float32, false, 0, 0);
}

struct Prelu {
  float operator()(float value, float alpha) const { return value >= 0 ? value : value * alpha; }
};
std::unique_ptr<Operation> prelu(Build& build) {
  build.input(0, Type::float32);
  return make<float, float, Prelu>(build, Type::float32, false, 0, 0);
}

}  // namespace

const std::vector<NamedBuilder>& arithmetic_operators() {
  static const std::vector<NamedBuilder> list = {
      {"ADD", arithmetic<Add>},
      {"SUB", arithmetic<Sub>},
      {"MUL", arithmetic<Mul>},
      {"DIV", arithmetic<Div>},
      {"FLOOR_DIV", plain<FloorDiv>},
      {"FLOOR_MOD", plain<FloorMod>},
      {"MAXIMUM", plain<Maximum>},
      {"MINIMUM", plain<Minimum>},
      {"SQUARED_DIFFERENCE", plain<SquaredDifference>},
      {"POW", power},
      {"PRELU", prelu},
      {"LESS", compare<Less>},
      {"LESS_EQUAL", compare<LessEqual>},
      {"GREATER", compare<Greater>},
      {"GREATER_EQUAL", compare<GreaterEqual>},
      {"EQUAL", compare<Equal>},
      {"NOT_EQUAL", compare<NotEqual>},
      {"LOGICAL_AND", logical<And>},
      {"LOGICAL_OR", logical<Or>},
  };
  return list;
}

}  // namespace bnn_exit
