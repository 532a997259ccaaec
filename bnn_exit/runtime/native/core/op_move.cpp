// Operators that put values elsewhere without changing them. They share one step: for each axis of the result a table says
// where in the input that index lies, and the sum of an element's entries is its place.
#include <algorithm>

#include "operators.h"

namespace bnn_exit {
namespace {

constexpr int64_t kFill = -1;  // a table entry: no input value, but the fill value, goes here

using AxisTable = std::vector<int64_t>;

AxisTable steps(int64_t count, int64_t stride, int64_t start = 0) {
  AxisTable table(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) table[static_cast<size_t>(i)] = start + i * stride;
  return table;
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

// Values of `size` bytes, moved as a whole.
class Move : public Runner {
 public:
  Move(Value& in, Value& out, std::vector<AxisTable> tables, int64_t offset, const void* fill)
      : in_(in), out_(out), tables_(std::move(tables)), offset_(offset), size_(size_of(in.type)) {
    if (tables_.empty()) tables_.push_back({0});
    if (fill) std::memcpy(fill_, fill, size_);
    // Innermost values that lie together in the input, too, move in one piece.
    const AxisTable& inner = tables_.back();
    together_ = !inner.empty();
    for (size_t i = 0; i < inner.size(); ++i) together_ &= inner[i] >= 0 && inner[i] == inner[0] + static_cast<int64_t>(i);
  }

  void run() override {
    if (out_.count() == 0) return;
    to_ = out_.as<uint8_t>();
    walk(0, offset_);
  }

 private:
  void walk(size_t axis, int64_t offset) {
    const AxisTable& table = tables_[axis];
    if (axis + 1 < tables_.size()) {
      for (int64_t entry : table) walk(axis + 1, entry == kFill || offset == kFill ? kFill : offset + entry);
      return;
    }
    const uint8_t* from = in_.as<const uint8_t>();
    if (together_ && offset != kFill) {
      std::memcpy(to_, from + static_cast<size_t>(offset + table[0]) * size_, table.size() * size_);
      to_ += table.size() * size_;
      return;
    }
    for (int64_t entry : table) {
      bool filled = entry == kFill || offset == kFill;
      std::memcpy(to_, filled ? fill_ : from + static_cast<size_t>(offset + entry) * size_, size_);
      to_ += size_;
    }
  }

  Value& in_;
  Value& out_;
  std::vector<AxisTable> tables_;
  int64_t offset_;
  size_t size_;
  bool together_;
  uint8_t fill_[16] = {};
  uint8_t* to_ = nullptr;
};

std::unique_ptr<Runner> move(Build& build, size_t output, Value& in, std::vector<AxisTable> tables, int64_t offset = 0,
                             const void* fill = nullptr) {
  if (!size_of(in.type)) build.refuse("values of %s are not supported", name_of(in.type));
  Shape shape;
  uint64_t entries = 0;
  for (const AxisTable& table : tables) {
    shape.push_back(static_cast<int64_t>(table.size()));
    entries += table.size();
  }
  build.shop.count_bytes(entries * sizeof(int64_t));
  Value& out = build.result(output, in.type, shape);
  return std::make_unique<Move>(in, out, std::move(tables), offset, fill);
}

// Several outputs.
class Several : public Runner {
 public:
  explicit Several(std::vector<std::unique_ptr<Runner>> parts) : parts_(std::move(parts)) {}
  void run() override {
    for (auto& part : parts_) part->run();
  }

 private:
  std::vector<std::unique_ptr<Runner>> parts_;
};

void require_size(const Build& build, const Shape& shape) {
  if (shape.size() > kMaxDimensions || elements(shape) > kMaxElements) {
    build.refuse("it asks for an array of shape %s", to_text(shape).c_str());
  }
  // An array without values may still have long axes.
  for (int64_t size : shape) {
    if (size > kMaxElements) build.refuse("it asks for an array of shape %s", to_text(shape).c_str());
  }
}

std::unique_ptr<Runner> reshape(Build& build) {
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
  if (unknown >= 0) shape[static_cast<size_t>(unknown)] = rest;
  return build.share(in, shape);
}

std::unique_ptr<Runner> squeeze(Build& build) {
  Value& in = build.input(0);
  std::vector<bool> gone(in.shape.size());
  for (int32_t number : build.op.options.list()) {
    size_t axis = build.axis(number, in.shape.size());
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

std::unique_ptr<Runner> expand_dims(Build& build) {
  Shape shape = build.input(0).shape;
  size_t axis = build.axis(build.constant(1), shape.size() + 1);
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  return build.share(build.input(0), shape);
}

std::unique_ptr<Runner> transpose(Build& build) {
  Value& in = build.input(0);
  Shape strides = strides_of(in.shape);
  std::vector<int64_t> order = build.constants(1);
  std::vector<bool> seen(in.shape.size());
  if (order.size() != in.shape.size()) build.refuse("%zu axes for %zu", order.size(), in.shape.size());
  std::vector<AxisTable> tables;
  for (int64_t number : order) {
    size_t axis = build.axis(number, in.shape.size());
    if (seen[axis]) build.refuse("axis %zu comes twice", axis);
    seen[axis] = true;
    tables.push_back(steps(in.shape[axis], strides[axis]));
  }
  return move(build, 0, in, std::move(tables));
}

// Parts of an input along one axis, from begin to begin + sizes[i], one an output.
std::unique_ptr<Runner> cut(Build& build, Value& in, size_t axis, const std::vector<int64_t>& sizes) {
  Shape strides = strides_of(in.shape);
  std::vector<std::unique_ptr<Runner>> parts;
  int64_t begin = 0;
  if (sizes.size() != build.out.size()) build.refuse("%zu parts for %zu outputs", sizes.size(), build.out.size());
  for (size_t part = 0; part < sizes.size(); ++part) {
    std::vector<AxisTable> tables;
    for (size_t k = 0; k < in.shape.size(); ++k) tables.push_back(steps(k == axis ? sizes[part] : in.shape[k], strides[k]));
    parts.push_back(move(build, part, in, std::move(tables), begin * strides[axis]));
    begin += sizes[part];
  }
  if (begin != in.shape[axis]) build.refuse("parts of %lld do not make up %lld", (long long)begin, (long long)in.shape[axis]);
  return std::make_unique<Several>(std::move(parts));
}

std::unique_ptr<Runner> split(Build& build) {
  Value& in = build.input(1);
  size_t axis = build.axis(build.constant(0), in.shape.size());
  int64_t parts = static_cast<int64_t>(build.out.size());
  if (!parts || in.shape[axis] % parts) build.refuse("%lld values in %lld parts", (long long)in.shape[axis], (long long)parts);
  return cut(build, in, axis, std::vector<int64_t>(build.out.size(), in.shape[axis] / parts));
}

std::unique_ptr<Runner> split_v(Build& build) {
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

std::unique_ptr<Runner> unpack(Build& build) {
  Value& in = build.input(0);
  size_t axis = build.axis(build.op.options.whole("axis"), in.shape.size());
  Shape strides = strides_of(in.shape);
  if (in.shape[axis] != static_cast<int64_t>(build.out.size())) build.refuse("%lld values for %zu outputs", (long long)in.shape[axis], build.out.size());
  std::vector<std::unique_ptr<Runner>> parts;
  for (size_t part = 0; part < build.out.size(); ++part) {
    std::vector<AxisTable> tables;
    for (size_t k = 0; k < in.shape.size(); ++k) {
      if (k != axis) tables.push_back(steps(in.shape[k], strides[k]));
    }
    parts.push_back(move(build, part, in, std::move(tables), static_cast<int64_t>(part) * strides[axis]));
  }
  return std::make_unique<Several>(std::move(parts));
}

std::unique_ptr<Runner> slice(Build& build) {
  Value& in = build.input(0);
  std::vector<int64_t> begin = build.constants(1), size = build.constants(2);
  if (begin.size() != in.shape.size() || size.size() != begin.size()) build.refuse("%zu axes for %zu", begin.size(), in.shape.size());
  Shape strides = strides_of(in.shape);
  std::vector<AxisTable> tables;
  for (size_t axis = 0; axis < begin.size(); ++axis) {
    int64_t limit = in.shape[axis], stop = size[axis] == -1 ? limit : begin[axis] + size[axis];
    if (begin[axis] < 0 || begin[axis] > stop || stop > limit) {
      build.refuse("the slice [%lld, %lld) is outside the %lld values", (long long)begin[axis], (long long)stop, (long long)limit);
    }
    tables.push_back(steps(stop - begin[axis], strides[axis], begin[axis] * strides[axis]));
  }
  return move(build, 0, in, std::move(tables));
}

// Bit i of a mask concerns entry i of begin, end and strides.
std::unique_ptr<Runner> strided_slice(Build& build) {
  Value& in = build.input(0);
  std::vector<int64_t> begin = build.constants(1), end = build.constants(2), stride = build.constants(3);
  if (begin.size() > 32 || end.size() != begin.size() || stride.size() != begin.size()) build.refuse("%zu begins, %zu ends", begin.size(), end.size());
  auto marked = [&](const char* mask, size_t entry) { return (build.op.options.whole(mask) >> entry & 1) != 0; };
  Shape strides = strides_of(in.shape), shape;
  std::vector<AxisTable> tables;
  int64_t offset = 0;
  size_t axis = 0, used = 0;
  for (size_t entry = 0; entry < begin.size(); ++entry) used += !marked("ellipsis_mask", entry) && !marked("new_axis_mask", entry);
  auto keep = [&](size_t count) {
    for (; count && axis < in.shape.size(); --count, ++axis) tables.push_back(steps(in.shape[axis], strides[axis]));
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
      tables.push_back({0});
      continue;
    }
    if (axis >= in.shape.size()) build.refuse("%zu axes for %zu", used, in.shape.size());
    int64_t limit = in.shape[axis], step = stride[entry], start = begin[entry];
    if (marked("shrink_axis_mask", entry)) {
      if (start < -limit || start >= limit) build.refuse("index %lld is outside the %lld values", (long long)start, (long long)limit);
      offset += (start < 0 ? start + limit : start) * strides[axis++];
      continue;
    }
    if (step == 0) build.refuse("a stride is 0");
    int64_t stop = build.op.options.whole("offset", 0) ? start + end[entry] : end[entry];
    // As a Python slice.
    int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? limit : limit - 1;
    auto fit = [&](int64_t place) { return std::clamp(place < 0 ? place + limit : place, lowest, highest); };
    int64_t first = marked("begin_mask", entry) ? (step > 0 ? lowest : highest) : fit(start);
    int64_t last = marked("end_mask", entry) ? (step > 0 ? highest : lowest) : fit(stop);
    int64_t count = step > 0 ? (last - first + step - 1) / step : (first - last - step - 1) / -step;
    tables.push_back(steps(std::max<int64_t>(count, 0), step * strides[axis], first * strides[axis]));
    ++axis;
  }
  keep(in.shape.size());
  return move(build, 0, in, std::move(tables), offset);
}

// Margins before and after each axis; with a function that tells where in the input an index of the margin looks.
template <typename Where>
std::unique_ptr<Runner> pad_with(Build& build, const void* fill, Where where) {
  Value& in = build.input(0);
  std::vector<int64_t> margins = build.constants(1);
  if (margins.size() != 2 * in.shape.size()) build.refuse("%zu margins for %zu axes", margins.size(), in.shape.size());
  Shape strides = strides_of(in.shape), shape = in.shape;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (margins[2 * axis] < 0 || margins[2 * axis + 1] < 0) build.refuse("margins must be at least 0");
    shape[axis] += margins[2 * axis] + margins[2 * axis + 1];
  }
  require_size(build, shape);
  std::vector<AxisTable> tables;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    AxisTable table;
    for (int64_t i = -margins[2 * axis]; i < shape[axis] - margins[2 * axis]; ++i) {
      int64_t place = i >= 0 && i < in.shape[axis] ? i : where(i, in.shape[axis]);
      if (place != kFill && (place < 0 || place >= in.shape[axis])) build.refuse("margins are wider than the values they mirror");
      table.push_back(place == kFill ? kFill : place * strides[axis]);
    }
    tables.push_back(std::move(table));
  }
  return move(build, 0, in, std::move(tables), 0, fill);
}

std::unique_ptr<Runner> pad(Build& build) {
  const void* fill = nullptr;
  if (build.given(2)) {
    Value& value = build.input(2, build.input(0).type);
    if (!value.constant || !value.count()) build.refuse("its fill value must be a constant");
    fill = value.data;
  }
  return pad_with(build, fill, [](int64_t, int64_t) { return kFill; });
}

std::unique_ptr<Runner> mirror_pad(Build& build) {
  int64_t once = build.op.options.whole("mode") == 0;  // REFLECT leaves the edge itself out
  // -2: wider than what it mirrors.
  return pad_with(build, nullptr, [once](int64_t i, int64_t size) {
    int64_t place = i < 0 ? -i - 1 + once : 2 * size - 1 - i - once;
    return place >= 0 && place < size ? place : int64_t{-2};
  });
}

std::unique_ptr<Runner> tile(Build& build) {
  Value& in = build.input(0);
  std::vector<int64_t> times = build.constants(1);
  if (times.size() != in.shape.size()) build.refuse("%zu counts for %zu axes", times.size(), in.shape.size());
  Shape strides = strides_of(in.shape), shape = in.shape;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (times[axis] < 0 || times[axis] > kMaxElements) build.refuse("it asks for an array of %lld copies", (long long)times[axis]);
    shape[axis] *= times[axis];
  }
  require_size(build, shape);
  std::vector<AxisTable> tables;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    AxisTable table;
    for (int64_t i = 0; i < shape[axis]; ++i) table.push_back(i % in.shape[axis] * strides[axis]);
    tables.push_back(std::move(table));
  }
  return move(build, 0, in, std::move(tables));
}

std::unique_ptr<Runner> broadcast_to(Build& build) {
  Value& in = build.input(0);
  Shape shape, strides = strides_of(in.shape);
  for (int64_t size : build.constants(1)) shape.push_back(size);
  require_size(build, shape);
  if (shape.size() < in.shape.size()) build.refuse("%s does not become %s", to_text(in.shape).c_str(), to_text(shape).c_str());
  std::vector<AxisTable> tables;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    size_t missing = shape.size() - in.shape.size();
    int64_t size = axis < missing ? 1 : in.shape[axis - missing];
    if (size != 1 && size != shape[axis]) build.refuse("%s does not become %s", to_text(in.shape).c_str(), to_text(shape).c_str());
    tables.push_back(steps(shape[axis], size == 1 ? 0 : strides[axis - missing]));
  }
  return move(build, 0, in, std::move(tables));
}

// Each phase of height and width becomes a part of the batch (TensorFlow's dilated layers).
std::unique_ptr<Runner> space_to_batch(Build& build) {
  Value& in = build.input(0);
  std::vector<int64_t> block = build.constants(1), margins = build.constants(2);
  if (in.shape.size() != 4 || block.size() != 2 || margins.size() != 4) build.refuse("it must have two axes of space");
  Shape shape = in.shape, strides = strides_of(in.shape);
  for (int k = 0; k < 2; ++k) {
    size_t axis = 1 + static_cast<size_t>(k);
    if (margins[2 * axis - 2] < 0 || margins[2 * axis - 1] < 0 || block[axis - 1] < 1) build.refuse("margins must be at least 0");
    shape[axis] += margins[2 * axis - 2] + margins[2 * axis - 1];
    if (shape[axis] % block[axis - 1]) build.refuse("%lld values in blocks of %lld", (long long)shape[axis], (long long)block[axis - 1]);
  }
  require_size(build, shape);
  // Not every place is the sum of its axes' places, since padding mixes them; so the batch is cut into its phases.
  Value& out = build.result(in.type, {in.shape[0] * block[0] * block[1], shape[1] / block[0], shape[2] / block[1], shape[3]});
  if (!size_of(in.type)) build.refuse("values of %s are not supported", name_of(in.type));
  return make_runner([&in, &out, block, margins] {
    size_t pixel = static_cast<size_t>(in.shape[3]) * size_of(in.type);
    uint8_t* to = out.as<uint8_t>();
    for (int64_t row_phase = 0; row_phase < block[0]; ++row_phase) {
      for (int64_t column_phase = 0; column_phase < block[1]; ++column_phase) {
        for (int64_t batch = 0; batch < in.shape[0]; ++batch) {
          for (int64_t row = 0; row < out.shape[1]; ++row) {
            for (int64_t column = 0; column < out.shape[2]; ++column, to += pixel) {
              int64_t y = row * block[0] + row_phase - margins[0], x = column * block[1] + column_phase - margins[2];
              bool inside = y >= 0 && y < in.shape[1] && x >= 0 && x < in.shape[2];
              if (inside) {
                std::memcpy(to, in.as<const uint8_t>() + static_cast<size_t>((batch * in.shape[1] + y) * in.shape[2] + x) * pixel, pixel);
              } else {
                std::memset(to, 0, pixel);
              }
            }
          }
        }
      }
    }
  });
}

std::unique_ptr<Runner> batch_to_space(Build& build) {
  Value& in = build.input(0);
  std::vector<int64_t> block = build.constants(1), crops = build.constants(2);
  if (in.shape.size() != 4 || block.size() != 2 || crops.size() != 4) build.refuse("it must have two axes of space");
  if (block[0] < 1 || block[1] < 1 || block[0] > kMaxElements || block[1] > kMaxElements || in.shape[0] % (block[0] * block[1])) {
    build.refuse("a batch of %lld is no whole number of blocks", static_cast<long long>(in.shape[0]));
  }
  Shape strides = strides_of(in.shape);
  int64_t batch = in.shape[0] / (block[0] * block[1]);
  std::vector<AxisTable> tables = {steps(batch, strides[0])};
  for (size_t axis = 1; axis <= 2; ++axis) {
    int64_t size = in.shape[axis] * block[axis - 1], before = crops[2 * axis - 2], after = crops[2 * axis - 1];
    if (before < 0 || after < 0 || before + after > size || size > kMaxElements) build.refuse("it crops more than there is");
    int64_t phase = batch * strides[0] * (axis == 1 ? block[1] : 1);
    AxisTable table;
    for (int64_t i = before; i < size - after; ++i) table.push_back(i % block[axis - 1] * phase + i / block[axis - 1] * strides[axis]);
    tables.push_back(std::move(table));
  }
  tables.push_back(steps(in.shape[3], 1));
  return move(build, 0, in, std::move(tables));
}

}  // namespace

const std::vector<NamedBuilder>& move_operators() {
  static const std::vector<NamedBuilder> list = {
      {"RESHAPE", reshape}, {"SQUEEZE", squeeze}, {"EXPAND_DIMS", expand_dims}, {"TRANSPOSE", transpose},
      {"SPLIT", split}, {"SPLIT_V", split_v}, {"UNPACK", unpack}, {"SLICE", slice}, {"STRIDED_SLICE", strided_slice},
      {"PAD", pad}, {"PADV2", pad}, {"MIRROR_PAD", mirror_pad}, {"TILE", tile}, {"BROADCAST_TO", broadcast_to},
      {"SPACE_TO_BATCH_ND", space_to_batch}, {"BATCH_TO_SPACE_ND", batch_to_space},
  };
  return list;
}

}  // namespace bnn_exit
