/* What arm_path.py counts: a clip that is classified, or only its front end, some times in a row.
 *
 *   arm_path classify MODEL THRESHOLD...
 *   arm_path log_mel RATE WINDOW HOP FFT MELS LOWER_HZ UPPER_HZ LOG_OFFSET
 *
 * The clip is noise. The thresholds are those of the exits but the last. The first time is for what is only done once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bnn_exit.h"

enum { kTimes = 3, kMostExits = 64 };

static float* noise(size_t samples) {
  float* clip = malloc(samples * sizeof *clip);
  unsigned state = 1;
  size_t i;
  for (i = 0; clip && i < samples; ++i) {
    state = state * 1664525u + 1013904223u;
    clip[i] = ((float)(state >> 8) / 8388608.0f - 1.0f) * 0.1f;
  }
  return clip;
}

static int fail(const char* why) {
  fprintf(stderr, "error: %s\n", why);
  return 1;
}

static int classify(int count, char** arguments) {
  static char file[1 << 26];
  float thresholds[kMostExits];
  char error[512];
  bnn_exit_classifier* classifier;
  bnn_exit_prediction prediction;
  FILE* source = fopen(arguments[0], "rb");
  size_t size = source ? fread(file, 1, sizeof file, source) : 0;
  float* clip;
  int i;
  if (!size || size == sizeof file || count > kMostExits) return fail("the model cannot be read");
  if (bnn_exit_classifier_new(file, size, NULL, &classifier, error, sizeof error)) return fail(error);
  if (count != bnn_exit_exit_count(classifier)) return fail("give a threshold for each exit but the last");
  for (i = 1; i < count; ++i) thresholds[i - 1] = (float)atof(arguments[i]);
  clip = noise(bnn_exit_clip_samples(classifier));
  for (i = 0; i < kTimes; ++i) {
    if (bnn_exit_classify(classifier, clip, bnn_exit_clip_samples(classifier), NULL, thresholds, &prediction, error,
                          sizeof error)) {
      return fail(error);
    }
  }
  printf("exit %d\n", prediction.exit_index);
  return 0;
}

static int log_mel(char** settings) {
  bnn_exit_features features = {atoi(settings[0]), atoi(settings[1]), atoi(settings[2]), atoi(settings[3]),
                                atoi(settings[4]), atof(settings[5]), atof(settings[6]), atof(settings[7])};
  size_t samples = (size_t)features.sample_rate_hz;
  char error[512];
  bnn_exit_front_end* front_end;
  float *clip = noise(samples), *result;
  int i;
  if (bnn_exit_front_end_new(&features, &front_end, error, sizeof error)) return fail(error);
  result = malloc(bnn_exit_frames(front_end, samples) * (size_t)features.num_mels * sizeof *result);
  for (i = 0; i < kTimes; ++i) bnn_exit_log_mel(front_end, clip, samples, result);
  return 0;
}

int main(int count, char** arguments) {
  if (count >= 3 && !strcmp(arguments[1], "classify")) return classify(count - 2, arguments + 2);
  if (count == 10 && !strcmp(arguments[1], "log_mel")) return log_mel(arguments + 2);
  return fail("usage: arm_path classify MODEL THRESHOLD... | log_mel SETTING...");
}
