#include "network.h"

#include <algorithm>
#include <set>

#include "operators.h"

namespace bnn_exit {
namespace {

constexpr uint64_t kDefaultBytes = uint64_t{256} << 20;
constexpr uint64_t kDefaultWork = uint64_t{1} << 35;
constexpr size_t kMaxOperators = 1 << 16;  // of all branches together

Bytes copy_file(Workshop& shop, const void* file, size_t size) {
  uint64_t before = shop.bytes;
  shop.max_bytes += size;
  auto* copy = static_cast<uint8_t*>(shop.allocate(size));
  std::memcpy(copy, file, size);
  shop.max_bytes -= size;
  shop.bytes = before;
  return {copy, size};
}

std::string port_name(const Model& model, uint32_t tensor, bool output) {
  for (const Signature& signature : model.signatures) {
    if (signature.subgraph != 0) continue;
    for (const auto& [name, index] : output ? signature.outputs : signature.inputs) {
      if (index == tensor) return name;
    }
  }
  return model.subgraphs[0].tensors[tensor].name;
}

void copy_values(void* to, const void* from, const Value& value) {
  if (value.type != Type::boolean) {
    std::memcpy(to, from, value.bytes());
    return;
  }
  for (size_t i = 0; i < value.bytes(); ++i) static_cast<uint8_t*>(to)[i] = static_cast<const uint8_t*>(from)[i] != 0;
}

}  // namespace

Network::Network(const void* file, size_t size, const bnn_exit_settings& settings, const Kernels& kernels)
    : workers_(settings.threads ? settings.threads : 1),
      shop_{kernels, {}, {}, 0, settings.max_bytes ? settings.max_bytes : kDefaultBytes, 0,
            settings.max_operations ? settings.max_operations : kDefaultWork, workers_},
      file_(copy_file(shop_, file, size)), model_(read_model(file_)) {
  const Subgraph& graph = model_.subgraphs[0];
  std::vector<Value*> arguments;
  for (int32_t index : graph.inputs) {
    const TensorInfo& tensor = graph.tensors[static_cast<size_t>(index)];
    if (!size_of(tensor.type)) unsupported("input '%s' is %s, which this library does not take", tensor.name.c_str(), name_of(tensor.type));
    Value* value = shop_.make_value();
    value->type = tensor.type;
    value->shape = tensor.shape;
    value->born = 0;
    arguments.push_back(value);
    inputs_.push_back({port_name(model_, static_cast<uint32_t>(index), false), value});
  }
  main_ = build(0, arguments);
  for (size_t i = 0; i < main_->results.size(); ++i) {
    outputs_.push_back({port_name(model_, static_cast<uint32_t>(graph.outputs[i]), true), main_->results[i]});
  }
  int64_t time = 1;
  assign_times(*main_, time);
  for (const Port& port : outputs_) port.value->root()->dies = time;
  place();
  bind(*main_);
  describe(*main_, "");
}

void Network::count(uint64_t bytes, uint64_t operations) {
  shop_.count_bytes(bytes);
  shop_.count_work(operations);
}

const Bytes* Network::metadata(const std::string& name) const {
  for (const auto& [known, bytes] : model_.metadata) {
    if (known == name) return &bytes;
  }
  return nullptr;
}

void Network::run(const void* const* inputs, void* const* outputs) {
  Turn turn(turns_, "network");
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Value& value = *inputs_[i].value;
    if (value.bytes()) copy_values(value.data, inputs[i], value);
  }
  workers_.begin();
  run(*main_);
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Value& value = *outputs_[i].value;
    if (outputs[i] && value.bytes()) std::memcpy(outputs[i], value.data, value.bytes());
  }
}

void Network::run(Instance& instance) {
  for (Node& node : instance.nodes) {
    if (node.runner) node.runner->run();
    if (!node.then_branch) continue;
    Instance& branch = *node.reads[0]->as<const bool>() ? *node.then_branch : *node.else_branch;
    run(branch);
    for (size_t i = 0; i < node.writes.size(); ++i) {
      const Value& from = *branch.results[i];
      if (from.bytes()) std::memcpy(node.writes[i]->data, from.data, from.bytes());
    }
  }
}

std::unique_ptr<Network::Instance> Network::build(size_t subgraph, const std::vector<Value*>& arguments) {
  if (std::find(path_.begin(), path_.end(), subgraph) != path_.end()) damaged("subgraph %zu runs itself", subgraph);
  path_.push_back(subgraph);
  auto instance = std::make_unique<Instance>();
  instance->graph = &model_.subgraphs[subgraph];
  operators_ += instance->graph->operators.size() + 1;
  if (operators_ > kMaxOperators) damaged("it unfolds into more than %zu steps", kMaxOperators);
  make_values(*instance, arguments);
  lay_out_bits(*instance);
  instance->nodes.resize(instance->graph->operators.size());
  for (size_t index = 0; index < instance->graph->operators.size(); ++index) build_operator(*instance, index);
  close_groups(*instance);
  for (int32_t index : instance->graph->outputs) {
    if (!instance->known[static_cast<size_t>(index)]) damaged("an output of subgraph %zu is never written", subgraph);
    instance->results.push_back(instance->values[static_cast<size_t>(index)]);
  }
  path_.pop_back();
  return instance;
}

Value* Network::make_constant(const TensorInfo& tensor) {
  Value* value = shop_.make_value();
  value->type = tensor.type;
  value->shape = tensor.shape;
  value->constant = true;
  size_t alignment = std::max<size_t>(size_of(tensor.type), 1);
  bool aligned = reinterpret_cast<uintptr_t>(tensor.data.data) % alignment == 0;
  value->data = const_cast<uint8_t*>(tensor.data.data);
  if (!tensor.data.size || !aligned || tensor.type == Type::boolean) {
    value->data = shop_.allocate(value->bytes());
    if (tensor.data.size) copy_values(value->data, tensor.data.data, *value);
  }
  return value;
}

void Network::make_values(Instance& instance, const std::vector<Value*>& arguments) {
  const Subgraph& graph = *instance.graph;
  instance.values.resize(graph.tensors.size());
  instance.uses.resize(graph.tensors.size());
  instance.known.resize(graph.tensors.size());
  std::vector<bool> written(graph.tensors.size());
  for (const OperatorInfo& op : graph.operators) {
    for (int32_t index : op.inputs) {
      if (index >= 0) ++instance.uses[static_cast<size_t>(index)];
    }
    for (int32_t index : op.outputs) written[static_cast<size_t>(index)] = true;
  }
  for (int32_t index : graph.outputs) ++instance.uses[static_cast<size_t>(index)];
  shop_.count_bytes(graph.tensors.size() * sizeof(Value));
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    const TensorInfo& tensor = graph.tensors[i];
    if (tensor.quantized || tensor.variable) {
      unsupported("tensor '%s' is %s, which the native backend does not run", tensor.name.c_str(), tensor.quantized ? "quantized" : "a variable");
    }
    // Without values there is nothing to tell a constant from a result; what is written is a result.
    bool empty = elements(tensor.shape) == 0 && !written[i];
    if (size_of(tensor.type) && (tensor.data.size || empty)) {
      instance.values[i] = make_constant(tensor);
      instance.known[i] = true;
    }
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    size_t index = static_cast<size_t>(graph.inputs[i]);
    const TensorInfo& tensor = graph.tensors[index];
    if (arguments[i]->type != tensor.type || (arguments[i]->shape != tensor.shape && !tensor.dynamic)) {
      damaged("an input of subgraph '%s' is %s %s, but must be %s %s", graph.name.c_str(), name_of(arguments[i]->type),
              to_text(arguments[i]->shape).c_str(), name_of(tensor.type), to_text(tensor.shape).c_str());
    }
    instance.values[index] = arguments[i];
    instance.known[index] = true;
  }
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    if (instance.values[i]) continue;
    Value* value = instance.values[i] = shop_.make_value();
    value->type = graph.tensors[i].type;
    value->shape = graph.tensors[i].shape;
  }
}

// Bits that only LCE's operators write and read are kept as the kernels take them.
void Network::lay_out_bits(Instance& instance) {
  const Subgraph& graph = *instance.graph;
  std::vector<int64_t> readers(graph.tensors.size());
  for (const OperatorInfo& op : graph.operators) {
    bool reads_bits = op.name == "LceBconv2d" || op.name == "LceBMaxPool2d" || op.name == "LceDequantize";
    if (reads_bits && !op.inputs.empty() && op.inputs[0] >= 0) ++readers[static_cast<size_t>(op.inputs[0])];
  }
  for (const OperatorInfo& op : graph.operators) {
    bool writes_bits = op.name == "LceBconv2d" || op.name == "LceBMaxPool2d" || op.name == "LceQuantize";
    if (!writes_bits || op.outputs.size() != 1 || op.inputs.empty() || op.inputs[0] < 0) continue;
    size_t index = static_cast<size_t>(op.outputs[0]);
    const Value& source = *instance.values[static_cast<size_t>(op.inputs[0])];
    Value& value = *instance.values[index];
    if (source.constant || instance.known[index] || value.type != Type::int32 || graph.tensors[index].shape.size() != 4) continue;
    if (!readers[index] || readers[index] != instance.uses[index]) continue;
    value.bits = std::make_unique<BitLayout>();
    value.kept = true;
  }
}

void Network::check_result(Instance& instance, size_t index) {
  const OperatorInfo& op = instance.graph->operators[index];
  for (int32_t output : op.outputs) {
    const TensorInfo& tensor = instance.graph->tensors[static_cast<size_t>(output)];
    const Value& value = *instance.values[static_cast<size_t>(output)];
    if (value.type != tensor.type || (value.shape != tensor.shape && !tensor.dynamic)) {
      damaged("an output of %s is %s %s, but must be %s %s", op.name.c_str(), name_of(value.type), to_text(value.shape).c_str(),
              name_of(tensor.type), to_text(tensor.shape).c_str());
    }
    instance.known[static_cast<size_t>(output)] = true;
  }
}

}  // namespace bnn_exit
