// Operators become runners: alone, as part of a layer's group, or already done when all they read is constant.
#include <algorithm>

#include "network.h"
#include "operators.h"

namespace bnn_exit {

Builder find_builder(const std::string& name) {
  for (const auto* list : {&arithmetic_operators(), &function_operators(), &choice_operators(), &move_operators(), &slice_operators(),
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

void Network::build_operator(Instance& instance, size_t index) {
  const OperatorInfo& op = instance.graph->operators[index];
  Build build(op, shop_);
  bool constant = true;
  for (int32_t input : op.inputs) {
    if (input >= 0 && !instance.known[static_cast<size_t>(input)]) damaged("%s reads what no earlier step writes", op.name.c_str());
    build.in.push_back(input < 0 ? nullptr : instance.values[static_cast<size_t>(input)]);
    constant &= input < 0 || build.in.back()->constant;
  }
  for (int32_t output : op.outputs) {
    Value* value = instance.values[static_cast<size_t>(output)];
    bool twice = std::find(build.out.begin(), build.out.end(), value) != build.out.end();
    if (twice || instance.known[static_cast<size_t>(output)]) damaged("%s writes what is already there", op.name.c_str());
    build.out.push_back(value);
  }
  if (op.name == "IF") {
    build_if(instance, index, build);
  } else if (!find_builder(op.name) && !find_layer_builder(op.name)) {
    unsupported("the native backend lacks the operator %s, which subgraph %zu (%s) uses: choose another backend, or export the "
                "model without it", op.name.c_str(), path_.back(), instance.graph->name.empty() ? "unnamed" : instance.graph->name.c_str());
  } else if (constant || !build_grouped(instance, index, build)) {
    build_alone(instance, index, build, constant || op.name == "SHAPE");
  }
  check_result(instance, index);
  shop_.count_work(build.work + 1);
}

bool Network::build_grouped(Instance& instance, size_t index, Build& build) {
  const OperatorInfo& op = build.op;
  auto adopt = [&](Group& group, bool new_result) {
    if (new_result) {
      group.slot = index;
      group.uses = op.outputs.size() == 1 ? instance.uses[static_cast<size_t>(op.outputs[0])] : 1;
    } else {
      --group.uses;
    }
    group.names += (group.names.empty() ? "" : " + ") + op.name;
    // Signs are packed by the group, even before the operator's own place in the list.
    Node& node = instance.nodes[group.slot];
    node.scratch.insert(node.scratch.end(), build.scratch.begin(), build.scratch.end());
  };
  for (auto group = instance.groups.rbegin(); group != instance.groups.rend(); ++group) {
    if (std::find(build.in.begin(), build.in.end(), group->current) == build.in.end()) continue;
    Value* before = group->current;
    size_t slot = group->slot;
    if (!group->absorb(build)) continue;
    adopt(*group, group->current != before);
    if (group->slot != slot) instance.nodes[slot].scratch.swap(instance.nodes[group->slot].scratch);
    return true;
  }
  Group group;
  if (LayerBuilder builder = find_layer_builder(op.name)) {
    group.layer = builder(build);
    group.current = build.out.empty() ? nullptr : build.out[0];
    group.tail.items = std::move(group.layer->items);
    for (Value* value : build.in) {
      if (value && !value->constant) group.reads.push_back(value);
    }
    adopt(group, true);
  } else if (start_pointwise(build, group)) {
    bool new_result = op.name != "LceQuantize";
    group.slot = index;
    adopt(group, new_result);
    if (!new_result) group.layer->takes_tail = false;  // its float result is its input, which others may extend
    if (!new_result) group.current = nullptr;
  } else {
    return false;
  }
  instance.groups.push_back(std::move(group));
  return true;
}

void Network::close_groups(Instance& instance) {
  for (Group& group : instance.groups) {
    Node& node = instance.nodes[group.slot];
    node.reads = group.reads;
    if (group.tail.bits) node.writes.push_back(group.tail.bits);
    if (group.current && (group.uses > 0 || !group.tail.bits)) node.writes.push_back(group.current);
    node.text = group.names;
    node.runner = group.finish();
  }
  instance.groups.clear();
}

void Network::build_alone(Instance& instance, size_t index, Build& build, bool fold) {
  Node& node = instance.nodes[index];
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
  for (Value* value : build.in) {
    if (value) node.reads.push_back(value);
  }
  node.writes = build.out;
  node.scratch = build.scratch;
  node.text = build.op.name;
  if (!fold) return;
  // All is known: the result becomes a constant now, and there is nothing left to run.
  shop_.count_work(build.work);
  for (Value* value : build.out) {
    value->constant = true;
    value->data = value->same_as ? value->root()->data : shop_.allocate(value->bytes());
  }
  for (Value* value : build.scratch) value->data = shop_.allocate(value->bytes());
  if (node.runner) {
    node.runner->bind();
    node.runner->run();
  }
  node = Node();
}

void Network::build_if(Instance& instance, size_t index, Build& build) {
  const Options& options = build.op.options;
  int64_t choices[2] = {options.whole("then_subgraph_index"), options.whole("else_subgraph_index")};
  Value& condition = build.input(0, Type::boolean);
  if (condition.count() < 1) build.refuse("its condition is empty");
  std::vector<Value*> arguments(build.in.begin() + 1, build.in.end());
  if (std::find(arguments.begin(), arguments.end(), nullptr) != arguments.end()) damaged("an IF lacks an input");
  std::unique_ptr<Instance> branches[2];
  for (int side = 0; side < 2; ++side) {
    if (choices[side] < 0 || choices[side] >= static_cast<int64_t>(model_.subgraphs.size())) {
      damaged("a branch of an IF is number %lld of %zu", static_cast<long long>(choices[side]), model_.subgraphs.size());
    }
    const Subgraph& target = model_.subgraphs[static_cast<size_t>(choices[side])];
    if (target.inputs.size() != arguments.size() || target.outputs.size() != build.out.size()) {
      damaged("an IF does not fit its branch, subgraph %lld", static_cast<long long>(choices[side]));
    }
    branches[side] = this->build(static_cast<size_t>(choices[side]), arguments);
  }
  for (size_t i = 0; i < build.out.size(); ++i) {
    const Value &first = *branches[0]->results[i], &second = *branches[1]->results[i];
    if (first.type != second.type || first.shape != second.shape || first.bits || second.bits) {
      unsupported("the branches of an IF give results of different shapes, which the native backend does not run");
    }
    build.result(i, first.type, first.shape);
  }
  Node& node = instance.nodes[index];
  node.reads = {&condition};
  node.writes = build.out;
  node.then_branch = std::move(branches[0]);
  node.else_branch = std::move(branches[1]);
  node.text = "IF";
}

}  // namespace bnn_exit
