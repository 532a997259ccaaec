// Layers to time, for benchmarks/binary_kernels.py and float_kernels: opened once, run many times from outside.
#include <climits>
#include <cstring>
#include <ctime>
#include <memory>

#include "check.h"

namespace {

using namespace check;

// Images are aligned, as a session aligns them.
template <class T>
struct Aligned {
  using value_type = T;
  T* allocate(std::size_t n) {
    void* memory = std::aligned_alloc(kAlign, (n * sizeof(T) + kAlign - 1) / kAlign * kAlign);
    if (!memory) std::abort();
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t) { std::free(memory); }
};

template <class T>
std::vector<float, Aligned<float>> aligned(const T& values) {
  return {values.begin(), values.end()};
}

// Several sets of weights of one layer in turn, so that they come from where a network's weights would come from.
struct Layers {
  const Kernels* kernels;
  bool depthwise = false;
  BinaryConv binary{};
  Conv conv{};
  std::vector<std::unique_ptr<Array<char>>> weights;
  std::unique_ptr<Array<char>> scratch;
  std::vector<std::uint64_t, Aligned<std::uint64_t>> image, bits;
  std::vector<float, Aligned<float>> input, values, residual;
  std::vector<float> scale, shift, slope;
  std::vector<std::int32_t> thresholds;
  std::size_t next = 0;

  void run() {
    void* w = weights[next]->data;
    next = next + 1 < weights.size() ? next + 1 : 0;
    if (binary.shape.out_h) {
      binary.weights = w;
      kernels->binary_conv(binary, 0, binary.shape.out_h, scratch->data);
    } else {
      conv.weights = static_cast<const float*>(w);
      if (depthwise)
        kernels->depthwise(conv, 0, conv.shape.out_h);
      else
        kernels->conv(conv, 0, conv.shape.out_h, scratch->data);
    }
  }
};

// In nanoseconds. Not the clock on the wall: others may use the core at times.
double processor_time() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int bench_isa_count() { return isa_count(); }
EXPORT const char* bench_isa(int index) { return isa_runs_here(index) ? isa_kernels(index).isa : ""; }

// A binary convolution padded as "SAME". mode 0: bit-packed output; 1: float; 2: residual added, float and bits stored.
EXPORT void* bench_open_binary(const char* isa, int h, int w, int in, int out, int kernel, int stride, int mode,
                               int sets) {
  Random random{7};
  auto* layers = new Layers;
  layers->kernels = select_kernels(isa);
  const int oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride, words = bit_words(in);
  const int ph = (oh - 1) * stride + kernel, pw = (ow - 1) * stride + kernel;
  const BinaryConvShape s{in, out, 1, kernel, kernel, stride, stride, 1, 1, oh, ow};
  layers->image.resize(static_cast<std::size_t>(ph) * pw * words);
  for (auto& word : layers->image) word = random.word();
  std::vector<std::int32_t> filters(static_cast<std::size_t>(out) * kernel * kernel * ((in + 31) / 32));
  for (int i = 0; i < sets; ++i) {
    for (auto& word : filters) word = static_cast<std::int32_t>(random.word());
    layers->weights.push_back(std::make_unique<Array<char>>(layers->kernels->binary_weights_bytes(s)));
    layers->kernels->binary_pack(s, filters.data(), layers->weights.back()->data);
  }
  layers->scratch = std::make_unique<Array<char>>(layers->kernels->binary_scratch_bytes(s));
  const std::size_t padded = padded_channels(out), size = static_cast<std::size_t>(oh) * ow * out;
  layers->scale = reals(random, padded), layers->shift = reals(random, padded), layers->slope = reals(random, padded);
  layers->thresholds.assign(padded, kernel * kernel * in / 2);
  layers->values.resize(size), layers->residual = aligned(reals(random, size));
  layers->bits.resize(static_cast<std::size_t>(oh) * ow * bit_words(out));
  BinaryConv& b = layers->binary;
  b = {s,
       layers->image.data(),
       std::ptrdiff_t{pw} * words,
       nullptr,
       layers->scale.data(),
       layers->shift.data(),
       mode == 0 ? layers->thresholds.data() : nullptr,
       INT_MIN,
       INT_MAX,
       {}};
  b.output.values = mode == 0 ? nullptr : layers->values.data();
  b.output.pitch = out;
  b.output.bits = mode == 1 ? nullptr : layers->bits.data();
  b.output.bit_pitch = bit_words(out);
  b.output.bit_row = std::ptrdiff_t{ow} * bit_words(out);
  if (mode == 2) {
    b.output.step_count = 2;
    b.output.steps[0] = {StepKind::kPreluChannel, 0, layers->slope.data(), 0, 0};
    b.output.steps[1] = {StepKind::kAddTensor, out, layers->residual.data(), 0, 0};
  }
  return layers;
}

// A float convolution padded as "SAME"; kernel 0: a dense layer; `depthwise`: out must be in.
EXPORT void* bench_open_float(const char* isa, int h, int w, int in, int out, int kernel, int stride, int depthwise) {
  Random random{7};
  auto* layers = new Layers;
  layers->kernels = select_kernels(isa);
  layers->depthwise = depthwise;
  const int oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride;
  const ConvShape s{h,
                    w,
                    in,
                    in,
                    oh,
                    ow,
                    out,
                    depthwise ? in : 1,
                    kernel,
                    kernel,
                    stride,
                    stride,
                    1,
                    1,
                    ((oh - 1) * stride + kernel - h) / 2,
                    ((ow - 1) * stride + kernel - w) / 2};
  layers->input = aligned(reals(random, static_cast<std::size_t>(h) * w * in));
  layers->values.resize(static_cast<std::size_t>(oh) * ow * out);
  layers->shift = reals(random, padded_channels(out));
  const auto filters = reals(random, static_cast<std::size_t>(out) * kernel * kernel * in);
  const Kernels& k = *layers->kernels;
  const std::size_t bytes = depthwise ? k.depthwise_weights_bytes(s) : k.conv_weights_bytes(s);
  layers->weights.push_back(std::make_unique<Array<char>>(bytes));
  (depthwise ? k.depthwise_pack : k.conv_pack)(s, filters.data(), reinterpret_cast<float*>(layers->weights[0]->data));
  layers->scratch = std::make_unique<Array<char>>(k.conv_scratch_bytes(s));
  layers->conv = {s, layers->input.data(), nullptr, {}};
  layers->conv.output.values = layers->values.data();
  layers->conv.output.pitch = out;
  layers->conv.output.step_count = 1;
  layers->conv.output.steps[0] = {StepKind::kAddChannel, 0, layers->shift.data(), 0, 0};
  return layers;
}

// Mean nanoseconds of the processor's time of one run, over `times` of them.
EXPORT double bench_run(void* handle, int times) {
  auto* layers = static_cast<Layers*>(handle);
  const double start = processor_time();
  for (int i = 0; i < times; ++i) layers->run();
  return (processor_time() - start) / times;
}

// The clock in GHz: additions that wait for one another take a cycle each. The best of some short
// runs. 0 on other processors.
EXPORT double bench_clock() {
  double best = 0;
#if defined(__x86_64__) || defined(__aarch64__)
  for (int turn = 0; turn < 20; ++turn) {
    const double start = processor_time();
    std::uint64_t value = 0;
    constexpr int kSteps = 1000000;
    for (int i = 0; i < kSteps / 10; ++i) {
      for (int j = 0; j < 10; ++j) {
#if defined(__x86_64__)
        asm volatile("add $1, %0" : "+r"(value));
#else
        asm volatile("add %0, %0, #1" : "+r"(value));
#endif
      }
    }
    const double took = processor_time() - start;
    if (kSteps / took > best) best = kSteps / took;
  }
#endif
  return best;
}

EXPORT void bench_close(void* handle) { delete static_cast<Layers*>(handle); }
