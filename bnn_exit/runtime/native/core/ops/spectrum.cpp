// RFFT2D over one axis, which a front end inside the file uses.
#include <algorithm>

#include "audio/fft.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

std::unique_ptr<Operation> rfft_2d(Build& build) {
  Value& in = build.input(0, Type::float32);
  std::vector<int64_t> lengths = build.constants(1);
  if (lengths.size() != 2 || in.shape.size() < 2) build.refuse("it must have two lengths");
  int64_t size = lengths[1];
  if (lengths[0] != 1 || in.shape[in.shape.size() - 2] != 1) build.refuse("only transforms of one axis are supported");
  if (size < 2 || size > 1 << 20 || (size & (size - 1)))
    build.refuse("length %lld is no power of two", static_cast<long long>(size));
  Shape shape = in.shape;
  shape.back() = size / 2 + 1;
  Value& out = build.result(Type::complex64, shape);
  // kRows rows are transformed at once, even if there are fewer.
  int64_t levels = 1, rows = out.count() / shape.back();
  while (int64_t{1} << levels < size) ++levels;
  build.claim(product({(rows + kRows - 1) / kRows * kRows, size, 8 + 4 * levels}));
  build.context.budget.count_bytes(static_cast<uint64_t>(size) * 16);
  RealFft fft(static_cast<int>(size));
  Value* memory = build.temporary(fft.work_bytes());
  return make_operation([&in, &out, memory, fft = std::move(fft)] {
    int64_t width = in.shape.back(), bins = fft.bins(), rows = out.count() / bins;
    auto* work = memory->as<double>();
    for (int64_t first = 0; first < rows; first += kRows) {
      int64_t count = std::min<int64_t>(kRows, rows - first);
      std::memset(work, 0, fft.work_bytes());
      // Shorter rows are padded with zeros, longer ones are cut.
      for (int64_t row = 0; row < count; ++row) {
        const float* from = in.as<const float>() + (first + row) * width;
        for (int64_t i = 0; i < std::min<int64_t>(width, fft.size()); ++i)
          work[(2 * fft.place(static_cast<int>(i / 2)) + i % 2) * kRows + row] = from[i];
      }
      fft.forward(work);
      for (int64_t row = 0; row < count; ++row) {
        float* to = out.as<float>() + (first + row) * bins * 2;
        for (int64_t i = 0; i < 2 * bins; ++i) to[i] = static_cast<float>(work[i * kRows + row]);
      }
    }
  });
}

}  // namespace

const std::vector<NamedBuilder>& spectrum_operators() {
  static const std::vector<NamedBuilder> list = {{"RFFT2D", rfft_2d}};
  return list;
}

}  // namespace bnn_exit
