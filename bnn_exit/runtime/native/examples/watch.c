/* Classifies a stream of sensor values with a model.tflite of bnn_exit, without Python:
 *
 *   sensor | watch model.tflite [hop in ms] [operating point]
 *
 * Each line of standard input is one sample: a number for each channel of the model, in its order and at its rate,
 * apart by commas or spaces. For each window it prints when it began, its label, the probability of that, and the exit
 * that was taken. A line that is no sample ends it. */
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

/* Reads `count` numbers from a line, and nothing more; whether it could. */
static int read_sample(const char* line, float* sample, int32_t count) {
  int32_t i;
  for (i = 0; i < count; ++i) {
    char* end;
    sample[i] = strtof(line, &end);
    if (end == line) return 0;
    line = end + strspn(end, ", \t");
  }
  return line[strspn(line, " \t\r\n")] == '\0';
}

static void show(const bnn_exit_classifier* classifier, const bnn_exit_window* window) {
  int32_t i, best = 0;
  for (i = 1; i < bnn_exit_label_count(classifier); ++i) {
    if (window->probabilities[i] > window->probabilities[best]) best = i;
  }
  printf("%.3f %s %.6f exit %d\n", window->start_s, bnn_exit_label(classifier, best), window->probabilities[best],
         window->exit_index);
  fflush(stdout);
}

int main(int count, char** arguments) {
  bnn_exit_stream_settings settings = {0, 0, NULL, NULL, NULL};
  char error[512] = "", line[4096];
  bnn_exit_classifier* classifier;
  bnn_exit_stream* stream = NULL;
  unsigned char* file;
  float* sample = NULL;
  size_t size = 0;
  int32_t channels;
  int status = 0;
  if (count < 2) {
    fprintf(stderr, "usage: %s model.tflite [hop in ms] [operating point] < samples\n", arguments[0]);
    return 2;
  }
  file = read_file(arguments[1], &size);
  if (!file) return fail(arguments[1], "cannot be read");
  if (bnn_exit_classifier_new(file, size, NULL, &classifier, error, sizeof error) != BNN_EXIT_OK) {
    free(file);
    return fail(arguments[1], error);
  }
  free(file); /* what is needed of it was copied */
  channels = bnn_exit_channel_count(classifier);
  settings.hop_ms = count > 2 ? strtod(arguments[2], NULL) : 0;
  settings.operating_point = count > 3 ? arguments[3] : "balanced";
  if (!channels) {
    status = fail(arguments[1], "it takes sound, not values of sensors");
  } else if (!(sample = malloc((size_t)channels * sizeof *sample))) {
    status = fail(arguments[1], "no memory left");
  } else if (bnn_exit_stream_new(classifier, &settings, &stream, error, sizeof error) != BNN_EXIT_OK) {
    status = fail(arguments[1], error);
  }
  while (!status && fgets(line, sizeof line, stdin)) {
    bnn_exit_window window;
    size_t used;
    if (!read_sample(line, sample, channels)) {
      status = fail("standard input", "a line does not hold one number for each channel");
    } else if (bnn_exit_stream_push(stream, sample, 1, &used, &window, error, sizeof error) != BNN_EXIT_OK) {
      status = fail("standard input", error);
    } else if (window.complete) {
      show(classifier, &window);
    }
  }
  bnn_exit_stream_free(stream);
  free(sample);
  bnn_exit_classifier_free(classifier);
  return status;
}
