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

constexpr uint64_t kPartsMask = 0xffffffff;       // the lower half of `unclaimed`
constexpr uint64_t kMinWork = uint64_t{1} << 17;  // steps of one part, a few microseconds
constexpr int kSpinRounds = 200, kPauses = 32;    // of spinning before a worker sleeps, some hundred microseconds

// The next layer follows soon, and sleeping and waking takes longer than most layers.
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

struct Workers::Pool {
  explicit Pool(int workers);

  bool is_in_its_process() const { return generation == its_generation; }
  void execute(int parts, void (*work)(void*, int), void* context);
  bool claim_and_execute();  // false if no part is left
  void serve();
  void stop();

  const uint32_t its_generation = generation;
  std::vector<std::thread> threads;
  void (*work)(void*, int) = nullptr;
  void* context = nullptr;
  std::atomic<uint64_t> unclaimed{
      0};  // parts in the lower half; the upper half counts calls, so that no claim mixes two of them
  std::atomic<int> unfinished{0};
  std::atomic<int> asleep{0};
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::condition_variable wake;
  Pool* next_abandoned = nullptr;
};

Workers::Pool::Pool(int workers) {
  threads.reserve(static_cast<size_t>(workers));
  try {
    while (static_cast<int>(threads.size()) < workers) threads.emplace_back([this] { serve(); });
  } catch (const std::system_error&) {
    stop();
    throw Error(BNN_EXIT_MEMORY, "the system has no more threads: ask for fewer");
  }
}

void Workers::Pool::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  for (std::thread& worker : threads) worker.join();
}

void Workers::Pool::execute(int parts, void (*new_work)(void*, int), void* new_context) {
  work = new_work;
  context = new_context;
  unfinished.store(parts);
  unclaimed.store(((unclaimed.load() | kPartsMask) + 1) | static_cast<uint64_t>(parts));
  if (asleep.load()) {
    // A worker that is about to sleep holds the lock until it can be woken.
    {
      std::lock_guard<std::mutex> lock(mutex);
    }
    wake.notify_all();
  }
  while (claim_and_execute()) {
  }
  for (int round = 0; unfinished.load(); ++round) {
    pause_a_little();
    if (round > kSpinRounds) std::this_thread::yield();
  }
}

bool Workers::Pool::claim_and_execute() {
  uint64_t seen = unclaimed.load();
  do {
    if (!(seen & kPartsMask)) return false;
  } while (!unclaimed.compare_exchange_weak(seen, seen - 1));
  // The caller waits for this part, so `work` does not change before the count below.
  work(context, static_cast<int>((seen & kPartsMask) - 1));
  unfinished.fetch_sub(1);
  return true;
}

void Workers::Pool::serve() {
  auto called = [this] { return stopping.load() || (unclaimed.load() & kPartsMask) != 0; };
  while (!stopping.load()) {
    while (claim_and_execute()) {
    }
    for (int round = 0; round < kSpinRounds && !called(); ++round) {
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
  if (threads < 1 || threads > kMaxThreads)
    bad_argument("threads is %d, but must be from 1 to %d", threads, kMaxThreads);
  if (threads > 1) pool_ = new Pool(threads - 1);
}

Workers::~Workers() {
  if (!pool_) return;
  if (pool_->is_in_its_process()) {
    pool_->stop();
    delete pool_;
    return;
  }
  // In a forked child the threads are gone, but a lock that one of them held is never released, and the destructor of
  // the condition variable waits for its sleepers. So the pool is never destroyed; the list keeps it reachable for leak
  // checkers.
  static std::atomic<Pool*> abandoned{nullptr};
  pool_->next_abandoned = abandoned.exchange(pool_);
}

void Workers::begin() { serial_ = !pool_ || !pool_->is_in_its_process(); }

void Workers::execute(int parts, void (*work)(void*, int), void* context) {
  if (!serial_ && parts > 1) return pool_->execute(parts, work, context);
  for (int part = 0; part < parts; ++part) work(context, part);
}

RowSplit::RowSplit(Workers& workers, int32_t rows, uint64_t work) : workers_(&workers), rows_(rows) {
  uint64_t most = std::min<uint64_t>(static_cast<uint64_t>(std::max(rows, 1)), work / kMinWork);
  parts_ = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(workers.threads()), std::max<uint64_t>(most, 1)));
}

}  // namespace bnn_exit
