#include "ops/layer.h"

#include <algorithm>
#include <cmath>

namespace bnn_exit {
namespace {

constexpr int64_t kMaxReach = 1 << 16;  // of a filter, stride or dilation: far above any network

// Lays a value out for the kernels; `size` has its shape.
void lay_out(Build& build, const Value& size, int channels, Value& value) {
  Image pixels = image(build, size);
  if ((channels + 31) / 32 != pixels.channels)
    build.refuse("%d words do not hold %d channels", pixels.channels, channels);
  BitLayout layout;
  layout.words = bit_words(channels);
  layout.batch = pixels.batch;
  layout.height = pixels.height;
  layout.width = pixels.width;
  if (value.data) broken("bits are laid out after their value was allocated");
  value.bits = std::make_unique<BitLayout>(layout);
  value.channels = channels;
}

// A second value in the kernels' layout, for a value that has another layout.
Value* make_bits(Build& build, const Value& size, int channels) {
  Value* value = build.context.make_value();
  value->type = Type::int32;
  value->own_memory = true;
  lay_out(build, size, channels, *value);
  build.claim(
      product({value->bits->batch, value->bits->height, value->bits->width, 4 + value->bits->words, 2}));  // to copy it
  build.scratch.push_back(value);
  return value;
}

}  // namespace

Window window(const Build& build, const char* side, int64_t in, int64_t kernel) {
  std::string name(side);
  int64_t stride = build.op.options.integer(("stride_" + name).c_str());
  int64_t dilation = build.op.options.integer(("dilation_" + name + "_factor").c_str(), 1);
  if (std::min({kernel, stride, dilation}) < 1) {
    build.refuse("filter %lld, stride %lld and dilation %lld must be at least 1", (long long)kernel, (long long)stride,
                 (long long)dilation);
  }
  if (std::max({kernel, stride, dilation}) > kMaxReach || (kernel - 1) * dilation > kMaxReach) {
    build.refuse("its filter asks for an array of more than %lld values", static_cast<long long>(kMaxReach));
  }
  int64_t reach = (kernel - 1) * dilation + 1, before = 0, out;
  if (build.op.options.integer("padding") == kValid) {
    out = in >= reach ? (in - reach) / stride + 1 : 0;
    if (!out) build.refuse("its filter is larger than its input");
  } else {
    out = (in + stride - 1) / stride;
    before = std::max<int64_t>(0, (out - 1) * stride + reach - in) / 2;
  }
  int64_t after = std::max<int64_t>(0, (out - 1) * stride + reach - before - in);
  auto narrow = [](int64_t value) { return static_cast<int32_t>(value); };
  return {narrow(kernel), narrow(stride), narrow(dilation), narrow(in), narrow(out), narrow(before), narrow(after)};
}

Image image(const Build& build, const Value& value) {
  if (value.shape.size() != 4 || value.count() == 0) {
    build.refuse("an image has the shape %s", to_text(value.shape).c_str());
  }
  auto size = [&](size_t axis) { return static_cast<int32_t>(value.shape[axis]); };
  return {value.shape[0], size(1), size(2), size(3)};
}

const void* constant_data(const Build& build, size_t index, Type type) {
  Value& value = build.input(index, type);
  if (!value.constant) build.refuse("input %zu must be a constant", index);
  return value.data;
}

std::vector<float> per_channel(const Build& build, size_t index, int64_t channels) {
  auto* from = static_cast<const float*>(constant_data(build, index, Type::float32));
  if (build.input(index).count() != channels) {
    build.refuse("input %zu has %lld values for %lld channels", index, (long long)build.input(index).count(),
                 (long long)channels);
  }
  std::vector<float> values(static_cast<size_t>(padded_channels(static_cast<int>(channels))));
  std::copy(from, from + channels, values.begin());
  return values;
}

void add_activation(const Build& build, Layer& layer) {
  Epilogue::Step clamp = Epilogue::Step::clamp(build.low(), build.high());
  if (build.activates()) layer.steps.push_back(std::move(clamp));
}

Scratch::Scratch(Build& build, size_t bytes, int parts)
    : value_(nullptr), pitch_((bytes + kAlign - 1) / kAlign * kAlign) {
  value_ = build.temporary(pitch_ * static_cast<size_t>(parts));
}

void BoundEpilogue::bind() {
  first_ = {};
  first_.pitch = pitch_;
  if (epilogue_.values) first_.values = epilogue_.values->as<float>();
  if (epilogue_.bits) {
    const BitLayout& layout = *epilogue_.bits->bits;
    first_.bits = epilogue_.bits->as<uint64_t>() + layout.origin();
    first_.bit_pitch = layout.words;
    first_.bit_row = layout.row();
  }
  first_.step_count = static_cast<int32_t>(epilogue_.steps.size());
  for (size_t i = 0; i < epilogue_.steps.size(); ++i) {
    const Epilogue::Step& item = epilogue_.steps[i];
    Step& step = first_.steps[i];
    step.kind = item.kind;
    step.low = item.low;
    step.high = item.high;
    step.pitch = pitch_;
    step.data = item.tensor ? item.tensor->as<const float>() : item.table ? item.table : item.channels.data();
  }
}

Output BoundEpilogue::output(int64_t clip) const {
  if (clip == 0) return first_;
  Output output = first_;
  if (output.values) output.values += clip * floats_;
  if (output.bits) output.bits += clip * epilogue_.bits->bits->image();
  for (size_t i = 0; i < epilogue_.steps.size(); ++i) {
    bool moves = epilogue_.steps[i].tensor && epilogue_.steps[i].kind != StepKind::kSubValue;
    if (moves) output.steps[i].data += clip * floats_;
  }
  return output;
}

void copy_in(const Value& from, const Value& to) {
  const BitLayout& layout = *to.bits;
  const int64_t count = (to.channels + 31) / 32;  // of LCE's words
  const uint64_t last = to.channels % 64 ? (uint64_t{1} << to.channels % 64) - 1 : ~uint64_t{0};
  const auto* words = from.as<const uint32_t>();
  for (int64_t clip = 0; clip < layout.batch; ++clip) {
    for (int64_t y = 0; y < layout.height; ++y) {
      uint64_t* target = to.as<uint64_t>() + clip * layout.image() + layout.origin() + y * layout.row();
      const uint64_t* source = nullptr;
      if (from.bits)
        source = from.as<const uint64_t>() + clip * from.bits->image() + from.bits->origin() + y * from.bits->row();
      for (int64_t x = 0; x < layout.width; ++x, target += layout.words) {
        for (int64_t word = 0; word < layout.words; ++word) {
          if (source) {
            target[word] = *source++;
          } else {
            target[word] = *words++;
            if (2 * word + 1 < count) target[word] |= uint64_t{*words++} << 32;
          }
        }
        target[layout.words - 1] &= last;
      }
    }
  }
}

void copy_out(const Value& from, const Value& to) {
  const BitLayout& layout = *from.bits;
  const int64_t count = (from.channels + 31) / 32;
  auto* words = to.as<uint32_t>();
  for (int64_t clip = 0; clip < layout.batch; ++clip) {
    for (int64_t y = 0; y < layout.height; ++y) {
      const uint64_t* source = from.as<const uint64_t>() + clip * layout.image() + layout.origin() + y * layout.row();
      for (int64_t x = 0; x < layout.width; ++x, source += layout.words) {
        for (int64_t word = 0; word < count; ++word)
          *words++ = static_cast<uint32_t>(source[word / 2] >> 32 * (word % 2));
      }
    }
  }
}

BitInput::BitInput(Build& build, Value& value, int channels) : value_(&value), bits_(&value) {
  if (!value.bits || value.channels != channels) bits_ = make_bits(build, value, channels);
}

const uint64_t* BitInput::get() {
  if (bits_ != value_) copy_in(*value_, *bits_);
  return bits_->as<const uint64_t>() + layout().origin();
}

BitOutput::BitOutput(Build& build, Value& value, int channels) : value_(&value), bits_(&value) {
  if (value.bits) {
    lay_out(build, value, channels, value);
  } else {
    bits_ = make_bits(build, value, channels);
    value.channels = channels;
  }
}

uint64_t* BitOutput::get() { return bits_->as<uint64_t>() + layout().origin(); }

void BitOutput::flush() {
  if (bits_ != value_) copy_out(*bits_, *value_);
}

}  // namespace bnn_exit
