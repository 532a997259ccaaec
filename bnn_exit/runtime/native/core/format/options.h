// The options of an operator by name, from either format of the file; enumerations are numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/tables.h"

namespace bnn_exit {

enum Padding : int { kSame = 0, kValid = 1 };
enum Activation : int { kNone = 0, kRelu = 1, kReluN1To1 = 2, kRelu6 = 3 };

class Options {
 public:
  void set(std::string name, double value) { numbers_.push_back({std::move(name), value}); }
  void set_list(std::vector<int32_t> values) { list_ = std::move(values); }

  // The number of that name; a damaged file may lack it.
  double real(const char* name) const;
  int64_t integer(const char* name) const;
  int64_t integer(const char* name, int64_t default_value) const;
  const std::vector<int32_t>& list() const { return list_; }

 private:
  const double* find(const char* name) const;

  std::vector<std::pair<std::string, double>> numbers_;
  std::vector<int32_t> list_;
};

// Options of a builtin operator; absent ones have the schema's defaults.
Options builtin_options(const Table& op, const std::string& name);

// Options of one of LCE's operators; none for other custom operators.
Options custom_options(const Table& op, const std::string& name);

// The named numbers of a flexbuffer, in which LCE stores options. Strings in it are ignored.
Options read_flexbuffer(Bytes bytes);

}  // namespace bnn_exit
