// A file that is ready to run: its operators as a list of runners, with one block of memory for all values.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ops/build.h"
#include "graph/fusion.h"
#include "busy_guard.h"
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
  // Counts what is made of the file beside the network against the same limits.
  void count(uint64_t bytes, uint64_t operations);
  const Bytes* metadata(const std::string& name) const;
  uint64_t bytes() const { return shop_.bytes; }
  uint64_t operations() const { return shop_.work; }
  const std::string& plan() const { return plan_; }

  // Raises Error; refuses a second call while one runs.
  void run(const void* const* inputs, void* const* outputs);

 private:
  enum class Kind { kOperator, kIf, kEndOfThen, kEndOfElse };

  // An operator, alone or with others in a group. The nodes of all branches stand in one list, in the order of the file: those
  // of an IF are the IF itself, its first branch, the end of that, its second branch, the end of that. The ends copy results.
  struct Node {
    Kind kind = Kind::kOperator;
    std::unique_ptr<Runner> runner;  // none if nothing is left to do
    std::vector<Value*> reads, writes, scratch;
    size_t next = 0;       // runs after it
    size_t otherwise = 0;  // runs after an IF whose condition is false
    std::string text;
  };

  // A subgraph while it is built, at one place where it is run. Branches share the values that they are given with the
  // subgraph around them.
  struct Instance {
    const Subgraph* graph;
    std::vector<Value*> values;
    std::vector<int64_t> uses;
    std::vector<Group> groups;
    std::vector<size_t> group_of;  // by tensor: 1 + the number of the group whose result it is or was
    size_t next = 0;               // operator
    size_t node_of_if = 0, end_of_then = 0;  // nodes of the IF whose branch is being built
  };

  std::vector<Value*> build(const std::vector<Value*>& arguments);
  std::unique_ptr<Instance> start(size_t subgraph, const std::vector<Value*>& arguments);
  std::unique_ptr<Instance> start_if(Instance& instance);
  std::unique_ptr<Instance> end_branch(Instance& instance, std::vector<Value*> results);
  std::unique_ptr<Instance> start_branch(Instance& instance, const char* side);
  std::vector<Value*> finish(Instance& instance);
  void make_values(Instance& instance, const std::vector<Value*>& arguments);
  Value* make_constant(const TensorInfo& tensor);
  void lay_out_bits(Instance& instance);

  Node& append(Kind kind);
  void connect(Instance& instance, Build& build);
  void build_operator(Instance& instance);
  bool build_grouped(Instance& instance, Build& build);
  bool absorb(Instance& instance, Build& build);
  void build_alone(Build& build, bool fold);
  void check_result(Instance& instance);

  void assign_times();
  void place();
  void check_plan() const;
  void describe();

  Workers workers_;
  Workshop shop_;
  Bytes file_;
  Model model_;
  size_t operators_ = 0, parts_ = 0;  // that were built
  std::vector<Node> nodes_;
  std::vector<Port> inputs_, outputs_;
  std::string plan_;
  Turns turns_;
};

}  // namespace bnn_exit
