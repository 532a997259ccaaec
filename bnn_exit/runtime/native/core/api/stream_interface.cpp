// The C interface to streams.
#include "api/guarded.h"
#include "stream/stream.h"

struct bnn_exit_stream {
  bnn_exit::Stream stream;
};

namespace {

using bnn_exit::guarded;

template <typename Sample>
bnn_exit_status push(bnn_exit_stream* stream, const Sample* samples, size_t count, size_t* used,
                     bnn_exit_window* window, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    if (!stream || !used || !window || (!samples && count))
      bnn_exit::bad_argument("stream, samples, used and window must not be NULL");
    stream->stream.push(samples, count, used, window);
  });
}

}  // namespace

extern "C" {

const char* bnn_exit_listening_point(const bnn_exit_classifier* classifier, int32_t index) {
  const auto& points = classifier->classifier.listening_points();
  return index >= 0 && static_cast<size_t>(index) < points.size() ? points[static_cast<size_t>(index)].name.c_str()
                                                                  : nullptr;
}

bnn_exit_status bnn_exit_stream_new(bnn_exit_classifier* classifier, const bnn_exit_stream_settings* settings,
                                    bnn_exit_stream** stream, char* error, size_t error_size) {
  if (stream) *stream = nullptr;
  return guarded(error, error_size, [&] {
    if (!classifier || !stream) bnn_exit::bad_argument("classifier and stream must not be NULL");
    *stream = new bnn_exit_stream{{classifier->classifier, settings ? *settings : bnn_exit_stream_settings{}}};
  });
}

void bnn_exit_stream_free(bnn_exit_stream* stream) { delete stream; }

bnn_exit_status bnn_exit_stream_push(bnn_exit_stream* stream, const float* samples, size_t count, size_t* used,
                                     bnn_exit_window* window, char* error, size_t error_size) {
  return push(stream, samples, count, used, window, error, error_size);
}

bnn_exit_status bnn_exit_stream_push_int16(bnn_exit_stream* stream, const int16_t* samples, size_t count, size_t* used,
                                           bnn_exit_window* window, char* error, size_t error_size) {
  return push(stream, samples, count, used, window, error, error_size);
}

bnn_exit_status bnn_exit_stream_reset(bnn_exit_stream* stream, uint64_t lost_samples, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    if (!stream) bnn_exit::bad_argument("stream must not be NULL");
    stream->stream.reset(lost_samples);
  });
}

}  // extern "C"
