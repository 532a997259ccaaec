/* What arm_path.py counts of LiteRT: an int8 file that is run some times in a row by XNNPACK, with one thread.
 *
 *   litert_path MODEL
 *
 * LiteRT's wheel holds a library with a C interface, but no headers, so what is used of it is declared here. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { kTimes = 3, kCpu = 1, kInt8 = 9 };

typedef struct layout {
  uint32_t rank; /* and a flag in its highest bits */
  int32_t sizes[8];
  uint32_t strides[8];
} layout;

typedef struct tensor_type {
  int32_t element;
  layout layout;
} tensor_type;

int LiteRtCreateEnvironment(int count, const void* options, void** environment);
int LiteRtCreateModelFromFile(void* environment, const char* path, void** model);
int LiteRtCreateOptions(void** options);
int LiteRtSetOptionsHardwareAccelerators(void* options, int accelerators);
int LiteRtCreateCompiledModel(void* environment, void* model, void* options, void** compiled);
int LiteRtCompiledModelIsFullyAccelerated(void* compiled, unsigned char* accelerated);
int LiteRtGetCompiledModelInputBufferRequirements(void* compiled, size_t signature, size_t input, void** requirements);
int LiteRtGetCompiledModelOutputBufferRequirements(void* compiled, size_t signature, size_t output,
                                                   void** requirements);
int LiteRtGetCompiledModelInputTensorLayout(void* compiled, size_t signature, size_t input, layout* found);
int LiteRtGetCompiledModelOutputTensorLayouts(void* compiled, size_t signature, size_t count, layout* found,
                                              int update);
int LiteRtCreateManagedTensorBufferFromRequirements(void* environment, const tensor_type* type, void* requirements,
                                                    void** buffer);
int LiteRtRunCompiledModel(void* compiled, size_t signature, size_t input_count, void** inputs, size_t output_count,
                           void** outputs);

#define CHECK(call)                                                   \
  do {                                                                \
    int status = call;                                                \
    if (status) return fprintf(stderr, "%s: %d\n", #call, status), 1; \
  } while (0)

/* A function of its own, so that its address marks each run. */
__attribute__((noinline)) int run_once(void* compiled, void** input, void** output) {
  return LiteRtRunCompiledModel(compiled, 0, 1, input, 1, output);
}

int main(int count, char** arguments) {
  void *environment, *model, *options, *compiled, *requirements, *input, *output;
  tensor_type type = {kInt8, {0}};
  unsigned char accelerated = 0;
  int i;
  if (count != 2) return 2;
  CHECK(LiteRtCreateEnvironment(0, NULL, &environment));
  CHECK(LiteRtCreateModelFromFile(environment, arguments[1], &model));
  CHECK(LiteRtCreateOptions(&options));
  CHECK(LiteRtSetOptionsHardwareAccelerators(options, kCpu));
  CHECK(LiteRtCreateCompiledModel(environment, model, options, &compiled));
  CHECK(LiteRtCompiledModelIsFullyAccelerated(compiled, &accelerated));
  if (!accelerated) return fprintf(stderr, "XNNPACK does not run all of the model\n"), 1;
  CHECK(LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, &requirements));
  CHECK(LiteRtGetCompiledModelInputTensorLayout(compiled, 0, 0, &type.layout));
  CHECK(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, requirements, &input));
  CHECK(LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, 0, &requirements));
  CHECK(LiteRtGetCompiledModelOutputTensorLayouts(compiled, 0, 1, &type.layout, 0));
  CHECK(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, requirements, &output));
  for (i = 0; i < kTimes; ++i) CHECK(run_once(compiled, &input, &output));
  return 0;
}
