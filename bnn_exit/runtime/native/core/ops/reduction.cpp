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

struct Axes {
  Shape shape;  // of the result
  int64_t kept[kMaxDimensions], kept_strides[kMaxDimensions];
  int64_t gone[kMaxDimensions], gone_strides[kMaxDimensions];
  int kept_rank = 0, gone_rank = 0;
  int64_t size = 1;  // values that are reduced to one
};

Axes axes_of(Build& build) {
  Value& in = build.input(0);
  bool keep = build.op.options.integer("keep_dims") != 0;
  std::vector<bool> reduced(in.shape.size());
  for (int64_t number : build.constants(1)) reduced[build.axis(number, in.shape.size())] = true;
  Axes axes;
  const Shape strides = strides_of(in.shape);
  for (size_t axis = 0; axis < in.shape.size(); ++axis) {
    if (reduced[axis]) {
      axes.gone[axes.gone_rank] = in.shape[axis];
      axes.gone_strides[axes.gone_rank++] = strides[axis];
      axes.size *= in.shape[axis];  // no overflow: the product of the axes that are not 0 is bounded
      if (keep) axes.shape.push_back(1);
    } else {
      axes.kept[axes.kept_rank] = in.shape[axis];
      axes.kept_strides[axes.kept_rank++] = strides[axis];
      axes.shape.push_back(in.shape[axis]);
    }
  }
  return axes;
}

// Calls visit(offset) for each index of the axes.
template <typename Visit>
void each(const int64_t* sizes, const int64_t* strides, int rank, int64_t offset, Visit visit) {
  if (rank == 0) {
    visit(offset);
    return;
  }
  for (int64_t i = 0; i < *sizes; ++i) each(sizes + 1, strides + 1, rank - 1, offset + i * *strides, visit);
}

template <typename T, typename Sum, typename Combine, typename Finalize>
std::unique_ptr<Operation> reduce(Build& build, Sum start, bool from_first, Combine combine, Finalize finalize) {
  Value& in = build.input(0);
  Axes axes = axes_of(build);
  if (from_first && axes.size == 0) build.refuse("it has no values to choose from");
  Value& out = build.result(in.type, axes.shape);
  // Adjacent results are computed in groups of sixteen, which share the cost of each offset.
  bool side_by_side = axes.kept_rank && axes.kept_strides[axes.kept_rank - 1] == 1;
  int64_t across = side_by_side ? axes.kept[axes.kept_rank - 1] : 1,
          lanes = (across + kTogether - 1) / kTogether * kTogether;
  build.claim(product({in.count() / std::max<int64_t>(across, 1), lanes, 4}));
  build.claim(product({out.count() / std::max<int64_t>(across, 1), lanes, 4}));
  return make_operation([=, &in, &out] {
    const T* from = in.as<const T>();
    T* to = out.as<T>();
    if (in.count() == 0) {
      std::fill_n(to, out.count(), finalize(start, axes.size));
      return;
    }
    // Adjacent results, such as the channels of an image, are computed several at a time.
    int outer = axes.kept_rank;
    int64_t across = outer && axes.kept_strides[outer - 1] == 1 ? axes.kept[--outer] : 1;
    if (across == 1) {
      each(axes.kept, axes.kept_strides, outer, 0, [&](int64_t offset) {
        Sum total = from_first ? static_cast<Sum>(from[offset]) : start;
        each(axes.gone, axes.gone_strides, axes.gone_rank, offset,
             [&](int64_t at) { total = combine(total, from[at]); });
        *to++ = finalize(total, axes.size);
      });
      return;
    }
    each(axes.kept, axes.kept_strides, outer, 0, [&](int64_t offset) {
      for (int64_t first = 0; first < across; first += kTogether) {
        int64_t some = std::min(kTogether, across - first);
        Sum totals[kTogether] = {};
        for (int64_t i = 0; i < some; ++i) totals[i] = from_first ? static_cast<Sum>(from[offset + first + i]) : start;
        each(axes.gone, axes.gone_strides, axes.gone_rank, offset + first, [&](int64_t at) {
          if (some == kTogether) {
            for (int64_t i = 0; i < kTogether; ++i) totals[i] = combine(totals[i], from[at + i]);
          } else {
            for (int64_t i = 0; i < some; ++i) totals[i] = combine(totals[i], from[at + i]);
          }
        });
        for (int64_t i = 0; i < some; ++i) *to++ = finalize(totals[i], axes.size);
      }
    });
  });
}

template <typename Op>
std::unique_ptr<Operation> extreme(Build& build) {
  auto same = [](auto total, int64_t) {
    return static_cast<decltype(total)>(total + 0);
  };  // never -0, in whatever order
  switch (build.input(0).type) {
    case Type::float32: return reduce<float>(build, 0.0f, true, Op(), same);
    case Type::int32: return reduce<int32_t>(build, int32_t{0}, true, Op(), same);
    case Type::int64: return reduce<int64_t>(build, int64_t{0}, true, Op(), same);
    default: build.refuse("values of %s are not supported", name_of(build.input(0).type));
  }
}

// Integers wrap around: their sums and products are unsigned.
template <bool product>
std::unique_ptr<Operation> total(Build& build) {
  auto combine = [](auto sum, auto value) {
    using Sum = decltype(sum);
    return product ? sum * static_cast<Sum>(value) : sum + static_cast<Sum>(value);
  };
  switch (build.input(0).type) {
    case Type::float32:
      return reduce<float>(build, product ? 1.0 : 0.0, false, combine,
                           [](double sum, int64_t) { return static_cast<float>(sum); });
    case Type::int32:
      return reduce<int32_t>(build, uint64_t{product}, false, combine,
                             [](uint64_t sum, int64_t) { return static_cast<int32_t>(sum); });
    case Type::int64:
      return reduce<int64_t>(build, uint64_t{product}, false, combine,
                             [](uint64_t sum, int64_t) { return static_cast<int64_t>(sum); });
    default: build.refuse("values of %s are not supported", name_of(build.input(0).type));
  }
}

std::unique_ptr<Operation> mean(Build& build) {
  build.input(0, Type::float32);
  return reduce<float>(
      build, 0.0, false, [](double sum, float value) { return sum + value; },
      [](double sum, int64_t size) { return static_cast<float>(sum / static_cast<double>(size)); });
}

template <bool all>
std::unique_ptr<Operation> truth(Build& build) {
  build.input(0, Type::boolean);
  return reduce<bool>(
      build, all, false, [](bool sum, bool value) { return all ? sum && value : sum || value; },
      [](bool sum, int64_t) { return sum; });
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
