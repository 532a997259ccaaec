// What must hold of every subgraph of a file, whether an IF leads to it or not.
#pragma once

#include "format/model.h"

namespace bnn_exit {

// Raises Error if a tensor is read before it is written, written twice, or of a kind that is not run, if there is no such
// operator, or if an IF does not fit its branches, or leads in circles.
void check_graphs(const Model& model);

// Is its value in the file? Without values there is nothing to tell a constant from a result; what is written is a result.
bool is_constant(const TensorInfo& tensor, bool written);

}  // namespace bnn_exit
