#include "ops/operators.h"

namespace bnn_exit {

Builder find_builder(const std::string& name) {
  for (const auto* list :
       {&arithmetic_operators(), &unary_operators(), &selection_operators(), &move_operators(), &slice_operators(),
        &space_operators(), &join_operators(), &reduction_operators(), &spectrum_operators(), &packing_operators()}) {
    for (const NamedBuilder& entry : *list) {
      if (name == entry.name) return entry.builder;
    }
  }
  return nullptr;
}

LayerBuilder find_layer_builder(const std::string& name) {
  for (const auto* list : {&float_layers(), &binary_layers()}) {
    for (const NamedLayerBuilder& entry : *list) {
      if (name == entry.name) return entry.builder;
    }
  }
  return nullptr;
}

bool reads_bits(const OperatorInfo& op) {
  return op.name == "LceBconv2d" || op.name == "LceBMaxPool2d" || op.name == "LceDequantize";
}
bool writes_bits(const OperatorInfo& op) {
  return op.name == "LceBconv2d" || op.name == "LceBMaxPool2d" || op.name == "LceQuantize";
}

}  // namespace bnn_exit
