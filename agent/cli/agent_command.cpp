// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/cli/commands.hpp"
#include "agent/pipeline/agent.hpp"
#include "agent/pipeline/options.hpp"

namespace tailrace::agent {
namespace {

// What CLI11 cannot fill in place: plain numbers that become durations.
struct Raw {
  AgentOptions options;
  std::string endpoint;
  std::string headers;
  std::int64_t timeout_ms = -1;
  std::optional<std::int64_t> linger_ms;
  std::optional<std::int64_t> background_linger_ms;
  std::optional<std::uint32_t> batch_records;
  std::optional<std::int64_t> metric_interval_ms;
  std::string temporality;
  bool no_process_metrics = false;
  std::int64_t shutdown_ms = 5000;
  std::int64_t retry_age_s = 0;
};

int run(Raw& raw) {
  AgentOptions& options = raw.options;
  if (!raw.endpoint.empty()) options.endpoint = raw.endpoint;
  if (!raw.headers.empty()) options.headers = raw.headers;
  if (raw.timeout_ms >= 0) options.timeout_ms = static_cast<std::uint64_t>(raw.timeout_ms);
  const auto linger = [&options](QueueClass queue, const std::optional<std::int64_t>& given_ms) {
    if (given_ms) options.batch.linger[static_cast<std::size_t>(queue)] = std::chrono::milliseconds(*given_ms);
    return given_ms.has_value();
  };
  options.linger_given = linger(QueueClass::normal, raw.linger_ms);
  options.background_linger_given = linger(QueueClass::background, raw.background_linger_ms);
  options.batch_records_given = raw.batch_records.has_value();
  if (raw.batch_records) options.batch.records = *raw.batch_records;
  if (raw.metric_interval_ms) options.metric_interval = std::chrono::milliseconds(*raw.metric_interval_ms);
  if (raw.temporality == "cumulative") options.temporality = Temporality::cumulative;
  if (raw.temporality == "delta") options.temporality = Temporality::delta;
  if (raw.temporality == "lowmemory") options.temporality = Temporality::low_memory;
  options.process_metrics = !raw.no_process_metrics;
  options.shutdown = std::chrono::milliseconds(raw.shutdown_ms);
  options.retry_age = std::chrono::seconds(raw.retry_age_s);
  const Status ran = run_agent(options);
  return ran.ok() ? 0 : fail("agent", ran.error().sentence);
}

}  // namespace

void add_agent_command(CLI::App& app, Action& action) {
  auto raw = std::make_shared<Raw>();
  AgentOptions& options = raw->options;
  const CLI::AsSizeValue bytes(false);
  CLI::App* verb = app.add_subcommand("agent", "drains every process's segment and sends OTLP; one a host");
  verb->add_option("--dir", options.directory,
                   "directory of the segments (default: $TAILRACE_DIR, /run/tailrace, /dev/shm/tailrace, "
                   "$XDG_RUNTIME_DIR/tailrace)");
  verb->add_option("--hold", options.hold_path, "file of the hold, on a tmpfs (default: agent/hold in the directory)");
  verb->add_option("--hold-size", options.hold_bytes, "size of the hold, which is the memory limit for telemetry")
      ->transform(bytes)
      ->check(CLI::Range(std::uint64_t{1} << 20, std::uint64_t{64} << 30))
      ->default_str("128MiB");
  verb->add_option(
      "--endpoint", raw->endpoint,
      "OTLP/gRPC receiver, http://host:port (default: OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4317)");
  verb->add_option("--headers", raw->headers,
                   "metadata of every request, k=v,k=v (default: OTEL_EXPORTER_OTLP_HEADERS)");
  verb->add_option("--timeout", raw->timeout_ms,
                   "milliseconds an attempt may take, 0 = no limit (default: "
                   "OTEL_EXPORTER_OTLP_TIMEOUT, else 10000)")
      ->check(CLI::NonNegativeNumber);
#ifdef TAILRACE_HAVE_VIEWER
  verb->add_flag("--viewer", options.viewer,
                 "start the viewer beside the agent, and send to it where no endpoint is configured");
  verb->add_option("--viewer-http-port", options.viewer_http_port, "port of the viewer's page, 0 = any free one")
      ->default_str("0");
#endif
  verb->add_option("--batch-size", options.batch.bytes, "a batch is closed at this size")
      ->transform(bytes)
      ->check(CLI::Range(std::uint64_t{4096}, std::uint64_t{64} << 20))
      ->default_str("512KiB");
  verb->add_option("--batch-records", raw->batch_records, "or at this many records")
      ->check(CLI::PositiveNumber)
      ->default_str("4096");
  verb->add_option("--linger", raw->linger_ms, "or after this many milliseconds, for normal records")
      ->check(CLI::NonNegativeNumber)
      ->default_str("200");
  verb->add_option("--background-linger", raw->background_linger_ms, "and for background records")
      ->check(CLI::NonNegativeNumber)
      ->default_str("2000");
  verb->add_option("--metric-interval", raw->metric_interval_ms,
                   "milliseconds between two collections of metrics (default: OTEL_METRIC_EXPORT_INTERVAL, else "
                   "what the process asks for, else 60000)")
      ->check(CLI::Range(kMetricIntervalMin.count(), kMetricIntervalMax.count()));
  verb->add_option("--temporality", raw->temporality,
                   "cumulative, delta or lowmemory (default: OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, else "
                   "what the process asks for, else cumulative)")
      ->transform(CLI::IsMember({"cumulative", "delta", "lowmemory"}, CLI::ignore_case).description(""))
      ->type_name("NAME");
  verb->add_flag("--no-process-metrics", raw->no_process_metrics,
                 "do not send what the kernel tells of each process (process.cpu.time, process.memory.usage …)");
  verb->add_option("--request-size", options.request_bytes, "the most one request holds")
      ->transform(bytes)
      ->check(CLI::Range(std::uint64_t{4096}, std::uint64_t{64} << 20))
      ->default_str("3.5MiB");
  verb->add_option("--in-flight", options.requests_in_flight, "requests under way at once, for each destination")
      ->check(CLI::Range(1, 64))
      ->default_str("4");
  verb->add_option("--retry-age", raw->retry_age_s,
                   "seconds after which a request that keeps failing is given up, 0 = never")
      ->check(CLI::NonNegativeNumber)
      ->default_str("0");
  verb->add_option("--shutdown-timeout", raw->shutdown_ms,
                   "milliseconds to send what is left after SIGTERM; the rest stays in the hold")
      ->check(CLI::NonNegativeNumber)
      ->default_str("5000");
  verb->add_option("--dead-segments", options.dead_segment_bytes,
                   "memory that segments of dead processes may take; beyond it one is removed")
      ->transform(bytes)
      ->default_str("256MiB");
  verb->add_option("--workers", options.workers, "drain threads, 0 = one a core, at most 4")
      ->check(CLI::Range(0U, kWorkersMax))
      ->default_str("0");
  verb->callback([raw, &action] { action = [raw] { return run(*raw); }; });
}

}  // namespace tailrace::agent
