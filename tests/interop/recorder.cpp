// SPDX-License-Identifier: Apache-2.0
//
// An application that records every kind of span and log there is, through the public API alone: built once with the
// C++ API and once with the C API behind the same words (through_c.hpp). What must come out of either stands in
// expected_*.hpp, written by hand.
//
//   recorder everything      all of it, with the default limits; then it waits for SIGTERM, so that the agent
//                            meets it alive
//   recorder limits          little of it, with the limits that OTEL_*_LIMIT set
//   recorder parts          one span of more parts than the agent joins
//   recorder shared          a process without a lane of its own for its second thread
//   recorder metrics         every instrument, in two rounds, each waited for
//
// Standard output: a line "ID name trace-id span-id" for each context that expectations name, and
// "TIME name nanoseconds" for moments that are no constants.
#include <signal.h>

#include <cstring>
#include <thread>

#include "tests/interop/recorder.hpp"

namespace tailrace::interop {

void tell(const char* name, const Context& context) {
  char text[56];
  context.traceparent(text);
  std::printf("ID %s %.32s %.16s\n", name, text + 3, text + 36);
}

void tell_time(const char* name, std::uint64_t ns) {
  std::printf("TIME %s %llu\n", name, static_cast<unsigned long long>(ns));
}

namespace {

void record_limits() {
  auto span = api::span("limited, and no attribute is its name"_n);
  tell("limited", span.context());
  span.set("kept.1"_n, "123456789");
  span.set("kept.2"_n, "äöüßéè");
  span.set("kept.3"_n, tailrace::Bytes{"123456789", 9});
  span.set("kept.4"_n, {"123456789", tailrace::Value::map({{"m", "123456789"}}), 1234567890});
  span.set("dropped.5"_n, 1);
  span.set("dropped.6", "x");
  span.set("kept.1"_n, "abcdefghi");  // no new attribute
  span.event("an event of a longer name", {{"a", "123456789"}, {"b", 2}, {"c", 3}});
  span.event("second");
  span.event("third"_n);
  span.link(remote_context(), {{"a", "123456789"}, {"b", 2}});
  span.link(remote_context());
  span.link(remote_context());
  span.status(tailrace::StatusCode::error, "a message is no attribute");
  api::info("limits do not cut arguments: {}", "123456789");
  api::info("a body of attributes is whole", {{"a", "123456789"}, {"b", 2}, {"c", 3}});
  api::log({.body = "this body, too",
            .attributes = {{"a", tailrace::Bytes{"123456789", 9}}},
            .event_name = "an.event.name",
            .severity_text = "SEVERITY"});
  span.end();
  const std::string run_time = "a name of run time, which is no attribute";
  auto named = api::span(run_time, {.trace_state = "vendor=opaque,other=value"});
  tell("named", named.context());
}

void record_parts() {
  auto span = api::span("seven hundred"_n);
  for (int i = 0; i < 700; ++i) span.set("part." + std::to_string(i), std::string(300, 'p'));
}

void record_shared() {
  auto first = api::span("takes the only lane");
  tell("first", first.context());
  std::thread second([&first] {
    auto span = api::span("without a lane", {.parent = first.context()});
    tell("second", span.context());
    span.set("key", "value");
    span.event("event");
    api::info("a log without a lane: {}", 7);
    auto child = api::span("a child there");
    tell("child", child.context());
  });
  second.join();
}

}  // namespace
}  // namespace tailrace::interop

int main(int argc, char** argv) {
  using namespace tailrace::interop;
  if (argc != 2) return 2;
  const bool everything = std::strcmp(argv[1], "everything") == 0;
  const bool limits = std::strcmp(argv[1], "limits") == 0;
  const bool parts = std::strcmp(argv[1], "parts") == 0;
  const bool shared = std::strcmp(argv[1], "shared") == 0;
  const bool metrics = std::strcmp(argv[1], "metrics") == 0;
  if (!everything && !limits && !parts && !shared && !metrics) return 2;
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  tailrace::Config config;
  config.service = "recorder";
  config.service_version = "1.2.3";
  config.service_namespace = "interop";
  // A list in braces would be gone at the end of the statement.
  static const int kInts[] = {1, 2, 3};
  const tailrace::Attribute resource[] = {{"resource.bool", true},
                                          {"resource.ints", tailrace::Value(kInts, 3)},
                                          {"resource.text", "grüß dich"},
                                          {"host.name", "nobody may say so"},
                                          {"process.pid", 1}};
  config.resource = {resource, std::size(resource)};
  config.ring_bytes = 4 << 20;
  if (shared) config.lanes = tailrace::shm::kSharedLanes + 1;
  const tailrace::Outcome outcome = api::init(config);
  if (!outcome.ok()) {
    std::fprintf(stderr, "recorder: %s\n", outcome.sentence);
    return 4;
  }
  if (everything) {
    record_attributes();
    record_parents();
    record_items();
    record_wide();
    record_logs();
  } else if (limits) {
    record_limits();
  } else if (parts) {
    record_parts();
  } else if (metrics) {
    if (!record_metrics()) return 5;
  } else {
    record_shared();
  }
  const auto stats = api::stats();
  std::printf("WRITTEN %llu %llu %llu\n", static_cast<unsigned long long>(stats.written[0]),
              static_cast<unsigned long long>(stats.written[1]), static_cast<unsigned long long>(stats.refused));
  std::fflush(stdout);
  int number = 0;
  if (everything) sigwait(&stop, &number);
  return 0;
}
