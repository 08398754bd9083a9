// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "agent/cli/commands.hpp"
#include "agent/pipeline/places.hpp"
#include "agent/tap/client.hpp"
#include "agent/tap/protocol.hpp"

namespace tailrace::agent {
namespace {

constexpr int kAgentWent = 3;

// As it was typed.
struct Typed {
  std::string directory;
  std::string hold_path;
  std::vector<std::string> signals;
  std::string severity;
  std::string slower_than;
  std::string trace;
  TapOptions options;
};

bool colour_wanted() {
  const char* no = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) != 0 && (no == nullptr || *no == '\0') &&
         (terminal == nullptr || std::strcmp(terminal, "dumb") != 0);
}

Status understand(Typed& typed) {
  TapFilter& filter = typed.options.filter;
  if (filter.service.size() > kTapPatternBytes || filter.name.size() > kTapPatternBytes) {
    return Error{ErrorCode::kInvalidArgument,
                 "a pattern has at most " + std::to_string(kTapPatternBytes) + " bytes; shorten it with a *"};
  }
  if (!typed.signals.empty()) filter.signals = 0;
  for (const std::string& name : typed.signals) {
    for (const Signal signal : kEachSignal) {
      if (name == signal_name(signal)) filter.signals |= static_cast<std::uint8_t>(1U << index_of(signal));
    }
  }
  if (!typed.severity.empty()) {
    const Result<std::uint8_t> severity = parse_severity(typed.severity);
    if (!severity) return severity.error();
    filter.severity = *severity;
  }
  if (!typed.slower_than.empty()) {
    const Result<std::uint64_t> duration = parse_duration(typed.slower_than);
    if (!duration) return duration.error();
    filter.slower_than_ns = *duration;
  }
  if (!typed.trace.empty()) {
    const Result<otlp::TraceId> id = parse_trace_id(typed.trace);
    if (!id) return id.error();
    filter.trace_id = *id;
  }
  return {};
}

int tap(Typed& typed) {
  if (const Status understood = understand(typed); !understood.ok()) {
    fail("tap", understood.error().sentence);
    return 2;
  }
  std::string hold = typed.hold_path;
  if (hold.empty()) {
    const Result<std::string> found = find_hold(typed.directory);
    if (!found) return fail("tap", found.error().sentence);
    hold = *found;
  }
  typed.options.socket_path = tap_socket_of(hold);
  typed.options.colour = !typed.options.json && colour_wanted();
  const Result<TapEnd> end = run_tap(typed.options);
  if (!end) return fail("tap", end.error().sentence);
  if (*end == TapEnd::as_wished) return 0;
  fail("tap",
       "the agent ended the tap: it stopped, or nothing was read here for too long; start again when "
       "`tailrace status` says that it runs");
  return kAgentWent;
}

}  // namespace

void add_tap_command(CLI::App& app, Action& action) {
  auto typed = std::make_shared<Typed>();
  TapFilter& filter = typed->options.filter;
  CLI::App* verb = app.add_subcommand(
      "tap", "one line per span, log or metric point as it passes the agent; lossy when there is too much");
  verb->add_option("--service", filter.service, "pattern of the service's name; * any run of characters, ? any one");
  verb->add_option("--name", filter.name, "pattern of a span's or metric's name, of a log's text or event name");
  verb->add_option("--signal", typed->signals, "only these; may be repeated, or separated by commas")
      ->delimiter(',')
      ->check(CLI::IsMember({"traces", "logs", "metrics"}));
  verb->add_option("--severity", typed->severity,
                   "logs at least so severe, and spans that failed: trace, debug, info, warn, error, fatal");
  verb->add_option("--slower-than", typed->slower_than, "spans that took at least so long: 250us, 10ms, 1.5s");
  verb->add_option("--trace", typed->trace, "spans and logs of this trace, 32 hexadecimal digits");
  verb->add_option("--count", typed->options.count, "end after so many lines");
  verb->add_flag("--json", typed->options.json, "one JSON object a line");
  verb->add_option("--dir", typed->directory, "directory of the segments (default: the first that exists)");
  verb->add_option("--hold", typed->hold_path, "the hold's file (default: agent/hold in the directory)");
  verb->footer(
      "Exit status: 0 stopped or enough lines, 1 no agent answers or it refuses, 2 an option makes no "
      "sense, 3 the agent ended it.");
  verb->callback([typed, &action] { action = [typed] { return tap(*typed); }; });
}

}  // namespace tailrace::agent
