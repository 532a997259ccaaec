/* Classifies a wav file with a model.tflite of bnn_exit, without Python:
 *
 *   classify model.tflite clip.wav [operating point]
 *
 * The file must hold 16-bit PCM at the model's sample rate; channels are averaged. Wrong
 * headers, which some recorders write, are corrected as in the Python package. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bnn_exit.h"

static int fail(const char* where, const char* why) {
  fprintf(stderr, "error: %s: %s\n", where, why);
  return 1;
}

/* The whole file, or NULL. */
static unsigned char* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  unsigned char* data = NULL;
  long length;
  if (!file) return NULL;
  if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0) {
    data = malloc((size_t)length + 1);
    if (data && fread(data, 1, (size_t)length, file) != (size_t)length) {
      free(data);
      data = NULL;
    }
    *size = (size_t)length;
  }
  fclose(file);
  return data;
}

static unsigned long number(const unsigned char* at, int bytes) {
  unsigned long value = 0;
  while (bytes--) value = value << 8 | at[bytes];
  return value;
}

/* A chunk of a wav file: its name, where its content begins, and how long the file says that it is. */
typedef struct chunk {
  const unsigned char* name;
  size_t start, size;
} chunk;

static int is_name(const unsigned char* at) {
  int i;
  for (i = 0; i < 4; ++i) {
    if (at[i] < 32 || at[i] > 126) return 0;
  }
  return 1;
}

/* Moves on to the chunk at *at; 0 at the end, or where no chunk begins. */
static int next_chunk(const unsigned char* data, size_t size, size_t* at, chunk* found) {
  static const char* const names[] = {"fmt ", "data", "LIST", "fact"};
  size_t i, after;
  if (size < 8 || *at > size - 8) return 0;
  found->name = data + *at;
  if (!is_name(found->name)) return 0;
  found->start = *at + 8;
  found->size = number(data + *at + 4, 4);
  if (found->size > size - found->start) { /* nothing is after it */
    *at = size;
    return 1;
  }
  *at = after = found->start + found->size;
  /* A byte of padding follows a chunk of odd size. Some writers leave it out, and in some it is a letter. */
  if (found->size % 2 && after < size) {
    *at += !(size - after >= 5 && is_name(data + after) && !is_name(data + after + 1));
    for (i = 0; i < 4; ++i) {
      if (size - after >= 4 && !memcmp(data + after, names[i], 4)) *at = after;
    }
  }
  return 1;
}

/* Whether chunks reach from there to the end, and not samples after a size that was never filled in. */
static int only_chunks(const unsigned char* data, size_t size, size_t at) {
  chunk each = {NULL, 0, 0};
  size_t reached = at;
  while (next_chunk(data, size, &at, &each)) reached = each.start + each.size;
  return reached == size || reached + 1 == size;
}

/* Bytes of samples in the data chunk, which recorders that were switched off or write into a pipe often announce
 * wrongly: not at all, or with the header counted in. 0 if there are none, or if the file was cut. */
static size_t data_size(const unsigned char* data, size_t size, chunk samples) {
  size_t present = size - samples.start;
  if (samples.size == 0) return only_chunks(data, size, samples.start) ? 0 : present;
  if (samples.size <= present) return samples.size;
  return samples.size >= 0x7ffff000 || samples.size - present <= samples.start ? present : 0;
}

/* Whether a fmt chunk says 16-bit PCM, plain or extensible. */
static int is_pcm16(const unsigned char* format, size_t size) {
  static const unsigned char tail[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
  unsigned long code = number(format, 2), bits = number(format + 14, 2);
  if (code == 0xfffe && size >= 40 && !memcmp(format + 26, tail, sizeof tail)) code = number(format + 24, 2);
  return code == 1 && bits > 8 && bits <= 16;
}

/* The samples of a wav file as floats of full scale 1, or NULL and a reason. */
static float* read_wav(const unsigned char* data, size_t size, int rate, size_t* samples, char* why, size_t why_size) {
  size_t at = 12, channels = 0, frame, channel, bytes;
  chunk each = {NULL, 0, 0};
  const unsigned char* from;
  float* waveform;
  if (size < 12 || memcmp(data, "RIFF", 4) || memcmp(data + 8, "WAVE", 4)) {
    snprintf(why, why_size, "this is not a wav file");
    return NULL;
  }
  while (next_chunk(data, size, &at, &each) && memcmp(each.name, "data", 4)) {
    const unsigned char* format = data + each.start;
    if (channels || memcmp(each.name, "fmt ", 4)) continue;
    if (each.size < 16 || each.size > size - each.start) break;
    channels = number(format + 2, 2);
    if (!channels || !is_pcm16(format, each.size)) {
      snprintf(why, why_size, "only 16-bit PCM is read here, but it has %lu bits in format %lu: convert it",
               number(format + 14, 2), number(format, 2));
      return NULL;
    }
    if (number(format + 4, 4) != (unsigned long)rate) {
      snprintf(why, why_size, "its sample rate is %lu Hz, but the model's is %d Hz", number(format + 4, 4), rate);
      return NULL;
    }
  }
  if (!each.name || memcmp(each.name, "data", 4) || !channels) {
    snprintf(why, why_size, "this is not a whole wav file: it has no %s chunk%s", channels ? "data" : "fmt",
             channels ? "" : " before data");
    return NULL;
  }
  bytes = data_size(data, size, each);
  *samples = bytes / (2 * channels);
  if (!*samples) {
    if (each.size > size - each.start) {
      snprintf(why, why_size, "it was cut: its header promises %lu bytes of samples, but %lu follow",
               (unsigned long)each.size, (unsigned long)(size - each.start));
    } else {
      snprintf(why, why_size, "it holds no samples");
    }
    return NULL;
  }
  waveform = malloc(*samples * sizeof *waveform);
  if (!waveform) snprintf(why, why_size, "no memory left");
  from = data + each.start;
  for (frame = 0; waveform && frame < *samples; ++frame) {
    float sum = 0;
    for (channel = 0; channel < channels; ++channel, from += 2) {
      long value = (long)number(from, 2);
      sum += (float)(value >= 32768 ? value - 65536 : value);
    }
    waveform[frame] = sum / (float)channels / 32768.0f;
  }
  return waveform;
}

int main(int count, char** arguments) {
  const char* point = count > 3 ? arguments[3] : "balanced";
  char error[512];
  char why[200] = "";
  bnn_exit_classifier* classifier;
  bnn_exit_prediction prediction;
  unsigned char* file;
  float* waveform;
  size_t size = 0, samples = 0;
  int32_t i, status = 0;
  if (count < 3) {
    fprintf(stderr, "usage: %s model.tflite clip.wav [operating point]\n", arguments[0]);
    return 2;
  }
  file = read_file(arguments[1], &size);
  if (!file) return fail(arguments[1], "cannot be read");
  if (bnn_exit_classifier_new(file, size, NULL, &classifier, error, sizeof error) != BNN_EXIT_OK) {
    free(file);
    return fail(arguments[1], error);
  }
  free(file); /* what is needed of it was copied */
  file = read_file(arguments[2], &size);
  waveform = file ? read_wav(file, size, bnn_exit_sample_rate_hz(classifier), &samples, why, sizeof why) : NULL;
  if (!waveform) {
    status = fail(arguments[2], file ? why : "cannot be read");
  } else if (bnn_exit_classify(classifier, waveform, samples, point, NULL, &prediction, error, sizeof error) !=
             BNN_EXIT_OK) {
    status = fail(arguments[2], error);
  } else {
    printf("%s (exit %d of %d, score %.4f)\n", prediction.label, prediction.exit_index, bnn_exit_exit_count(classifier),
           prediction.score);
    for (i = 0; i < bnn_exit_label_count(classifier); ++i) {
      printf("%.6f %s\n", prediction.probabilities[i], bnn_exit_label(classifier, i));
    }
  }
  free(waveform);
  free(file);
  bnn_exit_classifier_free(classifier);
  return status;
}
