// The network in a TFLite file as plain structures, checked so far that no index in them is out of range.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "format/options.h"
#include "format/schema.h"

namespace bnn_exit {

constexpr int64_t kMaxElements = int64_t{1} << 26;  // in one tensor
constexpr size_t kMaxDimensions = 8;
constexpr size_t kMaxSubgraphs = 256;

using Shape = std::vector<int64_t>;

// Their product, or more than kMaxElements if a dimension is negative or the product of those that are not 0 is larger
// than that: strides and loops are made of these, also where there is no value.
int64_t elements(const Shape& shape);
// May a tensor have it? Of the shapes in a file and of all that operators make of them.
bool allowed(const Shape& shape);
std::string to_text(const Shape& shape);

struct TensorInfo {
  std::string name;
  Shape shape;
  Type type;
  Bytes data;            // of a constant; empty if an operator or the caller provides the value
  bool quantized;        // holds scaled integers
  bool variable;         // keeps its value from one call to the next
  bool dynamic;          // some dimension is only known at run time
};

struct OperatorInfo {
  std::string name;      // of a builtin ("CONV_2D") or of a custom operator ("LceBconv2d")
  std::vector<int32_t> inputs;   // indices of tensors; -1 stands for an optional input that is not given
  std::vector<int32_t> outputs;
  Options options;
};

struct Subgraph {
  std::string name;
  std::vector<TensorInfo> tensors;
  std::vector<int32_t> inputs;
  std::vector<int32_t> outputs;
  std::vector<OperatorInfo> operators;
};

struct Signature {
  std::string name;
  uint32_t subgraph;
  std::vector<std::pair<std::string, uint32_t>> inputs;   // name and index of a tensor
  std::vector<std::pair<std::string, uint32_t>> outputs;
};

// A whole file. Subgraph 0 is the main one; the others are the branches of its IF operators. Refers to the file's bytes.
struct Model {
  std::vector<Subgraph> subgraphs;
  std::vector<Signature> signatures;
  std::vector<std::pair<std::string, Bytes>> metadata;
};

// Raises Error if the bytes are no TFLite file, truncated, damaged, or hold an index that leads nowhere. Calls `claim` with
// the bytes of memory that each part of the model takes, before it takes them.
Model read_model(Bytes file, const std::function<void(uint64_t)>& claim = [](uint64_t) {});

}  // namespace bnn_exit
