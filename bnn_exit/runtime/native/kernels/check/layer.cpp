// kernel_layer ISA H W IN OUT KERNEL STRIDE MODE REPETITIONS: runs one binary convolution so many times, for counting
// its instructions under an emulator. MODE as in bench.cpp.
#include <cstdio>
#include <cstdlib>

extern "C" void* bench_open_binary(const char* isa, int h, int w, int in, int out, int kernel, int stride, int mode,
                                   int sets);
extern "C" double bench_run(void* handle, int times);

int main(int argc, char** argv) {
  if (argc != 10) return 2;
  int n[8];
  for (int i = 0; i < 8; ++i) n[i] = std::atoi(argv[i + 2]);
  void* layer = bench_open_binary(argv[1], n[0], n[1], n[2], n[3], n[4], n[5], n[6], 1);
  for (int i = 0; i < n[7]; ++i) bench_run(layer, 1);
  return 0;
}
