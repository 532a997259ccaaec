// Operators that reduce axes to one value, and matrix products. Sums are computed in double and rounded once.
#include <algorithm>
#include <cmath>

#include "ops/broadcast.h"
#include "ops/extremes.h"
#include "ops/move.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

constexpr int64_t kTogether = 16;

// Some axes of the input, the outermost first.
struct Axes {
  int rank = 0;
  int64_t sizes[kMaxDimensions], strides[kMaxDimensions];

  // An axis that continues the one before it, without a gap, becomes one with it.
  void add(int64_t size, int64_t stride) {
    if (rank && strides[rank - 1] == size * stride) {
      sizes[rank - 1] *= size;
      strides[rank - 1] = stride;
    } else {
      sizes[rank] = size;
      strides[rank++] = stride;
    }
  }
};

// The offsets of the indices of some axes, none of which is empty, in order.
class Walk {
 public:
  Walk(const Axes& axes, int rank) : axes_(axes), rank_(rank) {}

  int64_t offset() const { return offset_; }

  bool next() {
    for (int axis = rank_ - 1; axis >= 0; --axis) {
      offset_ += axes_.strides[axis];
      if (++index_[axis] < axes_.sizes[axis]) return true;
      offset_ -= axes_.sizes[axis] * axes_.strides[axis];
      index_[axis] = 0;
    }
    return false;
  }

 private:
  const Axes& axes_;
  int rank_;
  int64_t offset_ = 0, index_[kMaxDimensions] = {};
};

struct Reduction {
  Shape shape;  // of the result
  Axes kept, gone;
  int64_t size = 1;  // values that are reduced to one
};

Reduction reduction_of(Build& build) {
  Value& in = build.input(0);
  bool keep = build.op.options.integer("keep_dims") != 0;
  std::vector<bool> reduced(in.shape.size());
  for (int64_t number : build.constants(1)) reduced[build.axis(number, in.shape.size())] = true;
  Reduction plan;
  const Shape strides = strides_of(in.shape);
  for (size_t axis = 0; axis < in.shape.size(); ++axis) {
    (reduced[axis] ? plan.gone : plan.kept).add(in.shape[axis], strides[axis]);
    if (reduced[axis]) plan.size *= in.shape[axis];  // no overflow: the product of the axes that are not 0 is bounded
    if (!reduced[axis]) plan.shape.push_back(in.shape[axis]);
    if (reduced[axis] && keep) plan.shape.push_back(1);
  }
  if (!plan.gone.rank) plan.gone.add(1, 0);
  return plan;
}

// Only the loop that reduces some adjacent values, at most kTogether, is compiled for each operator and type;
// everything around it is shared, which keeps the library small.
using Reduce = void (*)(const Reduction& plan, const void* from, void* to, int64_t some);

// `Rule` has the types, the start, `combine` and `finish`.
template <typename Rule>
void reduce(const Reduction& plan, const void* first, void* out, int64_t some) {
  using T = typename Rule::T;
  using Sum = typename Rule::Sum;
  const T* from = static_cast<const T*>(first);
  Sum totals[kTogether] = {};
  for (int64_t i = 0; i < some; ++i) totals[i] = Rule::start(from + i);
  if (plan.size) {
    const int inner = plan.gone.rank - 1;
    const int64_t count = plan.gone.sizes[inner], stride = plan.gone.strides[inner];
    Walk walk(plan.gone, inner);
    do {
      const T* row = from + walk.offset();
      if (some == kTogether) {
        for (int64_t k = 0; k < count; ++k, row += stride)
          for (int64_t i = 0; i < kTogether; ++i) totals[i] = Rule::combine(totals[i], row[i]);
      } else if (some == 1) {
        Sum total = totals[0];
        for (int64_t k = 0; k < count; ++k) total = Rule::combine(total, row[k * stride]);
        totals[0] = total;
      } else {
        for (int64_t k = 0; k < count; ++k, row += stride)
          for (int64_t i = 0; i < some; ++i) totals[i] = Rule::combine(totals[i], row[i]);
      }
    } while (walk.next());
  }
  for (int64_t i = 0; i < some; ++i) static_cast<T*>(out)[i] = Rule::finish(totals[i], plan.size);
}

std::unique_ptr<Operation> make_reduction(Build& build, Reduce reduce, bool chooses = false) {
  Value& in = build.input(0);
  Reduction plan = reduction_of(build);
  if (chooses && plan.size == 0) build.refuse("it has no values to choose from");
  Value& out = build.result(in.type, plan.shape);
  // Adjacent results, such as the channels of an image, are computed in groups of sixteen, which share the cost of each
  // offset.
  int outer = plan.kept.rank;
  const bool side_by_side = outer && plan.kept.strides[outer - 1] == 1;
  const int64_t across = side_by_side ? plan.kept.sizes[--outer] : 1,
                lanes = (across + kTogether - 1) / kTogether * kTogether;
  build.claim(product({in.count() / std::max<int64_t>(across, 1), lanes, 4}));
  build.claim(product({out.count() / std::max<int64_t>(across, 1), lanes, 4}));
  if (out.count() == 0) return nullptr;
  return make_operation([=, &in, &out] {
    const size_t size = size_of(in.type);
    const auto* from = in.as<const uint8_t>();
    auto* to = out.as<uint8_t>();
    Walk walk(plan.kept, outer);
    do {
      for (int64_t first = 0; first < across; first += kTogether) {
        const int64_t some = std::min(kTogether, across - first);
        // Of an empty input nothing is read.
        reduce(plan, plan.size ? from + static_cast<size_t>(walk.offset() + first) * size : nullptr, to, some);
        to += static_cast<size_t>(some) * size;
      }
    } while (walk.next());
  });
}

template <typename Op, typename Type>
struct Extreme {
  using T = Type;
  using Sum = Type;
  static Sum start(const T* first) { return *first; }
  static Sum combine(Sum total, T value) { return Op()(total, value); }
  static T finish(Sum total, int64_t) { return static_cast<T>(total + 0); }  // never -0, in whatever order
};

template <typename Op>
std::unique_ptr<Operation> extreme(Build& build) {
  switch (build.input(0).type) {
    case Type::float32: return make_reduction(build, reduce<Extreme<Op, float>>, true);
    case Type::int32: return make_reduction(build, reduce<Extreme<Op, int32_t>>, true);
    case Type::int64: return make_reduction(build, reduce<Extreme<Op, int64_t>>, true);
    default: build.refuse("values of %s are not supported", name_of(build.input(0).type));
  }
}

// Integers wrap around: their sums and products are unsigned.
template <typename Type, bool product>
struct Total {
  using T = Type;
  using Sum = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
  static Sum start(const T*) { return Sum{product}; }
  static Sum combine(Sum sum, T value) {
    return product ? sum * static_cast<Sum>(value) : sum + static_cast<Sum>(value);
  }
  static T finish(Sum sum, int64_t) { return static_cast<T>(sum); }
};

template <bool product>
std::unique_ptr<Operation> total(Build& build) {
  switch (build.input(0).type) {
    case Type::float32: return make_reduction(build, reduce<Total<float, product>>);
    case Type::int32: return make_reduction(build, reduce<Total<int32_t, product>>);
    case Type::int64: return make_reduction(build, reduce<Total<int64_t, product>>);
    default: build.refuse("values of %s are not supported", name_of(build.input(0).type));
  }
}

struct Mean : Total<float, false> {
  static float finish(double sum, int64_t size) { return static_cast<float>(sum / static_cast<double>(size)); }
};
std::unique_ptr<Operation> mean(Build& build) {
  build.input(0, Type::float32);
  return make_reduction(build, reduce<Mean>);
}

template <bool all>
struct Truth {
  using T = bool;
  using Sum = bool;
  static bool start(const bool*) { return all; }
  static bool combine(bool sum, bool value) { return all ? sum && value : sum || value; }
  static bool finish(bool sum, int64_t) { return sum; }
};
template <bool all>
std::unique_ptr<Operation> truth(Build& build) {
  build.input(0, Type::boolean);
  return make_reduction(build, reduce<Truth<all>>);
}

std::unique_ptr<Operation> batch_matmul(Build& build) {
  Value &left = build.input(0, Type::float32), &right = build.input(1, Type::float32);
  bool flip_left = build.op.options.integer("adj_x") != 0, flip_right = build.op.options.integer("adj_y") != 0;
  if (left.shape.size() < 2 || right.shape.size() < 2) build.refuse("its inputs are no matrices");
  auto part = [](const Shape& shape, size_t back) { return shape[shape.size() - back]; };
  int64_t rows = part(left.shape, flip_left ? 1 : 2), inner = part(left.shape, flip_left ? 2 : 1);
  int64_t columns = part(right.shape, flip_right ? 2 : 1);
  if (part(right.shape, flip_right ? 1 : 2) != inner)
    build.refuse("%s and %s do not go together", to_text(left.shape).c_str(), to_text(right.shape).c_str());
  Shape outer_left(left.shape.begin(), left.shape.end() - 2), outer_right(right.shape.begin(), right.shape.end() - 2);
  Broadcast outer = broadcast(build, outer_left, outer_right);
  Shape shape = outer.shape;
  shape.push_back(rows);
  shape.push_back(columns);
  Value& out = build.result(Type::float32, shape);
  build.claim(
      product({out.count(), inner + 8, flip_right && !flip_left ? 2 : 8}));  // the values of a column are not adjacent
  return make_operation([=, &left, &right, &out] {
    float* to = out.as<float>();
    each_row(outer, [&](int64_t a, int64_t b, int64_t count, int64_t step_a, int64_t step_b) {
      for (int64_t i = 0; i < count; ++i) {
        const float* x = left.as<const float>() + (a + i * step_a) * rows * inner;
        const float* y = right.as<const float>() + (b + i * step_b) * inner * columns;
        for (int64_t row = 0; row < rows; ++row) {
          for (int64_t column = 0; column < columns; ++column) {
            double sum = 0;
            for (int64_t k = 0; k < inner; ++k) {
              sum += static_cast<double>(flip_left ? x[k * rows + row] : x[row * inner + k]) *
                     (flip_right ? y[column * inner + k] : y[k * columns + column]);
            }
            *to++ = static_cast<float>(sum);
          }
        }
      }
    });
  });
}

}  // namespace

const std::vector<NamedBuilder>& reduction_operators() {
  static const std::vector<NamedBuilder> list = {
      {"MEAN", mean},
      {"SUM", total<false>},
      {"REDUCE_PROD", total<true>},
      {"REDUCE_MAX", extreme<Maximum>},
      {"REDUCE_MIN", extreme<Minimum>},
      {"REDUCE_ANY", truth<false>},
      {"REDUCE_ALL", truth<true>},
      {"BATCH_MATMUL", batch_matmul},
  };
  return list;
}

}  // namespace bnn_exit
