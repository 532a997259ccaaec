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
template <typename In, typename Op>
int64_t steps_of() {
  constexpr bool whole = std::is_integral_v<In>;
  if (std::is_same_v<Op, FloorMod>) return whole ? 16 : 512;
  if (std::is_same_v<Op, Div> || std::is_same_v<Op, FloorDiv>) return whole ? 16 : 4;
  return std::is_same_v<Op, Power> ? 64 : 1;
}

// Only the loop over a row is compiled for each operator and type; everything around it is shared, which keeps the
// library small.
using RowLoop = void (*)(const void* left, const void* right, void* out, int64_t count, int64_t step_left,
                         int64_t step_right);

template <typename In, typename Out, typename Op>
void row(const void* left, const void* right, void* out, int64_t count, int64_t step_left, int64_t step_right) {
  const In *x = static_cast<const In*>(left), *y = static_cast<const In*>(right);
  Out* to = static_cast<Out*>(out);
  if (step_left == 1 && step_right == 1) {
    for (int64_t i = 0; i < count; ++i) to[i] = Op()(x[i], y[i]);
  } else if (step_left == 1 && step_right == 0) {
    // A value of its own, which results cannot overwrite, so that compilers make vectors of the loop.
    const In second = *y;
    for (int64_t i = 0; i < count; ++i) to[i] = Op()(x[i], second);
  } else if (step_left == 0 && step_right == 1) {
    const In first = *x;
    for (int64_t i = 0; i < count; ++i) to[i] = Op()(first, y[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = Op()(x[i * step_left], y[i * step_right]);
  }
}

class RowByRow : public Operation {
 public:
  RowByRow(RowLoop loop, const Value& left, const Value& right, Value& out, const Broadcast& plan)
      : loop_(loop), left_(left), right_(right), out_(out), plan_(plan) {}

  void clamp(float low, float high) { activates_ = true, low_ = low, high_ = high; }

  void execute() override {
    const size_t in_size = size_of(left_.type), out_size = size_of(out_.type);
    const auto *left = left_.as<const uint8_t>(), *right = right_.as<const uint8_t>();
    auto* to = out_.as<uint8_t>();
    each_row(plan_, [&](int64_t a, int64_t b, int64_t count, int64_t step_a, int64_t step_b) {
      loop_(left + static_cast<size_t>(a) * in_size, right + static_cast<size_t>(b) * in_size, to, count, step_a,
            step_b);
      to += static_cast<size_t>(count) * out_size;
    });
    if (activates_) clamp_in_place(out_, low_, high_);
  }

 private:
  RowLoop loop_;
  const Value &left_, &right_;
  Value& out_;
  Broadcast plan_;
  bool activates_ = false;
  float low_ = 0, high_ = 0;
};

struct Loop {
  RowLoop row;
  int64_t steps;
};

template <typename In, typename Out, typename Op>
Loop loop() {
  return {row<In, Out, Op>, steps_of<In, Op>()};
}

std::unique_ptr<Operation> row_by_row(Build& build, Loop loop, Type type, bool activates = false) {
  Value &left = build.input(0), &right = build.input(1, left.type);
  Broadcast plan = broadcast(build, left.shape, right.shape);
  Value& out = build.result(type, plan.shape);
  // Each row costs as much as eight values; division, remainder and power cost more than a step.
  build.claim(product({out.count() ? rows_of(plan) : 0, 8}));
  build.claim(product({out.count(), loop.steps + activates}));
  auto operation = std::make_unique<RowByRow>(loop.row, left, right, out, plan);
  if (activates) operation->clamp(build.low(), build.high());
  return operation;
}

[[noreturn]] void refuse_type(const Build& build) {
  build.refuse("values of %s are not supported", name_of(build.input(0).type));
}

template <typename Op>
Loop numbers(Build& build) {
  switch (build.input(0).type) {
    case Type::float32: return loop<float, float, Op>();
    case Type::int32: return loop<int32_t, int32_t, Op>();
    case Type::int64: return loop<int64_t, int64_t, Op>();
    default: refuse_type(build);
  }
}

template <typename Op>
std::unique_ptr<Operation> arithmetic(Build& build) {
  const bool activates = build.activates();
  return row_by_row(build, numbers<Op>(build), build.input(0).type, activates);
}

template <typename Op>
std::unique_ptr<Operation> plain(Build& build) {
  return row_by_row(build, numbers<Op>(build), build.input(0).type);
}

template <typename Op>
std::unique_ptr<Operation> compare(Build& build) {
  auto loop_of = [&build] {
    switch (build.input(0).type) {
      case Type::float32: return loop<float, bool, Op>();
      case Type::int32: return loop<int32_t, bool, Op>();
      case Type::int64: return loop<int64_t, bool, Op>();
      case Type::boolean: return loop<bool, bool, Op>();
      default: refuse_type(build);
    }
  };
  return row_by_row(build, loop_of(), Type::boolean);
}

template <typename Op>
std::unique_ptr<Operation> logical(Build& build) {
  build.input(0, Type::boolean);
  return row_by_row(build, loop<bool, bool, Op>(), Type::boolean);
}

std::unique_ptr<Operation> power(Build& build) {
  build.input(0, Type::float32);
  return row_by_row(build, loop<float, float, Power>(), Type::float32);
}

struct Prelu {
  float operator()(float value, float alpha) const { return value >= 0 ? value : value * alpha; }
};
std::unique_ptr<Operation> prelu(Build& build) {
  build.input(0, Type::float32);
  return row_by_row(build, loop<float, float, Prelu>(), Type::float32);
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
