# SPDX-License-Identifier: Apache-2.0
include_guard(GLOBAL)

# What only the top-level project may decide: build type, where programs go, the compiler cache.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

# Programs stand together, so that `build/<preset>/bin/tailrace` is their one address.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(TAILRACE_CCACHE ccache)
mark_as_advanced(TAILRACE_CCACHE)
if(TAILRACE_CCACHE)
  foreach(language C CXX)
    if(NOT CMAKE_${language}_COMPILER_LAUNCHER)
      set(CMAKE_${language}_COMPILER_LAUNCHER ${TAILRACE_CCACHE})
    endif()
  endforeach()
endif()
