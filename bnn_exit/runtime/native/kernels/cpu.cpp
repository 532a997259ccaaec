// Which instruction sets there are, which of them this processor has, and which one to use.
#include <cstring>

#include "kernels.h"

namespace bnn_exit {

#define BNN_EXIT_ISA(name) extern const Kernels name##_kernels;
#include "kernels.inc"

namespace {

const Kernels* const kTables[] = {
#define BNN_EXIT_ISA(name) &name##_kernels,
#include "kernels.inc"
};
constexpr int kCount = static_cast<int>(sizeof(kTables) / sizeof(kTables[0]));

bool runs(const char* isa) {
#if defined(__x86_64__)
  // gcc's checks include the operating system's support for the wider registers.
  const bool scalar = __builtin_cpu_supports("popcnt");
  const bool avx2 = scalar && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!std::strcmp(isa, "scalar")) return scalar;
  if (!std::strcmp(isa, "avx2")) return avx2;
  if (!std::strcmp(isa, "avx512")) return avx512;
  if (!std::strcmp(isa, "avx512_vpopcnt")) return avx512 && __builtin_cpu_supports("avx512vpopcntdq");
#else
  (void)isa;  // every aarch64 processor has NEON
#endif
  return true;
}

}  // namespace

int isa_count() { return kCount; }
const Kernels& isa_kernels(int index) { return *kTables[index]; }
bool isa_runs_here(int index) { return runs(kTables[index]->isa); }

const Kernels* select_kernels(const char* isa) {
  const bool any = !isa || !*isa || !std::strcmp(isa, "auto");
  for (int index = kCount - 1; index >= 0; --index)
    if ((any || !std::strcmp(isa, kTables[index]->isa)) && isa_runs_here(index)) return kTables[index];
  return nullptr;
}

}  // namespace bnn_exit
