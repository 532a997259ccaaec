// How many inputs and outputs each operator has, checked once when a file is read.
#pragma once

#include "format/model.h"

namespace bnn_exit {

// Raises Error if an operator has too few or too many. Operators that this library lacks may have any number.
void check_arity(const OperatorInfo& op);

}  // namespace bnn_exit
