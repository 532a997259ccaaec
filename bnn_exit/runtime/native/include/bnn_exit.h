/* bnn_exit: runs a model.tflite of binary and float layers, stopping at the first exit that is confident enough.
 *
 * Ownership. Pointers that a function returns (names, shapes, metadata) belong to the network or classifier and are
 * valid as long as it lives. Bytes given to a function are copied if they are needed later; nothing is kept.
 *
 * Threads. Different networks, front ends and classifiers may be used in different threads at once, and loading is safe
 * from any thread. One of them runs in one thread at a time: while bnn_exit_run, bnn_exit_log_mel or bnn_exit_classify
 * runs, a second call of it for the same object is refused with BNN_EXIT_BUSY and changes nothing. The description of
 * an object (counts, names, shapes, metadata, labels, plan) never changes and may be read at any time. Free an object
 * only when no thread uses it any more. A stream runs on its classifier: what holds for one of them at a time holds for
 * the classifier and all of its streams together.
 *
 * Forks. A network may start threads of its own (bnn_exit_settings), which end with it; after a fork, the child runs on
 * one. The child may use and free every object that the parent had, even one that another thread of the parent was just
 * running.
 *
 * Errors. Functions return BNN_EXIT_OK or an error; `error`, if not NULL, receives one line of text, cut to
 * `error_size` bytes with the final NUL. No function prints, exits, or throws. After an error in a run the network may
 * be used again; the contents of the output buffers are then undefined.
 *
 * Files are untrusted: any bytes give a network or an error. Running allocates nothing.
 */
#ifndef BNN_EXIT_H
#define BNN_EXIT_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define BNN_EXIT_API __declspec(dllexport)
#else
#define BNN_EXIT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bnn_exit_status {
  BNN_EXIT_OK = 0,
  BNN_EXIT_FILE = 1,     /* the file is damaged, is not of bnn_exit, or needs something that this library lacks */
  BNN_EXIT_ARGUMENT = 2, /* an argument breaks a rule */
  BNN_EXIT_LIMIT = 3,    /* the file asks for more memory or work than bnn_exit_settings allow */
  BNN_EXIT_MEMORY = 4,   /* the machine has no memory left */
  BNN_EXIT_BUSY = 5,     /* another thread is running the network, front end or classifier */
  BNN_EXIT_RUN = 6       /* an operator met values that it cannot compute with, such as a division by zero */
} bnn_exit_status;

/* How a file is loaded: its limits, and the number of threads. A field of 0 means the default.
 * Loading may take max_operations steps, too. With subnormal numbers (below 1.2e-38) many processors take some five
 * times as long for a step. */
typedef struct bnn_exit_settings {
  uint64_t max_bytes;      /* memory of a network, its description included, beside the file itself; default 256 MiB */
  uint64_t max_operations; /* elementary steps of one run; default 2^35, some ten seconds */
  int32_t threads;         /* for one run, the caller's included, at most 256; default 1. Results are the same
                              to the last bit for any number; layers too small to gain stay in the caller's thread. */
} bnn_exit_settings;

typedef struct bnn_exit_network bnn_exit_network;

/* One input or output. */
typedef struct bnn_exit_tensor {
  const char* name;     /* by the file's signature if it has one, else the tensor's own */
  const char* type;     /* "float32", "int32", ... */
  const int64_t* shape; /* `rank` sizes */
  int32_t rank;
  size_t bytes; /* of its values */
} bnn_exit_tensor;

/* Version of this interface, "major.minor.patch". */
BNN_EXIT_API const char* bnn_exit_version(void);

/* The instruction set whose kernels are in use, such as "avx2"; BNN_EXIT_ISA in the environment forces one. */
BNN_EXIT_API const char* bnn_exit_isa(void);

/* The instruction sets that this library has kernels for and this machine runs, separated by spaces, best first. */
BNN_EXIT_API const char* bnn_exit_isas(void);

/* Reads a file and makes it ready to run; free the network with bnn_exit_free. `settings` may be NULL. */
BNN_EXIT_API bnn_exit_status bnn_exit_load(const void* file, size_t size, const bnn_exit_settings* settings,
                                           bnn_exit_network** network, char* error, size_t error_size);
BNN_EXIT_API void bnn_exit_free(bnn_exit_network* network); /* NULL is allowed */

BNN_EXIT_API int32_t bnn_exit_input_count(const bnn_exit_network* network);
BNN_EXIT_API int32_t bnn_exit_output_count(const bnn_exit_network* network);

/* Description of an input or output of that number. */
BNN_EXIT_API bnn_exit_status bnn_exit_input(const bnn_exit_network* network, int32_t index, bnn_exit_tensor* tensor);
BNN_EXIT_API bnn_exit_status bnn_exit_output(const bnn_exit_network* network, int32_t index, bnn_exit_tensor* tensor);

/* A metadata entry of the file, such as "bnn_exit"; *data is NULL if there is none. */
BNN_EXIT_API bnn_exit_status bnn_exit_metadata(const bnn_exit_network* network, const char* name, const void** data,
                                               size_t* size);

/* Bytes that the network takes, beside the file's own copy, and elementary steps of its longest run. */
BNN_EXIT_API uint64_t bnn_exit_bytes(const bnn_exit_network* network);
BNN_EXIT_API uint64_t bnn_exit_operations(const bnn_exit_network* network);

/* Runs the network once. `inputs` and `outputs` hold one buffer for each input and output, of the size in its
 * description; a NULL output is not copied out. */
BNN_EXIT_API bnn_exit_status bnn_exit_run(bnn_exit_network* network, const void* const* inputs, void* const* outputs,
                                          char* error, size_t error_size);

/* The execution plan: one line for each step of the network, indented inside branches. */
BNN_EXIT_API const char* bnn_exit_plan(const bnn_exit_network* network);

/* ---- Front end ---- */

#define BNN_EXIT_MIN_SAMPLE_RATE_HZ 1000
#define BNN_EXIT_MAX_SAMPLE_RATE_HZ 192000
#define BNN_EXIT_MAX_FFT_SIZE (1 << 20)
#define BNN_EXIT_MAX_HOP_SAMPLES (1 << 20)
#define BNN_EXIT_MAX_MELS 4096
#define BNN_EXIT_MAX_MEL_WEIGHTS (1 << 24) /* num_mels * (fft_size / 2 + 1) */

/* Settings of the log-mel features, as the metadata entry "bnn_exit" of a file gives them. */
typedef struct bnn_exit_features {
  int32_t sample_rate_hz; /* within the limits above, like those below */
  int32_t window_samples; /* length of a frame, at least 2 */
  int32_t hop_samples;    /* from the start of one frame to that of the next */
  int32_t fft_size;       /* a power of two, at least the window */
  int32_t num_mels;
  double lower_hz, upper_hz; /* range of the bands, from 0 to half the sample rate */
  double log_offset;         /* added before the logarithm; above 0 */
} bnn_exit_features;

/* Makes features frame by frame or clip by clip. */
typedef struct bnn_exit_front_end bnn_exit_front_end;

BNN_EXIT_API bnn_exit_status bnn_exit_front_end_new(const bnn_exit_features* features, bnn_exit_front_end** front_end,
                                                    char* error, size_t error_size);
BNN_EXIT_API void bnn_exit_front_end_free(bnn_exit_front_end* front_end); /* NULL is allowed */

/* Whole frames in that many samples. */
BNN_EXIT_API size_t bnn_exit_frames(const bnn_exit_front_end* front_end, size_t samples);

/* Writes float [bnn_exit_frames(samples)][num_mels]; frame i begins at sample i * hop_samples. For streaming give one
 * window at a time: a frame has the same values however many are made at once. BNN_EXIT_OK or BNN_EXIT_BUSY. */
BNN_EXIT_API bnn_exit_status bnn_exit_log_mel(bnn_exit_front_end* front_end, const float* waveform, size_t samples,
                                              float* log_mel);

/* ---- Classifier: a model.tflite of bnn_exit with its front end and labels ---- */

typedef struct bnn_exit_classifier bnn_exit_classifier;

typedef struct bnn_exit_prediction {
  const char* label; /* of the most probable class */
  int32_t label_index;
  int32_t exit_index; /* the exit that was taken, 0-based */
  float score;        /* the exit's uncertainty, which is compared with its threshold; of the last exit of a file
                         with a skip gate, the gate's */
  const float* probabilities; /* one for each label; the next call, in any thread, overwrites them */
} bnn_exit_prediction;

typedef bnn_exit_prediction bnn_exit_answer; /* its earlier name */

BNN_EXIT_API bnn_exit_status bnn_exit_classifier_new(const void* file, size_t size, const bnn_exit_settings* settings,
                                                     bnn_exit_classifier** classifier, char* error, size_t error_size);
BNN_EXIT_API void bnn_exit_classifier_free(bnn_exit_classifier* classifier); /* NULL is allowed */

BNN_EXIT_API int32_t bnn_exit_label_count(const bnn_exit_classifier* classifier);
BNN_EXIT_API const char* bnn_exit_label(const bnn_exit_classifier* classifier, int32_t index); /* NULL: no such label */
BNN_EXIT_API int32_t bnn_exit_exit_count(const bnn_exit_classifier* classifier);
BNN_EXIT_API int32_t bnn_exit_sample_rate_hz(const bnn_exit_classifier* classifier); /* rounded, for values */
BNN_EXIT_API double bnn_exit_rate_hz(const bnn_exit_classifier* classifier);         /* as the file has it */
BNN_EXIT_API size_t bnn_exit_clip_samples(const bnn_exit_classifier* classifier);

/* Channels of a file that takes values of sensors or spectra; none for sound. */
BNN_EXIT_API int32_t bnn_exit_channel_count(const bnn_exit_classifier* classifier);
BNN_EXIT_API const char* bnn_exit_channel(const bnn_exit_classifier* classifier, int32_t index); /* NULL: none such */

/* Classifies one clip at the file's sample rate, full scale 1. A shorter one is centred in silence, a longer one keeps
 * its centre. `operating_point` names thresholds in the file ("balanced"), or is NULL: then `thresholds` holds one for
 * each exit but the last; 0 turns an exit off, 1000 makes it always taken. The skip gate of a file that has
 * one is off then: its threshold comes from an operating point alone, so `thresholds` is as long for every file.
 *
 * Of a file that takes values, `waveform` is [samples][channels], in the units of the training data; fewer samples than
 * bnn_exit_clip_samples are refused with BNN_EXIT_ARGUMENT. */
BNN_EXIT_API bnn_exit_status bnn_exit_classify(bnn_exit_classifier* classifier, const float* waveform, size_t samples,
                                               const char* operating_point, const float* thresholds,
                                               bnn_exit_prediction* prediction, char* error, size_t error_size);

/* ---- Stream: samples that never end, to windows, to events ---- */

#define BNN_EXIT_STREAM_MIN_RATE_HZ 8000

typedef struct bnn_exit_stream bnn_exit_stream;

/* How a stream works. A field of 0 or NULL means what is said there. */
typedef struct bnn_exit_stream_settings {
  int32_t sample_rate_hz; /* of the samples, from 8000 to 192000; others than the file's are resampled, which delays
                             windows by some 5 ms; 0: the file's */
  double hop_ms;          /* from one window to the next, a multiple of that of the features, at most 60000; 0: the
                             listening point's, or 100 without one */
  const char* operating_point; /* thresholds of the exits, by name; NULL: `thresholds` */
  const float* thresholds;     /* or one for each exit but the last; NULL: the listening point's operating point, or
                                  "balanced" without one */
  const char* listening_point; /* a name in the file: how events are made, and the energy gate; NULL: no events */
} bnn_exit_stream_settings;

/* One detection. Times are in seconds from the start of the stream. */
typedef struct bnn_exit_event {
  const char* label;
  int32_t label_index;
  int32_t exit_index;    /* of the window that made the event, 0-based */
  double start_s, end_s; /* of the averaged window in which the label was most probable */
  double time_s;         /* when the event was made: the end of the newest window */
  double probability;    /* mean over the averaged windows */
} bnn_exit_event;

typedef struct bnn_exit_window {
  int32_t complete;   /* whether there is a window; if not, the rest means nothing */
  int32_t exit_index; /* the exit that was taken, 0-based; -1: the gate was closed, so the network did not run */
  float score;        /* of that exit; NaN if the gate was closed */
  int32_t has_event;  /* whether this window made an event */
  double start_s, end_s;
  const float*
      probabilities; /* one for each label, zeros if the gate was closed; until the next call with the stream */
  bnn_exit_event event;
} bnn_exit_window;

/* The names of the file's listening points, in its order; NULL: no such. */
BNN_EXIT_API const char* bnn_exit_listening_point(const bnn_exit_classifier* classifier, int32_t index);

/* Makes a stream; `settings` may be NULL. Free it before the classifier. Several streams may use one classifier in
 * turn, and each keeps its own state. A stream may take what its classifier's limits leave (bnn_exit_settings), else it
 * is refused with BNN_EXIT_LIMIT. */
BNN_EXIT_API bnn_exit_status bnn_exit_stream_new(bnn_exit_classifier* classifier,
                                                 const bnn_exit_stream_settings* settings, bnn_exit_stream** stream,
                                                 char* error, size_t error_size);
BNN_EXIT_API void bnn_exit_stream_free(bnn_exit_stream* stream); /* NULL is allowed */

/* Takes samples, full scale 1 or 32768, until a window is complete or they are used up; *used is how many. Repeat with
 * the rest until window->complete is 0. The first window begins at the first sample, the next one hop later. What a
 * window says is to the last bit what bnn_exit_classify says of the same samples, however they are cut into chunks.
 *
 * Allocates nothing. A sample that is NaN or infinite is refused with BNN_EXIT_ARGUMENT, and BNN_EXIT_BUSY refuses a
 * second thread: nothing was taken then. After BNN_EXIT_RUN, *used samples were taken and one window is left out.
 *
 * Of a file that takes values, a sample is one number for each channel, at the file's rate: float alone. */
BNN_EXIT_API bnn_exit_status bnn_exit_stream_push(bnn_exit_stream* stream, const float* samples, size_t count,
                                                  size_t* used, bnn_exit_window* window, char* error,
                                                  size_t error_size);
BNN_EXIT_API bnn_exit_status bnn_exit_stream_push_int16(bnn_exit_stream* stream, const int16_t* samples, size_t count,
                                                        size_t* used, bnn_exit_window* window, char* error,
                                                        size_t error_size);

/* Starts clean after a gap: nothing from before it is in a later window or event. Time advances by `lost_samples`. */
BNN_EXIT_API bnn_exit_status bnn_exit_stream_reset(bnn_exit_stream* stream, uint64_t lost_samples, char* error,
                                                   size_t error_size);

#ifdef __cplusplus
}
#endif
#endif
