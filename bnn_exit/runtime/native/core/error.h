// Errors inside the library. They are exceptions here and become a status and one line of text at the C interface.
#pragma once

#include <exception>

#include "bnn_exit.h"

namespace bnn_exit {

class Error : public std::exception {
 public:
  Error(bnn_exit_status status, const char* text);
  bnn_exit_status status() const { return status_; }
  const char* what() const noexcept override { return text_; }

 private:
  bnn_exit_status status_;
  char text_[480];
};

// The file cannot be run, though it may be whole: what is missing is in the text.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void unsupported(const char* format, ...);

// Bytes that no writer would have produced.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void damaged(const char* format, ...);

// What no file should be able to bring about: the plan that was made of it would give wrong results.
[[noreturn]] void broken(const char* fault);

// A caller's mistake.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void bad_argument(const char* format, ...);

// More memory or work than the caller allows.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void too_large(const char* format, ...);

}  // namespace bnn_exit
