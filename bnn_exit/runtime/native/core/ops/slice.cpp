// Operators that split or slice a value.
#include <algorithm>

#include "ops/move.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

// One operation for each output.
class Several : public Operation {
 public:
  explicit Several(std::vector<std::unique_ptr<Operation>> parts) : parts_(std::move(parts)) {}
  void execute() override {
    for (auto& part : parts_) {
      if (part) part->execute();
    }
  }

 private:
  std::vector<std::unique_ptr<Operation>> parts_;
};

// Cuts an input along one axis into parts of sizes[i], one for each output.
std::unique_ptr<Operation> cut(Build& build, Value& in, size_t axis, const std::vector<int64_t>& sizes) {
  Shape strides = strides_of(in.shape);
  std::vector<std::unique_ptr<Operation>> parts;
  int64_t begin = 0;
  if (sizes.size() != build.out.size()) build.refuse("%zu parts for %zu outputs", sizes.size(), build.out.size());
  for (size_t part = 0; part < sizes.size(); ++part) {
    std::vector<Axis> axes;
    for (size_t k = 0; k < in.shape.size(); ++k)
      axes.push_back(steps(k == axis ? sizes[part] : in.shape[k], strides[k]));
    parts.push_back(move(build, part, in, axes, begin * strides[axis]));
    begin += sizes[part];
  }
  if (begin != in.shape[axis])
    build.refuse("parts of %lld do not make up %lld", (long long)begin, (long long)in.shape[axis]);
  return std::make_unique<Several>(std::move(parts));
}

std::unique_ptr<Operation> split(Build& build) {
  Value& in = build.input(1);
  size_t axis = build.axis(build.constant(0), in.shape.size());
  int64_t parts = static_cast<int64_t>(build.out.size());
  if (!parts || in.shape[axis] % parts)
    build.refuse("%lld values in %lld parts", (long long)in.shape[axis], (long long)parts);
  return cut(build, in, axis, std::vector<int64_t>(build.out.size(), in.shape[axis] / parts));
}

std::unique_ptr<Operation> split_v(Build& build) {
  Value& in = build.input(0);
  size_t axis = build.axis(build.constant(2), in.shape.size());
  std::vector<int64_t> sizes = build.constants(1);
  int64_t rest = in.shape[axis];
  for (int64_t size : sizes) rest -= size == -1 ? 0 : size;
  int64_t total = 0;
  for (int64_t& size : sizes) {
    if (size == -1) size = rest;
    if (size < 0 || size > in.shape[axis] - total) build.refuse("parts do not make up %lld", (long long)in.shape[axis]);
    total += size;
  }
  return cut(build, in, axis, sizes);
}

std::unique_ptr<Operation> unpack(Build& build) {
  Value& in = build.input(0);
  size_t axis = build.axis(build.op.options.integer("axis"), in.shape.size());
  Shape strides = strides_of(in.shape);
  if (in.shape[axis] != static_cast<int64_t>(build.out.size()))
    build.refuse("%lld values for %zu outputs", (long long)in.shape[axis], build.out.size());
  std::vector<std::unique_ptr<Operation>> parts;
  for (size_t part = 0; part < build.out.size(); ++part) {
    std::vector<Axis> axes;
    for (size_t k = 0; k < in.shape.size(); ++k) {
      if (k != axis) axes.push_back(steps(in.shape[k], strides[k]));
    }
    parts.push_back(move(build, part, in, axes, static_cast<int64_t>(part) * strides[axis]));
  }
  return std::make_unique<Several>(std::move(parts));
}

std::unique_ptr<Operation> slice(Build& build) {
  Value& in = build.input(0);
  std::vector<int64_t> begin = build.constants(1), size = build.constants(2);
  if (begin.size() != in.shape.size() || size.size() != begin.size())
    build.refuse("%zu axes for %zu", begin.size(), in.shape.size());
  Shape strides = strides_of(in.shape);
  std::vector<Axis> axes;
  for (size_t axis = 0; axis < begin.size(); ++axis) {
    int64_t limit = in.shape[axis], stop = size[axis] == -1 ? limit : begin[axis] + size[axis];
    if (begin[axis] < 0 || begin[axis] > stop || stop > limit) {
      build.refuse("the slice [%lld, %lld) is outside the %lld values", (long long)begin[axis], (long long)stop,
                   (long long)limit);
    }
    axes.push_back(steps(stop - begin[axis], strides[axis], begin[axis] * strides[axis]));
  }
  return move(build, 0, in, axes);
}

// Bit i of a mask concerns entry i of begin, end and strides.
std::unique_ptr<Operation> strided_slice(Build& build) {
  Value& in = build.input(0);
  std::vector<int64_t> begin = build.constants(1), end = build.constants(2), stride = build.constants(3);
  if (begin.size() > 32 || end.size() != begin.size() || stride.size() != begin.size())
    build.refuse("%zu begins, %zu ends", begin.size(), end.size());
  auto marked = [&](const char* mask, size_t entry) { return (build.op.options.integer(mask) >> entry & 1) != 0; };
  Shape strides = strides_of(in.shape), shape;
  std::vector<Axis> axes;
  int64_t offset = 0;
  size_t axis = 0, used = 0;
  for (size_t entry = 0; entry < begin.size(); ++entry)
    used += !marked("ellipsis_mask", entry) && !marked("new_axis_mask", entry);
  auto keep = [&](size_t count) {
    for (; count && axis < in.shape.size(); --count, ++axis) axes.push_back(steps(in.shape[axis], strides[axis]));
  };
  bool ellipsis = false;
  for (size_t entry = 0; entry < begin.size(); ++entry) {
    if (marked("ellipsis_mask", entry)) {
      if (ellipsis) build.refuse("it has two ellipses");
      ellipsis = true;
      keep(in.shape.size() > used ? in.shape.size() - used : 0);
      continue;
    }
    if (marked("new_axis_mask", entry)) {
      axes.push_back(steps(1, 0));
      continue;
    }
    if (axis >= in.shape.size()) build.refuse("%zu axes for %zu", used, in.shape.size());
    int64_t limit = in.shape[axis], step = stride[entry], start = begin[entry];
    if (marked("shrink_axis_mask", entry)) {
      if (start < -limit || start >= limit)
        build.refuse("index %lld is outside the %lld values", (long long)start, (long long)limit);
      offset += (start < 0 ? start + limit : start) * strides[axis++];
      continue;
    }
    if (step == 0) build.refuse("a stride is 0");
    int64_t stop = build.op.options.integer("offset", 0) ? start + end[entry] : end[entry];
    // As a Python slice.
    int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? limit : limit - 1;
    auto fit = [&](int64_t index) { return std::clamp(index < 0 ? index + limit : index, lowest, highest); };
    int64_t first = marked("begin_mask", entry) ? (step > 0 ? lowest : highest) : fit(start);
    int64_t last = marked("end_mask", entry) ? (step > 0 ? highest : lowest) : fit(stop);
    int64_t count =
        std::max<int64_t>(step > 0 ? (last - first + step - 1) / step : (first - last - step - 1) / -step, 0);
    // A single value has no successor, whose offset could be out of range.
    axes.push_back(steps(count, count > 1 ? step * strides[axis] : 0, first * strides[axis]));
    ++axis;
  }
  keep(in.shape.size());
  return move(build, 0, in, axes, offset);
}

}  // namespace

const std::vector<NamedBuilder>& slice_operators() {
  static const std::vector<NamedBuilder> list = {
      {"SPLIT", split}, {"SPLIT_V", split_v}, {"UNPACK", unpack}, {"SLICE", slice}, {"STRIDED_SLICE", strided_slice},
  };
  return list;
}

}  // namespace bnn_exit
