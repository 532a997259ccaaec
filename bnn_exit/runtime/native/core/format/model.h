// The content of a TFLite file as plain structures, in which no index is out of range.
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

// The number of elements, or more than kMaxElements if a dimension is negative or the product of the dimensions that
// are not 0 is larger than that: strides and loops use these, even if there is no element.
int64_t elements(const Shape& shape);
// Whether a tensor may have the shape. Holds for shapes in a file and for all that operators compute.
bool allowed(const Shape& shape);
std::string to_text(const Shape& shape);

struct TensorInfo {
  std::string name;
  Shape shape;
  Type type;
  Bytes data;      // of a constant; empty for results and inputs
  bool quantized;  // holds scaled integers
  bool variable;   // keeps its value from one call to the next
  bool dynamic;    // some dimension is only known during an inference
};

struct OperatorInfo {
  std::string name;             // of a builtin ("CONV_2D") or of a custom operator ("LceBconv2d")
  std::vector<int32_t> inputs;  // indices of tensors; -1 stands for an optional input that is not given
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
  std::vector<std::pair<std::string, uint32_t>> inputs;  // name and index of a tensor
  std::vector<std::pair<std::string, uint32_t>> outputs;
};

// A whole file. Subgraph 0 is the main one; the others are the branches of its IF operators. Refers to the file's
// bytes.
struct Model {
  std::vector<Subgraph> subgraphs;
  std::vector<Signature> signatures;
  std::vector<std::pair<std::string, Bytes>> metadata;
};

// Raises Error if the bytes are no TFLite file, truncated, damaged, or hold an index out of range. Calls `claim` with
// the memory of each part of the model before it is allocated.
Model read_model(Bytes file, const std::function<void(uint64_t)>& claim = [](uint64_t) {});

}  // namespace bnn_exit
