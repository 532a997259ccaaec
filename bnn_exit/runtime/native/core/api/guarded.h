// What every function of the C interface does: errors become a status and one line of text, no exception leaves it, and
// the program's locale has no effect.
#pragma once

#include <cstdio>
#include <new>

#include "c_locale.h"
#include "classify/classifier.h"
#include "error.h"

struct bnn_exit_classifier {
  bnn_exit::Classifier classifier;
};

namespace bnn_exit {

inline void write_error(char* error, size_t size, const char* text) {
  if (error && size) std::snprintf(error, size, "%s", text);
}

template <typename Body>
bnn_exit_status guarded(char* error, size_t size, Body body) {
  write_error(error, size, "");
  CLocale locale;
  try {
    body();
    return BNN_EXIT_OK;
  } catch (const Error& failure) {
    write_error(error, size, failure.what());
    return failure.status();
  } catch (const std::bad_alloc&) {
    write_error(error, size, "no memory left: free some, or export a smaller network");
    return BNN_EXIT_MEMORY;
  } catch (const std::exception& failure) {
    write_error(error, size, failure.what());
    return BNN_EXIT_FILE;
  }
}

}  // namespace bnn_exit
