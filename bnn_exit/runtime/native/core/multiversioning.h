// Function multiversioning: compiles a function for newer processors, too, and the loader selects a version.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(BNN_EXIT_NO_MULTIVERSIONING)
#define BNN_EXIT_MULTIVERSION __attribute__((target_clones("default", "avx2")))
#else
#define BNN_EXIT_MULTIVERSION
#endif
