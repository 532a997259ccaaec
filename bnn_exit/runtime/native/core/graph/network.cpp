#include "graph/network.h"

#include <unordered_map>

#include "graph/check.h"

namespace bnn_exit {
namespace {

constexpr uint64_t kDefaultBytes = uint64_t{256} << 20;
constexpr uint64_t kDefaultOperations = uint64_t{1} << 35;

Bytes copy_file(BuildContext& context, const void* file, size_t size) {
  auto* copy = static_cast<uint8_t*>(context.allocate_uncounted(size));  // not part of the limit
  std::memcpy(copy, file, size);
  return {copy, size};
}

// Booleans of a caller are normalized one by one.
uint64_t copy_steps(const Value& value) { return value.bytes() * (value.type == Type::boolean ? 4 : 1); }

// Names of inputs or outputs: from the signature, else those of the tensors.
class PortNames {
 public:
  PortNames(const Model& model, bool outputs) : graph_(model.subgraphs[0]) {
    for (const Signature& signature : model.signatures) {
      if (signature.subgraph != 0) continue;
      for (const auto& [name, tensor] : outputs ? signature.outputs : signature.inputs) names_.emplace(tensor, &name);
    }
  }
  const std::string& of(int32_t tensor) const {
    auto found = names_.find(static_cast<uint32_t>(tensor));
    return found == names_.end() ? graph_.tensors[static_cast<size_t>(tensor)].name : *found->second;
  }

 private:
  const Subgraph& graph_;
  std::unordered_map<uint32_t, const std::string*> names_;  // the first of several
};

}  // namespace

Network::Network(const void* file, size_t size, const bnn_exit_settings& settings, const Kernels& kernels)
    : workers_(settings.threads ? settings.threads : 1),
      context_{kernels,
               {settings.max_bytes ? settings.max_bytes : kDefaultBytes,
                settings.max_operations ? settings.max_operations : kDefaultOperations},
               workers_,
               {},
               {}},
      file_(copy_file(context_, file, size)),
      model_(read_model(file_, [this](uint64_t size) { context_.budget.count_bytes(size); })) {
  check_graphs(model_);
  const Subgraph& graph = model_.subgraphs[0];
  const PortNames input_names(model_, false), output_names(model_, true);
  std::vector<Value*> arguments;
  for (int32_t index : graph.inputs) {
    const TensorInfo& tensor = graph.tensors[static_cast<size_t>(index)];
    if (!size_of(tensor.type))
      unsupported("input '%s' is %s, which this library does not take", tensor.name.c_str(), name_of(tensor.type));
    Value* value = context_.make_value();
    value->type = tensor.type;
    value->shape = tensor.shape;
    context_.budget.count_operations(copy_steps(*value));
    arguments.push_back(value);
    inputs_.push_back({input_names.of(index), value});
  }
  std::vector<Value*> results = build(arguments);
  for (size_t i = 0; i < results.size(); ++i) outputs_.push_back({output_names.of(graph.outputs[i]), results[i]});
  find_lifetimes();
  for (const Port& port : outputs_) context_.budget.count_operations(copy_steps(*port.value));
  plan_memory();
  check_plan();
  for (Node& node : nodes_) {
    if (node.operation) node.operation->bind();
  }
  describe();
}

void Network::count(uint64_t bytes, uint64_t operations) {
  context_.budget.count_bytes(bytes);
  context_.budget.count_operations(operations);
}

const Bytes* Network::metadata(const std::string& name) const {
  for (const auto& [known, bytes] : model_.metadata) {
    if (known == name) return &bytes;
  }
  return nullptr;
}

void Network::infer(const void* const* inputs, void* const* outputs) {
  BusyGuard guard(busy_, "network");
  for (size_t i = 0; i < inputs_.size(); ++i) {
    Value& value = *inputs_[i].value;
    if (value.bytes()) value.assign(inputs[i]);
  }
  workers_.begin();
  for (size_t at = 0; at < nodes_.size();) {
    Node& node = nodes_[at];
    if (node.operation) node.operation->execute();
    bool skips = node.kind == Kind::kIf && !*node.reads[0]->as<const bool>();
    at = skips ? node.otherwise : node.next;
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Value& value = *outputs_[i].value;
    if (outputs[i] && value.bytes()) std::memcpy(outputs[i], value.data, value.bytes());
  }
}

}  // namespace bnn_exit
