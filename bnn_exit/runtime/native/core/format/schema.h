// Names of the TFLite file format: operators and element types (schema.fbs, version 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace bnn_exit {

enum class Type : uint8_t {
  float32,
  float16,
  int32,
  uint8,
  int64,
  string,
  boolean,
  int16,
  complex64,
  int8,
  float64,
  complex128,
  uint64,
  resource,
  variant,
  uint32,
  uint16,
  int4
};
constexpr int kTypes = 18;

const char* name_of(Type type);

// Bytes of one value; 0 for types that are not stored as plain arrays.
size_t size_of(Type type);

// The name of a builtin operator, nullptr for an unknown code.
const char* operator_name(int32_t code);
bool is_operator_name(const std::string& name);
constexpr int32_t kCustom = 32;

}  // namespace bnn_exit
