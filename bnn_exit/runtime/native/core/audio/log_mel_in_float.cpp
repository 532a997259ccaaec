#include <cmath>
#include <cstdint>
#include <vector>

#include "audio/fft.h"
#include "audio/log_mel_block.h"
#include "audio/mel_bands.h"

namespace bnn_exit {
namespace {

constexpr int kLeastSize = 16;
constexpr double kLeastOffset = 1e-30;

class InFloat final : public LogMelBlock {
 public:
  InFloat(const bnn_exit_features& features, const Kernels& kernels) : kernels_(kernels), bands_(features) {
    const int half = features.fft_size / 2;
    for (double value : hann(features.window_samples)) window_.push_back(static_cast<float>(value / 2));
    for (int k = 0; k <= half / 2; ++k) add(&unpack_, k, features.fft_size);
    RealFft fft(features.fft_size);
    for (int i = 0; i < half; ++i) places_.push_back(fft.place(i));
    // Of two stages at once: the twiddle factors of the first, of the second, and both. The first two stages have none.
    int length = 4;
    for (; 2 * length < half; length *= 4) {
      for (int k = 0; k < length; ++k) {
        add(&twiddles_, k, 2 * length);
        add(&twiddles_, k, 4 * length);
        add(&twiddles_, 3 * k, 4 * length);
      }
    }
    for (int k = 0; length < half && k < length; ++k) add(&twiddles_, k, 2 * length);
    plan_ = {features.window_samples,
             features.hop_samples,
             half,
             features.num_mels,
             window_.data(),
             places_.data(),
             twiddles_.data(),
             unpack_.data(),
             bands_.segments.data(),
             bands_.weights.data(),
             static_cast<float>(features.log_offset)};
    memory_.resize(kernels.log_mel_scratch_bytes(plan_) / sizeof(float) + kAlign / sizeof(float));
    auto address = reinterpret_cast<uintptr_t>(memory_.data());
    scratch_ = reinterpret_cast<void*>((address + kAlign - 1) / kAlign * kAlign);
  }

  size_t most() const override { return static_cast<size_t>(kernels_.log_mel_frames()); }

  void compute(const float* samples, size_t frames, float* out) override {
    kernels_.log_mel(plan_, samples, static_cast<int>(frames), out, scratch_);
  }

 private:
  // exp(-2 pi i k / size)
  static void add(std::vector<float>* list, int k, int size) {
    const double angle = 2 * std::acos(-1.0) * k / size;
    list->push_back(static_cast<float>(std::cos(angle)));
    list->push_back(static_cast<float>(-std::sin(angle)));
  }

  const Kernels& kernels_;
  MelBands bands_;
  std::vector<float> window_, twiddles_, unpack_, memory_;
  std::vector<int32_t> places_;
  LogMel plan_;
  void* scratch_;
};

}  // namespace

std::unique_ptr<LogMelBlock> log_mel_in_float(const bnn_exit_features& features, const Kernels& kernels) {
  if (features.fft_size < kLeastSize || features.log_offset < kLeastOffset) return nullptr;
  return std::make_unique<InFloat>(features, kernels);
}

}  // namespace bnn_exit
