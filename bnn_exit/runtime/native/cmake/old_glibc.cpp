// Lets a library that was linked on a new system run on systems of the last ten years.
//
// The linker binds each function to its newest version in the glibc of the building machine. The functions below
// have a newest version that old systems lack: they are bound to the first version, which gives the same results. A
// function that old systems lack altogether, and that only the C++ support library needs, is defined here.
// cmake/old_glibc.cmake names the wrapped functions to the linker; .ci/build_wheel.py reads from the finished library
// which glibc it really needs.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>

#include <cstdint>

#if defined(__aarch64__)
#define FIRST_GLIBC "GLIBC_2.17"
#elif defined(__x86_64__)
#define FIRST_GLIBC "GLIBC_2.2.5"
#else
#error "which glibc was the first on this machine?"
#endif

// `first_NAME` is NAME of the first glibc; references to NAME arrive at `__wrap_NAME`.
#define FIRST(name) __asm__(".symver first_" #name ", " #name "@" FIRST_GLIBC)
FIRST(exp);
FIRST(hypot);
FIRST(log);
FIRST(logf);
FIRST(pow);
FIRST(pthread_once);
FIRST(__pthread_key_create);
FIRST(pthread_create);
FIRST(pthread_join);
FIRST(pthread_detach);

extern "C" {

double first_exp(double);
double first_hypot(double, double);
double first_log(double);
float first_logf(float);
double first_pow(double, double);
int first_pthread_once(pthread_once_t*, void (*)());
int first___pthread_key_create(pthread_key_t*, void (*)(void*));

int first_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
int first_pthread_join(pthread_t, void**);
int first_pthread_detach(pthread_t);

double __wrap_exp(double x) { return first_exp(x); }
double __wrap_hypot(double x, double y) { return first_hypot(x, y); }
double __wrap_log(double x) { return first_log(x); }
float __wrap_logf(float x) { return first_logf(x); }
double __wrap_pow(double x, double y) { return first_pow(x, y); }
int __wrap_pthread_once(pthread_once_t* once, void (*run)()) { return first_pthread_once(once, run); }
int __wrap___pthread_key_create(pthread_key_t* key, void (*destroy)(void*)) {
  return first___pthread_key_create(key, destroy);
}

int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  return first_pthread_create(thread, attributes, run, argument);
}
int __wrap_pthread_join(pthread_t thread, void** result) { return first_pthread_join(thread, result); }
int __wrap_pthread_detach(pthread_t thread) { return first_pthread_detach(thread); }

// "There may be other threads": reference counts are then always atomic.
char __libc_single_threaded = 0;

#ifdef DLFO_STRUCT_HAS_EH_DBASE
namespace {
using ProgramHeader = ElfW(Phdr);

struct Search {
  std::uintptr_t address;
  dl_find_object* found;
};

int look(dl_phdr_info* object, std::size_t, void* data) {
  const Search& search = *static_cast<Search*>(data);
  const ProgramHeader* frames = nullptr;
  const ProgramHeader* segment = nullptr;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ProgramHeader& header = object->dlpi_phdr[i];
    const std::uintptr_t start = object->dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_GNU_EH_FRAME) frames = &header;
    if (header.p_type == PT_LOAD && search.address >= start && search.address - start < header.p_memsz)
      segment = &header;
  }
  if (!segment) return 0;
  if (!frames) return -1;
  const std::uintptr_t start = object->dlpi_addr + segment->p_vaddr;
  search.found->dlfo_map_start = reinterpret_cast<void*>(start);
  search.found->dlfo_map_end = reinterpret_cast<void*>(start + segment->p_memsz);
  search.found->dlfo_eh_frame = reinterpret_cast<void*>(object->dlpi_addr + frames->p_vaddr);
  return 1;
}
}  // namespace

// Where the unwinder finds the tables of the code at an address, when an exception is thrown (glibc 2.35).
int _dl_find_object(void* address, dl_find_object* found) noexcept {
  Search search{reinterpret_cast<std::uintptr_t>(address), found};
  return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}
#endif

}  // extern "C"
