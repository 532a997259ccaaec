// Refuses a second thread: a network, a front end and a classifier serve one thread at a time.
#pragma once

#include <atomic>
#include <cstdio>

#include "error.h"
#include "process.h"

namespace bnn_exit {

// 0, or the generation of the process whose thread holds the flag. A forked child may inherit a flag that a thread of
// its parent holds. Nothing in the child could release it, so it counts as free.
class BusyFlag {
 public:
  bool acquire() {
    uint32_t seen = 0;
    while (!holder_.compare_exchange_weak(seen, generation, std::memory_order_acquire)) {
      if (seen == generation) return false;
    }
    return true;
  }
  void release() { holder_.store(0, std::memory_order_release); }

 private:
  std::atomic<uint32_t> holder_{0};
};

// Holds a flag for as long as it lives. Raises Error if another thread holds it, before anything of the object is
// touched.
class BusyGuard {
 public:
  BusyGuard(BusyFlag& flag, const char* of) : flag_(flag) {
    if (flag.acquire()) return;
    char text[120];
    std::snprintf(text, sizeof text, "this %s is running in another thread: make one for each thread", of);
    throw Error(BNN_EXIT_BUSY, text);
  }
  ~BusyGuard() { flag_.release(); }
  BusyGuard(const BusyGuard&) = delete;
  BusyGuard& operator=(const BusyGuard&) = delete;

 private:
  BusyFlag& flag_;
};

}  // namespace bnn_exit
