"""A run allocates nothing: a C program that counts every allocation of its process."""

import subprocess

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
  (void)argc;
  printf("%ld %ld\n", loading, running);
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
    loading, running = np.array(done.stdout.split(), int)
    assert loading > 50  # the count counts
    assert running == 0
