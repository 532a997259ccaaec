// Turns subgraphs into nodes, once for each use. Branches are built without recursion, because the stack of the caller
// may be small.
#include <algorithm>

#include "graph/check.h"
#include "graph/network.h"
#include "ops/operators.h"

namespace bnn_exit {
namespace {

constexpr size_t kMaxOperators = 1 << 16;  // of all branches together
constexpr size_t kMaxParts = 1 << 22;      // operators, tensors, and references to them

size_t parts_of(const Subgraph& graph) {
  size_t count = 1 + graph.tensors.size() + graph.inputs.size() + graph.outputs.size();
  for (const OperatorInfo& op : graph.operators) count += 1 + op.inputs.size() + op.outputs.size();
  return count;
}

// Copies the results of a branch to those of its IF.
class CopyResults : public Operation {
 public:
  CopyResults(std::vector<Value*> from, std::vector<Value*> to) : from_(std::move(from)), to_(std::move(to)) {}
  void execute() override {
    for (size_t i = 0; i < from_.size(); ++i) {
      if (from_[i]->bytes()) std::memcpy(to_[i]->data, from_[i]->data, from_[i]->bytes());
    }
  }

 private:
  std::vector<Value*> from_, to_;
};

}  // namespace

std::vector<Value*> Network::build(const std::vector<Value*>& arguments) {
  std::vector<std::unique_ptr<Instance>> open;  // each in a branch of the one before
  open.push_back(start_subgraph(0, arguments));
  for (;;) {
    Instance& instance = *open.back();
    if (instance.next < instance.graph->operators.size()) {
      if (instance.graph->operators[instance.next].name == "IF") {
        open.push_back(start_if(instance));
      } else {
        build_operator(instance);
      }
      continue;
    }
    std::vector<Value*> results = end_subgraph(instance);
    open.pop_back();
    if (open.empty()) return results;
    if (std::unique_ptr<Instance> other = end_branch(*open.back(), std::move(results)))
      open.push_back(std::move(other));
  }
}

std::unique_ptr<Network::Instance> Network::start_subgraph(size_t subgraph, const std::vector<Value*>& arguments) {
  auto instance = std::make_unique<Instance>();
  instance->graph = &model_.subgraphs[subgraph];
  operators_ += instance->graph->operators.size() + 1;
  parts_ += parts_of(*instance->graph);
  if (operators_ > kMaxOperators) damaged("it unfolds into more than %zu steps", kMaxOperators);
  if (parts_ > kMaxParts) damaged("it unfolds into more than %zu parts", kMaxParts);
  make_values(*instance, arguments);
  lay_out_bits(*instance);
  return instance;
}

std::vector<Value*> Network::end_subgraph(Instance& instance) {
  for (Fusion& fusion : instance.fusions) {
    if (!fusion.layer) continue;
    Node& node = nodes_[fusion.node];
    node.reads = std::move(fusion.reads);
    node.scratch = std::move(fusion.scratch);
    if (fusion.epilogue.bits) node.writes.push_back(fusion.epilogue.bits);
    if (fusion.current && (fusion.uses > 0 || !fusion.epilogue.bits)) node.writes.push_back(fusion.current);
    node.text = std::move(fusion.names);
    node.operation = fusion.make();
  }
  std::vector<Value*> results;
  for (int32_t index : instance.graph->outputs) {
    results.push_back(instance.values[static_cast<size_t>(index)]);
    if (results.back()->bits) broken("a result holds bits in the kernels' layout");
  }
  return results;
}

std::unique_ptr<Network::Instance> Network::start_if(Instance& instance) {
  Build build(instance.graph->operators[instance.next], context_);
  connect(instance, build);
  Value& condition = build.input(0, Type::boolean);
  if (condition.count() < 1) build.refuse("its condition is empty");
  Node& node = append(Kind::kIf);
  node.reads = {&condition};
  node.text = "IF";
  instance.node_of_if = nodes_.size() - 1;
  return start_branch(instance, "then_subgraph_index");
}

std::unique_ptr<Network::Instance> Network::start_branch(Instance& instance, const char* side) {
  const OperatorInfo& op = instance.graph->operators[instance.next];
  std::vector<Value*> arguments;
  for (size_t i = 1; i < op.inputs.size(); ++i) arguments.push_back(instance.values[static_cast<size_t>(op.inputs[i])]);
  return start_subgraph(static_cast<size_t>(op.options.integer(side)), arguments);
}

std::unique_ptr<Network::Instance> Network::end_branch(Instance& instance, std::vector<Value*> results) {
  Build build(instance.graph->operators[instance.next], context_);
  connect(instance, build);
  const bool first = !nodes_[instance.node_of_if].otherwise;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!first && (results[i]->type != build.out[i]->type || results[i]->shape != build.out[i]->shape)) {
      unsupported("the branches of an IF give results of different shapes, which the native backend does not run");
    }
    build.result(i, results[i]->type, results[i]->shape);
  }
  Node& node = append(first ? Kind::kEndOfThen : Kind::kEndOfElse);
  node.reads = results;
  node.writes = build.out;
  node.operation = std::make_unique<CopyResults>(std::move(results), build.out);
  context_.budget.count_operations(kOperatorSteps);
  for (const Value* value : build.out) context_.budget.count_operations(value->bytes());
  if (first) {
    instance.end_of_then = nodes_.size() - 1;
    nodes_[instance.node_of_if].otherwise = nodes_.size();
    return start_branch(instance, "else_subgraph_index");
  }
  nodes_[instance.end_of_then].next = nodes_.size();
  check_result(instance);
  ++instance.next;
  return nullptr;
}

Value* Network::make_constant(const TensorInfo& tensor) {
  Value* value = context_.make_value();
  value->type = tensor.type;
  value->shape = tensor.shape;
  value->constant = true;
  size_t alignment = std::max<size_t>(size_of(tensor.type), 1);
  bool aligned = reinterpret_cast<uintptr_t>(tensor.data.data) % alignment == 0;
  value->data = const_cast<uint8_t*>(tensor.data.data);
  if (!tensor.data.size || !aligned || tensor.type == Type::boolean) {
    value->data = context_.allocate(value->bytes());
    if (tensor.data.size) value->assign(tensor.data.data);
  }
  return value;
}

void Network::make_values(Instance& instance, const std::vector<Value*>& arguments) {
  const Subgraph& graph = *instance.graph;
  instance.values.resize(graph.tensors.size());
  instance.uses.resize(graph.tensors.size());
  instance.fusion_of.resize(graph.tensors.size());
  std::vector<bool> written(graph.tensors.size());
  for (const OperatorInfo& op : graph.operators) {
    for (int32_t index : op.inputs) {
      if (index >= 0) ++instance.uses[static_cast<size_t>(index)];
    }
    for (int32_t index : op.outputs) written[static_cast<size_t>(index)] = true;
  }
  for (int32_t index : graph.outputs) ++instance.uses[static_cast<size_t>(index)];
  for (size_t i = 0; i < arguments.size(); ++i) {
    size_t index = static_cast<size_t>(graph.inputs[i]);
    const TensorInfo& tensor = graph.tensors[index];
    if (!arguments[i]->matches(tensor)) {
      damaged("an input of subgraph '%s' is %s %s, but must be %s %s", graph.name.c_str(), name_of(arguments[i]->type),
              to_text(arguments[i]->shape).c_str(), name_of(tensor.type), to_text(tensor.shape).c_str());
    }
    instance.values[index] = arguments[i];
  }
  context_.budget.count_bytes(graph.tensors.size() * sizeof(Value));
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    const TensorInfo& tensor = graph.tensors[i];
    if (instance.values[i]) continue;
    if (is_constant(tensor, written[i])) {
      instance.values[i] = make_constant(tensor);
      continue;
    }
    Value* value = instance.values[i] = context_.make_value();
    value->type = tensor.type;
    value->shape = tensor.shape;
  }
}

// Gives bits the kernels' layout if only LCE's operators write and read them.
void Network::lay_out_bits(Instance& instance) {
  const Subgraph& graph = *instance.graph;
  std::vector<int64_t> readers(graph.tensors.size());
  for (const OperatorInfo& op : graph.operators) {
    if (reads_bits(op) && !op.inputs.empty() && op.inputs[0] >= 0) ++readers[static_cast<size_t>(op.inputs[0])];
  }
  for (const OperatorInfo& op : graph.operators) {
    if (!writes_bits(op) || op.outputs.size() != 1 || op.inputs.empty() || op.inputs[0] < 0) continue;
    size_t index = static_cast<size_t>(op.outputs[0]);
    Value& value = *instance.values[index];
    if (value.type != Type::int32 || graph.tensors[index].shape.size() != 4) continue;
    if (!readers[index] || readers[index] != instance.uses[index]) continue;
    value.bits = std::make_unique<BitLayout>();
    value.own_memory = true;
  }
}

}  // namespace bnn_exit
