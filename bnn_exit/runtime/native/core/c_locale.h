// Reads and writes numbers with a decimal point, whatever the program's locale.
#pragma once

#include <locale.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

namespace bnn_exit {

inline const locale_t kPlainLocale = newlocale(LC_ALL_MASK, "C", nullptr);

// Sets the locale "C" for this thread while it lives: in others, strtod and printf may use a decimal comma. Every
// function of the C interface that may read or format numbers holds one, so that nothing inside depends on the locale.
class CLocale {
 public:
  CLocale() : before_(uselocale(kPlainLocale)) {}
  ~CLocale() { uselocale(before_); }
  CLocale(const CLocale&) = delete;
  CLocale& operator=(const CLocale&) = delete;

 private:
  locale_t before_;
};

}  // namespace bnn_exit
