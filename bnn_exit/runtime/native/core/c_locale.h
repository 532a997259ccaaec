// Numbers are read and written with a point, whatever locale the program has chosen.
#pragma once

#include <locale.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

namespace bnn_exit {

inline const locale_t kPlainLocale = newlocale(LC_ALL_MASK, "C", nullptr);

// While one lives, its thread reads and formats as in the locale "C": strtod and printf take a decimal comma from others.
// Every call that may meet a number in text holds one, so that nothing inside has to think of it.
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
