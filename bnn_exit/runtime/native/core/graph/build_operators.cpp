// Operators become runners: alone, as part of a layer's group, or already done when all they read is constant.
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
  Build build(op, shop_);
  connect(instance, build);
  append(Kind::kOperator);
  bool constant = std::all_of(build.in.begin(), build.in.end(), [](Value* value) { return !value || value->constant; });
  if (constant || !build_grouped(instance, build)) build_alone(build, constant || op.name == "SHAPE");
  check_result(instance);
  shop_.count_work(kOperatorSteps);
  ++instance.next;
}

// The newest group first: it may run at this operator's place without waiting for others.
bool Network::absorb(Instance& instance, Build& build) {
  if (build.in.size() > 2) return false;
  std::vector<size_t> candidates;
  for (int32_t input : build.op.inputs) {
    size_t number = input < 0 ? 0 : instance.group_of[static_cast<size_t>(input)];
    if (number && instance.groups[number - 1].current == instance.values[static_cast<size_t>(input)]) candidates.push_back(number);
  }
  std::sort(candidates.rbegin(), candidates.rend());
  for (size_t number : candidates) {
    Group& group = instance.groups[number - 1];
    Value* before = group.current;
    if (!group.absorb(build)) continue;
    group.names += " + " + build.op.name;
    if (group.current == before) {  // signs, which the group packs even before the operator's own place in the list
      --group.uses;
      return true;
    }
    size_t output = static_cast<size_t>(build.op.outputs[0]);
    group.node = nodes_.size() - 1;
    group.uses = instance.uses[output];
    instance.group_of[output] = number;
    return true;
  }
  return false;
}

bool Network::build_grouped(Instance& instance, Build& build) {
  const OperatorInfo& op = build.op;
  if (absorb(instance, build)) return true;
  Group group;
  if (LayerBuilder builder = find_layer_builder(op.name)) {
    group.layer = builder(build);
    group.current = &build.output();
    group.tail.items = std::move(group.layer->items);
    for (Value* value : build.in) {
      if (value && !value->constant) group.reads.push_back(value);
    }
  } else if (!start_pointwise(build, group)) {
    return false;
  }
  group.node = nodes_.size() - 1;
  group.names = op.name;
  group.scratch = build.scratch;
  if (group.tail.bits) {
    // Signs alone: the result is the input, which others may extend.
    group.layer->takes_tail = false;
    group.current = nullptr;
    group.uses = 0;
  } else {
    size_t output = static_cast<size_t>(op.outputs[0]);
    group.uses = instance.uses[output];
    instance.group_of[output] = instance.groups.size() + 1;
  }
  instance.groups.push_back(std::move(group));
  return true;
}

void Network::build_alone(Build& build, bool fold) {
  Node& node = nodes_.back();
  // A constant gets its memory now, before later operators have said what borders they need.
  if (fold) std::for_each(build.out.begin(), build.out.end(), [](Value* value) { value->use_file_layout(); });
  if (LayerBuilder builder = find_layer_builder(build.op.name)) {
    std::unique_ptr<Layer> layer = builder(build);
    Tail tail;
    tail.items = layer->items;
    tail.values = &build.output();
    node.runner = layer->finish(std::move(tail));
  } else {
    node.runner = find_builder(build.op.name)(build);
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
  // All is known: the result becomes a constant now, and there is nothing left to run.
  for (Value* value : build.out) {
    value->constant = true;
    value->data = value->same_as ? value->root()->data : shop_.allocate(value->bytes());
  }
  for (Value* value : build.scratch) value->data = shop_.allocate(value->bytes());
  if (node.runner) {
    node.runner->bind();
    node.runner->run();
    node.runner = nullptr;
  }
}

void Network::check_result(Instance& instance) {
  const OperatorInfo& op = instance.graph->operators[instance.next];
  for (int32_t output : op.outputs) {
    const TensorInfo& tensor = instance.graph->tensors[static_cast<size_t>(output)];
    const Value& value = *instance.values[static_cast<size_t>(output)];
    if (value.type != tensor.type || (value.shape != tensor.shape && !tensor.dynamic)) {
      damaged("an output of %s is %s %s, but must be %s %s", op.name.c_str(), name_of(value.type), to_text(value.shape).c_str(),
              name_of(tensor.type), to_text(tensor.shape).c_str());
    }
  }
}

}  // namespace bnn_exit
