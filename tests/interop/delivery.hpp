// SPDX-License-Identifier: Apache-2.0
//
// One run of the whole way: a destination, an agent that sends to it, the recorder; and what arrived.
//
// Threads: one. Ownership: the processes and the directory are gone when deliver() returns. Failure: a test
// failure with the reason, or a reason to skip.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/hold/status.hpp"
#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace tailrace::interop {

namespace pb = opentelemetry::proto;

enum class Reader {
  collector,            // the OpenTelemetry Collector receives, decodes and writes its file exporter's protobuf
  collector_through_c,  // the same, of what the recorder recorded through the C API
  python,               // OpenTelemetry's Python package decodes what the test sink stored, and serializes it again
};
inline const char* name_of(Reader reader) {
  return reader == Reader::python ? "Python" : reader == Reader::collector ? "Collector" : "CollectorThroughC";
}

struct Ids {
  std::string trace;  // 16 bytes
  std::string span;   // 8 bytes
};

struct Delivery {
  std::string skipped;  // not empty: why there is nothing to compare
  std::vector<pb::collector::trace::v1::ExportTraceServiceRequest> traces;
  std::vector<pb::collector::logs::v1::ExportLogsServiceRequest> logs;
  std::vector<pb::collector::metrics::v1::ExportMetricsServiceRequest> metrics;
  std::map<std::string, Ids> ids;              // as the recorder told them
  std::map<std::string, std::uint64_t> times;  // likewise, nanoseconds since 1970
  std::uint64_t written_spans = 0;             // by the recorder's own count
  std::uint64_t written_logs = 0;
  std::uint64_t from_ns = 0;  // the recorder ran after this
  std::uint64_t to_ns = 0;    // and before this; the agent had settled before this, too
  int pid = 0;                // of the recorder
  agent::HoldStatus status;   // when everything was settled
};

using Environment = std::vector<std::pair<std::string, std::string>>;

Delivery deliver(Reader reader, const std::string& mode, const Environment& environment);

}  // namespace tailrace::interop
