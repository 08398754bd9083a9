// SPDX-License-Identifier: Apache-2.0
//
// What the test of `tailrace tap` watches: tap_app SERVICE records the same few things again and again until
// it is ended.
#include <tailrace/tailrace.hpp>

#include <unistd.h>

#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  tailrace::Config config;
  config.service = argv[1];
  if (!tailrace::init(config).ok()) return 4;
  auto turns = tailrace::counter<std::uint64_t>("turns", {"{turn}"});
  for (;;) {
    turns.add(1, {{"lane", "left"}});
    {
      auto slow = tailrace::span("slow");
      ::usleep(20'000);
      auto fast = tailrace::span("fast");
      fast.set("amount", 42);
    }
    tailrace::span("\x1b[2J\x07 evil").end();
    tailrace::log({"the stock is low", tailrace::Severity::warn, {{"left", 3}}});
    tailrace::log({"all is well", tailrace::Severity::info, {}});
    ::usleep(10'000);
  }
}
