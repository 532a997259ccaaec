#include "ops/workers.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "error.h"
#include "process.h"

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

struct Workers::Crew {
  explicit Crew(int workers);

  bool is_here() const { return generation == born_in; }
  void run(int parts, void (*work)(void*, int), void* context);
  bool claim_and_do();  // false if no part is left
  void serve();
  void stop();

  const uint32_t born_in = generation;
  std::vector<std::thread> threads;
  void (*work)(void*, int) = nullptr;
  void* context = nullptr;
  std::atomic<uint64_t> unclaimed{0};  // parts in the lower half; the upper half counts runs, so that no claim mixes two
  std::atomic<int> unfinished{0};
  std::atomic<int> asleep{0};
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::condition_variable wake;
  Crew* left_behind = nullptr;
};

Workers::Crew::Crew(int workers) {
  threads.reserve(static_cast<size_t>(workers));
  try {
    while (static_cast<int>(threads.size()) < workers) threads.emplace_back([this] { serve(); });
  } catch (const std::system_error&) {
    stop();
    throw Error(BNN_EXIT_MEMORY, "the system has no more threads: ask for fewer");
  }
}

void Workers::Crew::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  for (std::thread& worker : threads) worker.join();
}

void Workers::Crew::run(int parts, void (*new_work)(void*, int), void* new_context) {
  work = new_work;
  context = new_context;
  unfinished.store(parts);
  unclaimed.store(((unclaimed.load() | kParts) + 1) | static_cast<uint64_t>(parts));
  if (asleep.load()) {
    // A worker that is about to sleep holds the lock until it can be woken.
    { std::lock_guard<std::mutex> lock(mutex); }
    wake.notify_all();
  }
  while (claim_and_do()) {
  }
  for (int round = 0; unfinished.load(); ++round) {
    pause_a_little();
    if (round > kRounds) std::this_thread::yield();
  }
}

bool Workers::Crew::claim_and_do() {
  uint64_t seen = unclaimed.load();
  do {
    if (!(seen & kParts)) return false;
  } while (!unclaimed.compare_exchange_weak(seen, seen - 1));
  // The caller waits for this part, so its work stays what it is until the count below.
  work(context, static_cast<int>((seen & kParts) - 1));
  unfinished.fetch_sub(1);
  return true;
}

void Workers::Crew::serve() {
  auto called = [this] { return stopping.load() || (unclaimed.load() & kParts) != 0; };
  while (!stopping.load()) {
    while (claim_and_do()) {
    }
    for (int round = 0; round < kRounds && !called(); ++round) {
      pause_a_little();
      std::this_thread::yield();
    }
    if (called()) continue;
    std::unique_lock<std::mutex> lock(mutex);
    ++asleep;
    wake.wait(lock, called);
    --asleep;
  }
}

Workers::Workers(int threads) : threads_(threads) {
  if (threads < 1 || threads > kMaxThreads) bad_argument("threads is %d, but must be from 1 to %d", threads, kMaxThreads);
  if (threads > 1) crew_ = new Crew(threads - 1);
}

Workers::~Workers() {
  if (!crew_) return;
  if (crew_->is_here()) {
    crew_->stop();
    delete crew_;
    return;
  }
  // In a child the threads are gone, but not their traces: a lock that one held is never released, and the condition waits
  // for its sleepers before it goes. So all of it is left as it is, and only kept in reach of who looks for leaks.
  static std::atomic<Crew*> left_behind{nullptr};
  crew_->left_behind = left_behind.exchange(crew_);
}

void Workers::begin() { alone_ = !crew_ || !crew_->is_here(); }

void Workers::run(int parts, void (*work)(void*, int), void* context) {
  if (!alone_ && parts > 1) return crew_->run(parts, work, context);
  for (int part = 0; part < parts; ++part) work(context, part);
}

RowSplit::RowSplit(Workers& workers, int32_t rows, uint64_t work) : workers_(&workers), rows_(rows) {
  uint64_t most = std::min<uint64_t>(static_cast<uint64_t>(std::max(rows, 1)), work / kLeastWork);
  parts_ = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(workers.threads()), std::max<uint64_t>(most, 1)));
}

}  // namespace bnn_exit
