// SPDX-License-Identifier: Apache-2.0
//
// AgentOptions: everything `tailrace agent` can be told, with its defaults and their reasons.
//
// Threads, ownership: a value, made by the command line, read by everybody. Failure: none here; the
// command line refuses what makes no sense.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "agent/decode/hints.hpp"
#include "agent/pipeline/request_queue.hpp"

namespace tailrace::agent {

struct BatchLimits {
  std::uint64_t bytes = 512 * 1024;  // beyond it a receiver gains almost nothing
  std::uint32_t records = 4096;
  // How long an open batch may wait for more, by class of queue. Critical ones are closed with the
  // pass that brought them; the others trade delay for fewer requests.
  std::array<std::chrono::milliseconds, kQueueClasses> linger{
      std::chrono::milliseconds(0), std::chrono::milliseconds(200), std::chrono::milliseconds(2000)};
};

struct AgentOptions {
  std::string directory;  // of the segments; empty: the first that this user can have
  std::string hold_path;  // empty: agent/hold beside the segments
  std::uint64_t hold_bytes = std::uint64_t{128} << 20;

  std::optional<std::string> endpoint;
  std::optional<std::string> headers;
  std::optional<std::uint64_t> timeout_ms;

  bool viewer = false;
  std::uint16_t viewer_otlp_port = 0;  // 0: any free one; only this agent needs to know it
  std::uint16_t viewer_http_port = 0;

  unsigned workers = 0;  // 0: one a core, at most kWorkersMax
  BatchLimits batch;
  // What of `batch` the user gave: no process's wish changes it.
  bool batch_records_given = false;
  bool linger_given = false;
  bool background_linger_given = false;
  std::optional<std::chrono::milliseconds> metric_interval;  // none: what the variables say, else a minute
  std::optional<Temporality> temporality;
  bool process_metrics = true;  // process.* from /proc
  // Receivers built on gRPC take 4 MiB by default; a request stays below that with room for framing.
  std::uint64_t request_bytes = 3584 * 1024;
  std::uint32_t requests_in_flight = 4;
  std::chrono::milliseconds retry_age{0};  // 0: for as long as the hold has room
  std::chrono::milliseconds shutdown{5000};
  // Segments of dead processes whose records are not all settled: beyond this much memory one is
  // removed, a drained one if there is any, and what was left in it is booked.
  std::uint64_t dead_segment_bytes = std::uint64_t{256} << 20;
};
inline constexpr unsigned kWorkersMax = 4;

}  // namespace tailrace::agent
