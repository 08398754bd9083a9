# SPDX-License-Identifier: Apache-2.0
include_guard(GLOBAL)

# Sanitizers are for a whole build: half an instrumented program reports races that are none.
if(TAILRACE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "TAILRACE_FUZZ needs clang (libFuzzer); this is ${CMAKE_CXX_COMPILER_ID}. "
                        "Use: cmake --preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(TAILRACE_SANITIZE)
  add_compile_options(-fsanitize=${TAILRACE_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TAILRACE_SANITIZE})
endif()
