// The Fourier transform of a front end inside the file: RFFT2D over one axis.
#include <algorithm>

#include "fft.h"
#include "operators.h"

namespace bnn_exit {
namespace {

std::unique_ptr<Runner> rfft_2d(Build& build) {
  Value& in = build.input(0, Type::float32);
  std::vector<int64_t> lengths = build.constants(1);
  if (lengths.size() != 2 || in.shape.size() < 2) build.refuse("it must have two lengths");
  int64_t size = lengths[1];
  if (lengths[0] != 1 || in.shape[in.shape.size() - 2] != 1) build.refuse("only transforms of one axis are supported");
  if (size < 2 || size > 1 << 20 || (size & (size - 1))) build.refuse("length %lld is no power of two", static_cast<long long>(size));
  Shape shape = in.shape;
  shape.back() = size / 2 + 1;
  Value& out = build.result(Type::complex64, shape);
  build.work += 32 * static_cast<uint64_t>(out.count());
  build.shop.count_bytes(static_cast<uint64_t>(size) * 16);
  Value* work = build.temporary(static_cast<size_t>(size / 2 + 1) * sizeof(std::complex<double>));
  return make_runner([&in, &out, work, fft = RealFft(static_cast<int>(size))] {
    int64_t width = in.shape.back(), bins = fft.bins(), rows = out.count() / bins;
    auto* spectrum = work->as<std::complex<double>>();
    for (int64_t row = 0; row < rows; ++row) {
      // Shorter rows are padded with zeros, longer ones cut.
      const float* from = in.as<const float>() + row * width;
      double* values = work->as<double>();
      for (int64_t i = 0; i < fft.size(); ++i) values[i] = i < width ? from[i] : 0;
      fft.forward(spectrum);
      auto* to = out.as<std::complex<float>>() + row * bins;
      for (int64_t i = 0; i < bins; ++i) to[i] = std::complex<float>(spectrum[i]);
    }
  });
}

}  // namespace

const std::vector<NamedBuilder>& spectrum_operators() {
  static const std::vector<NamedBuilder> list = {{"RFFT2D", rfft_2d}};
  return list;
}

}  // namespace bnn_exit
