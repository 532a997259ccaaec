// Which process this is, for what must not outlive a fork: asking the system would cost a tenth of the smallest network's time.
#pragma once

#include <pthread.h>

#include <cstdint>

namespace bnn_exit {

// Forks between the process that loaded the library and this one, and 1: another number in a child than in any process before
// it. It is written in a child alone, while that has one thread.
inline uint32_t generation = 1;

inline const int kForksAreCounted = pthread_atfork(nullptr, nullptr, [] { ++generation; });

}  // namespace bnn_exit
