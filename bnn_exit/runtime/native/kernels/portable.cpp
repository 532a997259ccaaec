// The same as scalar.cpp, compiled without any instruction beyond the baseline of the architecture.
#define BNN_EXIT_NAME portable
#include "scalar.cpp"
