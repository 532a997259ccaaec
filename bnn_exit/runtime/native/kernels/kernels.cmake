# Sources of the kernels, each with the flags of its own instruction set: BNN_EXIT_KERNEL_SOURCES.
set(directory ${CMAKE_CURRENT_LIST_DIR})
# No contraction: a multiplication and an addition of a binary layer are rounded one by one, as everywhere else.
set(common -O3 -ffp-contract=off -fno-exceptions -fno-rtti)
set(BNN_EXIT_KERNEL_SOURCES ${directory}/cpu.cpp ${directory}/load_time.cpp ${directory}/portable.cpp)
set_source_files_properties(${BNN_EXIT_KERNEL_SOURCES} PROPERTIES COMPILE_OPTIONS "${common}")

function(bnn_exit_isa name)
  set_source_files_properties(${directory}/${name}.cpp PROPERTIES COMPILE_OPTIONS "${common};${ARGN}")
  set(BNN_EXIT_KERNEL_SOURCES ${BNN_EXIT_KERNEL_SOURCES} ${directory}/${name}.cpp PARENT_SCOPE)
endfunction()

set(avx2_flags -mavx2 -mfma -mpopcnt)
# gcc 12 takes the undefined values in its own AVX-512 header for mistakes.
set(avx512_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
list(APPEND avx512_flags -Wno-maybe-uninitialized)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  bnn_exit_isa(scalar -mpopcnt)
  bnn_exit_isa(avx2 ${avx2_flags})
  bnn_exit_isa(avx512 ${avx512_flags})
  bnn_exit_isa(avx512_vpopcnt ${avx512_flags} -mavx512vpopcntdq)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  # Scheduling before registers are allotted makes gcc spill the sums.
  bnn_exit_isa(neon -fno-schedule-insns)
endif()
