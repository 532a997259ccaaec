// Turns operators into operations: alone, in a fusion, or executed now if all inputs are constant.
#include <algorithm>

#include "graph/network.h"
#include "ops/operators.h"

namespace bnn_exit {

Network::Node& Network::append(Kind kind) {
  nodes_.emplace_back();
  nodes_.back().kind = kind;
  nodes_.back().next = nodes_.size();
  return nodes_.back();
}

void Network::connect(Instance& instance, Build& build) {
  for (int32_t input : build.op.inputs) {
    build.in.push_back(input < 0 ? nullptr : instance.values[static_cast<size_t>(input)]);
    if (build.in.back() && build.in.back()->bits && (build.in.size() > 1 || !reads_bits(build.op))) {
      broken("an operator reads bits in the kernels' layout");
    }
  }
  for (int32_t output : build.op.outputs) build.out.push_back(instance.values[static_cast<size_t>(output)]);
}

void Network::build_operator(Instance& instance) {
  const OperatorInfo& op = instance.graph->operators[instance.next];
  Build build(op, context_);
  connect(instance, build);
  append(Kind::kOperator);
  bool constant = std::all_of(build.in.begin(), build.in.end(), [](Value* value) { return !value || value->constant; });
  if (constant || !build_fused(instance, build)) build_alone(build, constant || op.name == "SHAPE");
  check_result(instance);
  context_.budget.count_operations(kOperatorSteps);
  ++instance.next;
}

// Tries the newest fusion first: it can be executed at this operator's position, after all others.
bool Network::absorb(Instance& instance, Build& build) {
  if (build.in.size() > 2) return false;
  std::vector<size_t> candidates;
  for (int32_t input : build.op.inputs) {
    size_t number = input < 0 ? 0 : instance.fusion_of[static_cast<size_t>(input)];
    if (number && instance.fusions[number - 1].current == instance.values[static_cast<size_t>(input)])
      candidates.push_back(number);
  }
  std::sort(candidates.rbegin(), candidates.rend());
  for (size_t number : candidates) {
    Fusion& fusion = instance.fusions[number - 1];
    Value* before = fusion.current;
    if (!fusion.absorb(build)) continue;
    fusion.names += " + " + build.op.name;
    if (fusion.current == before) {  // signs: the fusion stays where it is and packs them earlier than the file does
      --fusion.uses;
      return true;
    }
    size_t output = static_cast<size_t>(build.op.outputs[0]);
    fusion.node = nodes_.size() - 1;
    fusion.uses = instance.uses[output];
    instance.fusion_of[output] = number;
    return true;
  }
  return false;
}

// A fusion that only brings the layer's input into a range becomes a part of the layer; its names, for the plan.
std::string Network::dissolve(Instance& instance, Build& build, Layer& layer) {
  size_t number = build.op.inputs[0] < 0 ? 0 : instance.fusion_of[static_cast<size_t>(build.op.inputs[0])];
  if (!number) return "";
  Fusion& before = instance.fusions[number - 1];
  if (before.current != build.in[0] || !before.dissolve(layer)) return "";
  build.in[0] = before.source;
  return before.names + " + ";
}

bool Network::build_fused(Instance& instance, Build& build) {
  const OperatorInfo& op = build.op;
  if (absorb(instance, build)) return true;
  Fusion fusion;
  if (LayerBuilder builder = find_layer_builder(op.name)) {
    fusion.layer = builder(build);
    fusion.current = &build.output();
    fusion.epilogue.steps = std::move(fusion.layer->steps);
    fusion.names = dissolve(instance, build, *fusion.layer);
    for (Value* value : build.in) {
      if (value && !value->constant) fusion.reads.push_back(value);
    }
  } else if (!start_pointwise(build, fusion)) {
    return false;
  }
  fusion.node = nodes_.size() - 1;
  fusion.names += op.name;
  fusion.scratch = build.scratch;
  if (fusion.epilogue.bits) {
    // Only signs are stored: there is no float result that later operators could be fused to.
    fusion.layer->fusible = false;
    fusion.current = nullptr;
    fusion.uses = 0;
  } else {
    size_t output = static_cast<size_t>(op.outputs[0]);
    fusion.uses = instance.uses[output];
    instance.fusion_of[output] = instance.fusions.size() + 1;
  }
  instance.fusions.push_back(std::move(fusion));
  return true;
}

void Network::build_alone(Build& build, bool fold) {
  Node& node = nodes_.back();
  // A constant gets its memory now, before later operators could widen its border.
  if (fold) std::for_each(build.out.begin(), build.out.end(), [](Value* value) { value->use_file_layout(); });
  if (LayerBuilder builder = find_layer_builder(build.op.name)) {
    std::unique_ptr<Layer> layer = builder(build);
    Epilogue epilogue;
    epilogue.steps = layer->steps;
    epilogue.values = &build.output();
    node.operation = layer->with_epilogue(std::move(epilogue));
  } else {
    node.operation = find_builder(build.op.name)(build);
  }
  if (!fold) {
    for (Value* value : build.in) {
      if (value) node.reads.push_back(value);
    }
    node.writes = build.out;
    node.scratch = build.scratch;
    node.text = build.op.name;
    return;
  }
  // All inputs are constant: execute it now, and make the result a constant.
  for (Value* value : build.out) {
    value->constant = true;
    value->data = value->same_as ? value->root()->data : context_.allocate(value->bytes());
  }
  for (Value* value : build.scratch) value->data = context_.allocate(value->bytes());
  if (node.operation) {
    node.operation->bind();
    node.operation->execute();
    node.operation = nullptr;
  }
}

void Network::check_result(Instance& instance) {
  const OperatorInfo& op = instance.graph->operators[instance.next];
  for (int32_t output : op.outputs) {
    const TensorInfo& tensor = instance.graph->tensors[static_cast<size_t>(output)];
    const Value& value = *instance.values[static_cast<size_t>(output)];
    if (!value.matches(tensor)) {
      damaged("an output of %s is %s %s, but must be %s %s", op.name.c_str(), name_of(value.type),
              to_text(value.shape).c_str(), name_of(tensor.type), to_text(tensor.shape).c_str());
    }
  }
}

}  // namespace bnn_exit
