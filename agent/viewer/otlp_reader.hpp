// SPDX-License-Identifier: Apache-2.0
//
// Reads OTLP Export requests straight from the wire into the store. No Protobuf object is built:
// one of them can need many times the bytes that described it, and the viewer's memory has a bound.
//
// A request is walked twice, first to check all of it and then to keep it, so that a malformed one
// leaves nothing behind and nothing waits in between.
//
// Threads: none of its own. Ownership: borrows the request during the call. Failure: kCorrupt, with
// a sentence that says what is wrong with the request; nothing of it was kept. Source:
// OpenTelemetry protocol 1.11, the trace, logs, metrics and common messages.
#ifndef TAILRACE_AGENT_VIEWER_OTLP_READER_HPP_
#define TAILRACE_AGENT_VIEWER_OTLP_READER_HPP_

#include <cstdint>
#include <string_view>

#include "agent/base/result.hpp"
#include "agent/viewer/store.hpp"

namespace tailrace::agent::viewer {

// The numbers of the fields that `detail` of a stored span or log may hold.
namespace span_field {
inline constexpr unsigned kTraceState = 3, kAttributes = 9, kDroppedAttributes = 10, kEvents = 11, kDroppedEvents = 12,
                          kLinks = 13, kDroppedLinks = 14, kStatus = 15, kFlags = 16;
}
namespace log_field {
inline constexpr unsigned kAttributes = 6, kDroppedAttributes = 7, kFlags = 8;
}

// Spans whose end is not the application's carry this attribute, true.
inline constexpr std::string_view kUnfinishedAttribute = "tailrace.span.incomplete";

struct ReadCounts {
  std::uint64_t records = 0;   // spans, log records or data points in the request
  std::uint64_t rejected = 0;  // of these, not kept because they are invalid (spans without ids)
};

[[nodiscard]] Result<ReadCounts> read_traces(std::string_view request, Store& store);
[[nodiscard]] Result<ReadCounts> read_logs(std::string_view request, Store& store);
[[nodiscard]] Result<ReadCounts> read_metrics(std::string_view request, Store& store);

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_OTLP_READER_HPP_
