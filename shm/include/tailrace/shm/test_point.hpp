// SPDX-License-Identifier: Apache-2.0
//
// TAILRACE_TEST_POINT("part.action.place"): a named place between two visible side effects, at
// which a test may end or stop the process.
//
// Without TAILRACE_TEST_POINTS it compiles to nothing. With it (CMake option of the same name, set
// by the presets dev, asan and tsan; or a definition on a test's own copy of a library) it calls
// tailrace_test_point(name), if the program defines that function. It is a weak reference: a
// library built with test points also works in programs that take no interest in them.
//
// The function runs on whatever thread and stack the point is on, inside signal handlers too: it
// may compare the name, count, write to a pipe, or raise SIGKILL, and nothing that allocates or
// locks.
#ifndef TAILRACE_SHM_TEST_POINT_HPP_
#define TAILRACE_SHM_TEST_POINT_HPP_

#ifdef TAILRACE_TEST_POINTS

extern "C" __attribute__((weak, visibility("default"))) void tailrace_test_point(const char* name);

#define TAILRACE_TEST_POINT(name)                                                                                      \
  do {                                                                                                                 \
    if (::tailrace_test_point != nullptr) {                                                                            \
      ::tailrace_test_point(name);                                                                                     \
    }                                                                                                                  \
  } while (false)

#else

#define TAILRACE_TEST_POINT(name) static_cast<void>(0)

#endif

#endif  // TAILRACE_SHM_TEST_POINT_HPP_
