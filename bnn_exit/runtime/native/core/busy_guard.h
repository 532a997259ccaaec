// One thread at a time: what a network, a front end and a classifier promise, each at its door.
#pragma once

#include <atomic>
#include <cstdio>

#include "error.h"
#include "process.h"

namespace bnn_exit {

// Whose turn it is: 0 or the generation of the process whose thread has it. A child finds the turn of a thread that stayed in
// the parent, which nobody in the child could ever end: it counts as ended.
class Turns {
 public:
  bool take() {
    uint32_t seen = 0;
    while (!holder_.compare_exchange_weak(seen, generation, std::memory_order_acquire)) {
      if (seen == generation) return false;
    }
    return true;
  }
  void end() { holder_.store(0, std::memory_order_release); }

 private:
  std::atomic<uint32_t> holder_{0};
};

// A turn for as long as it lives. Raises Error if another thread has it, before anything of the object is touched.
class Turn {
 public:
  Turn(Turns& turns, const char* of) : turns_(turns) {
    if (turns.take()) return;
    char text[120];
    std::snprintf(text, sizeof text, "this %s is running in another thread: make one for each thread", of);
    throw Error(BNN_EXIT_BUSY, text);
  }
  ~Turn() { turns_.end(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Turns& turns_;
};

}  // namespace bnn_exit
