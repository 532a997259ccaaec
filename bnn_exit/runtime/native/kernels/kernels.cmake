# Sources of the kernels, each with the flags of its own instruction set: BNN_EXIT_KERNEL_SOURCES.
set(directory ${CMAKE_CURRENT_LIST_DIR})
# No contraction: a multiplication and an addition of a binary layer are rounded one by one, as everywhere else.
# Kernels throw nothing and call nothing that does: nobody unwinds their frames.
set(common -O3 -ffp-contract=off -fno-exceptions -fno-rtti -fno-asynchronous-unwind-tables
  -fno-unwind-tables)
set(BNN_EXIT_KERNEL_SOURCES ${directory}/cpu.cpp ${directory}/load_time.cpp)
set_source_files_properties(${BNN_EXIT_KERNEL_SOURCES} ${directory}/portable.cpp PROPERTIES COMPILE_OPTIONS "${common}")

function(bnn_exit_isa name)
  set_source_files_properties(${directory}/${name}.cpp PROPERTIES COMPILE_OPTIONS "${common};${ARGN}")
  set(BNN_EXIT_KERNEL_SOURCES ${BNN_EXIT_KERNEL_SOURCES} ${directory}/${name}.cpp PARENT_SCOPE)
endfunction()

set(avx2_flags -mavx2 -mfma -mpopcnt)
# gcc 12 takes the undefined values in its own AVX-512 header for mistakes.
set(avx512_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
list(APPEND avx512_flags -Wno-maybe-uninitialized)
# The compiler's own macros decide, as in kernels.inc: a 64-bit kernel (`uname -m` is aarch64) may carry a 32-bit system.
include(CheckCXXSourceCompiles)
foreach(processor x86_64 aarch64)
  check_cxx_source_compiles("#ifndef __${processor}__\n#error another processor\n#endif\nint main() { return 0; }"
    BNN_EXIT_FOR_${processor})
endforeach()
if(BNN_EXIT_FOR_x86_64)
  bnn_exit_isa(scalar -mpopcnt)
  bnn_exit_isa(avx2 ${avx2_flags})
  bnn_exit_isa(avx512 ${avx512_flags})
  bnn_exit_isa(avx512_vpopcnt ${avx512_flags} -mavx512vpopcntdq)
elseif(BNN_EXIT_FOR_aarch64)
  # Every such processor has NEON: the portable kernels only run where somebody asks for them. A wheel leaves them out.
  # Scheduling before registers are allotted makes gcc spill the sums.
  bnn_exit_isa(neon -fno-schedule-insns)
endif()
option(BNN_EXIT_WITH_PORTABLE "Kernels without vectors, beside those of 64-bit Arm" ON)
if(BNN_EXIT_WITH_PORTABLE OR NOT BNN_EXIT_FOR_aarch64)
  list(INSERT BNN_EXIT_KERNEL_SOURCES 0 ${directory}/portable.cpp)
else()
  add_compile_definitions(BNN_EXIT_NO_PORTABLE)
endif()
