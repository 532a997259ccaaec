#include "workers.h"

#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "error.h"

namespace bnn_exit {
namespace {

constexpr uint64_t kParts = 0xffffffff;           // the lower half of `unclaimed_`
constexpr uint64_t kLeastWork = uint64_t{1} << 17;  // steps of one part, a few microseconds
constexpr int kRounds = 200, kPauses = 32;        // of waiting awake, some hundred microseconds

// The next layer follows soon: going to sleep and waking takes longer than most of them.
void pause_a_little() {
  for (int i = 0; i < kPauses; ++i) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
}

}  // namespace

Workers::Workers(int threads) : process_(getpid()) {
  if (threads < 1 || threads > kMaxThreads) bad_argument("threads is %d, but must be from 1 to %d", threads, kMaxThreads);
  threads_.reserve(static_cast<size_t>(threads - 1));
  try {
    while (this->threads() < threads) threads_.emplace_back([this] { serve(); });
  } catch (const std::system_error&) {
    stop();
    throw Error(BNN_EXIT_MEMORY, "the system has no more threads: ask for fewer");
  }
}

Workers::~Workers() { stop(); }

void Workers::stop() {
  if (getpid() != process_) {
    for (std::thread& worker : threads_) worker.detach();  // they are in the process that was forked
    return;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : threads_) worker.join();
}

void Workers::begin() { alone_ = threads_.empty() || getpid() != process_; }

void Workers::run(int parts, void (*work)(void*, int), void* context) {
  if (alone_ || parts == 1) {
    for (int part = 0; part < parts; ++part) work(context, part);
    return;
  }
  work_ = work;
  context_ = context;
  unfinished_.store(parts);
  unclaimed_.store(((unclaimed_.load() | kParts) + 1) | static_cast<uint64_t>(parts));
  if (asleep_.load()) {
    // A worker that is about to sleep holds the lock until it can be woken.
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
  while (claim_and_do()) {
  }
  for (int round = 0; unfinished_.load(); ++round) {
    pause_a_little();
    if (round > kRounds) std::this_thread::yield();
  }
}

bool Workers::claim_and_do() {
  uint64_t seen = unclaimed_.load();
  do {
    if (!(seen & kParts)) return false;
  } while (!unclaimed_.compare_exchange_weak(seen, seen - 1));
  // The caller waits for this part, so its work stays what it is until the count below.
  work_(context_, static_cast<int>((seen & kParts) - 1));
  unfinished_.fetch_sub(1);
  return true;
}

void Workers::serve() {
  auto called = [this] { return stopping_.load() || (unclaimed_.load() & kParts) != 0; };
  while (!stopping_.load()) {
    while (claim_and_do()) {
    }
    for (int round = 0; round < kRounds && !called(); ++round) {
      pause_a_little();
      std::this_thread::yield();
    }
    if (called()) continue;
    std::unique_lock<std::mutex> lock(mutex_);
    ++asleep_;
    wake_.wait(lock, called);
    --asleep_;
  }
}

RowSplit::RowSplit(Workers& workers, int32_t rows, uint64_t work) : workers_(&workers), rows_(rows) {
  uint64_t most = std::min<uint64_t>(static_cast<uint64_t>(std::max(rows, 1)), work / kLeastWork);
  parts_ = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(workers.threads()), std::max<uint64_t>(most, 1)));
}

}  // namespace bnn_exit
