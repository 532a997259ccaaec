// What a file may ask for, and how much of it is spent. Everything is counted before it is allocated or executed.
#pragma once

#include <cstdint>

namespace bnn_exit {

struct Budget {
  uint64_t max_bytes, max_operations;
  uint64_t bytes = 0;       // memory of the network: values, prepared weights, constants and structures
  uint64_t operations = 0;  // elementary steps of one inference
  uint64_t load_operations =
      0;  // steps spent while the file is loaded: the same limit applies to them, apart from an inference

  // Each raises Error if the limit is exceeded.
  void count_bytes(uint64_t size);
  void count_operations(uint64_t steps);
  void count_load_operations(uint64_t steps);
};

}  // namespace bnn_exit
