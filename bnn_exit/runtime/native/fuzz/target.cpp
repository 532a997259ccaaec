// The fuzz target: the library through its C interface, with limits so tight that nothing takes long.
//
// Bytes that begin with '{' are metadata: they replace those in a valid file (BNN_EXIT_FUZZ_BASE). All others are
// a model file. The first bytes also make settings of a front end.
#include "target.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "contract.h"

void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "violation of the contract: %s\n", what.c_str());
  std::abort();
}

namespace {

constexpr bnn_exit_settings kSettings = {uint64_t{1} << 24, uint64_t{1} << 22, 1};
constexpr size_t kSamples = 4096;  // of a front end that is tried alone
constexpr const char* kIsas[] = {"portable", "scalar", "avx2", "avx512", "avx512_vpopcnt", "neon"};

using Bytes = std::vector<uint8_t>;

// Selects an instruction set by the input, so that all are tried and a finding can be repeated.
void choose_isa(const uint8_t* data, size_t size) {
  unsigned sum = 0;
  for (size_t i = 0; i < size; i += 1 + size / 64) sum = sum * 31 + data[i];
  const std::string known = " " + std::string(bnn_exit_isas()) + " ";
  const char* isa = kIsas[sum % (sizeof kIsas / sizeof *kIsas)];
  setenv("BNN_EXIT_ISA", known.find(" " + std::string(isa) + " ") == std::string::npos ? "auto" : isa, 1);
}

// Zeros, small numbers, or any bits.
void fill(const bnn_exit_tensor& tensor, int round, Bytes* values) {
  values->assign(tensor.bytes, 0);
  uint32_t state = 12345;
  for (size_t at = 0; round && at + 4 <= values->size(); at += 4) {
    state = state * 1664525 + 1013904223;
    float number = static_cast<float>(static_cast<int32_t>(state)) * 1e-9f;
    int32_t whole = static_cast<int32_t>(state >> 28) - 8;
    const void* from = &state;
    if (round == 1) from = std::strcmp(tensor.type, "float32") ? static_cast<const void*>(&whole) : &number;
    std::memcpy(values->data() + at, from, 4);
  }
}

void run_network(const uint8_t* data, size_t size) {
  bnn_exit_network* network = nullptr;
  Message message;
  bnn_exit_settings settings = kSettings;
  settings.threads = size % 16 ? 1 : 2;  // a few, since starting a thread takes longer than most files
  bnn_exit_status status = bnn_exit_load(data, size, &settings, &network, message.text, sizeof message.text);
  message.check(status);
  require((status == BNN_EXIT_OK) == (network != nullptr), "a network and an error, or neither");
  if (!network) return;
  require(bnn_exit_bytes(network) <= kSettings.max_bytes, "more memory than its limit");
  require(bnn_exit_operations(network) <= kSettings.max_operations, "more operations than its limit");
  require(bnn_exit_plan(network) != nullptr, "no plan");
  const void* found;
  size_t found_size;
  bnn_exit_metadata(network, "bnn_exit", &found, &found_size);
  // Buffers of exactly the specified sizes: the sanitizer sees an access beyond them.
  std::vector<Bytes> inputs(static_cast<size_t>(bnn_exit_input_count(network)));
  std::vector<Bytes> outputs(static_cast<size_t>(bnn_exit_output_count(network)));
  std::vector<const void*> from(inputs.size() + 1);
  std::vector<void*> to(outputs.size() + 1);
  bnn_exit_tensor tensor;
  for (size_t i = 0; i < outputs.size(); ++i) {
    require(bnn_exit_output(network, static_cast<int32_t>(i), &tensor) == BNN_EXIT_OK,
            "an output without a description");
    outputs[i].resize(tensor.bytes);
    to[i] = outputs[i].data();
  }
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      require(bnn_exit_input(network, static_cast<int32_t>(i), &tensor) == BNN_EXIT_OK,
              "an input without a description");
      fill(tensor, round, &inputs[i]);
      from[i] = inputs[i].data();
    }
    message.check(bnn_exit_run(network, from.data(), to.data(), message.text, sizeof message.text));
  }
  bnn_exit_free(network);
}

void run_classifier(const uint8_t* data, size_t size) { check_classifier(data, size, kSettings); }

void run_front_end(const uint8_t* data, size_t size) {
  bnn_exit_features features;
  if (size < sizeof features) return;
  std::memcpy(&features, data, sizeof features);
  if (features.fft_size > 1 << 13) return;  // valid, but slow
  bnn_exit_front_end* front_end = nullptr;
  Message message;
  message.check(bnn_exit_front_end_new(&features, &front_end, message.text, sizeof message.text));
  if (!front_end) return;
  std::vector<float> waveform(kSamples, 0.25f);
  size_t frames = bnn_exit_frames(front_end, kSamples);
  size_t rows = frames < 9 ? frames : 9;
  size_t samples =
      rows ? static_cast<size_t>(features.window_samples) + (rows - 1) * static_cast<size_t>(features.hop_samples) : 0;
  waveform.resize(samples);
  std::vector<float> log_mel(rows * static_cast<size_t>(features.num_mels));
  bnn_exit_log_mel(front_end, waveform.data(), samples, log_mel.data());
  bnn_exit_front_end_free(front_end);
}

// The base file, and the position of its metadata.
struct Base {
  Bytes file;
  size_t start = 0, size = 0;

  Base() {
    const char* path = std::getenv("BNN_EXIT_FUZZ_BASE");
    std::FILE* stream = path ? std::fopen(path, "rb") : nullptr;
    if (!stream) return;
    for (int byte; (byte = std::fgetc(stream)) != EOF;) file.push_back(static_cast<uint8_t>(byte));
    std::fclose(stream);
    bnn_exit_network* network = nullptr;
    const void* found = nullptr;
    require(bnn_exit_load(file.data(), file.size(), nullptr, &network, nullptr, 0) == BNN_EXIT_OK,
            "the base file is not valid");
    bnn_exit_metadata(network, "bnn_exit", &found, &size);
    auto* at = static_cast<uint8_t*>(memmem(file.data(), file.size(), found, size));
    require(at != nullptr, "the base file has no metadata");
    start = static_cast<size_t>(at - file.data());
    bnn_exit_free(network);
  }
};

void run_metadata(const uint8_t* data, size_t size) {
  static const Base base;
  if (!base.size || size > base.size) return;
  Bytes file = base.file;
  std::memset(file.data() + base.start, ' ', base.size);
  std::memcpy(file.data() + base.start, data, size);
  run_classifier(file.data(), file.size());
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  choose_isa(data, size);
  if (size && data[0] == '{') {
    run_metadata(data, size);
    return 0;
  }
  run_network(data, size);
  run_classifier(data, size);
  run_front_end(data, size);
  return 0;
}
