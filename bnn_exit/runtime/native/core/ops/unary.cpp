// Elementwise operators on one value, and SOFTMAX. Transcendental functions are computed in double and rounded once.
#include <cmath>
#include <complex>

#include "ops/operators.h"

namespace bnn_exit {
namespace {

template <typename In, typename Out, typename Function>
std::unique_ptr<Operation> each(Build& build, Type type, Function function) {
  Value& in = build.input(0);
  Value& out = build.result(type, in.shape);
  return make_operation([&in, &out, function] {
    const In* from = in.as<const In>();
    Out* to = out.as<Out>();
    for (int64_t i = 0, count = out.count(); i < count; ++i) to[i] = function(from[i]);
  });
}

template <typename Function>
std::unique_ptr<Operation> floats(Build& build, Function function) {
  build.claim(product({build.input(0, Type::float32).count(), 4}));
  return each<float, float>(build, Type::float32, function);
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
std::unique_ptr<Operation> rounded(Build& build) {
  build.claim(product({build.input(0).count(), function == OfDouble{sine} || function == OfDouble{cosine} ? 128 : 32}));
  return floats(build, [](float value) { return static_cast<float>(function(value)); });
}

template <int low, int high>
std::unique_ptr<Operation> relu(Build& build) {
  // A bound of 9 stands for none.
  return floats(build, [](float value) { return value < low ? low : high != 9 && value > high ? high : value; });
}

std::unique_ptr<Operation> leaky_relu(Build& build) {
  float alpha = static_cast<float>(build.op.options.real("alpha"));
  return floats(build, [alpha](float value) { return value > 0 ? value : value * alpha; });
}

// For functions that are defined for integers, too.
template <typename Function>
std::unique_ptr<Operation> numbers(Build& build, Function function) {
  switch (build.input(0).type) {
    case Type::float32: return each<float, float>(build, Type::float32, function);
    case Type::int32: return each<int32_t, int32_t>(build, Type::int32, function);
    case Type::int64: return each<int64_t, int64_t>(build, Type::int64, function);
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

std::unique_ptr<Operation> negative(Build& build) { return numbers(build, Negative()); }
std::unique_ptr<Operation> absolute(Build& build) { return numbers(build, Absolute()); }
std::unique_ptr<Operation> square(Build& build) { return numbers(build, Square()); }
std::unique_ptr<Operation> sign(Build& build) { return numbers(build, Sign()); }
std::unique_ptr<Operation> floor(Build& build) {
  return floats(build, [](float value) { return std::floor(value); });
}
std::unique_ptr<Operation> ceil(Build& build) {
  return floats(build, [](float value) { return std::ceil(value); });
}
std::unique_ptr<Operation> round(Build& build) {
  return floats(build, [](float value) { return std::nearbyint(value); });
}
std::unique_ptr<Operation> root(Build& build) {
  return floats(build, [](float value) { return std::sqrt(value); });
}

std::unique_ptr<Operation> logical_not(Build& build) {
  build.input(0, Type::boolean);
  return each<bool, bool>(build, Type::boolean, [](bool value) { return !value; });
}

std::unique_ptr<Operation> zeros_like(Build& build) {
  Value& out = build.result(build.input(0).type, build.input(0).shape);
  return make_operation([&out] { std::memset(out.data, 0, out.bytes()); });
}

using Complex = std::complex<float>;

template <typename Function>
std::unique_ptr<Operation> part(Build& build, Function function) {
  build.input(0, Type::complex64);
  return each<Complex, float>(build, Type::float32, function);
}
std::unique_ptr<Operation> real(Build& build) {
  return part(build, [](Complex value) { return value.real(); });
}
std::unique_ptr<Operation> imaginary(Build& build) {
  return part(build, [](Complex value) { return value.imag(); });
}
std::unique_ptr<Operation> magnitude(Build& build) {
  build.claim(product({build.input(0).count(), 32}));
  return part(build, [](Complex value) {
    return static_cast<float>(std::hypot(static_cast<double>(value.real()), static_cast<double>(value.imag())));
  });
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
      {"ABS", absolute},
      {"NEG", negative},
      {"SIGN", sign},
      {"SQUARE", square},
      {"FLOOR", floor},
      {"CEIL", ceil},
      {"ROUND", round},
      {"SQRT", root},
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
      {"REAL", real},
      {"IMAG", imaginary},
      {"COMPLEX_ABS", magnitude},
      {"SOFTMAX", softmax<false>},
      {"LOG_SOFTMAX", softmax<true>},
  };
  return list;
}

}  // namespace bnn_exit
