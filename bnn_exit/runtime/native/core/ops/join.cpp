// Operators that concatenate values, look values up, or create them.
#include <algorithm>
#include <cmath>

#include "ops/broadcast.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

// Interleaves the inputs: `pieces[i]` bytes of each in turn.
std::unique_ptr<Operation> interleave(Build& build, Value& out, std::vector<size_t> pieces, float low, float high) {
  std::vector<Value*> parts = build.in;
  bool activates = low > -INFINITY || high < INFINITY;
  if (activates && out.type != Type::float32 && out.type != Type::int32 && out.type != Type::int64) {
    build.refuse("values of %s with a fused activation are not supported", name_of(out.type));
  }
  int64_t together = 0;
  for (size_t piece : pieces) together += static_cast<int64_t>(piece);
  if (together)
    build.claim(product({static_cast<int64_t>(out.bytes()) / together, static_cast<int64_t>(pieces.size()), 16}));
  build.claim(product({out.count(), 2}));
  std::vector<const uint8_t*> from(parts.size());
  return make_operation([=, &out]() mutable {
    size_t size = out.bytes(), done = 0;
    for (size_t part = 0; part < parts.size(); ++part) from[part] = parts[part]->as<const uint8_t>();
    uint8_t* to = out.as<uint8_t>();
    while (done < size) {
      for (size_t part = 0; part < parts.size(); ++part) {
        std::memcpy(to + done, from[part], pieces[part]);
        from[part] += pieces[part];
        done += pieces[part];
      }
    }
    if (activates) clamp_in_place(out, low, high);
  });
}

std::unique_ptr<Operation> concatenation(Build& build) {
  Value& first = build.input(0);
  size_t axis = build.axis(build.op.options.integer("axis"), first.shape.size());
  Shape shape = first.shape;
  std::vector<size_t> pieces;
  shape[axis] = 0;
  for (size_t part = 0; part < build.in.size(); ++part) {
    Value& value = build.input(part, first.type);
    Shape other = value.shape;
    if (other.size() != shape.size())
      build.refuse("shapes %s and %s", to_text(first.shape).c_str(), to_text(other).c_str());
    shape[axis] += other[axis];
    other[axis] = first.shape[axis];
    if (other != first.shape)
      build.refuse("shapes %s and %s", to_text(first.shape).c_str(), to_text(value.shape).c_str());
    pieces.push_back(static_cast<size_t>(
                         elements(Shape(value.shape.begin() + static_cast<std::ptrdiff_t>(axis), value.shape.end()))) *
                     size_of(value.type));
  }
  Value& out = build.result(first.type, shape);
  if (!size_of(first.type)) build.refuse("values of %s are not supported", name_of(first.type));
  return interleave(build, out, pieces, build.low(), build.high());
}

std::unique_ptr<Operation> pack(Build& build) {
  Value& first = build.input(0);
  size_t axis = build.axis(build.op.options.integer("axis"), first.shape.size() + 1);
  std::vector<size_t> pieces;
  for (size_t part = 0; part < build.in.size(); ++part) {
    if (build.input(part, first.type).shape != first.shape) build.refuse("its inputs differ in shape");
    pieces.push_back(static_cast<size_t>(
                         elements(Shape(first.shape.begin() + static_cast<std::ptrdiff_t>(axis), first.shape.end()))) *
                     size_of(first.type));
  }
  Shape shape = first.shape;
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), static_cast<int64_t>(build.in.size()));
  Value& out = build.result(first.type, shape);
  if (!size_of(first.type)) build.refuse("values of %s are not supported", name_of(first.type));
  return interleave(build, out, pieces, -INFINITY, INFINITY);
}

std::unique_ptr<Operation> gather(Build& build) {
  Value &in = build.input(0), &indices = build.input(1);
  size_t axis = build.axis(build.op.options.integer("axis"), in.shape.size());
  if (build.op.options.integer("batch_dims") != 0) build.refuse("batch_dims other than 0 are not supported");
  if (indices.type != Type::int32 && indices.type != Type::int64) build.refuse("indices are %s", name_of(indices.type));
  if (!size_of(in.type)) build.refuse("values of %s are not supported", name_of(in.type));
  Shape shape = in.shape;
  auto at = shape.begin() + static_cast<std::ptrdiff_t>(axis);
  at = shape.erase(at);
  shape.insert(at, indices.shape.begin(), indices.shape.end());
  Value& out = build.result(in.type, shape);
  int64_t limit = in.shape[axis];
  int64_t outer = elements(Shape(in.shape.begin(), in.shape.begin() + static_cast<std::ptrdiff_t>(axis)));
  size_t piece =
      static_cast<size_t>(elements(Shape(in.shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, in.shape.end()))) *
      size_of(in.type);
  build.claim(product({indices.count(), 2}));
  build.claim(product({out.count() ? outer : 0, indices.count(), 16 + static_cast<int64_t>(piece / 4)}));
  return make_operation([=, &in, &indices, &out] {
    uint8_t* to = out.as<uint8_t>();
    auto index_of = [&indices](int64_t i) {
      return indices.type == Type::int32 ? indices.as<const int32_t>()[i] : indices.as<const int64_t>()[i];
    };
    for (int64_t i = 0, count = indices.count(); i < count; ++i) {
      if (index_of(i) < 0 || index_of(i) >= limit)
        fail_execution("GATHER cannot be computed: an index is outside the values");
    }
    if (out.count() == 0) return;
    for (int64_t row = 0; row < outer; ++row) {
      for (int64_t i = 0, count = indices.count(); i < count; ++i, to += piece) {
        int64_t index = index_of(i);
        std::memcpy(to, in.as<const uint8_t>() + static_cast<size_t>(row * limit + index) * piece, piece);
      }
    }
  });
}

std::unique_ptr<Operation> shape_of(Build& build) {
  Value& in = build.input(0);
  bool wide = build.output().type == Type::int64;
  Value& out = build.result(wide ? Type::int64 : Type::int32, {static_cast<int64_t>(in.shape.size())});
  return make_operation([&in, &out, wide] {
    for (size_t axis = 0; axis < in.shape.size(); ++axis) {
      if (wide) {
        out.as<int64_t>()[axis] = in.shape[axis];
      } else {
        out.as<int32_t>()[axis] = static_cast<int32_t>(in.shape[axis]);
      }
    }
  });
}

std::unique_ptr<Operation> fill(Build& build) {
  Value& value = build.input(1);
  if (value.count() != 1 || !size_of(value.type))
    build.refuse("it has %lld values to fill with", (long long)value.count());
  Value& out = build.result(value.type, build.constants(0));
  build.claim(product({out.count(), 4}));
  return make_operation([&value, &out] {
    size_t size = size_of(value.type);
    for (int64_t i = 0, count = out.count(); i < count; ++i) {
      std::memcpy(out.as<uint8_t>() + static_cast<size_t>(i) * size, value.data, size);
    }
  });
}

template <typename T>
std::unique_ptr<Operation> range_of(Build& build) {
  for (size_t i = 0; i < 3; ++i) {
    if (build.input(i, build.input(0).type).count() < 1) build.refuse("input %zu is empty", i);
  }
  Value &start = build.input(0), &limit = build.input(1), &delta = build.input(2);
  if (!limit.constant || !delta.constant) build.refuse("its length is only known during a run");
  // The start may be a result of the network; then the length must be the one that the file declares.
  auto length = [](double from, double to, double step) { return std::ceil((to - from) / step); };
  double count = start.constant
                     ? length(static_cast<double>(*start.as<const T>()), static_cast<double>(*limit.as<const T>()),
                              static_cast<double>(*delta.as<const T>()))
                     : static_cast<double>(build.output().count());
  if (!(count <= static_cast<double>(kMaxElements))) build.refuse("it asks for %g values", count);
  Value& out = build.result(start.type, {static_cast<int64_t>(std::max(0.0, count))});
  build.claim(product({out.count(), 4}));
  return make_operation([&start, &limit, &delta, &out, length] {
    T from = *start.as<const T>(), step = *delta.as<const T>();
    double wanted =
        length(static_cast<double>(from), static_cast<double>(*limit.as<const T>()), static_cast<double>(step));
    if (!(std::max(wanted, 0.0) == static_cast<double>(out.count())))
      fail_execution("RANGE cannot be computed: its length differs from what the file announces");
    for (int64_t i = 0, n = out.count(); i < n; ++i)
      out.as<T>()[i] = static_cast<T>(static_cast<double>(from) + static_cast<double>(i) * static_cast<double>(step));
  });
}

std::unique_ptr<Operation> range(Build& build) {
  switch (build.input(0).type) {
    case Type::float32: return range_of<float>(build);
    case Type::int32: return range_of<int32_t>(build);
    default: build.refuse("values of %s are not supported", name_of(build.input(0).type));
  }
}

}  // namespace

const std::vector<NamedBuilder>& join_operators() {
  static const std::vector<NamedBuilder> list = {
      {"CONCATENATION", concatenation},
      {"PACK", pack},
      {"GATHER", gather},
      {"SHAPE", shape_of},
      {"FILL", fill},
      {"RANGE", range},
  };
  return list;
}

}  // namespace bnn_exit
