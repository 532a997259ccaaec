#include "graph/check.h"

#include <algorithm>

#include "ops/operators.h"

namespace bnn_exit {
namespace {

constexpr uint64_t kMaxSteps = 1000000;  // operators of one inference

const std::string kIf = "IF";

std::vector<bool> written_tensors(const Subgraph& graph) {
  std::vector<bool> written(graph.tensors.size());
  for (const OperatorInfo& op : graph.operators) {
    for (int32_t output : op.outputs) written[static_cast<size_t>(output)] = true;
  }
  return written;
}

int64_t branch(const Model& model, const OperatorInfo& op, int side) {
  int64_t choice = op.options.integer(side ? "else_subgraph_index" : "then_subgraph_index");
  if (choice < 0 || choice >= static_cast<int64_t>(model.subgraphs.size())) {
    damaged("a branch of an IF is number %lld of %zu", static_cast<long long>(choice), model.subgraphs.size());
  }
  return choice;
}

void check_if(const Model& model, const OperatorInfo& op) {
  if (op.inputs.empty() || std::find(op.inputs.begin(), op.inputs.end(), -1) != op.inputs.end())
    damaged("an IF lacks an input");
  for (int side = 0; side < 2; ++side) {
    int64_t choice = branch(model, op, side);
    const Subgraph& target = model.subgraphs[static_cast<size_t>(choice)];
    if (target.inputs.size() + 1 != op.inputs.size() || target.outputs.size() != op.outputs.size()) {
      damaged("an IF does not fit its branch, subgraph %lld", static_cast<long long>(choice));
    }
  }
}

void check_graph(const Model& model, size_t number) {
  const Subgraph& graph = model.subgraphs[number];
  std::vector<bool> ready(graph.tensors.size()), written = written_tensors(graph);
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    const TensorInfo& tensor = graph.tensors[i];
    if (tensor.quantized || tensor.variable) {
      unsupported("tensor '%s' is %s, which the native backend does not run", tensor.name.c_str(),
                  tensor.quantized ? "quantized" : "a variable");
    }
    ready[i] = is_constant(tensor, written[i]);
  }
  for (int32_t input : graph.inputs) ready[static_cast<size_t>(input)] = true;
  for (const OperatorInfo& op : graph.operators) {
    if (op.name == kIf) {
      check_if(model, op);
    } else if (!find_builder(op.name) && !find_layer_builder(op.name)) {
      unsupported(
          "the native backend lacks the operator %s, which subgraph %zu (%s) uses: choose another backend, or export the "
          "model without it",
          op.name.c_str(), number, graph.name.empty() ? "unnamed" : graph.name.c_str());
    }
    for (int32_t input : op.inputs) {
      if (input >= 0 && !ready[static_cast<size_t>(input)])
        damaged("%s reads what no earlier step writes", op.name.c_str());
    }
    for (int32_t output : op.outputs) {
      if (ready[static_cast<size_t>(output)]) damaged("%s writes what is already there", op.name.c_str());
      ready[static_cast<size_t>(output)] = true;
    }
  }
  for (int32_t output : graph.outputs) {
    if (!ready[static_cast<size_t>(output)]) damaged("an output of subgraph %zu is never written", number);
  }
}

// Branches must not form a cycle, nor unfold into more operators than any inference could execute. Walks them without
// recursion, because the stack of the caller may be small.
class Unfolding {
 public:
  explicit Unfolding(const Model& model) : model_(model), graphs_(model.subgraphs.size()) {}

  void check() {
    for (size_t number = 0; number < graphs_.size(); ++number) {
      if (graphs_[number].state == kNew) enter(number);
      while (!open_.empty()) advance(open_.back());
    }
  }

 private:
  enum State { kNew, kOpen, kDone };
  struct Graph {
    State state = kNew;
    size_t next = 0;     // operator
    uint64_t steps = 0;  // of the longest path up to it
  };

  void enter(size_t number) {
    graphs_[number].state = kOpen;
    open_.push_back(number);
  }

  void advance(size_t number) {
    Graph& graph = graphs_[number];
    const std::vector<OperatorInfo>& operators = model_.subgraphs[number].operators;
    for (; graph.next < operators.size(); ++graph.next, ++graph.steps) {
      const OperatorInfo& op = operators[graph.next];
      if (op.name != kIf) continue;
      uint64_t longest = 0;
      for (int side = 0; side < 2; ++side) {
        size_t choice = static_cast<size_t>(branch(model_, op, side));
        if (graphs_[choice].state == kOpen) damaged("subgraph %zu runs itself", choice);
        if (graphs_[choice].state == kNew) return enter(choice);
        longest = std::max(longest, graphs_[choice].steps);
      }
      graph.steps += longest;
      if (graph.steps > kMaxSteps)
        damaged("subgraph %zu unfolds into %llu steps", number, static_cast<unsigned long long>(graph.steps));
    }
    graph.state = kDone;
    open_.pop_back();
  }

  const Model& model_;
  std::vector<Graph> graphs_;
  std::vector<size_t> open_;
};

}  // namespace

bool is_constant(const TensorInfo& tensor, bool written) {
  return size_of(tensor.type) && (tensor.data.size || (elements(tensor.shape) == 0 && !written));
}

void check_graphs(const Model& model) {
  for (size_t number = 0; number < model.subgraphs.size(); ++number) check_graph(model, number);
  Unfolding(model).check();
}

}  // namespace bnn_exit
