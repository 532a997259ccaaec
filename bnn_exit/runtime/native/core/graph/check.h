// Checks every subgraph of a file, whether an IF refers to it or not.
#pragma once

#include "format/model.h"

namespace bnn_exit {

// Raises Error if a tensor is read before it is written, written twice, or of a kind that is not supported, if there is
// no such operator, or if an IF does not fit its branches, or branches refer to one another in a cycle.
void check_graphs(const Model& model);

// Whether its value is in the file. A tensor without elements is a constant unless an operator writes it.
bool is_constant(const TensorInfo& tensor, bool written);

}  // namespace bnn_exit
