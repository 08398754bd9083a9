# SPDX-License-Identifier: Apache-2.0
include_guard(GLOBAL)

# tailrace_fuzzer(name SOURCES a.cpp … [LIBRARIES x y …] [CORPUS directory] [OPTIONS -max_len=… …])
#
# A libFuzzer program with AddressSanitizer and UndefinedBehaviorSanitizer, in bin/fuzz/, built only
# with TAILRACE_FUZZ. `./dev fuzz [seconds]` runs each one listed in fuzzers.txt of the build directory:
# name, seed corpus or "-", libFuzzer options.
function(tailrace_fuzzer name)
  if(NOT TAILRACE_FUZZ)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "CORPUS" "SOURCES;LIBRARIES;OPTIONS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "tailrace_fuzzer(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} Threads::Threads)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin/fuzz)
  tailrace_warnings(${name})

  set(corpus -)
  if(arg_CORPUS)
    get_filename_component(corpus ${arg_CORPUS} ABSOLUTE BASE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  list(JOIN arg_OPTIONS " " options)
  set_property(GLOBAL APPEND PROPERTY TAILRACE_FUZZERS ${name})
  set_property(GLOBAL APPEND_STRING PROPERTY TAILRACE_FUZZER_LINES "${name} ${corpus} ${options}\n")
endfunction()

# Called once by the root after every part: one target for all, and the list that `./dev fuzz` reads.
function(tailrace_finish_fuzzers)
  if(NOT TAILRACE_FUZZ)
    return()
  endif()
  get_property(fuzzers GLOBAL PROPERTY TAILRACE_FUZZERS)
  get_property(lines GLOBAL PROPERTY TAILRACE_FUZZER_LINES)
  file(WRITE ${PROJECT_BINARY_DIR}/fuzzers.txt "${lines}")
  add_custom_target(fuzzers)
  if(fuzzers)
    add_dependencies(fuzzers ${fuzzers})
  endif()
endfunction()
