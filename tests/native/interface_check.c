/* Uses the C interface as programs do that a test cannot be itself: in another locale, in threads, across a fork.
 *
 *   interface_check MODE model.tflite [argument]
 *
 * Exits with 0 if all was as bnn_exit.h says, else with a line. */
#define _GNU_SOURCE
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bnn_exit.h"

#define REQUIRE(condition)                                                       \
  do {                                                                           \
    if (!(condition)) {                                                          \
      printf("line %d: not so: %s (%s)\n", __LINE__, #condition, error);         \
      exit(1);                                                                   \
    }                                                                            \
  } while (0)

static char error[512];
static void* file;
static size_t size;

static void read_file(const char* path) {
  FILE* from = fopen(path, "rb");
  if (!from || fseek(from, 0, SEEK_END) || (long)(size = (size_t)ftell(from)) < 0) exit(9);
  rewind(from);
  file = malloc(size);
  if (fread(file, 1, size, from) != size) exit(9);
  fclose(from);
}

static bnn_exit_classifier* classifier(int threads) {
  bnn_exit_settings settings = {0, 0, threads};
  bnn_exit_classifier* made = NULL;
  REQUIRE(bnn_exit_classifier_new(file, size, &settings, &made, error, sizeof error) == BNN_EXIT_OK);
  return made;
}

/* A decimal comma changes neither what is read nor what is said, and is there again afterwards. */
static void in_locale(const char* name) {
  bnn_exit_features features = {16000, 400, 160, 512, 4, 0.5, 0.25, 1e-6};
  bnn_exit_front_end* front_end;
  bnn_exit_answer answer;
  char text[16];
  float* clip;
  bnn_exit_classifier* made;
  if (!setlocale(LC_ALL, name)) exit(77);
  snprintf(text, sizeof text, "%.1f", 1.5);
  REQUIRE(!strcmp(text, "1,5"));
  made = classifier(1);
  clip = calloc(bnn_exit_clip_samples(made), sizeof *clip);
  REQUIRE(bnn_exit_classify(made, clip, bnn_exit_clip_samples(made), "fast", NULL, &answer, error, sizeof error) == BNN_EXIT_OK);
  REQUIRE(answer.exit_index == 0);
  REQUIRE(bnn_exit_front_end_new(&features, &front_end, error, sizeof error) == BNN_EXIT_ARGUMENT);
  REQUIRE(strstr(error, "from 0.5 to 0.25 Hz"));
  snprintf(text, sizeof text, "%.1f", 1.5);
  REQUIRE(!strcmp(text, "1,5"));
  free(clip);
  bnn_exit_classifier_free(made);
}

int main(int count, char** arguments) {
  if (count < 3) return 2;
  read_file(arguments[2]);
  if (!strcmp(arguments[1], "locale")) in_locale(arguments[3]);
  free(file);
  return 0;
}
