#include "format/options.h"

#include <cmath>

#include "error.h"

namespace bnn_exit {
namespace {

enum FieldKind { kInt32, kInt8, kBool, kFloat32, kList, kPadding, kActivation, kMirrorMode };

struct Field {
  int table;  // numbered as in the schema's union BuiltinOptions
  const char* name;
  int slot;
  FieldKind kind;
  double default_value;
};

// Names follow LCE's spelling, so binary and float layers share their code.
constexpr Field kFields[] = {
    {1, "padding", 0, kPadding, 0},
    {1, "stride_width", 1, kInt32, 0},
    {1, "stride_height", 2, kInt32, 0},
    {1, "fused_activation_function", 3, kActivation, 0},
    {1, "dilation_width_factor", 4, kInt32, 1},
    {1, "dilation_height_factor", 5, kInt32, 1},
    {2, "padding", 0, kPadding, 0},
    {2, "stride_width", 1, kInt32, 0},
    {2, "stride_height", 2, kInt32, 0},
    {2, "fused_activation_function", 4, kActivation, 0},
    {2, "dilation_width_factor", 5, kInt32, 1},
    {2, "dilation_height_factor", 6, kInt32, 1},
    {5, "padding", 0, kPadding, 0},
    {5, "stride_width", 1, kInt32, 0},
    {5, "stride_height", 2, kInt32, 0},
    {5, "filter_width", 3, kInt32, 0},
    {5, "filter_height", 4, kInt32, 0},
    {5, "fused_activation_function", 5, kActivation, 0},
    {8, "fused_activation_function", 0, kActivation, 0},
    {8, "weights_format", 1, kInt8, 0},
    {8, "keep_num_dims", 2, kBool, 0},
    {9, "beta", 0, kFloat32, 0.0},
    {10, "axis", 0, kInt32, 0},
    {10, "fused_activation_function", 1, kActivation, 0},
    {11, "fused_activation_function", 0, kActivation, 0},
    {17, "new_shape", 0, kList, 0},
    {21, "fused_activation_function", 0, kActivation, 0},
    {23, "axis", 0, kInt32, 0},
    {23, "batch_dims", 1, kInt32, 0},
    {27, "keep_dims", 0, kBool, 0},
    {28, "fused_activation_function", 0, kActivation, 0},
    {29, "fused_activation_function", 0, kActivation, 0},
    {30, "squeeze_dims", 0, kList, 0},
    {32, "begin_mask", 0, kInt32, 0},
    {32, "end_mask", 1, kInt32, 0},
    {32, "ellipsis_mask", 2, kInt32, 0},
    {32, "new_axis_mask", 3, kInt32, 0},
    {32, "shrink_axis_mask", 4, kInt32, 0},
    {32, "offset", 5, kBool, 0},
    {35, "num_splits", 0, kInt32, 0},
    {59, "values_count", 0, kInt32, 0},
    {59, "axis", 1, kInt32, 0},
    {64, "num", 0, kInt32, 0},
    {64, "axis", 1, kInt32, 0},
    {75, "alpha", 0, kFloat32, 0.0},
    {77, "mode", 0, kMirrorMode, 0},
    {79, "num_splits", 0, kInt32, 0},
    {92, "then_subgraph_index", 0, kInt32, 0},
    {92, "else_subgraph_index", 1, kInt32, 0},
    {101, "adj_x", 0, kBool, 0},
    {101, "adj_y", 1, kBool, 0},
};

constexpr struct {
  const char* name;
  int table;
} kTableOf[] = {{"CONV_2D", 1},
                {"DEPTHWISE_CONV_2D", 2},
                {"AVERAGE_POOL_2D", 5},
                {"MAX_POOL_2D", 5},
                {"FULLY_CONNECTED", 8},
                {"SOFTMAX", 9},
                {"CONCATENATION", 10},
                {"ADD", 11},
                {"RESHAPE", 17},
                {"MUL", 21},
                {"GATHER", 23},
                {"SUB", 28},
                {"DIV", 29},
                {"MEAN", 27},
                {"SUM", 27},
                {"REDUCE_MAX", 27},
                {"REDUCE_MIN", 27},
                {"REDUCE_PROD", 27},
                {"REDUCE_ANY", 27},
                {"REDUCE_ALL", 27},
                {"SQUEEZE", 30},
                {"STRIDED_SLICE", 32},
                {"SPLIT", 35},
                {"PACK", 59},
                {"UNPACK", 64},
                {"LEAKY_RELU", 75},
                {"MIRROR_PAD", 77},
                {"SPLIT_V", 79},
                {"IF", 92},
                {"BATCH_MATMUL", 101}};

double checked(double value, int count, const char* field, const std::string& name) {
  if (!(value >= 0 && value < count)) damaged("%s of %s is number %g of %d", field, name.c_str(), value, count);
  return value;
}

double read(const Table& options, const Field& field, const std::string& name) {
  switch (field.kind) {
    case kInt32: return options.number<int32_t>(field.slot, static_cast<int32_t>(field.default_value));
    case kInt8: return options.number<int8_t>(field.slot, static_cast<int8_t>(field.default_value));
    case kBool: return options.number<uint8_t>(field.slot, static_cast<uint8_t>(field.default_value)) != 0;
    case kFloat32: return options.number<float>(field.slot, static_cast<float>(field.default_value));
    case kPadding: return checked(options.number<int8_t>(field.slot, 0), 2, field.name, name);
    case kActivation: return checked(options.number<int8_t>(field.slot, 0), 6, field.name, name);
    case kMirrorMode: return checked(options.number<int8_t>(field.slot, 0), 2, field.name, name);
    case kList: break;
  }
  return 0;
}

}  // namespace

const double* Options::find(const char* name) const {
  for (const auto& [known, value] : numbers_) {
    if (known == name) return &value;
  }
  return nullptr;
}

double Options::real(const char* name) const {
  const double* value = find(name);
  if (!value) damaged("an operator lacks the option %s", name);
  return *value;
}

int64_t Options::integer(const char* name) const {
  double value = real(name);
  if (!(std::fabs(value) < 1e15) || value != std::floor(value)) damaged("the option %s is %g", name, value);
  return static_cast<int64_t>(value);
}

int64_t Options::integer(const char* name, int64_t default_value) const {
  return find(name) ? integer(name) : default_value;
}

Options builtin_options(const Table& op, const std::string& name) {
  constexpr int kTypeSlot = 3, kOptionsSlot = 4;
  Options values;
  int number = 0;
  for (const auto& entry : kTableOf) {
    if (name == entry.name) number = entry.table;
  }
  if (!number) return values;
  bool given = op.has(kOptionsSlot);
  if (given && op.number<uint8_t>(kTypeSlot, 0) != number)
    damaged("an operator %s has the options of another", name.c_str());
  for (const Field& field : kFields) {
    if (field.table != number) continue;
    if (field.kind == kList) {
      if (given) values.set_list(op.table(kOptionsSlot).int32s(field.slot));
    } else {
      values.set(field.name, given ? read(op.table(kOptionsSlot), field, name) : field.default_value);
    }
  }
  return values;
}

Options custom_options(const Table& op, const std::string& name) {
  Bytes data = op.read_bytes(5);
  if (!data.size || name.rfind("Lce", 0) != 0) return {};
  Options options = read_flexbuffer(data);
  checked(static_cast<double>(options.integer("padding", 0)), 2, "padding", name);
  checked(static_cast<double>(options.integer("fused_activation_function", 0)), 6, "fused_activation_function", name);
  return options;
}

}  // namespace bnn_exit
