// SPDX-License-Identifier: Apache-2.0
//
// A program of somebody who has nothing but the installed package: one span, one log. Whether they
// were delivered is for the ledger to say.
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
