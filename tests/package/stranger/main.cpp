// SPDX-License-Identifier: Apache-2.0
//
// Ten lines of a stranger's program: one span, one log. Exits with 0 if both were written to a segment.
#include <tailrace/tailrace.hpp>

int main() {
  tailrace::Config config;
  config.service = "stranger";
  tailrace::init(config);
  {
    auto span = tailrace::span("pay");
    span.set("amount", 42);
    tailrace::info("paid {}", 42);
  }
  return 0;
}
