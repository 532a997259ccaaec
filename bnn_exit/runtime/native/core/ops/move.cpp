#include "ops/move.h"

#include <algorithm>

#include "ops/operators.h"

namespace bnn_exit {

Axis steps(int64_t size, int64_t stride, int64_t start) {
  return {size, [stride, start](int64_t i) { return start + i * stride; }};
}

Shape strides_of(const Shape& shape) {
  Shape strides(shape.size());
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

namespace {

using Offsets = std::vector<int64_t>;

bool consecutive(const Offsets& table) {
  for (size_t i = 0; i < table.size(); ++i) {
    if (table[i] < 0 || table[i] != table[0] + static_cast<int64_t>(i)) return false;
  }
  return true;
}

// The loops over values of one size; everything around them is shared by all sizes, which keeps the library small.
struct Loops {
  // From where `table` says, or `fill` in the place of some.
  void (*scattered)(const uint8_t* from, const uint8_t* fill, const Offsets& table, uint8_t* to);
  void (*filled)(const uint8_t* fill, size_t count, uint8_t* to);
};

template <size_t kSize>
void scattered(const uint8_t* from, const uint8_t* fill, const Offsets& table, uint8_t* to) {
  for (int64_t entry : table) {
    std::memcpy(to, entry == kFill ? fill : from + static_cast<size_t>(entry) * kSize, kSize);
    to += kSize;
  }
}

template <size_t kSize>
void filled(const uint8_t* fill, size_t count, uint8_t* to) {
  for (size_t i = 0; i < count; ++i) std::memcpy(to + i * kSize, fill, kSize);
}

template <size_t kSize>
Loops loops() {
  return {scattered<kSize>, filled<kSize>};
}

Loops loops_of(const Build& build, Type type) {
  switch (size_of(type)) {
    case 1: return loops<1>();
    case 2: return loops<2>();
    case 4: return loops<4>();
    case 8: return loops<8>();
    case 16: return loops<16>();
    default: build.refuse("values of %s are not supported", name_of(type));
  }
}

class Move : public Operation {
 public:
  Move(Value& in, Value& out, Loops loops, std::vector<Offsets> tables, int64_t offset, const void* fill)
      : in_(in), out_(out), loops_(loops), size_(size_of(in.type)), tables_(std::move(tables)), offset_(offset),
        together_(consecutive(tables_.back())) {
    if (fill) std::memcpy(fill_, fill, size_);
  }

  void execute() override {
    to_ = out_.as<uint8_t>();
    walk(0, offset_);
  }

 private:
  void walk(size_t axis, int64_t offset) {
    const Offsets& table = tables_[axis];
    if (axis + 1 < tables_.size()) {
      for (int64_t entry : table) walk(axis + 1, entry == kFill || offset == kFill ? kFill : offset + entry);
      return;
    }
    row(offset);
    to_ += table.size() * size_;
  }

  void row(int64_t offset) {
    const Offsets& table = tables_.back();
    if (offset == kFill) {
      loops_.filled(fill_, table.size(), to_);
      return;
    }
    const uint8_t* from = in_.as<const uint8_t>() + static_cast<size_t>(offset) * size_;
    if (together_) {
      std::memcpy(to_, from + static_cast<size_t>(table[0]) * size_, table.size() * size_);
    } else {
      loops_.scattered(from, fill_, table, to_);
    }
  }

  Value& in_;
  Value& out_;
  Loops loops_;
  size_t size_;
  std::vector<Offsets> tables_;
  int64_t offset_;
  bool together_;
  uint8_t fill_[16] = {};
  uint8_t* to_ = nullptr;
};

}  // namespace

std::unique_ptr<Operation> move(Build& build, size_t output, Value& in, const std::vector<Axis>& axes, int64_t offset,
                                const void* fill) {
  Shape shape;
  for (const Axis& axis : axes) shape.push_back(axis.size);
  Value& out = build.result(output, in.type, shape);
  if (out.count() == 0) return nullptr;
  uint64_t entries = 1;
  for (const Axis& axis : axes) entries += static_cast<uint64_t>(axis.size);
  build.context.budget.count_bytes(entries * sizeof(int64_t));
  build.claim_load(4 * entries);
  std::vector<Offsets> tables;
  for (const Axis& axis : axes) {
    int64_t first = axis.offset(0);
    if (axis.size == 1 && first != kFill) {
      offset += first;  // nothing to walk
      continue;
    }
    Offsets table(static_cast<size_t>(axis.size));
    for (int64_t i = 0; i < axis.size; ++i) table[static_cast<size_t>(i)] = axis.offset(i);
    tables.push_back(std::move(table));
  }
  if (tables.empty()) tables.push_back({0});
  // Rows may begin anywhere in the input, and so may their values if a row is not moved in one piece.
  int64_t rows = out.count() / static_cast<int64_t>(tables.back().size());
  build.claim(product({rows, 16}));
  build.claim(product({out.count(), consecutive(tables.back()) ? 1 : 16}));
  return std::make_unique<Move>(in, out, loops_of(build, in.type), std::move(tables), offset, fill);
}

namespace {

std::unique_ptr<Operation> reshape(Build& build) {
  Value& in = build.input(0);
  Shape shape;
  if (build.given(1)) {
    for (int64_t size : build.constants(1)) shape.push_back(size);
  } else {
    shape.assign(build.op.options.list().begin(), build.op.options.list().end());
  }
  int64_t rest = in.count(), unknown = -1;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == -1 && unknown < 0) {
      unknown = static_cast<int64_t>(axis);
    } else if (shape[axis] <= 0 || rest % shape[axis]) {
      if (shape[axis] == 0 && in.count() == 0) continue;
      build.refuse("%lld values do not fit the shape %s", static_cast<long long>(in.count()), to_text(shape).c_str());
    } else {
      rest /= shape[axis];
    }
  }
  if (unknown >= 0) {
    if (std::find(shape.begin(), shape.end(), 0) != shape.end())
      build.refuse("no values fit the shape %s in any way", to_text(shape).c_str());
    shape[static_cast<size_t>(unknown)] = rest;
  }
  return build.share(in, shape);
}

std::unique_ptr<Operation> squeeze(Build& build) {
  Value& in = build.input(0);
  std::vector<bool> gone(in.shape.size());
  for (int32_t number : build.op.options.list()) {
    size_t axis = build.axis(number, in.shape.size());
    if (gone[axis]) build.refuse("axis %d comes twice", number);
    if (in.shape[axis] != 1) build.refuse("axis %d has %lld values", number, static_cast<long long>(in.shape[axis]));
    gone[axis] = true;
  }
  Shape shape;
  for (size_t axis = 0; axis < in.shape.size(); ++axis) {
    bool drop = build.op.options.list().empty() ? in.shape[axis] == 1 : gone[axis];
    if (!drop) shape.push_back(in.shape[axis]);
  }
  return build.share(in, shape);
}

std::unique_ptr<Operation> expand_dims(Build& build) {
  Shape shape = build.input(0).shape;
  size_t axis = build.axis(build.constant(1), shape.size() + 1);
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  return build.share(build.input(0), shape);
}

std::unique_ptr<Operation> transpose(Build& build) {
  Value& in = build.input(0);
  Shape strides = strides_of(in.shape);
  std::vector<int64_t> order = build.constants(1);
  std::vector<bool> seen(in.shape.size());
  if (order.size() != in.shape.size()) build.refuse("%zu axes for %zu", order.size(), in.shape.size());
  std::vector<Axis> axes;
  for (int64_t number : order) {
    size_t axis = build.axis(number, in.shape.size());
    if (seen[axis]) build.refuse("axis %zu comes twice", axis);
    seen[axis] = true;
    axes.push_back(steps(in.shape[axis], strides[axis]));
  }
  return move(build, 0, in, axes);
}

}  // namespace

const std::vector<NamedBuilder>& move_operators() {
  static const std::vector<NamedBuilder> list = {
      {"RESHAPE", reshape},
      {"SQUEEZE", squeeze},
      {"EXPAND_DIMS", expand_dims},
      {"TRANSPOSE", transpose},
  };
  return list;
}

}  // namespace bnn_exit
