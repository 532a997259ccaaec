# Binds the library to the first versions of functions of glibc; see old_glibc.cpp.
target_sources(bnn_exit_native PRIVATE ${CMAKE_CURRENT_LIST_DIR}/old_glibc.cpp)
foreach(name exp hypot log logf pow pthread_once __pthread_key_create pthread_create pthread_join pthread_detach)
  target_link_options(bnn_exit_native PRIVATE -Wl,--wrap=${name})
endforeach()
# Part of pthread_* lay in a library of its own until glibc 2.34.
target_link_options(bnn_exit_native PRIVATE -Wl,--push-state,--no-as-needed -l:libpthread.so.0 -Wl,--pop-state)
