// SPDX-License-Identifier: Apache-2.0
//
// Loaded into an agent built with test points (LD_PRELOAD): ends it with SIGKILL at the KILL_HIT-th time that it passes
// the point KILL_POINT.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace {
const char* const kPoint = std::getenv("KILL_POINT");
const char* const kHit = std::getenv("KILL_HIT");
std::atomic<int> left{kHit != nullptr ? std::atoi(kHit) : 1};
}  // namespace

extern "C" __attribute__((visibility("default"))) void tailrace_test_point(const char* name) {
  if (kPoint != nullptr && std::strcmp(name, kPoint) == 0 && --left == 0) ::kill(::getpid(), SIGKILL);
}
