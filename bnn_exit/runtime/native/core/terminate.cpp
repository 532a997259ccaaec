// The C++ library's own handler of errors that nobody catches prints their type, for which it brings a demangler that
// is as large as a tenth of this library. Every error is caught at the interface, so ending the process is enough.
#include <cstdlib>

namespace __gnu_cxx {

void __verbose_terminate_handler() { std::abort(); }

}  // namespace __gnu_cxx
