// Checks of the C interface's contract that both fuzz programs make.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "bnn_exit.h"

// Reports a violation if the condition is false. Each program defines it.
void require(bool holds, const std::string& what);

// The buffer for an error: one line of text that ends within it.
struct Message {
  char text[256] = "unset";
  void check(bnn_exit_status status) const;
};

struct Loaded {
  bnn_exit_status status;
  std::string text;
};

// Loads a classifier and classifies clips of several lengths.
Loaded check_classifier(const uint8_t* file, size_t size, const bnn_exit_settings& settings);

// Calls the interface against its rules: such calls return an error or nothing, and change nothing.
void check_misuse(const uint8_t* file, size_t size, const bnn_exit_settings& limits);
