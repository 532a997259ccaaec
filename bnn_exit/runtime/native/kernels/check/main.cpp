// kernel_check [cases] [seed]: a line for each instruction set and kernel; exit status 1 if one differs.
#include <cstring>

#include "check.h"

namespace {

using namespace check;

struct Check {
  const char* kernel;
  Result (*run)(const Kernels&, std::uint64_t, int);
};

// Every kernel of the list: a new one without a check does not compile. Packing is checked by what it packs for.
constexpr Result (*no_check)(const Kernels&, std::uint64_t, int) = nullptr;
constexpr auto check_binary_weights_bytes = no_check, check_binary_scratch_bytes = no_check;
constexpr auto check_binary_pack = no_check;
constexpr auto check_conv_weights_bytes = no_check, check_conv_pack = no_check, check_conv_scratch_bytes = no_check;
constexpr auto check_depthwise_weights_bytes = no_check, check_depthwise_pack = no_check;
constexpr auto check_log_mel_frames = no_check, check_log_mel_scratch_bytes = no_check;
const Check kChecks[] = {
#define BNN_EXIT_KERNEL(result, name, arguments) {#name, check_##name},
#include "../kernels.inc"
};

}  // namespace

int main(int argc, char** argv) {
  const int cases = argc > 1 ? std::atoi(argv[1]) : 300;
  const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  bool good = true;
  for (int isa = 0; isa < isa_count(); ++isa) {
    const Kernels& kernels = isa_kernels(isa);
    if (!isa_runs_here(isa)) {
      std::printf("%s not on this processor\n", kernels.isa);
      continue;
    }
    for (const Check& check : kChecks) {
      if (!check.run) continue;
      const Result result = check.run(kernels, seed, cases);
      std::printf("%s %s agree %d differ %d\n", kernels.isa, check.kernel, result.agree, result.differ);
      good = good && result.differ == 0;
    }
  }
  const Kernels* best = select_kernels(nullptr);
  std::printf("fastest %s\n", best ? best->isa : "none");
  good = good && best && select_kernels(best->isa) == best && !select_kernels("of no processor");
  return good ? 0 : 1;
}
