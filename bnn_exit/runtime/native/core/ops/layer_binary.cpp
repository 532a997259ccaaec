// LCE's binary convolution.
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "ops/layer.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

class BinaryOperation : public Operation {
 public:
  BinaryOperation(const Kernels& kernels, const BinaryConv& conv, BitInput in, Window rows, Window columns,
                  int64_t batch, const RowSplit& split, Scratch scratch, BoundEpilogue epilogue,
                  std::unique_ptr<BitOutput> bits)
      : kernels_(kernels), conv_(conv), in_(in), rows_(rows), columns_(columns), batch_(batch), split_(split),
        scratch_(scratch), epilogue_(std::move(epilogue)), bits_(std::move(bits)) {}

  void bind() override { epilogue_.bind(); }

  void execute() override {
    const BitLayout& layout = in_.layout();
    const uint64_t* input = in_.get() - rows_.before * layout.row() - columns_.before * layout.words;
    conv_.input_row = layout.row();
    for (int64_t clip = 0; clip < batch_; ++clip) {
      conv_.input = input + clip * layout.image();
      conv_.output = epilogue_.output(clip);
      split_.for_each_range(
          [this](int begin, int end, int part) { kernels_.binary_conv(conv_, begin, end, scratch_.part(part)); });
    }
    if (bits_) bits_->flush();
  }

 private:
  const Kernels& kernels_;
  BinaryConv conv_;
  BitInput in_;
  Window rows_, columns_;
  int64_t batch_;
  RowSplit split_;
  Scratch scratch_;
  BoundEpilogue epilogue_;
  std::unique_ptr<BitOutput> bits_;  // of a bit-packed result, else none
};

int channels_in(Build& build) {
  int64_t channels = build.op.options.integer("channels_in");
  if (channels < 1 || channels > kMaxElements) build.refuse("%lld channels", static_cast<long long>(channels));
  return static_cast<int>(channels);
}

class BinaryLayer : public Layer {
 public:
  explicit BinaryLayer(Build& build)
      : kernels_(build.context.kernels), in_(build, build.input(0, Type::int32), channels_in(build)),
        split_(build.context.workers, 1, 0) {
    Image in = image(build, build.input(0)), filters = image(build, build.input(1, Type::int32));
    rows_ = window(build, "height", in.height, filters.height);
    columns_ = window(build, "width", in.width, filters.width);
    batch_ = in.batch;
    pixels = {in.batch, rows_.out, columns_.out, static_cast<int32_t>(filters.batch)};
    int channels = channels_in(build), groups = in.channels / filters.channels;
    int64_t outputs = filters.batch;
    if (in.channels % filters.channels || channels % groups || outputs % groups ||
        (channels / groups + 31) / 32 != filters.channels || (groups > 1 && channels / groups % 32)) {
      build.refuse("%d channels of input do not fit filters of %d words", channels, filters.channels);
    }
    conv_.shape = {channels,
                   static_cast<int32_t>(outputs),
                   groups,
                   rows_.kernel,
                   columns_.kernel,
                   rows_.stride,
                   columns_.stride,
                   rows_.dilation,
                   columns_.dilation,
                   rows_.out,
                   columns_.out};
    int64_t largest = int64_t{rows_.kernel} * columns_.kernel * (channels / groups);  // every product is +1
    if (largest >= 1 << 24) build.refuse("a filter has more than 2^24 values");
    in_.widen(rows_.before, columns_.before, rows_.after, columns_.after);

    auto* words = static_cast<const int32_t*>(constant_data(build, 1, Type::int32));
    size_t bytes = kernels_.binary_weights_bytes(conv_.shape);
    build.claim_load(bytes);
    void* packed = build.context.allocate(bytes);
    kernels_.binary_pack(conv_.shape, words, packed);
    conv_.weights = packed;
    // Whole words of 64 channels, 4 steps each, and whole blocks of outputs; groups of odd sizes go one output at a
    // time.
    bool plain = groups == 1 || (channels / groups % 64 == 0 && outputs / groups % kLanes == 0);
    int64_t taps = int64_t{rows_.kernel} * columns_.kernel, span = bit_words(channels / groups) + (plain ? 0 : 1);
    int64_t lanes = plain ? int64_t{padded_channels(static_cast<int>(outputs / groups))} * groups : outputs;
    uint64_t steps = product({rows_.out, columns_.out, lanes, taps, span, plain ? 4 : 16});
    build.claim(product({batch_, static_cast<int64_t>(std::min<uint64_t>(steps, INT64_MAX))}));
    build.claim(product({batch_, rows_.out, columns_.out, lanes}));
    split_ = RowSplit(build.context.workers, rows_.out, steps);
    scratch_ = Scratch(build, kernels_.binary_scratch_bytes(conv_.shape), split_.parts());

    bool zeros = build.op.options.integer("padding") == kSame && build.op.options.integer("pad_values") == 0;
    if (build.output().type == Type::int32) {
      if (zeros) build.refuse("bit-packed output with padding by zeros is not defined");
      packed_output(build, outputs);
    } else {
      if (build.output().type != Type::float32)
        build.refuse("output of type %s is not supported", name_of(build.output().type));
      build.result(Type::float32, {batch_, rows_.out, columns_.out, outputs});
      float_output(build, outputs, largest, zeros ? words : nullptr, in);
    }
  }

  std::unique_ptr<Operation> with_epilogue(Epilogue epilogue) override {
    if (bits_) {
      epilogue = {};
      epilogue.bits = bits_->value();
    }
    BoundEpilogue bound(std::move(epilogue), pixels);
    return std::make_unique<BinaryOperation>(kernels_, conv_, in_, rows_, columns_, batch_, split_, scratch_,
                                             std::move(bound), std::move(bits_));
  }

 private:
  void packed_output(Build& build, int64_t outputs) {
    auto* from = static_cast<const int32_t*>(constant_data(build, 4, Type::int32));
    if (build.input(4).count() != outputs)
      build.refuse("%lld thresholds for %lld filters", (long long)build.input(4).count(), (long long)outputs);
    auto* thresholds = static_cast<int32_t*>(
        build.context.allocate(sizeof(int32_t) * static_cast<size_t>(padded_channels(static_cast<int>(outputs)))));
    std::copy(from, from + outputs, thresholds);
    conv_.thresholds = thresholds;
    Value& out = build.result(Type::int32, {batch_, rows_.out, columns_.out, (outputs + 31) / 32});
    bits_ = std::make_unique<BitOutput>(build, out, static_cast<int>(outputs));
    fusible = false;
  }

  void float_output(Build& build, int64_t outputs, int64_t largest, const int32_t* filters_if_zeros, const Image& in) {
    std::vector<float> multiplier = per_channel(build, 2, outputs), bias = per_channel(build, 3, outputs);
    auto* scale = static_cast<float*>(build.context.allocate(sizeof(float) * multiplier.size()));
    auto* shift = static_cast<float*>(build.context.allocate(sizeof(float) * multiplier.size()));
    binary_constants(conv_.shape, multiplier.data(), bias.data(), scale, shift);
    conv_.scale = scale;
    conv_.shift = shift;
    // The accumulator counts the products that are -1: twice the count is `largest` minus their sum.
    double low = build.low(), high = build.high(), all = static_cast<double>(largest);
    const bool small =
        std::all_of(scale, scale + multiplier.size(), [](float s) { return std::abs(s) <= FLT_MAX / 2; });
    const bool clamps = build.activates() || !small;
    conv_.clamp_low = clamps ? static_cast<int32_t>(all - std::min(high, all)) : INT32_MIN;
    conv_.clamp_high = clamps ? static_cast<int32_t>(all - std::max(low, -all)) : INT32_MAX;
    if (!filters_if_zeros) return;
    if (build.activates()) build.refuse("a fused activation with padding by zeros is not defined");
    build.claim_load(product({rows_.out, columns_.out, outputs, int64_t{rows_.kernel} * columns_.kernel + 2}));
    build.claim_load(product({outputs, largest}));
    size_t values = static_cast<size_t>(rows_.out) * static_cast<size_t>(columns_.out) * static_cast<size_t>(outputs);
    auto* table = static_cast<float*>(build.context.allocate(sizeof(float) * values));
    binary_zero_padding(conv_.shape, in.height, in.width, rows_.before, columns_.before, filters_if_zeros,
                        multiplier.data(), table);
    Epilogue::Step item(StepKind::kAddTensor);
    item.table = table;
    steps.push_back(std::move(item));
  }

  const Kernels& kernels_;
  BitInput in_;
  Window rows_, columns_;
  BinaryConv conv_ = {};
  int64_t batch_;
  RowSplit split_;
  Scratch scratch_;
  std::unique_ptr<BitOutput> bits_;
};

std::unique_ptr<Layer> convolution(Build& build) { return std::make_unique<BinaryLayer>(build); }

}  // namespace

const std::vector<NamedLayerBuilder>& binary_layers() {
  static const std::vector<NamedLayerBuilder> list = {{"LceBconv2d", convolution}};
  return list;
}

}  // namespace bnn_exit
