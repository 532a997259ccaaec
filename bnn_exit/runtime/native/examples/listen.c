/* Listens to raw 16-bit PCM on standard input with a model.tflite of bnn_exit, without Python:
 *
 *   arecord -t raw -f S16_LE -r 16000 -c 1 | listen model.tflite
 *
 *   --rate HZ               of the samples; default: the model's. Others are resampled.
 *   --listening-point NAME  how events are made; default: "balanced", or the only one of the file
 *   --operating-point NAME  thresholds of the exits; default: the listening point's
 *   --json                  a JSON object in each line
 *   --windows               print every window's most probable label, too
 *
 * Prints events as they come, and at the end of the input how many windows left at each exit. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bnn_exit.h"

enum { kBytes = 4096 };

typedef struct options {
  const char *model, *listening_point, *operating_point;
  int rate, json, windows;
} options;

typedef struct totals {
  unsigned long windows, gated, events, samples;
  unsigned long* exits;
} totals;

static int fail(const char* where, const char* why) {
  fprintf(stderr, "error: %s: %s\n", where, why);
  return 1;
}

static int usage(const char* program) {
  fprintf(stderr,
          "usage: %s model.tflite [--rate HZ] [--listening-point NAME] [--operating-point NAME] [--json] [--windows] "
          "< raw 16-bit PCM\n",
          program);
  return 2;
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

/* 1 if the options make sense. */
static int parse(int count, char** arguments, options* found) {
  int i;
  for (i = 1; i < count; ++i) {
    const char* name = arguments[i];
    const char* value = i + 1 < count ? arguments[i + 1] : NULL;
    if (!strcmp(name, "--json")) {
      found->json = 1;
    } else if (!strcmp(name, "--windows")) {
      found->windows = 1;
    } else if (!strncmp(name, "--", 2)) {
      char* end = NULL;
      if (!value) return 0;
      if (!strcmp(name, "--rate")) {
        long rate = strtol(value, &end, 10);
        if (end == value || *end || rate < 1 || rate > 1000000) return 0;
        found->rate = (int)rate;
      } else if (!strcmp(name, "--listening-point")) {
        found->listening_point = value;
      } else if (!strcmp(name, "--operating-point")) {
        found->operating_point = value;
      } else {
        return 0;
      }
      ++i;
    } else if (found->model) {
      return 0;
    } else {
      found->model = name;
    }
  }
  return found->model != NULL;
}

/* Chooses "balanced", or the only listening point, if none was named; NULL and a reason if that cannot be. */
static const char* choose_point(const bnn_exit_classifier* classifier, const options* given, char* why, size_t size) {
  const char* name;
  int32_t i;
  if (given->listening_point) return given->listening_point;
  for (i = 0; (name = bnn_exit_listening_point(classifier, i)); ++i) {
    if (!strcmp(name, "balanced")) return name;
  }
  if (i == 1) return bnn_exit_listening_point(classifier, 0);
  if (i)
    snprintf(why, size, "it has several listening points: choose one with --listening-point NAME");
  else
    snprintf(why, size,
             "it has no listening point, so there are no events: --windows prints each window's label, and python -m "
             "bnn_exit.calibrate %s --stream NEGATIVES --max-false-accepts-per-hour 0.5 makes one",
             given->model);
  return NULL;
}

/* A text of the file in quotes; such texts hold no control characters. */
static void print_text(const char* text) {
  putchar('"');
  for (; *text; ++text) {
    if (*text == '"' || *text == '\\') putchar('\\');
    putchar(*text);
  }
  putchar('"');
}

static void print_event(const bnn_exit_event* event, int json) {
  if (json) {
    printf("{\"event\": ");
    print_text(event->label);
    printf(", \"start_s\": %.3f, \"end_s\": %.3f, \"time_s\": %.3f, \"probability\": %.6f, \"exit_index\": %d}\n",
           event->start_s, event->end_s, event->time_s, event->probability, event->exit_index);
  } else {
    printf("%.2f s: %s (%.3f, exit %d, in %.2f to %.2f s)\n", event->time_s, event->label, event->probability,
           event->exit_index + 1, event->start_s, event->end_s);
  }
}

static void print_window(const bnn_exit_classifier* classifier, const bnn_exit_window* window, int json) {
  int32_t i, best = 0;
  for (i = 1; i < bnn_exit_label_count(classifier); ++i) {
    if (window->probabilities[i] > window->probabilities[best]) best = i;
  }
  if (json) {
    printf("{\"window\": ");
    if (window->exit_index < 0) {
      printf("null");
    } else {
      print_text(bnn_exit_label(classifier, best));
    }
    printf(", \"start_s\": %.3f, \"end_s\": %.3f, \"probability\": %.6f, \"exit_index\": %d}\n", window->start_s,
           window->end_s, window->probabilities[best], window->exit_index);
  } else if (window->exit_index < 0) {
    printf("%.2f to %.2f s: silence\n", window->start_s, window->end_s);
  } else {
    printf("%.2f to %.2f s: %s (%.3f, exit %d)\n", window->start_s, window->end_s, bnn_exit_label(classifier, best),
           window->probabilities[best], window->exit_index + 1);
  }
}

/* Pushes samples and prints what they make. */
static bnn_exit_status push(const bnn_exit_classifier* classifier, bnn_exit_stream* stream, const int16_t* samples,
                            size_t count, const options* given, totals* sums, char* error, size_t error_size) {
  bnn_exit_window window;
  size_t at = 0, used;
  sums->samples += count;
  do {
    bnn_exit_status status =
        bnn_exit_stream_push_int16(stream, samples + at, count - at, &used, &window, error, error_size);
    if (status != BNN_EXIT_OK) return status;
    at += used;
    if (window.complete) {
      ++sums->windows;
      ++*(window.exit_index < 0 ? &sums->gated : &sums->exits[window.exit_index]);
      if (given->windows) print_window(classifier, &window, given->json);
      if (window.has_event) print_event(&window.event, given->json);
      sums->events += window.has_event != 0;
      if (given->windows || window.has_event) fflush(stdout);
    }
  } while (window.complete || at < count);
  return BNN_EXIT_OK;
}

static int listen_to_input(const bnn_exit_classifier* classifier, bnn_exit_stream* stream, const options* given,
                           totals* sums) {
  unsigned char bytes[kBytes];
  int16_t samples[kBytes / 2];
  char error[512];
  size_t kept = 0, i;
  for (;;) {
    ssize_t size = read(STDIN_FILENO, bytes + kept, kBytes - kept);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail("standard input", strerror(errno));
    if (size == 0) break;
    kept += (size_t)size;
    if (!sums->samples && kept >= 4 && !memcmp(bytes, "RIFF", 4))
      return fail("standard input", "it is a WAV file, not raw samples: record with arecord -t raw");
    for (i = 0; i < kept / 2; ++i) {
      long value = bytes[2 * i] | (long)bytes[2 * i + 1] << 8;
      samples[i] = (int16_t)(value >= 32768 ? value - 65536 : value);
    }
    if (push(classifier, stream, samples, i, given, sums, error, sizeof error) != BNN_EXIT_OK)
      return fail(given->model, error);
    if (ferror(stdout)) return fail("standard output", "it cannot be written, as when a disk is full");
    if (kept % 2) bytes[0] = bytes[kept - 1];
    kept %= 2;
  }
  return kept ? fail("standard input", "it ends within a sample: 16-bit PCM has two bytes for each") : 0;
}

static void print_totals(const totals* sums, int rate, int32_t exits) {
  int32_t i;
  fprintf(stderr, "%.1f s, %lu events, %lu windows", (double)sums->samples / rate, sums->events, sums->windows);
  for (i = 0; i < exits; ++i) fprintf(stderr, ", exit %d: %lu", i + 1, sums->exits[i]);
  fprintf(stderr, ", gate closed: %lu\n", sums->gated);
}

int main(int count, char** arguments) {
  options given = {NULL, NULL, NULL, 0, 0, 0};
  totals sums = {0, 0, 0, 0, NULL};
  bnn_exit_stream_settings settings = {0, 0, NULL, NULL, NULL};
  bnn_exit_classifier* classifier;
  bnn_exit_stream* stream = NULL;
  char error[512];
  size_t size = 0;
  int status;
  unsigned char* file;
  if (!parse(count, arguments, &given)) return usage(arguments[0]);
  file = read_file(given.model, &size);
  if (!file) return fail(given.model, "cannot be read");
  status = bnn_exit_classifier_new(file, size, NULL, &classifier, error, sizeof error);
  free(file); /* what is needed of it was copied */
  if (status != BNN_EXIT_OK) return fail(given.model, error);
  settings.listening_point = choose_point(classifier, &given, error, sizeof error);
  settings.operating_point = given.operating_point;
  settings.sample_rate_hz = given.rate;
  sums.exits = calloc((size_t)bnn_exit_exit_count(classifier), sizeof *sums.exits);
  if (!sums.exits) {
    status = fail(given.model, "no memory left");
  } else if ((!settings.listening_point && !given.windows) ||
             bnn_exit_stream_new(classifier, &settings, &stream, error, sizeof error) != BNN_EXIT_OK) {
    status = fail(given.model, error);
  } else {
    status = listen_to_input(classifier, stream, &given, &sums);
    print_totals(&sums, given.rate ? given.rate : bnn_exit_sample_rate_hz(classifier), bnn_exit_exit_count(classifier));
  }
  free(sums.exits);
  bnn_exit_stream_free(stream);
  bnn_exit_classifier_free(classifier);
  return status;
}
