#include "stream/windows.h"

#include <algorithm>

namespace bnn_exit {
namespace {

size_t frames_at_once(const FrontEnd* front_end) { return front_end ? front_end->frames_at_once() : 0; }

size_t mels_of(const FrontEnd* front_end) {
  return front_end ? static_cast<size_t>(front_end->features().num_mels) : 0;
}

// As many samples as make so many frames, or a whole window.
size_t kept_samples(const FrontEnd* front_end, size_t clip_samples) {
  if (!front_end) return clip_samples;
  const bnn_exit_features& features = front_end->features();
  return static_cast<size_t>(features.window_samples) +
         (frames_at_once(front_end) - 1) * static_cast<size_t>(features.hop_samples);
}

size_t kept_frames(const FrontEnd* front_end, size_t clip_samples) {
  return front_end ? front_end->frames(clip_samples) : 0;
}

}  // namespace

Windows::Windows(FrontEnd* front_end, size_t clip_samples, size_t hop, size_t width)
    : front_end_(front_end), clip_samples_(clip_samples), hop_(hop), width_(width), needed_(clip_samples),
      samples_(width, kept_samples(front_end, clip_samples)),
      frames_(mels_of(front_end), kept_frames(front_end, clip_samples)),
      block_(frames_at_once(front_end) * mels_of(front_end)) {}

uint64_t Windows::bytes(const FrontEnd* front_end, size_t clip_samples, size_t width) {
  size_t mels = mels_of(front_end);
  return SlidingBuffer::bytes(width, kept_samples(front_end, clip_samples)) +
         SlidingBuffer::bytes(mels, kept_frames(front_end, clip_samples) + frames_at_once(front_end));
}

void Windows::append(const float* samples, size_t count, Gate* gate) {
  needed_ -= count;
  while (count) {
    size_t part = std::min(count, samples_.owed() + samples_.room());
    samples_.append(samples, part);
    samples += part * width_;
    count -= part;
    if (front_end_ && !samples_.room()) make_frames(gate);
  }
  if (front_end_ && !needed_) make_frames(gate);
}

void Windows::make_frames(Gate* gate) {
  const bnn_exit_features& features = front_end_->features();
  size_t made = front_end_->frames(samples_.rows());
  if (!made) return;
  front_end_->compute(samples_.data(), samples_.rows(), block_.data());
  samples_.drop(made * static_cast<size_t>(features.hop_samples));
  for (size_t frame = 0; gate && frame < made; ++frame)
    gate->push(block_.data() + frame * static_cast<size_t>(features.num_mels));
  frames_.append(block_.data(), made);
}

const float* Windows::take() {
  SlidingBuffer& kept = front_end_ ? frames_ : samples_;
  const float* window = kept.data();
  kept.drop(front_end_ ? hop_ / static_cast<size_t>(front_end_->features().hop_samples) : hop_);
  needed_ = hop_;
  return window;
}

void Windows::reset() {
  samples_.clear();
  frames_.clear();
  needed_ = clip_samples_;
}

}  // namespace bnn_exit
