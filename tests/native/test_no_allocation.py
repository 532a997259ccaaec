"""A run allocates nothing: a C program that counts every allocation of its process."""

import subprocess

import fuzz_corpus
import numpy as np
import pytest
from binary_cases import convolution
from native.compilers import C_COMPILER, NATIVE, needs_c, needs_library

from bnn_exit.runtime import native_backend

pytestmark = [needs_library, needs_c]

# The program's own malloc is found before the C library's, by the library under test as well.
PROGRAM = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bnn_exit.h"

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);
static volatile long count;
void* malloc(size_t n) { __sync_fetch_and_add(&count, 1); return __libc_malloc(n); }
void* calloc(size_t n, size_t m) { __sync_fetch_and_add(&count, 1); return __libc_calloc(n, m); }
void* realloc(void* p, size_t n) { __sync_fetch_and_add(&count, 1); return __libc_realloc(p, n); }
void* aligned_alloc(size_t a, size_t n) { __sync_fetch_and_add(&count, 1); return __libc_memalign(a, n); }
int posix_memalign(void** p, size_t a, size_t n) { return !(*p = aligned_alloc(a, n)); }

/* Pushes samples in chunks of many sizes; returns what that allocated. */
static long listen(bnn_exit_classifier* classifier, const char* point, int rate) {
  static float samples[2000];
  bnn_exit_stream_settings settings = {rate, 0, 0, 0, point};
  bnn_exit_stream* stream;
  bnn_exit_window window;
  size_t used;
  long before = count;
  int windows = 0;
  if (bnn_exit_stream_new(classifier, &settings, &stream, 0, 0) || count == before) return -1;
  for (size_t i = 0; i < 2000; ++i) samples[i] = (float)(i * i % 997) / 997 - 0.5f;
  before = count;
  for (size_t chunk = 1; chunk < 2000; chunk += 50) {
    for (size_t at = 0; at < chunk || window.complete; at += used) {
      if (bnn_exit_stream_push(stream, samples + at, chunk - at, &used, &window, 0, 0)) return -2;
      windows += window.complete;
    }
    if (chunk == 1001 && bnn_exit_stream_reset(stream, 7, 0, 0)) return -3;
  }
  before = count - before;
  bnn_exit_stream_free(stream);
  return windows < 20 ? -4 : before;
}

int main(int argc, char** argv) {
  static char file[1 << 24];
  FILE* stream = fopen(argv[1], "rb");
  size_t size = fread(file, 1, sizeof file, stream);
  fclose(stream);
  bnn_exit_settings settings = {0, 0, atoi(argv[2])};
  bnn_exit_network* network;
  char error[200];
  long before = count;
  if (bnn_exit_load(file, size, &settings, &network, error, sizeof error)) { fprintf(stderr, "%s\n", error); return 1; }
  long loading = count - before;
  const void* inputs[8];
  void* outputs[8];
  bnn_exit_tensor tensor;
  for (int i = 0; !bnn_exit_input(network, i, &tensor); ++i) inputs[i] = calloc(1, tensor.bytes);
  for (int i = 0; !bnn_exit_output(network, i, &tensor); ++i) outputs[i] = calloc(1, tensor.bytes);
  before = count;
  int failed = 0;
  for (int i = 0; i < 20; ++i) failed |= bnn_exit_run(network, inputs, outputs, error, sizeof error);
  long running = count - before;
  bnn_exit_free(network);
  bnn_exit_classifier* classifier;
  long listening = 0;
  if (argc > 3) {
    if (bnn_exit_classifier_new(file, size, &settings, &classifier, error, sizeof error)) return 2;
    listening = listen(classifier, argv[3], 0);
    if (!listening) listening = listen(classifier, argv[3], 44100);
    bnn_exit_classifier_free(classifier);
  }
  printf("%ld %ld %ld\n", loading, running, listening);
  return failed;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("count")
    (folder / "count.c").write_text(PROGRAM)
    library = native_backend.find_library()
    command = [
        C_COMPILER,
        "-std=gnu99",
        "-fno-builtin",
        "-rdynamic",
        "-I",
        NATIVE / "include",
        folder / "count.c",
        library,
    ]
    subprocess.run([*command, f"-Wl,-rpath,{library.parent}", "-o", folder / "count"], check=True)
    return folder / "count"


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("name", ["everything", "log_mel", "waveform", "large"])
def test_a_run_allocates_nothing(program, tiny, tmp_path, name, threads):
    path = tmp_path / "model.tflite"
    if name == "everything":
        path.write_bytes(tiny.everything_file())
    elif name == "large":
        path.write_bytes(convolution(tiny, channels=128, filters=128, size=(40, 40))[0])
    else:
        path.write_bytes(tiny.adaptive_file(input=name))
    done = subprocess.run([program, path, threads], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loading, running, _ = np.array(done.stdout.split(), int)
    assert loading > 50  # the count counts
    assert running == 0


@pytest.mark.parametrize("name", ["loud", "gated"])
def test_a_stream_allocates_nothing_once_it_is_made(program, tiny, tmp_path, name):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.adaptive_file(meta=fuzz_corpus.listening_metadata()))
    done = subprocess.run([program, path, "1", name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[2] == "0"
