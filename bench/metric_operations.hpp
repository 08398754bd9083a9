// SPDX-License-Identifier: Apache-2.0
// Metrics as operations: bound handles, look-ups by attributes, histograms with a shard of the thread's own and
// with the one that all other threads share.
#pragma once

#include <tailrace/tailrace.hpp>

namespace tailrace::bench {

struct Metrics {
  Counter<std::uint64_t> counter = tailrace::counter<std::uint64_t>("bench.counter");
  Counter<std::uint64_t>::Bound bound = counter.bind({{"k", "v"}});
  Gauge<double>::Bound gauge = tailrace::gauge<double>("bench.gauge").bind();
  Histogram<double>::Bound fixed = tailrace::histogram<double>("bench.explicit").bind();
  Histogram<double>::Bound exponential = tailrace::histogram<double>("bench.exponential", exponential_options()).bind();
  double values[64];
  std::uint32_t own_shard = tailrace_thread->shard;

  Metrics() {
    for (int i = 0; i < 64; ++i) values[i] = 0.5 + 37.0 * (i * 29 % 64);
  }
  static HistogramOptions exponential_options() {
    HistogramOptions options;
    options.kind = HistogramKind::exponential;
    return options;
  }
};
inline const Metrics& metrics() {
  static const Metrics all;
  return all;
}
inline volatile int some_integer = 42;
inline const char* some_text = "GET /index";

inline std::uint64_t floor_words[16];
inline void floor_add(int n) {
  std::uint64_t* word = floor_words;
  asm volatile("" : "+r"(word));
  for (int i = 0; i < n; ++i) asm volatile("addq $1, %0" : "+m"(*word));
}
// What a histogram's shared shard cannot do without: its bucket, its sum.
inline void floor_atomic(int n) {
  for (int i = 0; i < n; ++i) {
    __atomic_fetch_add(&floor_words[0], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&floor_words[8], 1, __ATOMIC_RELAXED);
  }
}
inline void counter_bound(int n) {
  const auto c = metrics().bound;
  for (int i = 0; i < n; ++i) c.add(1);
}
inline void counter_bare(int n) {
  const auto c = metrics().counter;
  for (int i = 0; i < n; ++i) c.add(1);
}
inline void counter_one(int n) {
  const auto c = metrics().counter;
  for (int i = 0; i < n; ++i) c.add(1, {{"method"_n, some_text}});
}
inline void counter_three(int n) {
  const auto c = metrics().counter;
  for (int i = 0; i < n; ++i) c.add(1, {{"method"_n, some_text}, {"status"_n, int{some_integer}}, {"cached"_n, true}});
}
inline void counter_literals(int n) {
  const auto c = metrics().counter;
  for (int i = 0; i < n; ++i) c.add(1, {{"method", some_text}, {"status", int{some_integer}}, {"cached", true}});
}
inline void gauge_bound(int n) {
  const Metrics& m = metrics();
  const auto g = m.gauge;
  for (int i = 0; i < n; ++i) g.set(m.values[i & 63]);
}
inline void histogram_explicit(int n) {
  const Metrics& m = metrics();
  const auto h = m.fixed;
  for (int i = 0; i < n; ++i) h.record(m.values[i & 63]);
}
inline void histogram_exponential(int n) {
  const Metrics& m = metrics();
  const auto h = m.exponential;
  for (int i = 0; i < n; ++i) h.record(m.values[i & 63]);
}
// Nobody else writes to the shared shard here: what is measured are the atomic adds, not a contention.
inline void share_shard() { tailrace_thread->shard = shm::kSharedShard; }
inline void own_shard() { tailrace_thread->shard = metrics().own_shard; }

}  // namespace tailrace::bench
