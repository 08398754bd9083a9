// SPDX-License-Identifier: Apache-2.0
//
// The viewer's answers as JSON, for tests, the demo and scripts. 64-bit times are decimal strings,
// as in OTLP/JSON, because many readers of JSON have doubles only.
//
//   /api/status                        counters, memory, addresses
//   /api/traces?limit=N                the traces that received a span last, newest start first
//   /api/trace?id=HEX                  one trace with its spans
//   /api/metrics?limit=N               the series that were updated last, by service and name
//   /api/logs?limit=N[&trace_id=HEX]   logs in the order of arrival, newest first
//
// Pure functions of the store. Ownership: borrow what they are given. An answer is bounded:
// kMaxRows rows, kMaxAnswerBytes of stored text.
#ifndef TAILRACE_AGENT_VIEWER_API_HPP_
#define TAILRACE_AGENT_VIEWER_API_HPP_

#include <chrono>
#include <cstddef>
#include <string>

#include "agent/viewer/receiver.hpp"
#include "agent/viewer/store.hpp"

namespace tailrace::agent::viewer {

inline constexpr std::size_t kDefaultRows = 100;
inline constexpr std::size_t kMaxRows = 10'000;
inline constexpr std::size_t kMaxAnswerBytes = std::size_t{4} << 20;

// What the page and the API know beside the store.
struct ViewerState {
  std::string otlp_authority;  // "127.0.0.1:4317"
  std::chrono::seconds uptime{0};
  std::size_t rss_bytes = 0;
  ReceiverCounters receiver;
  StoreCounters store;
};

// Resident memory of this process, 0 where /proc is not readable.
[[nodiscard]] std::size_t resident_bytes();

[[nodiscard]] std::string status_json(const ViewerState& state);
[[nodiscard]] std::string traces_json(const Store& store, std::size_t limit);
[[nodiscard]] std::string trace_json(const Store& store, const TraceId& id);
[[nodiscard]] std::string metrics_json(const Store& store, std::size_t limit);
[[nodiscard]] std::string logs_json(const Store& store, std::size_t limit, const TraceId* trace);

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_API_HPP_
