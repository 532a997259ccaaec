// The memory plan: values that are never in use at the same time share memory.
#include <algorithm>

#include "graph/network.h"

namespace bnn_exit {
namespace {

constexpr size_t kMaxPacked = 4096;  // values; with more, the search for gaps would take too long

struct Block {
  Value* value;
  uint64_t size, offset;
};

bool overlap_in_time(const Value& a, const Value& b) { return a.first_use <= b.last_use && b.first_use <= a.last_use; }

// Gives every block an offset: largest first, each in the lowest gap that is free for its lifetime. Returns the size
// needed.
uint64_t pack(std::vector<Block>& blocks) {
  uint64_t total = 0;
  if (blocks.size() > kMaxPacked) {
    for (Block& block : blocks) {
      block.offset = total;
      total += block.size;
    }
    return total;
  }
  std::stable_sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) { return a.size > b.size; });
  std::vector<const Block*> placed;  // by offset
  for (Block& block : blocks) {
    uint64_t offset = 0;
    for (const Block* other : placed) {
      if (!overlap_in_time(*block.value, *other->value)) continue;
      if (offset + block.size <= other->offset) break;
      offset = std::max(offset, other->offset + other->size);
    }
    block.offset = offset;
    total = std::max(total, offset + block.size);
    auto at = std::lower_bound(placed.begin(), placed.end(), offset,
                               [](const Block* a, uint64_t b) { return a->offset < b; });
    placed.insert(at, &block);
  }
  return total;
}

}  // namespace

// Times are numbers of nodes, counted from 1: inputs are written before the first node, outputs are read after the
// last.
void Network::find_lifetimes() {
  auto use = [](Value* value, size_t time) {
    Value* root = value->root();
    if (root->first_use < 0) root->first_use = static_cast<int64_t>(time);
    root->last_use = std::max(root->last_use, static_cast<int64_t>(time));
  };
  for (const Port& port : inputs_) use(port.value, 0);
  for (size_t index = 0; index < nodes_.size(); ++index) {
    const Node& node = nodes_[index];
    for (const auto* values : {&node.reads, &node.scratch, &node.writes}) {
      for (Value* value : *values) use(value, index + 1);
    }
  }
  for (const Port& port : outputs_) use(port.value, nodes_.size() + 1);
}

void Network::plan_memory() {
  std::vector<Block> blocks;
  for (Value& value : context_.values) {
    if (value.same_as || value.constant || value.data) continue;
    if (value.first_use < 0) continue;  // nothing uses it
    if (value.last_use < value.first_use) value.last_use = value.first_use;
    if (value.bits && value.bytes() > static_cast<size_t>(kMaxElements))
      damaged("a border is wider than any network needs");
#ifdef BNN_EXIT_SEPARATE_MEMORY
    value.own_memory = true;  // for the fuzzers: the sanitizer then sees accesses to a neighbour
#endif
    if (value.own_memory) {
      value.data = context_.allocate(value.bytes() + kAlign);
      continue;
    }
    // Padding after each value keeps vector loads beyond its end inside the arena.
    blocks.push_back({&value, (value.bytes() + 2 * kAlign - 1) / kAlign * kAlign, 0});
  }
  auto* arena = static_cast<uint8_t*>(context_.allocate(pack(blocks)));
  for (const Block& block : blocks) block.value->data = arena + block.offset;
  for (Value& value : context_.values) {
    if (!value.data) value.data = value.root()->data;
  }
}

}  // namespace bnn_exit
