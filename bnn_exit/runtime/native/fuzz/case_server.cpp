// Runs cases in the library for a judge: reads them from the standard input, writes results to the standard output.
// The other end is tests/fuzzing/case_server.py. All numbers are in the machine's own byte order.
//
// A case: file, max_bytes and max_operations (u64), instruction sets (text; "" for all), threads, flags, then rounds of
// inputs. Its result: for each instruction set the status and text of loading, nanoseconds, peak memory and, if it
// loaded, sizes, ports and rounds; then status and text of the classifier, and violations of the interface's contract.
//
// Output buffers start as 0xff, each round gets buffers of exactly the specified size, and the first round is repeated
// at the end: state that survives from one inference to the next shows there.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "contract.h"
#include "wire.h"

#if defined(__SANITIZE_ADDRESS__)
#define BNN_EXIT_COUNTS_MEMORY
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BNN_EXIT_COUNTS_MEMORY
#endif
#endif
#ifdef BNN_EXIT_COUNTS_MEMORY
// Both compilers' sanitizers have these; only clang has the header, sanitizer/allocator_interface.h.
extern "C" size_t __sanitizer_get_allocated_size(const volatile void* address);
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*, size_t),
                                                         void (*freed)(const volatile void*));
#endif
// Defined if coverage is counted; a forked child writes its counts, too.
extern "C" __attribute__((weak)) int __llvm_profile_write_file();

namespace {
std::vector<std::string> violations;
}  // namespace

void require(bool holds, const std::string& what) {
  if (!holds) violations.push_back(what);
}

namespace {

using Rounds = std::vector<std::vector<Bytes>>;

enum Flag : uint32_t { kFork = 1, kTwoThreads = 2, kClassifier = 4, kMisuse = 8, kFlush = 16 };

struct Case {
  Bytes file;
  bnn_exit_settings settings = {};
  std::string isas;
  uint32_t flags = 0;
  Rounds rounds;
};

Case read_case() {
  Case given;
  given.file = read_bytes();
  given.settings.max_bytes = read_number<uint64_t>();
  given.settings.max_operations = read_number<uint64_t>();
  Bytes isas = read_bytes();
  given.isas.assign(isas.begin(), isas.end());
  given.settings.threads = read_number<int32_t>();
  given.flags = read_number<uint32_t>();
  given.rounds.resize(read_number<uint32_t>());
  uint32_t inputs = read_number<uint32_t>();
  for (auto& round : given.rounds) {
    for (uint32_t i = 0; i < inputs; ++i) round.push_back(read_bytes());
  }
  return given;
}

// ---- memory

#ifdef BNN_EXIT_COUNTS_MEMORY
std::atomic<uint64_t> in_use, most_in_use;
void count_more(const volatile void* address, size_t) {
  uint64_t now = in_use += __sanitizer_get_allocated_size(address);
  uint64_t most = most_in_use;
  while (now > most && !most_in_use.compare_exchange_weak(most, now)) {
  }
}
void count_less(const volatile void* address) {
  if (address) in_use -= __sanitizer_get_allocated_size(address);
}
void count_memory() { __sanitizer_install_malloc_and_free_hooks(count_more, count_less); }
struct Peak {
  uint64_t before = in_use;
  Peak() { most_in_use = before; }
  uint64_t bytes() const { return most_in_use - before; }
};
#else
void count_memory() {}
struct Peak {
  uint64_t bytes() const { return 0; }
};
#endif

// ---- one network

uint64_t now_ns() {
  auto time = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
}

struct Result {
  bnn_exit_status status = BNN_EXIT_ARGUMENT;
  std::string text;
  uint64_t ns = 0;
  std::vector<Bytes> outputs;
  bool operator==(const Result& other) const { return status == other.status && outputs == other.outputs; }
};

bool fits(const bnn_exit_network* network, const std::vector<Bytes>& inputs) {
  if (inputs.size() != static_cast<size_t>(bnn_exit_input_count(network))) return false;
  bnn_exit_tensor tensor;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (bnn_exit_input(network, static_cast<int32_t>(i), &tensor) != BNN_EXIT_OK || tensor.bytes != inputs[i].size())
      return false;
  }
  return true;
}

// With kFlush the caller's thread treats subnormal numbers as zero, only to find out whether they make a case slow.
void flush_subnormals(bool wanted) {
#if defined(__SSE2__)
  _mm_setcsr((_mm_getcsr() & ~0x8040u) | (wanted ? 0x8040u : 0));
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  control = (control & ~(uint64_t{1} << 24)) | (uint64_t{wanted} << 24);
  __asm__ volatile("msr fpcr, %0" : : "r"(control));
#else
  static_cast<void>(wanted);
#endif
}

Result infer(bnn_exit_network* network, const std::vector<Bytes>& inputs) {
  Result result;
  std::vector<const void*> from(inputs.size() + 1);
  std::vector<void*> to(static_cast<size_t>(bnn_exit_output_count(network)) + 1);
  for (size_t i = 0; i < inputs.size(); ++i) from[i] = inputs[i].data();
  bnn_exit_tensor tensor;
  for (size_t i = 0; i + 1 < to.size(); ++i) {
    require(bnn_exit_output(network, static_cast<int32_t>(i), &tensor) == BNN_EXIT_OK, "an output has no description");
    result.outputs.emplace_back(tensor.bytes, uint8_t{0xff});
    to[i] = result.outputs.back().data();
  }
  Message message;
  uint64_t begin = now_ns();
  result.status = bnn_exit_run(network, from.data(), to.data(), message.text, sizeof message.text);
  result.ns = now_ns() - begin;
  message.check(result.status);
  result.text = message.text;
  if (result.status != BNN_EXIT_OK) result.outputs.clear();
  return result;
}

// A child uses its copy of the network, loads another, frees both and ends.
void try_fork(bnn_exit_network* network, const Case& given, const Result& expected) {
  std::fflush(nullptr);
#ifdef BNN_EXIT_COUNTS_MEMORY
  // A thread that begins asks the sanitizer for memory, and the sanitizer's lock would stay locked in the child.
  if (given.settings.threads > 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
#endif
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    bool same = infer(network, given.rounds[0]) == expected;
    bnn_exit_free(network);
    bnn_exit_network* other = nullptr;
    bnn_exit_load(given.file.data(), given.file.size(), &given.settings, &other, nullptr, 0);
    if (other) same &= infer(other, given.rounds[0]) == expected;
    bnn_exit_free(other);
    if (__llvm_profile_write_file) __llvm_profile_write_file();
    _exit(same ? 0 : 3);
  }
  int status = 0;
  if (child > 0) waitpid(child, &status, 0);
  require(child > 0 && status == 0, status == 3 << 8 ? "a child's results differ" : "a child did not end well");
}

void try_two_threads(bnn_exit_network* network, const Case& given, const Result& expected) {
  std::atomic<int> wrong{0};
  auto work = [&] {
    for (int i = 0; i < 8; ++i) {
      Result result = infer(network, given.rounds[0]);
      wrong += result.status != BNN_EXIT_BUSY && !(result == expected);
    }
  };
  std::thread other(work);
  work();
  other.join();
  require(wrong == 0, "a second thread got something other than its result or BUSY");
}

void put_ports(const bnn_exit_network* network, int32_t count, bool outputs) {
  put(count);
  for (int32_t i = 0; i < count; ++i) {
    bnn_exit_tensor tensor = {};
    bnn_exit_status status = outputs ? bnn_exit_output(network, i, &tensor) : bnn_exit_input(network, i, &tensor);
    require(status == BNN_EXIT_OK, "a port has no description");
    put_text(tensor.type);
    put_bytes(tensor.shape, static_cast<size_t>(tensor.rank) * sizeof(int64_t));
  }
}

void try_file(const Case& given, const std::string& isa) {
  setenv("BNN_EXIT_ISA", isa.c_str(), 1);
  // A copy of exactly that size, which is freed before the network is used.
  auto* copy = new uint8_t[given.file.size()];
  std::memcpy(copy, given.file.data(), given.file.size());
  Message message;
  bnn_exit_network* network = nullptr;
  Peak peak;
  uint64_t begin = now_ns();
  bnn_exit_status status =
      bnn_exit_load(copy, given.file.size(), &given.settings, &network, message.text, sizeof message.text);
  uint64_t ns = now_ns() - begin, memory = peak.bytes();
  delete[] copy;
  message.check(status);
  require((status == BNN_EXIT_OK) == (network != nullptr), "a network and an error, or neither");
  put_text(isa);
  put(static_cast<int32_t>(status));
  put_text(message.text);
  put(ns);
  put(memory);
  if (!network) return;
  put(bnn_exit_bytes(network));
  put(bnn_exit_operations(network));
  require(bnn_exit_bytes(network) <= given.settings.max_bytes, "more memory than its limit");
  require(bnn_exit_operations(network) <= given.settings.max_operations, "more work than its limit");
  require(bnn_exit_plan(network) != nullptr, "no plan");
  put_ports(network, bnn_exit_input_count(network), false);
  put_ports(network, bnn_exit_output_count(network), true);
  bool runs = given.rounds.empty() || fits(network, given.rounds[0]);
  put(static_cast<uint32_t>(runs ? given.rounds.size() : 0));
  std::vector<Result> results;
  for (size_t i = 0; runs && i < given.rounds.size(); ++i) {
    if (given.settings.threads > 1)
      std::this_thread::sleep_for(std::chrono::microseconds(300));  // its threads fall asleep
    results.push_back(infer(network, given.rounds[i]));
    const Result& result = results.back();
    put(static_cast<int32_t>(result.status));
    put_text(result.text);
    put(result.ns);
    for (const Bytes& output : result.outputs) put_bytes(output.data(), output.size());
  }
  if (!results.empty()) {
    if (results.size() > 1)
      require(infer(network, given.rounds[0]) == results[0],
              "the first inputs again give something else (" + isa + ")");
    if (given.flags & kTwoThreads) try_two_threads(network, given, results[0]);
    if (given.flags & kFork) try_fork(network, given, results[0]);
  }
  bnn_exit_free(network);
}

void try_classifier(const Case& given) {
  Loaded loaded = check_classifier(given.file.data(), given.file.size(), given.settings);
  put(static_cast<int32_t>(loaded.status));
  put_text(loaded.text);
}

}  // namespace

int main() {
  count_memory();
  const std::string all = bnn_exit_isas();
  for (;;) {
    Case given = read_case();
    output.clear();
    violations.clear();
    std::istringstream names(given.isas.empty() ? all : given.isas);
    std::vector<std::string> isas;
    for (std::string name; names >> name;) isas.push_back(name);
    put(static_cast<uint32_t>(isas.size()));
    flush_subnormals(given.flags & kFlush);
    for (const std::string& isa : isas) try_file(given, isa);
    flush_subnormals(false);
    put(static_cast<uint32_t>((given.flags & kClassifier) != 0));
    if (given.flags & kClassifier) try_classifier(given);
    if (given.flags & kMisuse) check_misuse(given.file.data(), given.file.size(), given.settings);
    put(static_cast<uint32_t>(violations.size()));
    for (const std::string& what : violations) put_text(what);
    uint32_t size = static_cast<uint32_t>(output.size());
    std::fwrite(&size, sizeof size, 1, stdout);
    std::fwrite(output.data(), 1, output.size(), stdout);
    std::fflush(stdout);
  }
}
