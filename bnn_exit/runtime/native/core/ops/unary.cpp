// Elementwise operators on one value, and SOFTMAX. Transcendental functions are computed in double and rounded once.
#include <cmath>
#include <complex>

#include "ops/operators.h"

namespace bnn_exit {
namespace {

// Only the loop is compiled for each function and type; everything around it is shared, which keeps the library small.
using Loop = void (*)(const void* from, void* to, int64_t count);

template <typename In, typename Out, typename Function>
void loop(const void* from, void* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) static_cast<Out*>(to)[i] = Function()(static_cast<const In*>(from)[i]);
}

std::unique_ptr<Operation> each(Build& build, Type type, Loop loop) {
  Value& in = build.input(0);
  Value& out = build.result(type, in.shape);
  return make_operation([&in, &out, loop] { loop(in.data, out.data, out.count()); });
}

void claim_floats(Build& build) { build.claim(product({build.input(0, Type::float32).count(), 4})); }

template <typename Function>
std::unique_ptr<Operation> floats(Build& build) {
  claim_floats(build);
  return each(build, Type::float32, loop<float, float, Function>);
}

using OfDouble = double (*)(double);

double elu(double value) { return value < 0 ? std::expm1(value) : value; }
double hard_swish(double value) {
  double gate = value + 3;
  return value * (gate < 0 ? 0 : gate > 6 ? 6 : gate) / 6;
}
double logistic(double value) { return 1 / (1 + std::exp(-value)); }
double reciprocal_root(double value) { return 1 / std::sqrt(value); }
double exponential(double value) { return std::exp(value); }
double logarithm(double value) { return std::log(value); }
double sine(double value) { return std::sin(value); }
double cosine(double value) { return std::cos(value); }
double tangent(double value) { return std::tanh(value); }

template <OfDouble function>
struct Rounded {
  float operator()(float value) const { return static_cast<float>(function(value)); }
};
template <OfDouble function>
std::unique_ptr<Operation> rounded(Build& build) {
  build.claim(product({build.input(0).count(), function == OfDouble{sine} || function == OfDouble{cosine} ? 128 : 32}));
  return floats<Rounded<function>>(build);
}

// A bound of 9 stands for none.
template <int low, int high>
struct Relu {
  float operator()(float value) const { return value < low ? low : high != 9 && value > high ? high : value; }
};
template <int low, int high>
std::unique_ptr<Operation> relu(Build& build) {
  return floats<Relu<low, high>>(build);
}

std::unique_ptr<Operation> leaky_relu(Build& build) {
  float alpha = static_cast<float>(build.op.options.real("alpha"));
  claim_floats(build);
  Value& in = build.input(0);
  Value& out = build.result(Type::float32, in.shape);
  return make_operation([&in, &out, alpha] {
    const float* from = in.as<const float>();
    float* to = out.as<float>();
    for (int64_t i = 0, count = out.count(); i < count; ++i) to[i] = from[i] > 0 ? from[i] : from[i] * alpha;
  });
}

// For functions that are defined for integers, too.
template <typename Function>
std::unique_ptr<Operation> numbers(Build& build) {
  switch (build.input(0).type) {
    case Type::float32: return each(build, Type::float32, loop<float, float, Function>);
    case Type::int32: return each(build, Type::int32, loop<int32_t, int32_t, Function>);
    case Type::int64: return each(build, Type::int64, loop<int64_t, int64_t, Function>);
    default: build.refuse("values of %s are not supported", name_of(build.input(0).type));
  }
}

struct Negative {
  float operator()(float value) const { return -value; }
  int32_t operator()(int32_t value) const { return static_cast<int32_t>(0u - static_cast<uint32_t>(value)); }
  int64_t operator()(int64_t value) const { return static_cast<int64_t>(0ull - static_cast<uint64_t>(value)); }
};
struct Absolute {
  template <typename T>
  T operator()(T value) const {
    return value < 0 ? Negative()(value) : value;
  }
  float operator()(float value) const { return std::fabs(value); }
};
struct Square {
  float operator()(float value) const { return value * value; }
  int32_t operator()(int32_t value) const {
    return static_cast<int32_t>(static_cast<uint32_t>(value) * static_cast<uint32_t>(value));
  }
  int64_t operator()(int64_t value) const {
    return static_cast<int64_t>(static_cast<uint64_t>(value) * static_cast<uint64_t>(value));
  }
};
struct Sign {
  template <typename T>
  T operator()(T value) const {
    return value > 0 ? T{1} : value < 0 ? T{-1} : value != value ? value : T{0};
  }
};

struct Floor {
  float operator()(float value) const { return std::floor(value); }
};
struct Ceil {
  float operator()(float value) const { return std::ceil(value); }
};
struct Round {
  float operator()(float value) const { return std::nearbyint(value); }
};
struct Root {
  float operator()(float value) const { return std::sqrt(value); }
};

struct Not {
  bool operator()(bool value) const { return !value; }
};
std::unique_ptr<Operation> logical_not(Build& build) {
  build.input(0, Type::boolean);
  return each(build, Type::boolean, loop<bool, bool, Not>);
}

std::unique_ptr<Operation> zeros_like(Build& build) {
  Value& out = build.result(build.input(0).type, build.input(0).shape);
  return make_operation([&out] { std::memset(out.data, 0, out.bytes()); });
}

using Complex = std::complex<float>;

template <typename Function>
std::unique_ptr<Operation> part(Build& build) {
  build.input(0, Type::complex64);
  return each(build, Type::float32, loop<Complex, float, Function>);
}
struct Real {
  float operator()(Complex value) const { return value.real(); }
};
struct Imaginary {
  float operator()(Complex value) const { return value.imag(); }
};
struct Magnitude {
  float operator()(Complex value) const {
    return static_cast<float>(std::hypot(static_cast<double>(value.real()), static_cast<double>(value.imag())));
  }
};
std::unique_ptr<Operation> magnitude(Build& build) {
  build.claim(product({build.input(0).count(), 32}));
  return part<Magnitude>(build);
}

template <bool logarithmic>
std::unique_ptr<Operation> softmax(Build& build) {
  Value& in = build.input(0, Type::float32);
  if (in.shape.empty() || in.shape.back() == 0) build.refuse("its input has the shape %s", to_text(in.shape).c_str());
  Value& out = build.result(Type::float32, in.shape);
  build.claim(product({in.count(), 64}));
  double beta = logarithmic ? 1 : build.op.options.real("beta");
  Value& terms = *build.temporary(static_cast<size_t>(in.shape.back()) * sizeof(double));
  return make_operation([&in, &out, &terms, beta] {
    int64_t size = in.shape.back(), rows = in.count() / size;
    double* term = terms.as<double>();
    for (int64_t row = 0; row < rows; ++row) {
      const float* from = in.as<const float>() + row * size;
      float* to = out.as<float>() + row * size;
      double largest = from[0] * beta, total = 0;
      for (int64_t i = 1; i < size; ++i)
        largest = from[i] * beta > largest || from[i] != from[i] ? from[i] * beta : largest;
      for (int64_t i = 0; i < size; ++i) total += term[i] = std::exp(from[i] * beta - largest);
      const double log_total = logarithmic ? std::log(total) : 0;
      for (int64_t i = 0; i < size; ++i)
        to[i] = static_cast<float>(logarithmic ? from[i] * beta - largest - log_total : term[i] / total);
    }
  });
}

}  // namespace

const std::vector<NamedBuilder>& unary_operators() {
  static const std::vector<NamedBuilder> list = {
      {"ABS", numbers<Absolute>},
      {"NEG", numbers<Negative>},
      {"SIGN", numbers<Sign>},
      {"SQUARE", numbers<Square>},
      {"FLOOR", floats<Floor>},
      {"CEIL", floats<Ceil>},
      {"ROUND", floats<Round>},
      {"SQRT", floats<Root>},
      {"RELU", relu<0, 9>},
      {"RELU6", relu<0, 6>},
      {"RELU_N1_TO_1", relu<-1, 1>},
      {"RELU_0_TO_1", relu<0, 1>},
      {"LEAKY_RELU", leaky_relu},
      {"ELU", rounded<elu>},
      {"HARD_SWISH", rounded<hard_swish>},
      {"LOGISTIC", rounded<logistic>},
      {"TANH", rounded<tangent>},
      {"EXP", rounded<exponential>},
      {"LOG", rounded<logarithm>},
      {"SIN", rounded<sine>},
      {"COS", rounded<cosine>},
      {"RSQRT", rounded<reciprocal_root>},
      {"LOGICAL_NOT", logical_not},
      {"ZEROS_LIKE", zeros_like},
      {"REAL", part<Real>},
      {"IMAG", part<Imaginary>},
      {"COMPLEX_ABS", magnitude},
      {"SOFTMAX", softmax<false>},
      {"LOG_SOFTMAX", softmax<true>},
  };
  return list;
}

}  // namespace bnn_exit
