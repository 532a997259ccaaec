// Rows of values that arrive at one end and are dropped at the other; those in between lie in one piece.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace bnn_exit {

class SlidingBuffer {
 public:
  // Holds up to `rows` rows of `row` values.
  SlidingBuffer(size_t row, size_t rows) : row_(row), capacity_(rows), values_(2 * row * rows) {}

  static uint64_t bytes(size_t row, size_t rows) { return 2 * sizeof(float) * static_cast<uint64_t>(row) * rows; }

  size_t rows() const { return rows_; }
  size_t owed() const { return owed_; }  // rows that were dropped before they came
  size_t room() const { return capacity_ - rows_; }
  const float* data() const { return values_.data() + first_ * row_; }

  // At most owed() + room() rows.
  void append(const float* values, size_t rows) {
    size_t skipped = std::min(owed_, rows);
    owed_ -= skipped;
    values += skipped * row_;
    rows -= skipped;
    if (first_ + rows_ + rows > 2 * capacity_) {
      std::memmove(values_.data(), data(), rows_ * row_ * sizeof(float));
      first_ = 0;
    }
    std::memcpy(values_.data() + (first_ + rows_) * row_, values, rows * row_ * sizeof(float));
    rows_ += rows;
  }

  // Drops the oldest rows; those that have not come yet are dropped when they come.
  void drop(size_t rows) {
    size_t here = std::min(rows, rows_);
    first_ += here;
    rows_ -= here;
    owed_ += rows - here;
  }

  void clear() { first_ = rows_ = owed_ = 0; }

 private:
  size_t row_, capacity_;
  std::vector<float> values_;
  size_t first_ = 0, rows_ = 0, owed_ = 0;
};

}  // namespace bnn_exit
