#include "format/model.h"

#include <algorithm>

#include "error.h"
#include "format/arity.h"

namespace bnn_exit {
namespace {

template <typename T>
const T& pick(const std::vector<T>& items, int64_t index, const char* what) {
  if (index < 0 || index >= static_cast<int64_t>(items.size())) {
    damaged("%s is number %lld of %zu", what, static_cast<long long>(index), items.size());
  }
  return items[static_cast<size_t>(index)];
}

Bytes read_buffer(const Table& table) {
  // Offsets of 0 and 1 mean "inside the table"; others place the data after the flatbuffer (files above 2 GB).
  if (table.number<uint64_t>(1, 0) > 1) {
    unsupported("this TFLite file keeps its weights behind the flatbuffer, which bnn_exit does not read");
  }
  return table.bytes(0);
}

std::string read_code(const Table& table) {
  // Files from before 2020 hold the code in a single byte, the only field that old readers know.
  int32_t code = std::max<int32_t>(table.number<int8_t>(0, 0), table.number<int32_t>(3, 0));
  if (code == kCustom) {
    // From here on operators are identified by their names.
    std::string name = table.text(1);
    if (is_operator_name(name)) damaged("a custom operator is called %s, as a builtin one", name.c_str());
    return name;
  }
  const char* name = operator_name(code);
  return name ? name : "builtin operator " + std::to_string(code);
}

TensorInfo read_tensor(const Table& table, const std::vector<Bytes>& buffers) {
  TensorInfo tensor;
  tensor.name = table.text(3);
  for (int32_t size : table.int32s(0)) tensor.shape.push_back(size);
  int8_t type = table.number<int8_t>(1, 0);
  if (type < 0 || type >= kTypes) damaged("an element type is number %d of %d", type, kTypes);
  tensor.type = static_cast<Type>(type);
  if (!allowed(tensor.shape)) {
    damaged("tensor '%s' has the shape %s", tensor.name.c_str(), to_text(tensor.shape).c_str());
  }
  tensor.data = pick(buffers, table.number<uint32_t>(2, 0), "a buffer");
  size_t size = static_cast<size_t>(elements(tensor.shape)) * size_of(tensor.type);
  if (tensor.data.size && size_of(tensor.type) && size != tensor.data.size) {
    damaged("constant '%s' has %zu bytes, but its shape needs %zu", tensor.name.c_str(), tensor.data.size, size);
  }
  // A quantized tensor has scales.
  tensor.quantized = table.has(4) && !table.table(4).int32s(2).empty();
  tensor.variable = table.number<uint8_t>(5, 0) != 0;
  std::vector<int32_t> announced = table.int32s(7);
  tensor.dynamic = std::find(announced.begin(), announced.end(), -1) != announced.end();
  return tensor;
}

void check_indices(const std::vector<int32_t>& indices, const std::vector<TensorInfo>& tensors, const char* what,
                   bool optional = false) {
  for (int32_t index : indices) {
    if (!(optional && index == -1)) pick(tensors, index, what);
  }
}

Subgraph read_subgraph(const Table& table, const std::vector<Bytes>& buffers, const std::vector<std::string>& codes) {
  Subgraph subgraph;
  List tensors = table.tables(0), operators = table.tables(3);
  for (uint32_t i = 0; i < tensors.count; ++i)
    subgraph.tensors.push_back(read_tensor(table.table_at(tensors, i), buffers));
  subgraph.inputs = table.int32s(1);
  subgraph.outputs = table.int32s(2);
  subgraph.name = table.text(4);
  check_indices(subgraph.inputs, subgraph.tensors, "an input of a subgraph");
  check_indices(subgraph.outputs, subgraph.tensors, "an output of a subgraph");
  for (uint32_t i = 0; i < operators.count; ++i) {
    Table entry = table.table_at(operators, i);
    OperatorInfo op;
    op.name = pick(codes, entry.number<uint32_t>(0, 0), "an operator code");
    op.options = op.name.rfind("Lce", 0) == 0 ? custom_options(entry, op.name) : builtin_options(entry, op.name);
    op.inputs = entry.int32s(1);
    op.outputs = entry.int32s(2);
    check_indices(op.inputs, subgraph.tensors, "an input of an operator", true);
    check_indices(op.outputs, subgraph.tensors, "an output of an operator");
    check_arity(op);
    subgraph.operators.push_back(std::move(op));
  }
  return subgraph;
}

Signature read_signature(const Table& table, const std::vector<Subgraph>& subgraphs) {
  Signature signature;
  signature.name = table.text(2);
  signature.subgraph = table.number<uint32_t>(4, 0);
  const Subgraph& subgraph = pick(subgraphs, signature.subgraph, "a subgraph");
  for (int slot : {0, 1}) {
    List list = table.tables(slot);
    for (uint32_t i = 0; i < list.count; ++i) {
      Table entry = table.table_at(list, i);
      uint32_t index = entry.number<uint32_t>(1, 0);
      pick(subgraph.tensors, index, "a tensor of a signature");
      (slot ? signature.outputs : signature.inputs).push_back({entry.text(0), index});
    }
  }
  return signature;
}

template <typename Named>
std::vector<std::string> names_of(const std::vector<Named>& list) {
  std::vector<std::string> names;
  for (const auto& [name, value] : list) names.push_back(name);
  return names;
}

}  // namespace

int64_t elements(const Shape& shape) {
  int64_t count = 1;
  bool empty = false;
  for (int64_t size : shape) {
    if (size < 0 || size > kMaxElements / count) return kMaxElements + 1;
    if (size == 0)
      empty = true;
    else
      count *= size;
  }
  return empty ? 0 : count;
}

bool allowed(const Shape& shape) { return shape.size() <= kMaxDimensions && elements(shape) <= kMaxElements; }

std::string to_text(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size() && i <= kMaxDimensions; ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

Model read_model(Bytes file, const std::function<void(uint64_t)>& claim) {
  if (file.size < 8 || std::memcmp(file.data + 4, "TFL3", 4) != 0) {
    unsupported("this is not a TFLite file: it %s", file.size ? "does not begin as one" : "is empty");
  }
  Buffer buffer(file, claim);
  Table root = buffer.root();
  uint32_t version = root.number<uint32_t>(0, 0);
  if (version != 3)
    unsupported("this TFLite file is of schema %u, but bnn_exit reads schema 3: export it again", version);
  std::vector<Bytes> buffers;
  std::vector<std::string> codes;
  Model model;
  List list = root.tables(4);
  for (uint32_t i = 0; i < list.count; ++i) buffers.push_back(read_buffer(root.table_at(list, i)));
  list = root.tables(1);
  for (uint32_t i = 0; i < list.count; ++i) codes.push_back(read_code(root.table_at(list, i)));
  list = root.tables(2);
  if (list.count < 1 || list.count > kMaxSubgraphs) damaged("it holds %u subgraphs", list.count);
  for (uint32_t i = 0; i < list.count; ++i) {
    model.subgraphs.push_back(read_subgraph(root.table_at(list, i), buffers, codes));
  }
  list = root.tables(7);
  for (uint32_t i = 0; i < list.count; ++i) {
    model.signatures.push_back(read_signature(root.table_at(list, i), model.subgraphs));
  }
  list = root.tables(6);
  for (uint32_t i = 0; i < list.count; ++i) {
    Table entry = root.table_at(list, i);
    model.metadata.push_back({entry.text(0), pick(buffers, entry.number<uint32_t>(1, 0), "a metadata buffer")});
  }
  require_different(names_of(model.metadata), "the metadata entry");
  std::vector<std::string> signatures;
  for (const Signature& signature : model.signatures) {
    signatures.push_back(signature.name);
    require_different(names_of(signature.inputs), "the input");
    require_different(names_of(signature.outputs), "the output");
  }
  require_different(signatures, "the signature");
  return model;
}

}  // namespace bnn_exit
