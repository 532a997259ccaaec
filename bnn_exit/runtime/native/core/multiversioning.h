// Functions that are worth compiling for newer processors, too; the loader picks one of them.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(BNN_EXIT_NO_CLONES)
#define BNN_EXIT_CLONES __attribute__((target_clones("default", "avx2")))
#else
#define BNN_EXIT_CLONES
#endif
