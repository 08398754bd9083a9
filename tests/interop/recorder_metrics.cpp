// SPDX-License-Identifier: Apache-2.0
//
// Every instrument there is, in two rounds with a flush behind each, so that the agent collects twice at moments
// that the test knows, and once more at the end.
#include <chrono>
#include <thread>

#include "tests/interop/metric_values.hpp"
#include "tests/interop/recorder.hpp"

namespace tailrace::interop {
namespace {

// There is no order between a program and an agent that starts beside it.
bool flush_round() {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const FlushResult result = flush(std::chrono::seconds(30));
    if (result.code == FlushCode::done) return true;
    if (result.code != FlushCode::no_agent) {
      std::fprintf(stderr, "recorder: flush: %s\n", result.sentence);
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::fprintf(stderr, "recorder: no agent came\n");
  return false;
}

void record_sums(std::size_t round) {
  static const auto integers = counter<std::uint64_t>("counter.integer", {"{request}", "Requests, of whatever kind"});
  static const auto bound = integers.bind({{"way", "bound"}});
  for (const std::int64_t add : kAdds[round]) {
    integers.add(add);
    bound.add(add);
    integers.add(add, {{"text", "grüß dich"},
                       {"bool", true},
                       {"int", -7},
                       {"real", 0.5},
                       {"bytes", Bytes{"\0\xff", 2}},
                       {"map", Value::map({{"k", 1}})},
                       {"array", {1, "two"}}});
    integers.add(add, {{"a", 1}, {"b", 2}});
    integers.add(add, {{"b", 2}, {"a", 1}});  // the same set
  }
  integers.add(-1);  // a counter never falls: not recorded
  static const auto reals = counter<double>("counter.real", {"By"}).bind();
  for (const double add : kRealAdds[round]) reals.add(add);
  reals.add(kNan);
  static const auto both = up_down_counter<std::int64_t>("updown.integer");
  for (const std::int64_t add : kUpsAndDowns[round]) both.add(add, {{"k", "v"}});
  static const auto real_both = up_down_counter<double>("updown.real");
  for (const double add : kRealUpsAndDowns[round]) real_both.add(add);
  static const auto limited = counter<std::int64_t>("counter.limited", {.cardinality_limit = 3});
  for (int set = 0; set < 10; ++set) limited.add(1 + round, {{"set", set}});
  static const Scope library{"metrics.library", "2.0", "https://example.com/schema", {{"scope.key", "value"}}};
  counter<std::int64_t>("counter.integer", {.scope = &library}).add(round + 1);  // another one than that above
}

void record_histograms(std::size_t round) {
  static const auto explicit_real = histogram<double>("histogram.real", {.unit = "s", .bounds = kBounds});
  static const auto exponential =
      histogram<double>("exponential.real", {.unit = "s", .kind = HistogramKind::exponential});
  for (const double value : kMeasured[round]) {
    explicit_real.record(value, {{"k", "v"}});
    exponential.record(value);
  }
  static const auto explicit_negative = histogram<double>("histogram.negative", {.bounds = kBounds});
  static const auto signs =
      histogram<double>("exponential.negative", {.kind = HistogramKind::exponential, .negatives = true});
  for (const double value : kMeasuredNegative[round]) {
    explicit_negative.record(value);
    signs.record(value);
  }
  static const auto integers = histogram<std::int64_t>("histogram.integer").bind();
  static const auto exponential_integers =
      histogram<std::int64_t>("exponential.integer", {.kind = HistogramKind::exponential}).bind({{"k", 1}});
  for (const std::int64_t value : kMeasuredIntegers[round]) {
    integers.record(value);
    exponential_integers.record(value);
  }
  static const auto narrow = histogram<double>("exponential.narrow", {.kind = HistogramKind::exponential, .scale = 5});
  for (const double value : kMeasuredNarrow[round]) narrow.record(value);
}

std::int64_t total(const Rounds<std::int64_t>& rounds, std::size_t last) {
  std::int64_t sum = 0;
  for (std::size_t round = 0; round <= last; ++round) {
    for (const std::int64_t value : rounds[round]) sum += value;
  }
  return sum;
}

}  // namespace

bool record_metrics() {
  static std::size_t round = 0;
  gauge<std::int64_t>("gauge.never").bind();  // no value, no point
  const Observation observed[] = {
      observe_counter<std::int64_t>("observed.counter",
                                    [](const auto& o) {
                                      o.observe(total(kAdds, round), {{"k", "v"}});
                                    }),
      observe_up_down_counter<std::int64_t>("observed.updown",
                                            [](const auto& o) { o.observe(total(kUpsAndDowns, round)); }),
      observe_gauge<double>("observed.gauge", [](const auto& o) { o.observe(kRealGauged[round].back()); }),
  };
  for (; round < kRounds; ++round) {
    record_sums(round);
    for (const std::int64_t value : kGauged[round]) gauge<std::int64_t>("gauge.integer").set(value, {{"k", "v"}});
    for (const double value : kRealGauged[round]) gauge<double>("gauge.real", {"Cel"}).set(value);
    record_histograms(round);
    tick();
    tell_time(round == 0 ? "round.0" : "round.1", shm::realtime_ns());
    if (!flush_round()) return false;
  }
  return true;
}

}  // namespace tailrace::interop
