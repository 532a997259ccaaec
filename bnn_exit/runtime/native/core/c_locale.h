// Numbers are read and written with a point, whatever locale the program has chosen.
#pragma once

#include <locale.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

namespace bnn_exit {

// While one lives, its thread reads and formats as in the locale "C": strtod and printf take a decimal comma from others.
// Every call that may meet a number in text holds one, so that nothing inside has to think of it.
class CLocale {
 public:
  CLocale() : before_(uselocale(plain())) {}
  ~CLocale() { uselocale(before_); }
  CLocale(const CLocale&) = delete;
  CLocale& operator=(const CLocale&) = delete;

 private:
  static locale_t plain() {
    static const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);
    return plain;
  }

  locale_t before_;
};

}  // namespace bnn_exit
