// A loaded file: its operators as a list of operations, with one block of memory for all values.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "busy_guard.h"
#include "graph/fusion.h"
#include "ops/build.h"
#include "ops/workers.h"

namespace bnn_exit {

struct Port {  // an input or output of the network
  std::string name;
  Value* value;
};

class Network {
 public:
  Network(const void* file, size_t size, const bnn_exit_settings& settings, const Kernels& kernels);

  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<Port>& outputs() const { return outputs_; }
  const Model& model() const { return model_; }
  // Counts memory and operations beside the network against the same limits.
  void count(uint64_t bytes, uint64_t operations);
  const Budget& budget() const { return context_.budget; }
  const Bytes* metadata(const std::string& name) const;
  uint64_t bytes() const { return context_.budget.bytes; }
  uint64_t operations() const { return context_.budget.operations; }
  const std::string& plan() const { return plan_; }

  // Raises Error, also if another thread is in a call.
  void infer(const void* const* inputs, void* const* outputs);

 private:
  enum class Kind { kOperator, kIf, kEndOfThen, kEndOfElse };

  // An operator, or a fusion of several. The nodes of all branches are in one list, in the order of the file: an IF is
  // the IF itself, its first branch, the end of that, its second branch, the end of that. The ends copy the results of
  // the branch.
  struct Node {
    Kind kind = Kind::kOperator;
    std::unique_ptr<Operation> operation;  // none if there is nothing to execute
    std::vector<Value*> reads, writes, scratch;
    size_t next = 0;       // the node after it
    size_t otherwise = 0;  // the node after an IF whose condition is false
    std::string text;
  };

  // One use of a subgraph, while it is built. A branch shares the values of its arguments with the subgraph around it.
  struct Instance {
    const Subgraph* graph;
    std::vector<Value*> values;
    std::vector<int64_t> uses;
    std::vector<Fusion> fusions;
    std::vector<size_t> fusion_of;  // by tensor: 1 + the number of the fusion whose result it is or was; 0 for none
    size_t next = 0;                // the next operator
    size_t node_of_if = 0, end_of_then = 0;  // nodes of the IF whose branch is being built
  };

  std::vector<Value*> build(const std::vector<Value*>& arguments);
  std::unique_ptr<Instance> start_subgraph(size_t subgraph, const std::vector<Value*>& arguments);
  std::unique_ptr<Instance> start_if(Instance& instance);
  std::unique_ptr<Instance> end_branch(Instance& instance, std::vector<Value*> results);
  std::unique_ptr<Instance> start_branch(Instance& instance, const char* side);
  std::vector<Value*> end_subgraph(Instance& instance);
  void make_values(Instance& instance, const std::vector<Value*>& arguments);
  Value* make_constant(const TensorInfo& tensor);
  void lay_out_bits(Instance& instance);

  Node& append(Kind kind);
  void connect(Instance& instance, Build& build);
  void build_operator(Instance& instance);
  std::string dissolve(Instance& instance, Build& build, Layer& layer);
  bool build_fused(Instance& instance, Build& build);
  bool absorb(Instance& instance, Build& build);
  void build_alone(Build& build, bool fold);
  void check_result(Instance& instance);

  void find_lifetimes();
  void plan_memory();
  void check_plan() const;
  void describe();

  Workers workers_;
  BuildContext context_;
  Bytes file_;
  Model model_;
  size_t operators_ = 0, parts_ = 0;  // built so far
  std::vector<Node> nodes_;
  std::vector<Port> inputs_, outputs_;
  std::string plan_;
  BusyFlag busy_;
};

}  // namespace bnn_exit
