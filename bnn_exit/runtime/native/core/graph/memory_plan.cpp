// Where values lie: those that are never in use at the same time share memory.
#include <algorithm>

#include "graph/network.h"

namespace bnn_exit {
namespace {

constexpr size_t kMaxPacked = 4096;  // values; beyond that, looking for gaps takes longer than memory is worth

struct Block {
  Value* value;
  uint64_t size, offset;
};

bool overlap_in_time(const Value& a, const Value& b) { return a.born <= b.dies && b.born <= a.dies; }

// Offsets for all blocks, largest first, each in the lowest gap that is free while it lives; returns the room needed.
uint64_t pack(std::vector<Block>& blocks) {
  uint64_t room = 0;
  if (blocks.size() > kMaxPacked) {
    for (Block& block : blocks) {
      block.offset = room;
      room += block.size;
    }
    return room;
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
    room = std::max(room, offset + block.size);
    auto at = std::lower_bound(placed.begin(), placed.end(), offset, [](const Block* a, uint64_t b) { return a->offset < b; });
    placed.insert(at, &block);
  }
  return room;
}

}  // namespace

// Times are those of the nodes, counted from 1: inputs are written before the first, outputs read behind the last.
void Network::assign_times() {
  auto use = [](Value* value, size_t time) {
    Value* root = value->root();
    if (root->born < 0) root->born = static_cast<int64_t>(time);
    root->dies = std::max(root->dies, static_cast<int64_t>(time));
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

void Network::place() {
  std::vector<Block> blocks;
  for (Value& value : shop_.values) {
    if (value.same_as || value.constant || value.data) continue;
    if (value.born < 0) continue;  // nothing uses it
    if (value.dies < value.born) value.dies = value.born;
    if (value.bits && value.bytes() > static_cast<size_t>(kMaxElements)) damaged("a border is wider than any network needs");
#ifdef BNN_EXIT_APART
    value.kept = true;  // for the fuzzers
#endif
    if (value.kept) {
      value.data = shop_.allocate(value.bytes() + kAlign);
      continue;
    }
    // A little room behind each value keeps vector loads that run over its end inside the arena.
    blocks.push_back({&value, (value.bytes() + 2 * kAlign - 1) / kAlign * kAlign, 0});
  }
  auto* arena = static_cast<uint8_t*>(shop_.allocate(pack(blocks)));
  for (const Block& block : blocks) block.value->data = arena + block.offset;
  for (Value& value : shop_.values) {
    if (!value.data) value.data = value.root()->data;
  }
}

}  // namespace bnn_exit
