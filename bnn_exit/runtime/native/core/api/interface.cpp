// The C interface to networks, front ends and classifiers.
#include <cmath>
#include <cstdlib>
#include <string>

#include "api/guarded.h"
#include "audio/front_end.h"
#include "graph/network.h"

struct bnn_exit_network {
  bnn_exit::Network network;
};

struct bnn_exit_front_end {
  bnn_exit::FrontEnd front_end;
};

namespace {

using bnn_exit::guarded;
using bnn_exit::Kernels;

const std::string& isas() {
  static const std::string names = [] {
    std::string list;
    for (int index = bnn_exit::isa_count() - 1; index >= 0; --index) {
      if (bnn_exit::isa_runs_here(index))
        list += (list.empty() ? "" : " ") + std::string(bnn_exit::isa_kernels(index).isa);
    }
    return list;
  }();
  return names;
}

const Kernels* chosen() { return bnn_exit::select_kernels(std::getenv("BNN_EXIT_ISA")); }

const Kernels& kernels() {
  const Kernels* table = chosen();
  const char* wanted = std::getenv("BNN_EXIT_ISA");
  if (!table) {
    std::string choices = "auto " + isas();
    for (size_t at = 0; (at = choices.find(' ', at)) != std::string::npos; at += 2) choices.replace(at, 1, ", ");
    bnn_exit::bad_argument("BNN_EXIT_ISA is '%s', but must be one of %s on this machine", wanted ? wanted : "",
                           choices.c_str());
  }
  return *table;
}

bnn_exit_status describe(const std::vector<bnn_exit::Port>& ports, int32_t index, bnn_exit_tensor* tensor) {
  if (index < 0 || index >= static_cast<int32_t>(ports.size()) || !tensor) return BNN_EXIT_ARGUMENT;
  const bnn_exit::Port& port = ports[static_cast<size_t>(index)];
  *tensor = {port.name.c_str(), bnn_exit::name_of(port.value->type), port.value->shape.data(),
             static_cast<int32_t>(port.value->shape.size()), port.value->bytes()};
  return BNN_EXIT_OK;
}

}  // namespace

extern "C" {

const char* bnn_exit_version(void) { return "0.1.0"; }

const char* bnn_exit_isa(void) {
  const Kernels* table = chosen();
  return table ? table->isa : "";
}

const char* bnn_exit_isas(void) { return isas().c_str(); }

bnn_exit_status bnn_exit_load(const void* file, size_t size, const bnn_exit_settings* settings,
                              bnn_exit_network** network, char* error, size_t error_size) {
  if (network) *network = nullptr;
  return guarded(error, error_size, [&] {
    if (!network || (!file && size)) bnn_exit::bad_argument("file and network must not be NULL");
    *network = new bnn_exit_network{{file, size, settings ? *settings : bnn_exit_settings{}, kernels()}};
  });
}

void bnn_exit_free(bnn_exit_network* network) { delete network; }

int32_t bnn_exit_input_count(const bnn_exit_network* network) {
  return static_cast<int32_t>(network->network.inputs().size());
}

int32_t bnn_exit_output_count(const bnn_exit_network* network) {
  return static_cast<int32_t>(network->network.outputs().size());
}

bnn_exit_status bnn_exit_input(const bnn_exit_network* network, int32_t index, bnn_exit_tensor* tensor) {
  return describe(network->network.inputs(), index, tensor);
}

bnn_exit_status bnn_exit_output(const bnn_exit_network* network, int32_t index, bnn_exit_tensor* tensor) {
  return describe(network->network.outputs(), index, tensor);
}

bnn_exit_status bnn_exit_metadata(const bnn_exit_network* network, const char* name, const void** data, size_t* size) {
  if (!name || !data || !size) return BNN_EXIT_ARGUMENT;
  const bnn_exit::Bytes* bytes = network->network.metadata(name);
  *data = bytes ? bytes->data : nullptr;
  *size = bytes ? bytes->size : 0;
  return BNN_EXIT_OK;
}

uint64_t bnn_exit_bytes(const bnn_exit_network* network) { return network->network.bytes(); }

uint64_t bnn_exit_operations(const bnn_exit_network* network) { return network->network.operations(); }

const char* bnn_exit_plan(const bnn_exit_network* network) { return network->network.plan().c_str(); }

bnn_exit_status bnn_exit_run(bnn_exit_network* network, const void* const* inputs, void* const* outputs, char* error,
                             size_t error_size) {
  return guarded(error, error_size, [&] {
    if (!network || !inputs || !outputs) bnn_exit::bad_argument("network, inputs and outputs must not be NULL");
    network->network.infer(inputs, outputs);
  });
}

bnn_exit_status bnn_exit_front_end_new(const bnn_exit_features* features, bnn_exit_front_end** front_end, char* error,
                                       size_t error_size) {
  if (front_end) *front_end = nullptr;
  return guarded(error, error_size, [&] {
    if (!features || !front_end) bnn_exit::bad_argument("features and front_end must not be NULL");
    *front_end = new bnn_exit_front_end{bnn_exit::FrontEnd(*features, kernels())};
  });
}

void bnn_exit_front_end_free(bnn_exit_front_end* front_end) { delete front_end; }

size_t bnn_exit_frames(const bnn_exit_front_end* front_end, size_t samples) {
  return front_end->front_end.frames(samples);
}

bnn_exit_status bnn_exit_log_mel(bnn_exit_front_end* front_end, const float* waveform, size_t samples, float* log_mel) {
  return guarded(nullptr, 0, [&] { front_end->front_end.compute(waveform, samples, log_mel); });
}

bnn_exit_status bnn_exit_classifier_new(const void* file, size_t size, const bnn_exit_settings* settings,
                                        bnn_exit_classifier** classifier, char* error, size_t error_size) {
  if (classifier) *classifier = nullptr;
  return guarded(error, error_size, [&] {
    if (!classifier || (!file && size)) bnn_exit::bad_argument("file and classifier must not be NULL");
    *classifier = new bnn_exit_classifier{{file, size, settings ? *settings : bnn_exit_settings{}, kernels()}};
  });
}

void bnn_exit_classifier_free(bnn_exit_classifier* classifier) { delete classifier; }

int32_t bnn_exit_label_count(const bnn_exit_classifier* classifier) {
  return static_cast<int32_t>(classifier->classifier.labels().size());
}

const char* bnn_exit_label(const bnn_exit_classifier* classifier, int32_t index) {
  const auto& labels = classifier->classifier.labels();
  return index >= 0 && static_cast<size_t>(index) < labels.size() ? labels[static_cast<size_t>(index)].c_str()
                                                                  : nullptr;
}

int32_t bnn_exit_exit_count(const bnn_exit_classifier* classifier) {
  return static_cast<int32_t>(classifier->classifier.exits());
}

int32_t bnn_exit_sample_rate_hz(const bnn_exit_classifier* classifier) {
  return static_cast<int32_t>(std::lround(classifier->classifier.sample_rate_hz()));
}

double bnn_exit_rate_hz(const bnn_exit_classifier* classifier) { return classifier->classifier.sample_rate_hz(); }

int32_t bnn_exit_channel_count(const bnn_exit_classifier* classifier) {
  return static_cast<int32_t>(classifier->classifier.channels().size());
}

const char* bnn_exit_channel(const bnn_exit_classifier* classifier, int32_t index) {
  const auto& channels = classifier->classifier.channels();
  return index >= 0 && static_cast<size_t>(index) < channels.size() ? channels[static_cast<size_t>(index)].c_str()
                                                                    : nullptr;
}

size_t bnn_exit_clip_samples(const bnn_exit_classifier* classifier) { return classifier->classifier.clip_samples(); }

bnn_exit_status bnn_exit_classify(bnn_exit_classifier* classifier, const float* waveform, size_t samples,
                                  const char* operating_point, const float* thresholds, bnn_exit_prediction* prediction,
                                  char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    if (!classifier || !waveform || !prediction || !samples)
      bnn_exit::bad_argument("classifier, waveform and prediction must not be NULL, nor samples 0");
    if (!operating_point && !thresholds) bnn_exit::bad_argument("give an operating point or thresholds");
    const auto* named = operating_point ? &classifier->classifier.thresholds(operating_point) : nullptr;
    classifier->classifier.classify(waveform, samples, named, thresholds, prediction);
  });
}

}  // extern "C"
