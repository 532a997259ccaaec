// Runs the fuzz target without libFuzzer:
//   fuzz_plain FILE...                       each file once
//   fuzz_plain --truncate FILE...            each file cut off at every byte
//   fuzz_plain --mutate COUNT SEED FILE...   that many random changes of the files, the same for the same seed
// Prints what it did; a crash of any kind is the finding. BNN_EXIT_FUZZ_LAST names a file that keeps the bytes in work.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "target.h"

namespace {

using Bytes = std::vector<uint8_t>;

Bytes read(const char* path) {
  Bytes bytes;
  std::FILE* stream = std::fopen(path, "rb");
  if (!stream) {
    std::fprintf(stderr, "error: %s cannot be read\n", path);
    std::exit(2);
  }
  for (int byte; (byte = std::fgetc(stream)) != EOF;) bytes.push_back(static_cast<uint8_t>(byte));
  std::fclose(stream);
  return bytes;
}

// A copy of exactly that size, so that the sanitizer sees reads beyond its end.
void run(const Bytes& bytes, size_t size) {
  static const char* last = std::getenv("BNN_EXIT_FUZZ_LAST");
  if (last) {
    if (std::FILE* stream = std::fopen(last, "wb")) {
      std::fwrite(bytes.data(), 1, size, stream);
      std::fclose(stream);
    }
  }
  auto* copy = new uint8_t[size];
  std::memcpy(copy, bytes.data(), size);
  LLVMFuzzerTestOneInput(copy, size);
  delete[] copy;
}

// One to five changes: a bit, a byte, a word that is likely to matter, or a word from elsewhere in the file.
void mutate(std::mt19937_64& random, Bytes* bytes) {
  static const uint32_t words[] = {0,   1,   2,     3,     4,        7,          8,          31,        64,
                                   255, 256, 65535, 65536, 1u << 24, 0x7fffffff, 0x80000000, 0xffffffff};
  auto below = [&](size_t count) { return static_cast<size_t>(random() % count); };
  for (size_t changes = 1 + below(5); changes && bytes->size() >= 8; --changes) {
    size_t place = below(bytes->size()), word = below(bytes->size() / 4) * 4;
    switch (below(4)) {
      case 0: (*bytes)[place] ^= static_cast<uint8_t>(1 << below(8)); break;
      case 1: (*bytes)[place] = static_cast<uint8_t>(random()); break;
      case 2: std::memcpy(bytes->data() + word, &words[below(sizeof words / sizeof *words)], 4); break;
      default: std::memmove(bytes->data() + word, bytes->data() + below(bytes->size() / 4) * 4, 4);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  bool truncate = count > 1 && !std::strcmp(arguments[1], "--truncate"),
       change = count > 3 && !std::strcmp(arguments[1], "--mutate");
  std::vector<Bytes> files;
  for (int i = truncate ? 2 : change ? 4 : 1; i < count; ++i) files.push_back(read(arguments[i]));
  if (files.empty()) {
    std::fprintf(stderr, "usage: fuzz_plain [--truncate | --mutate COUNT SEED] FILE...\n");
    return 2;
  }
  long runs = 0;
  if (change) {
    std::mt19937_64 random(std::strtoull(arguments[3], nullptr, 10));
    for (long wanted = std::atol(arguments[2]); runs < wanted; ++runs) {
      Bytes bytes = files[random() % files.size()];
      mutate(random, &bytes);
      run(bytes, bytes.size());
    }
  } else {
    for (const Bytes& bytes : files) {
      for (size_t size = truncate ? 0 : bytes.size(); size <= bytes.size(); ++size, ++runs) run(bytes, size);
    }
  }
  std::printf("%ld runs\n", runs);
  return 0;
}
