// The operators, a list for each file; network.cpp looks names up in all of them.
#pragma once

#include <vector>

#include "build.h"

namespace bnn_exit {

struct NamedBuilder {
  const char* name;
  Builder builder;
};

struct NamedLayerBuilder {
  const char* name;
  LayerBuilder builder;
};

const std::vector<NamedBuilder>& arithmetic_operators();   // two values
const std::vector<NamedBuilder>& function_operators();     // one value
const std::vector<NamedBuilder>& choice_operators();       // select, cast, arg max
const std::vector<NamedBuilder>& move_operators();         // values go elsewhere, unchanged
const std::vector<NamedBuilder>& slice_operators();        // parts of a value
const std::vector<NamedBuilder>& space_operators();        // margins, copies, space as batch
const std::vector<NamedBuilder>& join_operators();         // concatenate, gather, fill
const std::vector<NamedBuilder>& reduction_operators();
const std::vector<NamedBuilder>& spectrum_operators();
const std::vector<NamedBuilder>& packing_operators();      // LCE's operators on bits
const std::vector<NamedLayerBuilder>& float_layers();
const std::vector<NamedLayerBuilder>& binary_layers();

}  // namespace bnn_exit
