// SPDX-License-Identifier: Apache-2.0
// Spans for measuring the agent: so many a second, small (three attributes, about 200 bytes of OTLP) or wide (an HTTP
// server span of the semantic conventions, about 800 bytes).
//
//   tailrace_agent_load small|wide COUNT SPANS_A_SECOND [RING_BYTES]      0 spans a second: as fast as it goes
//
// Prints one line of JSON: what was written and dropped. It records in bursts of 200, so that pacing costs little.
#include <tailrace/tailrace.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace {

using namespace tailrace::literals;
constexpr long kBurst = 200;

void small_span(int i) {
  auto span = tailrace::span("handle request"_n);
  span.set("http.response.status_code"_n, 200);
  span.set("items"_n, i);
  span.set("http.request.method"_n, "GET"_n);
}

void wide_span(int i) {
  tailrace::SpanOptions options;
  options.kind = tailrace::SpanKind::server;
  auto span = tailrace::span("GET /api/v1/items/{id}"_n, options);
  span.set("http.request.method"_n, "GET"_n);
  span.set("http.response.status_code"_n, 200);
  span.set("http.route"_n, "/api/v1/items/{id}"_n);
  span.set("url.path"_n, "/api/v1/items/1234567890");
  span.set("url.query"_n, "fields=name,price,stock&currency=EUR");
  span.set("url.scheme"_n, "https"_n);
  span.set("server.address"_n, "shop.example.com"_n);
  span.set("server.port"_n, 443);
  span.set("client.address"_n, "203.0.113.17");
  span.set("client.port"_n, 40000 + i % 20000);
  span.set("network.peer.address"_n, "198.51.100.7");
  span.set("network.peer.port"_n, 51234);
  span.set("network.protocol.name"_n, "http"_n);
  span.set("network.protocol.version"_n, "1.1"_n);
  span.set("user_agent.original"_n, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)");
  span.set("http.request.body.size"_n, 0);
  span.set("http.response.body.size"_n, 18'234);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const bool wide = std::string(argv[1]) == "wide";
  const long count = std::atol(argv[2]);
  const long rate = std::atol(argv[3]);
  tailrace::Config config;
  config.service = "bench";
  if (argc > 4) config.ring_bytes = static_cast<std::uint32_t>(std::atol(argv[4]));
  if (!tailrace::init(config).ok()) return 1;
  const auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < count; ++i) {
    if (wide) {
      wide_span(static_cast<int>(i));
    } else {
      small_span(static_cast<int>(i));
    }
    if (rate != 0 && i % kBurst == kBurst - 1) {
      std::this_thread::sleep_until(start + std::chrono::nanoseconds(1'000'000'000 / rate * (i + 1)));
    }
  }
  const tailrace::Stats stats = tailrace::stats();
  std::printf("{\"written\":%llu,\"dropped\":%llu}\n", static_cast<unsigned long long>(stats.written[0]),
              static_cast<unsigned long long>(stats.dropped[0][1]));
  return 0;
}
