// Checks the finished list of nodes, and describes it.
#include <unordered_set>

#include "graph/network.h"

namespace bnn_exit {

// Every value that a node reads must have been written before, on every path to the node: otherwise the node would read
// results of an earlier inference.
void Network::check_plan() const {
  std::unordered_set<const Value*> written;
  std::vector<const Value*> in_order;  // of `written`, to forget what the other branch wrote
  std::vector<size_t> branches;        // size of `in_order` before each open branch
  auto require = [&](const Value* value) {
    if (!value->data) broken("a value has no memory");
    if (!value->root()->constant && !written.count(value->root())) broken("a value is read before it is written");
  };
  auto write = [&](const Value* value) {
    if (value->same_as) return require(value);
    if (!value->data) broken("a value has no memory");
    if (value->constant || !written.insert(value).second) broken("a value is written twice");
    in_order.push_back(value);
  };
  auto forget = [&] {
    for (; in_order.size() > branches.back(); in_order.pop_back()) written.erase(in_order.back());
  };
  for (const Port& port : inputs_) write(port.value);
  for (const Node& node : nodes_) {
    for (const Value* value : node.reads) require(value);
    if (node.kind == Kind::kIf) branches.push_back(in_order.size());
    if (node.kind == Kind::kEndOfThen || node.kind == Kind::kEndOfElse) forget();
    if (node.kind == Kind::kEndOfElse) branches.pop_back();
    if (node.kind == Kind::kEndOfThen) continue;  // the end of the other branch writes the same values
    for (const Value* value : node.writes) write(value);
  }
  for (const Port& port : outputs_) require(port.value);
}

void Network::describe() {
  std::string indent;
  auto line = [&](const std::string& text, const std::vector<Value*>& writes) {
    size_t before = plan_.size();
    plan_ += indent + text;
    for (const Value* value : writes)
      plan_ += std::string(" -> ") + name_of(value->type) + to_text(value->shape) + (value->bits ? " bits" : "");
    plan_ += "\n";
    context_.budget.count_bytes(plan_.size() - before);
  };
  for (const Node& node : nodes_) {
    switch (node.kind) {
      case Kind::kOperator:
        if (node.operation) line(node.text, node.writes);
        break;
      case Kind::kIf:
        line(node.text, nodes_[node.otherwise - 1].writes);
        line("then", {});
        indent += "  ";
        break;
      case Kind::kEndOfThen:
        indent.resize(indent.size() - 2);
        line("else", {});
        indent += "  ";
        break;
      case Kind::kEndOfElse: indent.resize(indent.size() - 2); break;
    }
  }
}

}  // namespace bnn_exit
