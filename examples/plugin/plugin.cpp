// SPDX-License-Identifier: Apache-2.0
// A plug-in that records with Tailrace, whatever the program that loads it links. Its only needs are libtailrace and
// libc, so it cannot clash with the gRPC, Protobuf or OpenTelemetry of anybody.
//
// Threads: any. The program calls plugin_work() as often as it likes, and may unload the plug-in after it.
#include <tailrace/tailrace.hpp>

using namespace tailrace::literals;

extern "C" __attribute__((visibility("default"))) int plugin_start() {
  tailrace::Config config;
  config.service = "plugin-host";
  // Refused with a sentence where the program has called init() itself: then both record into one segment.
  return tailrace::init(config).ok() ? 0 : 1;
}

extern "C" __attribute__((visibility("default"))) void plugin_work(int item) {
  static const tailrace::Scope scope{"example.plugin", "1.0"};
  tailrace::SpanOptions options;
  options.scope = &scope;
  auto span = tailrace::span("plug-in work"_n, options);
  span.set("item"_n, item);
  tailrace::info("worked on {}", item);
}
