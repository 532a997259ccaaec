// The threads of a network, which share the rows of a layer with the caller's thread.
#pragma once

#include <cstdint>

namespace bnn_exit {

constexpr int kMaxThreads = 256;

// The workers and the caller claim parts one by one, so that nothing waits for a worker that is late or was lost in a
// fork. Work must not throw.
class Workers {
 public:
  explicit Workers(int threads);  // the caller's thread included; raises Error if the system has no more
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int threads() const { return threads_; }

  // Call it at the start of each inference: threads do not survive a fork.
  void begin();

  // Calls work(context, part) for each part from 0 to parts - 1, in any order and thread, and returns when all are
  // done.
  void execute(int parts, void (*work)(void*, int), void* context);

 private:
  struct Pool;  // the threads, and everything that they access

  int threads_;
  Pool* pool_ = nullptr;  // none for a single thread
  bool serial_ = true;
};

// Splits the rows of one layer into parts for the workers.
class RowSplit {
 public:
  // `work` counts elementary steps: a layer of few steps is finished before a worker wakes up, and gets one part.
  RowSplit(Workers& workers, int32_t rows, uint64_t work);

  int parts() const { return parts_; }

  // Calls body(row_begin, row_end, part) for ranges that cover all rows.
  template <typename Body>
  void for_each_range(const Body& body) const {
    if (parts_ == 1) return body(0, rows_, 0);
    struct Call {
      const Body& body;
      const RowSplit& split;
    } call{body, *this};
    workers_->execute(
        parts_,
        [](void* context, int part) {
          const Call& call = *static_cast<const Call*>(context);
          call.body(call.split.first_row(part), call.split.first_row(part + 1), part);
        },
        &call);
  }

 private:
  int first_row(int part) const { return static_cast<int>(int64_t{rows_} * part / parts_); }

  Workers* workers_;
  int32_t rows_;
  int parts_;
};

}  // namespace bnn_exit
