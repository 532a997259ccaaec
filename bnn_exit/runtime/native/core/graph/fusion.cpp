#include "graph/fusion.h"

#include <algorithm>
#include <cmath>

#include "ops/layer.h"

namespace bnn_exit {
namespace {

struct Clamp {
  const char* name;
  float low, high;
};
constexpr Clamp kClamps[] = {{"RELU", 0, INFINITY}, {"RELU6", 0, 6}, {"RELU_N1_TO_1", -1, 1}, {"RELU_0_TO_1", 0, 1}};

constexpr int64_t kLongRow =
    4096;  // values; for a longer row, repeating one constant for each value would waste memory

// An operand that is combined with each value of a fusion, or with each channel.
struct Operand {
  StepKind on_channels, on_tensor;
  bool tensor_allowed;
  bool negated;
};

bool operand_of(const std::string& name, size_t side, Operand* operand) {
  if (name == "ADD") {
    *operand = {StepKind::kAddChannel, StepKind::kAddTensor, true, false};
  } else if (name == "MUL") {
    *operand = {StepKind::kMulChannel, StepKind::kMulTensor, true, false};
  } else if (name == "SUB" && side == 0) {
    *operand = {StepKind::kAddChannel, StepKind::kAddTensor, false, true};  // v - x is v + (-x), to the last bit
  } else if (name == "PRELU" && side == 0) {
    *operand = {StepKind::kPreluChannel, StepKind::kAddTensor, false, false};
  } else {
    return false;
  }
  return true;
}

// Whether an operand only broadcasts over the first axes of a value.
bool repeats(const Shape& operand, const Shape& value) {
  if (operand.size() > value.size()) return false;
  size_t first = 0;
  while (first < operand.size() && operand[first] == 1) ++first;
  for (size_t axis = first; axis < operand.size(); ++axis) {
    if (operand[axis] != value[value.size() - operand.size() + axis]) return false;
  }
  return true;
}

class PointwiseOperation : public Operation {
 public:
  PointwiseOperation(const BuildContext& context, const Elementwise& layer, int64_t batch, Value& in,
                     BoundEpilogue epilogue)
      : kernels_(context.kernels), layer_(layer), batch_(batch), in_(in),
        split_(context.workers, layer.height, static_cast<uint64_t>(in.count() / batch)),
        epilogue_(std::move(epilogue)) {}

  void bind() override { epilogue_.bind(); }

  void execute() override {
    for (int64_t clip = 0; clip < batch_; ++clip) {
      layer_.input = in_.as<const float>() + clip * layer_.height * layer_.width * layer_.channels;
      layer_.output = epilogue_.output(clip);
      split_.for_each_range([this](int begin, int end, int) { kernels_.elementwise(layer_, begin, end); });
    }
  }

 private:
  const Kernels& kernels_;
  Elementwise layer_;
  int64_t batch_;
  Value& in_;
  RowSplit split_;
  BoundEpilogue epilogue_;
};

// Float values as an image: with their own four axes if the last is `period`, otherwise with one column.
class PointwiseLayer : public Layer {
 public:
  PointwiseLayer(const BuildContext& context, Value& in, int64_t period) : context_(context), in_(in) {
    auto narrow = [](int64_t value) { return static_cast<int32_t>(value); };
    pixels = {1, narrow(in.count() / period), 1, narrow(period)};
    const Shape& shape = in.shape;
    if (shape.size() == 4 && shape[3] == period)
      pixels = {shape[0], narrow(shape[1]), narrow(shape[2]), narrow(period)};
  }

  std::unique_ptr<Operation> with_epilogue(Epilogue epilogue) override {
    Elementwise layer = {pixels.height, pixels.width, pixels.channels, pixels.channels, nullptr, {}};
    return std::make_unique<PointwiseOperation>(context_, layer, pixels.batch, in_,
                                                BoundEpilogue(std::move(epilogue), pixels));
  }

 private:
  const BuildContext& context_;
  Value& in_;
};

}  // namespace

bool Fusion::absorb(Build& build) {
  if (!absorb_one(build)) return false;
  // Kernels compute whole vectors, and each row begins a new one.
  const Image& pixels = layer->pixels;
  int64_t rows = int64_t{pixels.batch} * pixels.height;
  build.claim(product({rows, pixels.width, padded_channels(pixels.channels) - pixels.channels}));
  build.claim(product({rows, 8}));
  return true;
}

bool Fusion::absorb_one(Build& build) {
  // Signs come last: their readers need the signs of this result, and nothing later may change it.
  if (!layer->fusible || epilogue.bits || build.out.size() != 1) return false;
  const std::string& name = build.op.name;
  if (name == "LceQuantize") return absorb_signs(build);
  if (uses != 1) return false;
  for (const Clamp& clamp : kClamps) {
    if (name == clamp.name) return build.in.size() == 1 && absorb_clamp(build, clamp.low, clamp.high);
  }
  if (build.in.size() != 2 || !build.in[0] || !build.in[1] || build.in[0] == build.in[1]) return false;
  size_t side = build.in[0] == current ? 0 : 1;
  if (name == "MAXIMUM" || name == "MINIMUM") return absorb_limit(build, *build.in[1 - side]);
  if (name == "SUB" && side == 0 && absorb_value(build, *build.in[1])) return true;
  return absorb_operand(build, side);
}

bool Fusion::absorb_signs(Build& build) {
  Value& out = *build.out[0];
  if (!out.bits || build.in.size() != 1 || current->shape != layer->pixels.shape()) return false;
  Shape shape = current->shape;
  shape[3] = (shape[3] + 31) / 32;
  build.result(Type::int32, shape);
  BitOutput(build, out, layer->pixels.channels);  // lays the value out
  epilogue.bits = &out;
  return true;
}

bool Fusion::absorb_clamp(Build& build, float low, float high) {
  if (!fits(1)) return false;
  epilogue.steps.push_back(Epilogue::Step::clamp(low, high));
  current = &build.result(Type::float32, current->shape);
  return true;
}

// The larger or smaller of each value and one constant. Zeros have signs, and NaN goes its own way: neither is a clamp.
bool Fusion::absorb_limit(Build& build, const Value& limit) {
  if (limit.type != Type::float32 || !limit.constant || limit.count() != 1 || !repeats(limit.shape, current->shape))
    return false;
  float value = *limit.as<const float>();
  if (std::isnan(value) || value == 0) return false;
  bool least = build.op.name == "MAXIMUM";
  return absorb_clamp(build, least ? value : -INFINITY, least ? INFINITY : value);
}

// Subtracts one value that is no constant.
bool Fusion::absorb_value(Build& build, Value& value) {
  if (value.type != Type::float32 || value.constant || value.count() != 1 || !repeats(value.shape, current->shape) ||
      !fits(build.activates() ? 2 : 1))
    return false;
  Epilogue::Step step(StepKind::kSubValue);
  step.tensor = &value;
  reads.push_back(&value);
  epilogue.steps.push_back(std::move(step));
  if (build.activates()) epilogue.steps.push_back(Epilogue::Step::clamp(build.low(), build.high()));
  current = &build.result(Type::float32, current->shape);
  return true;
}

bool Fusion::absorb_operand(Build& build, size_t side) {
  Operand operand;
  const int64_t period = layer->pixels.channels;
  Value& other = *build.in[1 - side];
  if (!operand_of(build.op.name, side, &operand) || other.type != Type::float32) return false;
  bool activates = build.op.name != "PRELU" && build.activates();
  if (!fits(activates ? 2 : 1)) return false;
  Epilogue::Step step(operand.on_channels);
  if (other.constant && (other.count() == 1 || other.count() == period) && other.count() > 0 &&
      repeats(other.shape, current->shape)) {
    const float* from = other.as<const float>();
    step.channels.resize(static_cast<size_t>(padded_channels(static_cast<int>(period))));
    for (int64_t i = 0; i < period; ++i) {
      float value = from[other.count() == 1 ? 0 : i];
      step.channels[static_cast<size_t>(i)] = operand.negated ? -value : value;
    }
    build.context.budget.count_bytes(step.channels.size() * sizeof(float));
  } else if (operand.tensor_allowed && other.shape == current->shape) {
    step.kind = operand.on_tensor;
    step.tensor = &other;
    reads.push_back(&other);
  } else {
    return false;
  }
  epilogue.steps.push_back(std::move(step));
  if (activates) epilogue.steps.push_back(Epilogue::Step::clamp(build.low(), build.high()));
  current = &build.result(Type::float32, current->shape);
  return true;
}

bool Fusion::dissolve(Layer& next) {
  if (!source || uses != 1 || epilogue.bits || epilogue.steps.size() != 1) return false;
  const Epilogue::Step& step = epilogue.steps[0];
  if (step.kind != StepKind::kClamp || !next.absorb_clamp(*source, step.low, step.high)) return false;
  layer = nullptr;
  current = nullptr;
  return true;
}

std::unique_ptr<Operation> Fusion::make() {
  if (layer->fusible) epilogue.values = uses > 0 || !epilogue.bits ? current : nullptr;
  return layer->with_epilogue(std::move(epilogue));
}

bool start_pointwise(Build& build, Fusion& fusion) {
  if (build.in.empty() || build.in.size() > 2 || build.out.size() != 1) return false;
  for (size_t side = 0; side < build.in.size(); ++side) {
    Value* main = build.in[side];
    if (!main || main->type != Type::float32 || main->constant || main->count() == 0) continue;
    if (build.in.size() == 2 && !build.in[1 - side]) continue;
    // The period is that of the constant; without one, long rows are best, unless signs are packed.
    int64_t period = main->count() <= kLongRow ? main->count() : main->shape.back();
    bool packs = build.op.name == "LceQuantize";
    if (main->shape.size() == 4)
      period = packs || main->shape[3] >= kLanes ? main->shape[3] : main->shape[2] * main->shape[3];
    if (build.in.size() == 2 && build.in[1 - side]->constant && build.in[1 - side]->count() > 1 &&
        build.in[1 - side]->count() < main->count()) {
      period = build.in[1 - side]->count();
      if (main->count() % period) continue;
    }
    fusion.current = fusion.source = main;
    fusion.uses = 1;
    fusion.reads = {main};
    fusion.layer = std::make_unique<PointwiseLayer>(build.context, *main, period);
    build.claim(product({main->count() / period, padded_channels(static_cast<int>(period))}));
    build.claim(product({fusion.layer->pixels.batch, 32}));
    if (fusion.absorb(build)) return true;
  }
  return false;
}

}  // namespace bnn_exit
