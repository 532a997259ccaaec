// LCE's operators on bits other than convolution: LceQuantize, LceDequantize, LceBMaxPool2d. A bit is set where the
// value is negative.
#include <algorithm>
#include <cfloat>

#include "ops/layer.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

// Packs rows of channels into the layout of the file, which has no border.
std::unique_ptr<Operation> quantize(Build& build) {
  Value& in = build.input(0);
  if (in.shape.empty() || in.count() == 0) build.refuse("its input has the shape %s", to_text(in.shape).c_str());
  if (in.type != Type::boolean) build.input(0, Type::float32);
  int64_t channels = in.shape.back(), rows = in.count() / channels, words = (channels + 31) / 32;
  Shape shape = in.shape;
  shape.back() = words;
  Value& out = build.result(Type::int32, shape);
  build.claim(product({in.count(), 8}));
  out.use_file_layout();
  out.channels = static_cast<int>(channels);
  return make_operation([=, &in, &out] {
    auto* to = out.as<uint32_t>();
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t word = 0; word < words; ++word) {
        uint32_t packed = 0;
        for (int64_t bit = 0; bit < 32 && word * 32 + bit < channels; ++bit) {
          int64_t at = row * channels + word * 32 + bit;
          // Zeros and NaN count as +1, and so do subnormal numbers, which TFLite makes the processor treat as zero.
          bool negative = in.type == Type::boolean ? !in.as<const bool>()[at] : in.as<const float>()[at] <= -FLT_MIN;
          packed |= static_cast<uint32_t>(negative) << bit;
        }
        *to++ = packed;
      }
    }
  });
}

std::unique_ptr<Operation> dequantize(Build& build) {
  Value& in = build.input(0, Type::int32);
  Shape shape = in.shape, announced = build.output().shape;
  if (shape.empty() || announced.empty() || build.output().type != Type::float32)
    build.refuse("its result must be float32");
  int64_t channels = announced.back();
  if ((channels + 31) / 32 != shape.back())
    build.refuse("%lld words do not hold %lld channels", (long long)shape.back(), (long long)channels);
  shape.back() = channels;
  Value& out = build.result(Type::float32, shape);
  build.claim(product({out.count(), 8}));
  build.claim(product({out.count() ? shape[0] : 0, 32}));
  if (in.bits) {
    BitInput bits(build, in, static_cast<int>(channels));
    return make_operation([&kernels = build.context.kernels, bits, &out]() mutable {
      const BitLayout& layout = bits.layout();
      const uint64_t* from = bits.get();
      auto size = [&out](size_t axis) { return static_cast<int32_t>(out.shape[axis]); };
      for (int64_t clip = 0; clip < out.shape[0]; ++clip) {
        Unpack unpack = {size(1),
                         size(2),
                         size(3),
                         size(3),
                         from + clip * layout.image(),
                         static_cast<std::ptrdiff_t>(layout.row()),
                         out.as<float>() + clip * size(1) * size(2) * size(3)};
        kernels.unpack_signs(unpack, 0, size(1));
      }
    });
  }
  return make_operation([=, &in, &out] {
    int64_t words = in.shape.back();
    for (int64_t i = 0, count = out.count(); i < count; ++i) {
      int64_t row = i / channels, bit = i % channels;
      out.as<float>()[i] = in.as<const uint32_t>()[row * words + bit / 32] >> bit % 32 & 1 ? -1.0f : 1.0f;
    }
  });
}

std::unique_ptr<Operation> max_pool(Build& build) {
  Value& value = build.input(0, Type::int32);
  Image size = image(build, value);
  int channels = value.channels ? value.channels : 32 * size.channels;
  Window rows = window(build, "height", size.height, build.op.options.integer("filter_height"));
  Window columns = window(build, "width", size.width, build.op.options.integer("filter_width"));
  Value& out = build.result(Type::int32, {size.batch, rows.out, columns.out, size.channels});
  build.claim(
      product({out.count(), 8 + int64_t{std::min(rows.kernel, rows.in)} * std::min(columns.kernel, columns.in), 2}));
  BitInput in(build, value, channels);
  BitOutput result(build, out, channels);
  return make_operation([&kernels = build.context.kernels, in, result, rows, columns, size]() mutable {
    const BitLayout &from = in.layout(), &to = result.layout();
    const uint64_t* input = in.get();
    for (int64_t clip = 0; clip < size.batch; ++clip) {
      BitPool pool = {rows.in,
                      columns.in,
                      from.words,
                      rows.out,
                      columns.out,
                      rows.kernel,
                      columns.kernel,
                      rows.stride,
                      columns.stride,
                      rows.before,
                      columns.before,
                      input + clip * from.image(),
                      static_cast<std::ptrdiff_t>(from.row()),
                      result.get() + clip * to.image(),
                      static_cast<std::ptrdiff_t>(to.row())};
      kernels.binary_max_pool(pool, 0, rows.out);
    }
    result.flush();
  });
}

}  // namespace

const std::vector<NamedBuilder>& packing_operators() {
  static const std::vector<NamedBuilder> list = {
      {"LceQuantize", quantize},
      {"LceDequantize", dequantize},
      {"LceBMaxPool2d", max_pool},
  };
  return list;
}

}  // namespace bnn_exit
