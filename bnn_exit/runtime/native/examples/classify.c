/* Classifies a wav file with a model.tflite of bnn_exit, without Python:
 *
 *   classify model.tflite clip.wav [operating point]
 *
 * The file must hold 16-bit PCM at the model's sample rate; channels are averaged. */
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

/* The samples of a wav file as floats of full scale 1, or NULL and a reason. */
static float* read_wav(const unsigned char* data, size_t size, int rate, size_t* samples, const char** why) {
  size_t at = 12, channels = 0, frame, i, channel;
  *why = "this is not a whole wav file";
  if (size < 12 || memcmp(data, "RIFF", 4) || memcmp(data + 8, "WAVE", 4)) return NULL;
  while (size - at >= 8) {
    const unsigned char* chunk = data + at + 8;
    size_t length = number(data + at + 4, 4);
    if (length > size - at - 8) length = size - at - 8; /* some writers leave the length open */
    if (!memcmp(data + at, "fmt ", 4) && length >= 16) {
      channels = number(chunk + 2, 2);
      *why = "only 16-bit PCM is read here";
      if (number(chunk, 2) != 1 || number(chunk + 14, 2) != 16 || !channels) return NULL;
      *why = "its sample rate is not the model's";
      if (number(chunk + 4, 4) != (unsigned long)rate) return NULL;
    } else if (!memcmp(data + at, "data", 4) && channels) {
      float* waveform;
      *samples = length / (2 * channels);
      *why = "it holds no samples";
      if (!*samples) return NULL;
      *why = "no memory left";
      waveform = malloc(*samples * sizeof *waveform);
      for (frame = i = 0; waveform && frame < *samples; ++frame) {
        float sum = 0;
        for (channel = 0; channel < channels; ++channel, i += 2) {
          long value = (long)number(chunk + i, 2);
          sum += (float)(value >= 32768 ? value - 65536 : value);
        }
        waveform[frame] = sum / (float)channels / 32768.0f;
      }
      return waveform;
    }
    if (length + (length & 1) > size - at - 8) break;
    at += 8 + length + (length & 1);
  }
  return NULL;
}

int main(int count, char** arguments) {
  const char* point = count > 3 ? arguments[3] : "balanced";
  char error[512];
  const char* why = "";
  bnn_exit_classifier* classifier;
  bnn_exit_answer answer;
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
  waveform = file ? read_wav(file, size, bnn_exit_sample_rate_hz(classifier), &samples, &why) : NULL;
  if (!waveform) {
    status = fail(arguments[2], file ? why : "cannot be read");
  } else if (bnn_exit_classify(classifier, waveform, samples, point, NULL, &answer, error, sizeof error) != BNN_EXIT_OK) {
    status = fail(arguments[2], error);
  } else {
    printf("%s (exit %d of %d, score %.4f)\n", answer.label, answer.exit_index, bnn_exit_exit_count(classifier), answer.score);
    for (i = 0; i < bnn_exit_label_count(classifier); ++i) {
      printf("%.6f %s\n", answer.probabilities[i], bnn_exit_label(classifier, i));
    }
  }
  free(waveform);
  free(file);
  bnn_exit_classifier_free(classifier);
  return status;
}
