// The operators: a list for each file, and the look-up of a name in all of them.
#pragma once

#include <string>
#include <vector>

#include "ops/build.h"

namespace bnn_exit {

struct NamedBuilder {
  const char* name;
  Builder builder;
};

struct NamedLayerBuilder {
  const char* name;
  LayerBuilder builder;
};

const std::vector<NamedBuilder>& arithmetic_operators();  // on two values
const std::vector<NamedBuilder>& unary_operators();       // on one value
const std::vector<NamedBuilder>& selection_operators();   // select, cast, arg max
const std::vector<NamedBuilder>& move_operators();        // reshape, transpose
const std::vector<NamedBuilder>& slice_operators();       // split, slice
const std::vector<NamedBuilder>& space_operators();       // pad, tile, space to batch
const std::vector<NamedBuilder>& join_operators();        // concatenate, gather, fill
const std::vector<NamedBuilder>& reduction_operators();
const std::vector<NamedBuilder>& spectrum_operators();
const std::vector<NamedBuilder>& packing_operators();  // LCE's operators on bits
const std::vector<NamedLayerBuilder>& float_layers();
const std::vector<NamedLayerBuilder>& binary_layers();

// Whether an operator takes bits in the kernels' layout as its first input, or gives them as its result.
bool reads_bits(const OperatorInfo& op);
bool writes_bits(const OperatorInfo& op);

// nullptr if there is none.
Builder find_builder(const std::string& name);
LayerBuilder find_layer_builder(const std::string& name);

}  // namespace bnn_exit
