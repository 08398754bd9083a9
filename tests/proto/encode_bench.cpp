// SPDX-License-Identifier: Apache-2.0
//
// What one record costs in the encoder, warm: the two sizes of
// docs/performance.md, a log, and the check of a batch after a restart.

#include <algorithm>
#include <array>
#include <benchmark/benchmark.h>
#include <cstdint>
#include <cstring>
#include <vector>

#include "proto/encode/batch.hpp"
#include "proto/encode/encode.hpp"

namespace {

using namespace tailrace::otlp;

template <typename Id>
Id id_of(std::uint8_t seed) {
  Id id;
  for (auto& byte : id.bytes) byte = seed = static_cast<std::uint8_t>(seed * 5 + 1);
  return id;
}

SpanView span_of(std::string_view name, Attributes attributes) {
  SpanView span;
  span.trace_id = id_of<TraceId>(3);
  span.span_id = id_of<SpanId>(5);
  span.parent_span_id = id_of<SpanId>(7);
  span.name = name;
  span.flags = 0x103;
  span.kind = 2;
  span.start_ns = 1'790'000'000'000'000'000;
  span.end_ns = span.start_ns + 1'234'567;
  span.attributes = attributes;
  return span;
}

constexpr std::array kSmall{
    KeyValue{"http.request.method", Value::string("GET")},
    KeyValue{"http.route", Value::string("/api/orders/{id}")},
    KeyValue{"http.response.status_code", Value::of(std::int64_t{200})},
};

// An HTTP server span by the semantic conventions.
constexpr std::array kWide{
    KeyValue{"http.request.method", Value::string("GET")},
    KeyValue{"http.route", Value::string("/api/v1/customers/{customer}/orders/{order}")},
    KeyValue{"http.response.status_code", Value::of(std::int64_t{200})},
    KeyValue{"url.scheme", Value::string("https")},
    KeyValue{"url.path", Value::string("/api/v1/customers/48213/orders/990120")},
    KeyValue{"url.query", Value::string("expand=items&currency=EUR&page=1")},
    KeyValue{"server.address", Value::string("orders.shop.example.com")},
    KeyValue{"server.port", Value::of(std::int64_t{443})},
    KeyValue{"client.address", Value::string("203.0.113.77")},
    KeyValue{"client.port", Value::of(std::int64_t{51824})},
    KeyValue{"network.peer.address", Value::string("10.12.7.33")},
    KeyValue{"network.peer.port", Value::of(std::int64_t{40312})},
    KeyValue{"network.protocol.name", Value::string("http")},
    KeyValue{"network.protocol.version", Value::string("1.1")},
    KeyValue{"user_agent.original",
             Value::string("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")},
    KeyValue{"http.request.body.size", Value::of(std::int64_t{0})},
    KeyValue{"http.response.body.size", Value::of(std::int64_t{18342})},
    KeyValue{"enduser.id", Value::string("customer-48213")},
};

template <typename Encode, typename View>
void run(benchmark::State& state, Encode encode, const View& view) {
  std::vector<std::uint8_t> buffer(16384);
  BackwardWriter writer(buffer.data(), buffer.size());
  std::size_t bytes = 0;
  for (auto _ : state) {
    writer.clear();
    benchmark::DoNotOptimize(&view);
    const bool fits = encode(writer, view);
    benchmark::DoNotOptimize(fits);
    benchmark::ClobberMemory();
    bytes = writer.size();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}

// The same bytes as one copy: what no encoder can beat.
void copy_of_small_span(benchmark::State& state) {
  std::vector<std::uint8_t> from(200), to(200);
  for (auto _ : state) {
    benchmark::DoNotOptimize(from.data());
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(copy_of_small_span);

void small_span(benchmark::State& state) { run(state, encode_span, span_of("GET /api/orders/{id}", kSmall)); }
BENCHMARK(small_span);

void wide_span(benchmark::State& state) {
  run(state, encode_span, span_of("GET /api/v1/customers/{customer}/orders/{order}", kWide));
}
BENCHMARK(wide_span);

void log_record(benchmark::State& state) {
  static constexpr std::array kArguments{
      KeyValue{"user", Value::string("customer-48213")},
      KeyValue{"items", Value::of(std::int64_t{12})},
      KeyValue{"amount", Value::of(129.95)},
  };
  LogView log;
  log.time_ns = log.observed_ns = 1'790'000'000'000'000'000;
  log.severity = 9;
  log.severity_text = "INFO";
  log.body = Value::string("order of customer-48213 placed: 12 items, 129.95");
  log.attributes = kArguments;
  log.trace_id = id_of<TraceId>(3);
  log.span_id = id_of<SpanId>(5);
  log.flags = 1;
  run(state, encode_log, log);
}
BENCHMARK(log_record);

void repaired_name(benchmark::State& state) { run(state, encode_span, span_of("GET /caf\xe9/{id}", kSmall)); }
BENCHMARK(repaired_name);

// Per record of a batch of 512 KiB in pages of 4 KiB.
void check_of_batch(benchmark::State& state) {
  std::vector<std::uint8_t> buffer(1024);
  BackwardWriter writer(buffer.data(), buffer.size());
  if (!encode_span(writer, span_of("GET /api/orders/{id}", kSmall))) {
    state.SkipWithError("the span does not fit");
    return;
  }
  const BatchHead head = make_batch_head(Signal::traces, {}, {});
  std::vector<std::uint8_t> batch = head.bytes;
  while (batch.size() < std::size_t{512} << 10) {
    batch.insert(batch.end(), writer.bytes().begin(), writer.bytes().end());
  }
  std::vector<Piece> pages;
  constexpr std::size_t kPageBytes = 4096;
  for (std::size_t at = 0; at < batch.size(); at += kPageBytes) {
    pages.push_back(Piece(batch).subspan(at, std::min(kPageBytes, batch.size() - at)));
  }
  std::uint32_t records = 0;
  for (auto _ : state) {
    const BatchCheck check = check_batch(pages, BatchState::open);
    records = check.fault == BatchFault::none ? check.records : 0;
    benchmark::DoNotOptimize(records);
  }
  state.counters["ns_per_record"] =
      benchmark::Counter(records, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(check_of_batch);

}  // namespace

BENCHMARK_MAIN();
