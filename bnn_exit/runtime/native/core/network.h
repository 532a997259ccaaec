// A file that is ready to run: its operators as a list of runners, with one block of memory for all values.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "build.h"
#include "group.h"
#include "turn.h"
#include "workers.h"

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
  struct Instance;

  struct Node {
    std::unique_ptr<Runner> runner;
    std::vector<Value*> reads, writes, scratch;
    std::unique_ptr<Instance> then_branch, else_branch;  // of an IF, whose runner is empty
    std::string text;
  };

  // A subgraph at one place where it is run. Branches share the values that they are given with the subgraph around them.
  struct Instance {
    const Subgraph* graph;
    std::vector<Value*> values;
    std::vector<int64_t> uses;
    std::vector<bool> known;
    std::vector<Node> nodes;
    std::vector<Group> groups;
    std::vector<Value*> results;
  };

  std::unique_ptr<Instance> build(size_t subgraph, const std::vector<Value*>& arguments);
  void make_values(Instance& instance, const std::vector<Value*>& arguments);
  void lay_out_bits(Instance& instance);
  void build_operator(Instance& instance, size_t index);
  void build_if(Instance& instance, size_t index, Build& build);
  bool build_grouped(Instance& instance, size_t index, Build& build);
  void build_alone(Instance& instance, size_t index, Build& build, bool fold);
  void close_groups(Instance& instance);
  void check_result(Instance& instance, size_t index);
  Value* make_constant(const TensorInfo& tensor);

  void assign_times(Instance& instance, int64_t& time);
  void place();
  void bind(Instance& instance);
  void run(Instance& instance);
  void describe(const Instance& instance, const std::string& indent);

  Workers workers_;
  Workshop shop_;
  Bytes file_;
  Model model_;
  std::vector<size_t> path_;  // subgraphs that are being built, to notice circles
  size_t operators_ = 0;
  std::unique_ptr<Instance> main_;
  std::vector<Port> inputs_, outputs_;
  std::string plan_;
  Turns turns_;
};

}  // namespace bnn_exit
