#include "error.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace bnn_exit {
namespace {

constexpr int kReasonSize = 400;

[[noreturn]] void raise(bnn_exit_status status, const char* before, const char* after, const char* format,
                        std::va_list arguments) {
  char reason[kReasonSize];
  std::vsnprintf(reason, sizeof reason, format, arguments);
  char text[480];
  std::snprintf(text, sizeof text, "%s%s%s", before, reason, after);
  throw Error(status, text);
}

}  // namespace

Error::Error(bnn_exit_status status, const char* text) : status_(status) {
  std::snprintf(text_, sizeof text_, "%s", text);
  // Names come from the file, and may hold anything; the message must stay one line.
  for (char* at = text_; *at; ++at) {
    if (static_cast<unsigned char>(*at) < 0x20 || *at == 0x7f) *at = '?';
  }
}

void unsupported(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  raise(BNN_EXIT_FILE, "", "", format, arguments);
}

void damaged(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  raise(BNN_EXIT_FILE, "this file is damaged (", "): copy it again, or export it again", format, arguments);
}

void broken(const char* fault) {
  unsupported("the native backend made a wrong plan of this file (%s): choose another backend, and report it", fault);
}

void bad_argument(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  raise(BNN_EXIT_ARGUMENT, "", "", format, arguments);
}

void too_large(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  raise(BNN_EXIT_LIMIT, "", "", format, arguments);
}

}  // namespace bnn_exit
