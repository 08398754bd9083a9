# SPDX-License-Identifier: Apache-2.0
include_guard(GLOBAL)

# tailrace_warnings(target): strict warnings for our own code, none forced on whoever links it.
# Errors only with TAILRACE_WERROR, which the presets set: a newer compiler must not break a user's build.
function(tailrace_warnings target)
  set(flags
      -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-align -Wcast-qual
      -Wformat=2 -Wnull-dereference -Wdouble-promotion -Wimplicit-fallthrough -Wundef
      $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
      $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>
      $<$<COMPILE_LANGUAGE:CXX>:-Wextra-semi>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND flags -Wduplicated-cond -Wlogical-op)
    if(TAILRACE_SANITIZE)
      # The sanitizers' added branches make g++ 12 report paths that the source does not have.
      list(REMOVE_ITEM flags -Wnull-dereference)
      list(APPEND flags -Wno-maybe-uninitialized -Wno-stringop-overflow)
      if(TAILRACE_SANITIZE MATCHES "thread")
        # Says of every fence that the sanitizer does not see it, which is true and no mistake.
        list(APPEND flags -Wno-tsan)
      endif()
    endif()
  endif()
  if(TAILRACE_WERROR)
    list(APPEND flags -Werror)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # g++ 12 reports paths through its own std::string and std::vector that do not exist.
      list(APPEND flags -Wno-error=null-dereference -Wno-error=restrict -Wno-error=stringop-overflow)
    endif()
  endif()
  target_compile_options(${target} PRIVATE ${flags})
endfunction()
