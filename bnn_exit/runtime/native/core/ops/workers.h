// The threads of a network: workers that share the rows of a layer with the thread that runs it.
#pragma once

#include <cstdint>

namespace bnn_exit {

constexpr int kMaxThreads = 256;

// Parts are claimed one by one, and the caller claims along: a worker that is late, or was lost in a fork, is not waited
// for. Work must not throw.
class Workers {
 public:
  explicit Workers(int threads);  // the caller's own included; raises Error if the system has no more
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int threads() const { return threads_; }

  // To be called before the parts of a run: threads do not survive a fork.
  void begin();

  // Calls work(context, part) for each part from 0 to parts - 1, in any order and thread, and returns when all are done.
  void run(int parts, void (*work)(void*, int), void* context);

 private:
  struct Crew;  // the threads, and all that they touch

  int threads_;
  Crew* crew_ = nullptr;  // none for a single thread
  bool alone_ = true;
};

// How the rows of one layer are shared.
class RowSplit {
 public:
  // `work` counts elementary steps: a layer of few is done before a worker has woken.
  RowSplit(Workers& workers, int32_t rows, uint64_t work);

  int parts() const { return parts_; }

  // Calls body(row_begin, row_end, part) for ranges that cover all rows.
  template <typename Body>
  void run(const Body& body) const {
    if (parts_ == 1) return body(0, rows_, 0);
    struct Call {
      const Body& body;
      const RowSplit& split;
    } call{body, *this};
    workers_->run(parts_, [](void* context, int part) {
      const Call& call = *static_cast<const Call*>(context);
      call.body(call.split.first_row(part), call.split.first_row(part + 1), part);
    }, &call);
  }

 private:
  int first_row(int part) const { return static_cast<int>(int64_t{rows_} * part / parts_); }

  Workers* workers_;
  int32_t rows_;
  int parts_;
};

}  // namespace bnn_exit
