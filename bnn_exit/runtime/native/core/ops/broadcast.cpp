#include "ops/broadcast.h"

#include <vector>

namespace bnn_exit {
namespace {

// NaN stays NaN.
template <typename T>
void clamp_each(T* values, int64_t count, float low, float high) {
  for (int64_t i = 0; i < count; ++i) {
    if (static_cast<float>(values[i]) < low) values[i] = static_cast<T>(low);
    if (static_cast<float>(values[i]) > high) values[i] = static_cast<T>(high);
  }
}

}  // namespace

void clamp_in_place(Value& values, float low, float high) {
  switch (values.type) {
    case Type::float32: return clamp_each(values.as<float>(), values.count(), low, high);
    case Type::int32: return clamp_each(values.as<int32_t>(), values.count(), low, high);
    case Type::int64: return clamp_each(values.as<int64_t>(), values.count(), low, high);
    default: return;
  }
}

Broadcast broadcast(const Build& build, const Shape& left, const Shape& right) {
  Broadcast plan;
  size_t rank = std::max(left.size(), right.size());
  if (rank > kMaxDimensions) build.refuse("%zu dimensions", rank);
  Shape shape(rank);
  std::vector<int64_t> strides[2] = {std::vector<int64_t>(rank), std::vector<int64_t>(rank)};
  const Shape* shapes[2] = {&left, &right};
  for (int side = 0; side < 2; ++side) {
    int64_t stride = 1;
    for (size_t back = 1; back <= shapes[side]->size(); ++back) {
      int64_t size = (*shapes[side])[shapes[side]->size() - back];
      strides[side][rank - back] = size == 1 ? 0 : stride;
      stride *= size;
    }
  }
  for (size_t back = 1; back <= rank; ++back) {
    int64_t a = back <= left.size() ? left[left.size() - back] : 1,
            b = back <= right.size() ? right[right.size() - back] : 1;
    if (a != b && a != 1 && b != 1)
      build.refuse("shapes %s and %s do not go together", to_text(left).c_str(), to_text(right).c_str());
    shape[rank - back] = a == 1 ? b : a;
  }
  build.require(shape);
  plan.shape = shape;
  plan.rank = 0;
  // Axes that are contiguous on both sides become one.
  for (size_t axis = 0; axis < rank; ++axis) {
    if (shape[axis] == 1) continue;
    int last = plan.rank - 1;
    if (last >= 0 && plan.strides[0][last] == strides[0][axis] * shape[axis] &&
        plan.strides[1][last] == strides[1][axis] * shape[axis]) {
      plan.sizes[last] *= shape[axis];
      plan.strides[0][last] = strides[0][axis];
      plan.strides[1][last] = strides[1][axis];
      continue;
    }
    plan.sizes[plan.rank] = shape[axis];
    plan.strides[0][plan.rank] = strides[0][axis];
    plan.strides[1][plan.rank] = strides[1][axis];
    ++plan.rank;
  }
  if (plan.rank == 0) plan.sizes[plan.rank++] = elements(shape);
  return plan;
}

}  // namespace bnn_exit
