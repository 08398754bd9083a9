// SPDX-License-Identifier: Apache-2.0
//
// What decoding costs a record, with the record's bytes in the first-level cache: a small span (3 attributes),
// a wide one (a server's HTTP span in semantic conventions), and a log with a template and 3 arguments.
// The next one up is the copy out of the ring and the walk over its records.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::agent {
namespace {

using shm::test::Blob;
using shm::test::Items;

constexpr std::uint64_t kEpochNs = 1'700'000'000'000'000'000ull;

class Bench {
 public:
  Bench() : decoder_(shm::ClockKind::tsc) {
    decoder_.timeline().add_claim({1000, kEpochNs, 1});
    decoder_.timeline().add({1'000'000'000, kEpochNs + 400'000'000, 400'000'001});
    pay_ = builder_.intern("pay");
    for (const char* key : {"amount", "currency", "ok"}) small_keys_.push_back(builder_.intern(key));
    euro_ = builder_.intern("EUR");
    for (const char* key :
         {"http.request.method", "url.scheme", "url.path", "url.query", "http.route", "http.response.status_code",
          "server.address", "server.port", "client.address", "client.port", "network.peer.address", "network.peer.port",
          "network.protocol.version", "user_agent.original", "http.response.body.size"}) {
      wide_keys_.push_back(builder_.intern(key));
    }
    get_ = builder_.intern("GET");
    https_ = builder_.intern("https");
    route_ = builder_.intern("/users/{id}/orders/{order}");
    paid_ = builder_.intern("paid {} for {} at {}");
    const std::uint64_t length = builder_.process().strings_len.load();
    static_cast<void>(decoder_.strings().extend({builder_.at(shm::RegionKind::strings), length}));
  }

  Blob small() {
    return shm::test::make_span(
        {.name = pay_, .span_id = 7, .parent_id = 9, .start = 500'000'000, .end = 500'100'000},
        Items().integer(small_keys_[0], 42).string_id(small_keys_[1], euro_).boolean(small_keys_[2], true));
  }
  Blob wide() {
    return shm::test::make_span(
        {.name = route_, .span_id = 7, .parent_id = 9, .start = 500'000'000, .end = 500'100'000, .kind = 2},
        Items()
            .string_id(wide_keys_[0], get_)
            .string_id(wide_keys_[1], https_)
            .string(wide_keys_[2], "/users/4711/orders/0815")
            .string(wide_keys_[3], "expand=lines&currency=EUR")
            .string_id(wide_keys_[4], route_)
            .integer(wide_keys_[5], 200)
            .string(wide_keys_[6], "shop.example.com")
            .integer(wide_keys_[7], 443)
            .string(wide_keys_[8], "192.0.2.17")
            .integer(wide_keys_[9], 51234)
            .string(wide_keys_[10], "10.11.12.13")
            .integer(wide_keys_[11], 40112)
            .string(wide_keys_[12], "1.1")
            .string(wide_keys_[13],
                    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36")
            .integer(wide_keys_[14], 18231));
  }
  Blob log() {
    return shm::test::make_log(
        {.body = paid_, .time = 500'000'000, .tflags = shm::kTemplate},
        Items().integer(shm::kArgumentKey, 42).string(shm::kArgumentKey, "EUR").real(shm::kArgumentKey, 0.25));
  }

  // Four copies in turn, so that nothing is learnt from the one before.
  void run(benchmark::State& state, const Blob& record) {
    std::vector<std::uint64_t> words(record.size() / 8 * 4);
    for (std::size_t i = 0; i < 4; ++i) std::memcpy(words.data() + i * record.size() / 8, record.data(), record.size());
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(words.data());
    std::size_t at = 0;
    for (auto _ : state) {
      const Decoded decoded = decoder_.decode(shm::Bytes{bytes + at * record.size(), record.size()}, kEpochNs);
      benchmark::DoNotOptimize(decoded.span);
      benchmark::DoNotOptimize(decoded.log);
      benchmark::ClobberMemory();
      at = (at + 1) & 3;
    }
    state.counters["bytes"] = static_cast<double>(record.size());
  }

 private:
  shm::test::SegmentBuilder builder_;
  SegmentDecoder decoder_;
  std::uint32_t pay_, euro_, get_, https_, route_, paid_;
  std::vector<std::uint32_t> small_keys_;
  std::vector<std::uint32_t> wide_keys_;
};

void small_span(benchmark::State& state) {
  Bench bench;
  bench.run(state, bench.small());
}
void wide_span(benchmark::State& state) {
  Bench bench;
  bench.run(state, bench.wide());
}
void log_with_template(benchmark::State& state) {
  Bench bench;
  bench.run(state, bench.log());
}
BENCHMARK(small_span);
BENCHMARK(wide_span);
BENCHMARK(log_with_template);

}  // namespace
}  // namespace tailrace::agent

BENCHMARK_MAIN();
