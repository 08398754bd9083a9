# SPDX-License-Identifier: Apache-2.0
include_guard(GLOBAL)

find_package(GTest REQUIRED)
include(GoogleTest)

# tailrace_test(name SOURCES a.cpp … [LIBRARIES x y …] [LABELS slow fault interop …] [TIMEOUT seconds])
#
# A GoogleTest program `name`, each of its tests registered with ctest as name.Suite.Test.
# Labels decide when it runs: `fast` (the default) in `./dev test`; `slow`, `fault` and `interop` only in
# `./dev test --all`.
# SOURCES may bring their own main().
function(tailrace_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;LIBRARIES;LABELS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "tailrace_test(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "tailrace_test(${name}): SOURCES is missing")
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS fast)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()

  add_executable(${name} ${arg_SOURCES})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  # gtest_main is a static archive: its main() is taken only when the sources bring none.
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} GTest::gmock GTest::gtest GTest::gtest_main
                                        Threads::Threads)
  tailrace_warnings(${name})

  # Listing at test time, not at link time: a build does not fail because a test program cannot start,
  # and a sanitizer's slow start has room.
  gtest_discover_tests(
    ${name}
    TEST_PREFIX ${name}.
    TEST_LIST ${name}_TESTS
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${arg_TIMEOUT})

  # gtest_discover_tests() cannot pass on a list, so several labels are set by a script that ctest reads
  # after the listing. It is skipped for a program that is not built (ctest then reports it as not run).
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${name}.labels.cmake)
  file(WRITE ${script} "if(${name}_TESTS)
  set_tests_properties(\${${name}_TESTS} PROPERTIES LABELS \"${arg_LABELS}\")
endif()
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${script})
endfunction()
