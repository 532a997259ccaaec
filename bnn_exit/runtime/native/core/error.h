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

// The file is valid, but needs something that this library lacks; the text names it.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void unsupported(const char* format, ...);

// The file is damaged: no writer produces such bytes.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void damaged(const char* format, ...);

// An internal error: the plan of a file would give wrong results.
[[noreturn]] void broken(const char* fault);

// An argument of the caller is invalid.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void bad_argument(const char* format, ...);

// The file needs more memory or operations than the caller allows.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void too_large(const char* format, ...);

}  // namespace bnn_exit
