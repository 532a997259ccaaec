// The generation of this process, for state that must not outlive a fork. A call of getpid() would take a tenth of the
// smallest network's time.
#pragma once

#include <pthread.h>

#include <cstdint>

namespace bnn_exit {

// 1 + the number of forks between the process that loaded the library and this one, so a child differs from all its
// ancestors. Only a child writes it, while it has one thread.
inline uint32_t generation = 1;

inline const int kForksAreCounted = pthread_atfork(nullptr, nullptr, [] { ++generation; });

}  // namespace bnn_exit
