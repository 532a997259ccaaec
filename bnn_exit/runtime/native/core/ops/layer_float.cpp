// Float layers: convolutions, dense layers, pooling.
#include <algorithm>
#include <cmath>

#include "ops/layer.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

int32_t narrow(int64_t value) { return static_cast<int32_t>(value); }

enum class Kind { kConv, kDepthwise };

class ConvOperation : public Operation {
 public:
  ConvOperation(const Kernels& kernels, Kind kind, const Conv& conv, int64_t batch, Value& in, const RowSplit& split,
                Scratch scratch, BoundEpilogue epilogue)
      : kernels_(kernels), kind_(kind), conv_(conv), batch_(batch), in_(in), split_(split), scratch_(scratch),
        epilogue_(std::move(epilogue)) {}

  void bind() override { epilogue_.bind(); }

  void execute() override {
    const ConvShape& shape = conv_.shape;
    for (int64_t clip = 0; clip < batch_; ++clip) {
      conv_.input = in_.as<const float>() + clip * shape.in_h * shape.in_w * shape.in_pitch;
      conv_.output = epilogue_.output(clip);
      split_.for_each_range([this](int begin, int end, int part) {
        if (kind_ == Kind::kConv) {
          kernels_.conv(conv_, begin, end, scratch_.part(part));
        } else {
          kernels_.depthwise(conv_, begin, end);
        }
      });
    }
  }

 private:
  const Kernels& kernels_;
  Kind kind_;
  Conv conv_;
  int64_t batch_;
  Value& in_;
  RowSplit split_;
  Scratch scratch_;
  BoundEpilogue epilogue_;
};

class ConvLayer : public Layer {
 public:
  ConvLayer(Build& build, Kind kind, const ConvShape& shape, int64_t batch)
      : kernels_(build.context.kernels), kind_(kind), batch_(batch), in_(build.input(0)),
        split_(build.context.workers, shape.out_h, count_macs(build, shape) / static_cast<uint64_t>(batch)) {
    bool conv = kind == Kind::kConv;
    conv_.shape = shape;
    pixels = {batch, shape.out_h, shape.out_w, shape.out_channels};
    auto* filters = static_cast<const float*>(constant_data(build, 1, Type::float32));
    size_t bytes = conv ? kernels_.conv_weights_bytes(shape) : kernels_.depthwise_weights_bytes(shape);
    build.claim_load(bytes / sizeof(float));
    auto* packed = static_cast<float*>(build.context.allocate(bytes));
    conv ? kernels_.conv_pack(shape, filters, packed) : kernels_.depthwise_pack(shape, filters, packed);
    conv_.weights = packed;
    scratch_ = Scratch(build, conv ? kernels_.conv_scratch_bytes(shape) : 0, split_.parts());
    if (build.given(2)) {
      Epilogue::Step bias(StepKind::kAddChannel);
      bias.channels = per_channel(build, 2, shape.out_channels);
      steps.push_back(std::move(bias));
    }
    add_activation(build, *this);
    claim(build, shape);
  }

  std::unique_ptr<Operation> with_epilogue(Epilogue epilogue) override {
    BoundEpilogue bound(std::move(epilogue), pixels);
    return std::make_unique<ConvOperation>(kernels_, kind_, conv_, batch_, in_, split_, scratch_, std::move(bound));
  }

 private:
  static uint64_t count_macs(const Build& build, const ConvShape& shape) {
    uint64_t taps = static_cast<uint64_t>(shape.kernel_h) * static_cast<uint64_t>(shape.kernel_w);
    return static_cast<uint64_t>(build.output().count()) * taps *
           static_cast<uint64_t>(shape.in_channels / shape.groups);
  }

  void claim(Build& build, const ConvShape& shape) const {
    int64_t pixels = product({batch_, shape.out_h, shape.out_w}), taps = int64_t{shape.kernel_h} * shape.kernel_w;
    int64_t lanes = padded_channels(shape.out_channels), times = shape.out_channels / shape.in_channels;
    build.claim(product({pixels, lanes}));
    if (kind_ == Kind::kDepthwise) {
      // Channels are read one by one if no vector load fits their number of outputs.
      bool vectors =
          times == 1 || (shape.out_channels % kLanes == 0 && (times == 2 || times == 4 || times == 8 || times == 16));
      build.claim(product({pixels, taps, lanes, vectors ? 1 : 16}));
    } else if (shape.groups > 1) {
      build.claim(product({pixels, taps, shape.out_channels, 8 + shape.in_channels / shape.groups}));
    } else {
      build.claim(product({pixels, taps, lanes, shape.in_channels}));
      // Rows are copied with their padding, as wide as all windows together.
      build.claim(product({batch_, shape.out_h, static_cast<int64_t>(kernels_.conv_scratch_bytes(shape) / 4)}));
    }
  }

  const Kernels& kernels_;
  Kind kind_;
  Conv conv_ = {};
  int64_t batch_;
  Value& in_;
  RowSplit split_;
  Scratch scratch_;
};

std::unique_ptr<Layer> convolution(Build& build, Kind kind) {
  Image in = image(build, build.input(0, Type::float32)), filters = image(build, build.input(1, Type::float32));
  Window rows = window(build, "height", in.height, filters.height),
         columns = window(build, "width", in.width, filters.width);
  int64_t out_channels = kind == Kind::kConv ? filters.batch : filters.channels;
  int32_t groups = in.channels;
  if (kind == Kind::kConv) {
    groups = in.channels / filters.channels;
    if (in.channels % filters.channels || out_channels % groups) {
      build.refuse("%d channels do not fit filters of %d", in.channels, filters.channels);
    }
  } else if (filters.channels % in.channels || filters.batch != 1) {
    build.refuse("%d filters do not fit %d channels", filters.channels, in.channels);
  }
  if (build.op.options.integer("padding") == kSame && rows.kernel * columns.kernel > 1) {
    // A kernel may compute the product of the padding, 0, and such a weight, which is NaN, or may skip it.
    auto* weights = static_cast<const float*>(constant_data(build, 1, Type::float32));
    build.claim_load(static_cast<uint64_t>(build.input(1).count()));
    if (!std::all_of(weights, weights + build.input(1).count(), [](float weight) { return std::isfinite(weight); })) {
      build.refuse("a filter that meets padding by zeros holds infinity or NaN");
    }
  }
  build.result(Type::float32, {in.batch, rows.out, columns.out, out_channels});
  ConvShape shape = {in.height,     in.width,         in.channels,          in.channels,
                     rows.out,      columns.out,      narrow(out_channels), groups,
                     rows.kernel,   columns.kernel,   rows.stride,          columns.stride,
                     rows.dilation, columns.dilation, rows.before,          columns.before};
  return std::make_unique<ConvLayer>(build, kind, shape, in.batch);
}

std::unique_ptr<Layer> conv_2d(Build& build) { return convolution(build, Kind::kConv); }
std::unique_ptr<Layer> depthwise_conv_2d(Build& build) { return convolution(build, Kind::kDepthwise); }

// A dense layer is a 1x1 convolution: of its own image if its result has four axes, otherwise of one row of pixels.
std::unique_ptr<Layer> fully_connected(Build& build) {
  Value &in = build.input(0, Type::float32), &weights = build.input(1, Type::float32);
  if (build.op.options.integer("weights_format") != 0) {
    build.refuse("weights format %lld is not supported",
                 static_cast<long long>(build.op.options.integer("weights_format")));
  }
  if (weights.shape.size() != 2 || weights.count() == 0 || in.count() == 0 || in.count() % weights.shape[1]) {
    build.refuse("%s does not fit weights of %s", to_text(in.shape).c_str(), to_text(weights.shape).c_str());
  }
  int64_t rows = in.count() / weights.shape[1];
  Shape shape = {rows, weights.shape[0]};
  if (build.op.options.integer("keep_num_dims")) {
    if (in.shape.empty() || in.shape.back() != weights.shape[1])
      build.refuse("%s does not fit weights of %s", to_text(in.shape).c_str(), to_text(weights.shape).c_str());
    shape = in.shape;
    shape.back() = weights.shape[0];
  }
  int32_t inputs = narrow(weights.shape[1]), outputs = narrow(weights.shape[0]);
  Value& out = build.result(Type::float32, shape);
  Image pixels = shape.size() == 4 ? image(build, out) : Image{1, 1, narrow(rows), outputs};
  ConvShape conv = {
      pixels.height, pixels.width, inputs, inputs, pixels.height, pixels.width, outputs, 1, 1, 1, 1, 1, 1, 1, 0, 0};
  return std::make_unique<ConvLayer>(build, Kind::kConv, conv, pixels.batch);
}

class PoolLayer : public Layer {
 public:
  PoolLayer(Build& build, bool average)
      : average_(average), kernel_(average ? build.context.kernels.average_pool : build.context.kernels.max_pool),
        in_(&build.input(0, Type::float32)), split_(build.context.workers, 1, 0) {
    Image in = image(build, *in_);
    Window rows = window(build, "height", in.height, build.op.options.integer("filter_height"));
    Window columns = window(build, "width", in.width, build.op.options.integer("filter_width"));
    build.result(Type::float32, {in.batch, rows.out, columns.out, in.channels});
    batch_ = in.batch;
    pixels = {in.batch, rows.out, columns.out, in.channels};
    pool_ = {in.height,      in.width,    in.channels,    in.channels, rows.out,       columns.out, rows.kernel,
             columns.kernel, rows.stride, columns.stride, rows.before, columns.before, -INFINITY,   INFINITY,
             nullptr,        {}};
    add_activation(build, *this);
    // Windows at an edge are narrower, and none is wider than the image.
    int64_t taps = int64_t{std::min(rows.kernel, rows.in)} * std::min(columns.kernel, columns.in);
    uint64_t steps = product({in.batch, rows.out, columns.out, padded_channels(in.channels), taps + 4});
    build.claim(steps);
    split_ = RowSplit(build.context.workers, rows.out, steps / static_cast<uint64_t>(in.batch));
  }

  std::unique_ptr<Operation> with_epilogue(Epilogue epilogue) override;

  bool absorb_clamp(Value& source, float low, float high) override {
    if (!average_) return false;
    in_ = &source;
    pool_.low = low;
    pool_.high = high;
    return true;
  }

 private:
  bool average_;
  decltype(Kernels::average_pool) kernel_;
  Value* in_;
  RowSplit split_;
  Pool pool_;
  int64_t batch_;
};

class PoolOperation : public Operation {
 public:
  PoolOperation(decltype(Kernels::average_pool) kernel, const Pool& pool, int64_t batch, Value& in,
                const RowSplit& split, BoundEpilogue epilogue)
      : kernel_(kernel), pool_(pool), batch_(batch), in_(in), split_(split), epilogue_(std::move(epilogue)) {}

  void bind() override { epilogue_.bind(); }

  void execute() override {
    for (int64_t clip = 0; clip < batch_; ++clip) {
      pool_.input = in_.as<const float>() + clip * pool_.in_h * pool_.in_w * pool_.in_pitch;
      pool_.output = epilogue_.output(clip);
      split_.for_each_range([this](int begin, int end, int) { kernel_(pool_, begin, end); });
    }
  }

 private:
  decltype(Kernels::average_pool) kernel_;
  Pool pool_;
  int64_t batch_;
  Value& in_;
  RowSplit split_;
  BoundEpilogue epilogue_;
};

std::unique_ptr<Operation> PoolLayer::with_epilogue(Epilogue epilogue) {
  BoundEpilogue bound(std::move(epilogue), pixels);
  return std::make_unique<PoolOperation>(kernel_, pool_, batch_, *in_, split_, std::move(bound));
}

std::unique_ptr<Layer> average_pool_2d(Build& build) { return std::make_unique<PoolLayer>(build, true); }
std::unique_ptr<Layer> max_pool_2d(Build& build) { return std::make_unique<PoolLayer>(build, false); }

}  // namespace

const std::vector<NamedLayerBuilder>& float_layers() {
  static const std::vector<NamedLayerBuilder> list = {
      {"CONV_2D", conv_2d},
      {"DEPTHWISE_CONV_2D", depthwise_conv_2d},
      {"FULLY_CONNECTED", fully_connected},
      {"AVERAGE_POOL_2D", average_pool_2d},
      {"MAX_POOL_2D", max_pool_2d},
  };
  return list;
}

}  // namespace bnn_exit
