// PAD, TILE, BROADCAST_TO, and operators that move space into the batch and back.
#include <algorithm>

#include "ops/move.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

// Adds margins before and after each axis, at most `widest(size)` each; `where` maps an index in the margin to an index
// of the input.
template <typename Where, typename Widest>
std::unique_ptr<Operation> pad_with(Build& build, const void* fill, Widest widest, Where where) {
  Value& in = build.input(0);
  std::vector<int64_t> margins = build.constants(1);
  if (margins.size() != 2 * in.shape.size()) build.refuse("%zu margins for %zu axes", margins.size(), in.shape.size());
  Shape strides = strides_of(in.shape);
  std::vector<Axis> axes;
  for (size_t axis = 0; axis < in.shape.size(); ++axis) {
    int64_t size = in.shape[axis], stride = strides[axis], before = margins[2 * axis], after = margins[2 * axis + 1];
    if (before < 0 || after < 0) build.refuse("margins must be at least 0");
    if (std::max(before, after) > widest(size)) build.refuse("margins are wider than the values they mirror");
    axes.push_back({before + size + after, [=](int64_t i) {
                      int64_t index = i - before, source = index >= 0 && index < size ? index : where(index, size);
                      return source == kFill ? kFill : source * stride;
                    }});
  }
  return move(build, 0, in, axes, 0, fill);
}

std::unique_ptr<Operation> pad(Build& build) {
  const void* fill = nullptr;
  if (build.given(2)) {
    Value& value = build.input(2, build.input(0).type);
    if (!value.constant || !value.count()) build.refuse("its fill value must be a constant");
    fill = value.data;
  }
  return pad_with(build, fill, [](int64_t) { return INT64_MAX; }, [](int64_t, int64_t) { return kFill; });
}

std::unique_ptr<Operation> mirror_pad(Build& build) {
  int64_t once = build.op.options.integer("mode") == 0;  // REFLECT leaves the edge itself out
  return pad_with(
      build, nullptr, [once](int64_t size) { return size - once; },
      [once](int64_t i, int64_t size) { return i < 0 ? -i - 1 + once : 2 * size - 1 - i - once; });
}

std::unique_ptr<Operation> tile(Build& build) {
  Value& in = build.input(0);
  std::vector<int64_t> times = build.constants(1);
  if (times.size() != in.shape.size()) build.refuse("%zu counts for %zu axes", times.size(), in.shape.size());
  Shape strides = strides_of(in.shape);
  std::vector<Axis> axes;
  for (size_t axis = 0; axis < in.shape.size(); ++axis) {
    int64_t size = in.shape[axis], stride = strides[axis];
    if (times[axis] < 0 || times[axis] > kMaxElements)
      build.refuse("it asks for an array of %lld copies", (long long)times[axis]);
    axes.push_back({size * times[axis], [=](int64_t i) { return i % size * stride; }});
  }
  return move(build, 0, in, axes);
}

std::unique_ptr<Operation> broadcast_to(Build& build) {
  Value& in = build.input(0);
  Shape shape = build.constants(1), strides = strides_of(in.shape);
  build.require(shape);
  if (shape.size() < in.shape.size())
    build.refuse("%s does not become %s", to_text(in.shape).c_str(), to_text(shape).c_str());
  std::vector<Axis> axes;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    size_t missing = shape.size() - in.shape.size();
    int64_t size = axis < missing ? 1 : in.shape[axis - missing];
    if (size != 1 && size != shape[axis])
      build.refuse("%s does not become %s", to_text(in.shape).c_str(), to_text(shape).c_str());
    axes.push_back(steps(shape[axis], size == 1 ? 0 : strides[axis - missing]));
  }
  return move(build, 0, in, axes);
}

// Moves each phase of height and width into the batch (TensorFlow's dilated layers).
std::unique_ptr<Operation> space_to_batch(Build& build) {
  Value& in = build.input(0);
  std::vector<int64_t> block = build.constants(1), margins = build.constants(2);
  if (in.shape.size() != 4 || block.size() != 2 || margins.size() != 4) build.refuse("it must have two axes of space");
  Shape shape = in.shape, strides = strides_of(in.shape);
  for (int k = 0; k < 2; ++k) {
    size_t axis = 1 + static_cast<size_t>(k);
    if (margins[2 * axis - 2] < 0 || margins[2 * axis - 1] < 0 || block[axis - 1] < 1)
      build.refuse("margins must be at least 0");
    shape[axis] += margins[2 * axis - 2] + margins[2 * axis - 1];
    if (shape[axis] % block[axis - 1])
      build.refuse("%lld values in blocks of %lld", (long long)shape[axis], (long long)block[axis - 1]);
  }
  build.require(shape);
  // A side without values fits blocks of any size.
  if (block[0] > kMaxElements || block[1] > kMaxElements / block[0])
    build.refuse("it asks for blocks of %lld x %lld", (long long)block[0], (long long)block[1]);
  // The padding of an element depends on phase and position together, not on a sum over axes; so this is not a `move`.
  Value& out =
      build.result(in.type, {in.shape[0] * block[0] * block[1], shape[1] / block[0], shape[2] / block[1], shape[3]});
  if (!size_of(in.type)) build.refuse("values of %s are not supported", name_of(in.type));
  if (out.count() == 0) return nullptr;
  build.claim(product({out.count() / out.shape[3], 16}));
  build.claim(product({out.count(), 2}));
  return make_operation([&in, &out, block, margins] {
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
                std::memcpy(
                    to,
                    in.as<const uint8_t>() + static_cast<size_t>((batch * in.shape[1] + y) * in.shape[2] + x) * pixel,
                    pixel);
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

std::unique_ptr<Operation> batch_to_space(Build& build) {
  Value& in = build.input(0);
  std::vector<int64_t> block = build.constants(1), crops = build.constants(2);
  if (in.shape.size() != 4 || block.size() != 2 || crops.size() != 4) build.refuse("it must have two axes of space");
  if (block[0] < 1 || block[1] < 1 || block[0] > kMaxElements || block[1] > kMaxElements ||
      in.shape[0] % (block[0] * block[1])) {
    build.refuse("a batch of %lld is no whole number of blocks", static_cast<long long>(in.shape[0]));
  }
  Shape strides = strides_of(in.shape);
  int64_t batch = in.shape[0] / (block[0] * block[1]);
  std::vector<Axis> axes = {steps(batch, strides[0])};
  for (size_t axis = 1; axis <= 2; ++axis) {
    int64_t some = block[axis - 1], stride = strides[axis];
    int64_t size = in.shape[axis] * some, before = crops[2 * axis - 2], after = crops[2 * axis - 1];
    if (before < 0 || after < 0 || before + after > size) build.refuse("it crops more than there is");
    int64_t phase = batch * strides[0] * (axis == 1 ? block[1] : 1);
    axes.push_back(
        {size - before - after, [=](int64_t i) { return (before + i) % some * phase + (before + i) / some * stride; }});
  }
  axes.push_back(steps(in.shape[3], 1));
  return move(build, 0, in, axes);
}

}  // namespace

const std::vector<NamedBuilder>& space_operators() {
  static const std::vector<NamedBuilder> list = {
      {"PAD", pad},
      {"PADV2", pad},
      {"MIRROR_PAD", mirror_pad},
      {"TILE", tile},
      {"BROADCAST_TO", broadcast_to},
      {"SPACE_TO_BATCH_ND", space_to_batch},
      {"BATCH_TO_SPACE_ND", batch_to_space},
  };
  return list;
}

}  // namespace bnn_exit
