#include "budget.h"

#include "error.h"

namespace bnn_exit {
namespace {

bool exceeds(uint64_t size, uint64_t spent, uint64_t limit) { return size > limit || spent > limit - size; }

}  // namespace

void Budget::count_bytes(uint64_t size) {
  if (exceeds(size, bytes, max_bytes)) {
    too_large("this file needs more than %llu bytes of memory: raise the limit, or export a smaller network",
              static_cast<unsigned long long>(max_bytes));
  }
  bytes += size;
}

void Budget::count_operations(uint64_t steps) {
  if (exceeds(steps, operations, max_operations)) {
    too_large("this file needs more than %llu operations a run: raise the limit, or export a smaller network",
              static_cast<unsigned long long>(max_operations));
  }
  operations += steps;
}

void Budget::count_load_operations(uint64_t steps) {
  if (exceeds(steps, load_operations, max_operations)) {
    too_large("this file needs more than %llu operations to be loaded: raise the limit, or export a smaller network",
              static_cast<unsigned long long>(max_operations));
  }
  load_operations += steps;
}

}  // namespace bnn_exit
