/* Uses the C interface as programs do that a test cannot be itself: in another locale, in threads, across a fork.
 *
 *   interface_check MODE model.tflite [argument]
 *
 * Exits with 0 if all was as bnn_exit.h says, else with a line. */
#define _GNU_SOURCE
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bnn_exit.h"

#define REQUIRE(condition)                                               \
  do {                                                                   \
    if (!(condition)) {                                                  \
      printf("line %d: not so: %s (%s)\n", __LINE__, #condition, error); \
      exit(1);                                                           \
    }                                                                    \
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

/* A decimal comma changes neither what is read nor the messages, and is in effect again afterwards. */
static void in_locale(const char* name) {
  bnn_exit_features features = {16000, 400, 160, 512, 4, 0.5, 0.25, 1e-6};
  bnn_exit_front_end* front_end;
  bnn_exit_answer prediction; /* the earlier name still compiles */
  char text[16];
  float* clip;
  bnn_exit_classifier* made;
  if (!setlocale(LC_ALL, name)) exit(77);
  snprintf(text, sizeof text, "%.1f", 1.5);
  REQUIRE(!strcmp(text, "1,5"));
  made = classifier(1);
  clip = calloc(bnn_exit_clip_samples(made), sizeof *clip);
  REQUIRE(bnn_exit_classify(made, clip, bnn_exit_clip_samples(made), "fast", NULL, &prediction, error, sizeof error) ==
          BNN_EXIT_OK);
  REQUIRE(prediction.exit_index == 0);
  REQUIRE(bnn_exit_front_end_new(&features, &front_end, error, sizeof error) == BNN_EXIT_ARGUMENT);
  REQUIRE(strstr(error, "from 0.5 to 0.25 Hz"));
  snprintf(text, sizeof text, "%.1f", 1.5);
  REQUIRE(!strcmp(text, "1,5"));
  free(clip);
  bnn_exit_classifier_free(made);
}

enum { kCalls = 300, kMaxThreads = 4, kSeconds = 20, kChunk = 500 };

/* The calls of one thread, repeated: each result must be the one without other threads. */
typedef struct job {
  bnn_exit_classifier* classifier;
  bnn_exit_front_end* front_end;
  float* clip;
  size_t samples, values;
  float *expected, *found; /* [values] */
  int ok, busy, wrong;
  volatile int* stop;
} job;

static bnn_exit_status ask(job* of, float* values) {
  float thresholds[8] = {0};
  bnn_exit_prediction prediction;
  bnn_exit_status status;
  char line[256];
  if (of->front_end) return bnn_exit_log_mel(of->front_end, of->clip, of->samples, values);
  status = bnn_exit_classify(of->classifier, of->clip, of->samples, NULL, thresholds, &prediction, line, sizeof line);
  if (status == BNN_EXIT_OK) *values = prediction.score;
  return status;
}

static job make_job(bnn_exit_classifier* classifier, bnn_exit_front_end* front_end, int number) {
  job made = {classifier, front_end, NULL, 720, 1, NULL, NULL, 0, 0, 0, NULL};
  size_t i;
  if (front_end) made.samples = 400 + 160 * 49, made.values = bnn_exit_frames(front_end, made.samples) * 40;
  made.clip = malloc(made.samples * sizeof(float));
  made.expected = malloc(made.values * sizeof(float));
  made.found = malloc(made.values * sizeof(float));
  for (i = 0; i < made.samples; ++i) made.clip[i] = (float)((i * (size_t)(number * 7919 + 31)) % 1000) / 1000 - 0.5f;
  REQUIRE(ask(&made, made.expected) == BNN_EXIT_OK);
  return made;
}

static void free_job(job* of) {
  free(of->clip);
  free(of->expected);
  free(of->found);
}

static void* work(void* context) {
  job* mine = context;
  for (int i = 0; mine->stop ? !*mine->stop : i < kCalls; ++i) {
    bnn_exit_status status = ask(mine, mine->found);
    if (status == BNN_EXIT_BUSY) {
      ++mine->busy;
      sched_yield();
    } else if (status != BNN_EXIT_OK || memcmp(mine->found, mine->expected, mine->values * sizeof(float))) {
      ++mine->wrong;
    } else {
      ++mine->ok;
    }
  }
  return NULL;
}

static bnn_exit_front_end* make_front_end(void) {
  bnn_exit_features features = {16000, 400, 160, 512, 40, 60, 7800, 1e-6};
  bnn_exit_front_end* made = NULL;
  REQUIRE(bnn_exit_front_end_new(&features, &made, error, sizeof error) == BNN_EXIT_OK);
  return made;
}

/* Several threads use one object, each with its own clip: each gets its own result or BNN_EXIT_BUSY. */
static void in_threads(int front) {
  bnn_exit_front_end* front_end = front ? make_front_end() : NULL;
  bnn_exit_classifier* made = front ? NULL : classifier(2);
  pthread_t threads[kMaxThreads];
  job jobs[kMaxThreads];
  int i, ok = 0, busy = 0;
  for (i = 0; i < kMaxThreads; ++i) jobs[i] = make_job(made, front_end, i);
  for (i = 0; i < kMaxThreads; ++i) REQUIRE(!pthread_create(&threads[i], NULL, work, &jobs[i]));
  for (i = 0; i < kMaxThreads; ++i) pthread_join(threads[i], NULL);
  for (i = 0; i < kMaxThreads; ++i) {
    REQUIRE(!jobs[i].wrong);
    ok += jobs[i].ok;
    busy += jobs[i].busy;
    free_job(&jobs[i]);
  }
  REQUIRE(ok > 0 && ok + busy == kMaxThreads * kCalls);
  bnn_exit_front_end_free(front_end);
  bnn_exit_classifier_free(made);
}

typedef struct pusher {
  bnn_exit_stream* stream;
  int windows, busy, wrong;
} pusher;

static void* push(void* context) {
  static const int16_t samples[kChunk];
  pusher* mine = context;
  for (int i = 0; i < kCalls; ++i) {
    bnn_exit_window window;
    size_t used, at = 0;
    do {
      char line[256];
      bnn_exit_status status =
          bnn_exit_stream_push_int16(mine->stream, samples + at, kChunk - at, &used, &window, line, sizeof line);
      at += used;
      if (status == BNN_EXIT_BUSY) {
        mine->wrong += used != 0 || window.complete;
        ++mine->busy;
        sched_yield();
      } else if (status != BNN_EXIT_OK) {
        ++mine->wrong;
      }
      mine->windows += window.complete;
    } while (at < kChunk || window.complete);
  }
  return NULL;
}

/* Streams of one classifier in threads of their own: a refused push takes nothing, so no window is lost. */
static void streams(void) {
  bnn_exit_classifier* made = classifier(1);
  bnn_exit_stream_settings settings = {0, 20, "fast", NULL, NULL};
  pthread_t threads[kMaxThreads];
  pusher pushers[kMaxThreads];
  const int windows = 1 + (kCalls * kChunk - (int)bnn_exit_clip_samples(made)) / 320;
  int i;
  for (i = 0; i < kMaxThreads; ++i) {
    pushers[i] = (pusher){NULL, 0, 0, 0};
    REQUIRE(bnn_exit_stream_new(made, &settings, &pushers[i].stream, error, sizeof error) == BNN_EXIT_OK);
  }
  for (i = 0; i < kMaxThreads; ++i) REQUIRE(!pthread_create(&threads[i], NULL, push, &pushers[i]));
  for (i = 0; i < kMaxThreads; ++i) pthread_join(threads[i], NULL);
  for (i = 0; i < kMaxThreads; ++i) {
    REQUIRE(!pushers[i].wrong && pushers[i].windows == windows);
    bnn_exit_stream_free(pushers[i].stream);
  }
  bnn_exit_classifier_free(made);
}

static void require_child(pid_t child) {
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (!WIFEXITED(status) || WEXITSTATUS(status)) {
    printf("the child ended with status %x (%s)\n", (unsigned)status,
           WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "it hung" : "");
    exit(1);
  }
}

/* The child runs and frees what the parent made, also while another thread of the parent is in the middle of a run. */
static void in_a_fork(int threads) {
  volatile int stop = 0;
  bnn_exit_classifier *idle = classifier(threads), *busy = classifier(threads);
  bnn_exit_front_end* front_end = make_front_end();
  job jobs[3], running[2];
  pthread_t other[2];
  int i, round;
  jobs[0] = make_job(idle, NULL, 1);
  jobs[1] = running[0] = make_job(busy, NULL, 2);
  jobs[2] = running[1] = make_job(NULL, front_end, 3);
  for (i = 0; i < 2; ++i) {
    running[i].stop = &stop;
    running[i].found = malloc(running[i].values * sizeof(float));
    REQUIRE(!pthread_create(&other[i], NULL, work, &running[i]));
  }
  for (round = 0; round < 20; ++round) {
    pid_t child = fork();
    if (!child) {
      alarm(kSeconds);
      for (i = 0; i < 3; ++i) {
        REQUIRE(ask(&jobs[i], jobs[i].found) == BNN_EXIT_OK);
        REQUIRE(!memcmp(jobs[i].found, jobs[i].expected, jobs[i].values * sizeof(float)));
      }
      bnn_exit_classifier_free(idle);
      bnn_exit_classifier_free(busy);
      bnn_exit_front_end_free(front_end);
      exit(0);
    }
    require_child(child);
  }
  stop = 1;
  for (i = 0; i < 2; ++i) {
    pthread_join(other[i], NULL);
    REQUIRE(running[i].ok > 0 && !running[i].wrong && !running[i].busy);
    free(running[i].found);
  }
  for (i = 0; i < 3; ++i) free_job(&jobs[i]);
  bnn_exit_classifier_free(idle);
  bnn_exit_classifier_free(busy);
  bnn_exit_front_end_free(front_end);
}

int main(int count, char** arguments) {
  if (count < 3) return 2;
  read_file(arguments[2]);
  if (!strcmp(arguments[1], "locale")) in_locale(arguments[3]);
  if (!strcmp(arguments[1], "threads")) in_threads(atoi(arguments[3]));
  if (!strcmp(arguments[1], "streams")) streams();
  if (!strcmp(arguments[1], "fork")) in_a_fork(atoi(arguments[3]));
  free(file);
  return 0;
}
