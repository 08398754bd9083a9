// SPDX-License-Identifier: Apache-2.0
//
// RandomViews: spans, logs and metrics of every shape, the same for the same seed.
// Memory: owns what the views it made point at, until clear().

#pragma once

#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "proto/encode/metrics.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::otlp::test {

class RandomViews {
 public:
  explicit RandomViews(std::uint64_t seed) : random_(seed) {}

  SpanView span();
  LogView log();
  ResourceView resource();
  ScopeView scope();
  MetricView metric();
  NumberPointView number_point();
  HistogramPointView histogram_point();
  ExponentialPointView exponential_point();
  Value value(int depth);
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  // Forgets all views made so far.
  void clear();

 private:
  bool one_in(std::uint64_t count) { return below(count) == 0; }
  std::uint64_t number();   // every magnitude alike, extremes often
  std::uint32_t count();    // a dropped count, mostly zero
  std::string_view text();  // valid UTF-8, mostly short
  std::string_view key();   // never empty
  std::string_view raw();   // any bytes
  Attributes attributes(int depth);
  double real();
  std::optional<double> maybe_real();
  std::span<const std::uint64_t> numbers(std::size_t count);
  template <typename Id>
  Id id(bool may_be_absent);

  std::mt19937_64 random_;
  std::deque<std::string> texts_;
  std::deque<std::vector<KeyValue>> items_;
  std::deque<std::vector<EventView>> events_;
  std::deque<std::vector<LinkView>> links_;
  std::deque<std::vector<std::uint64_t>> numbers_;
  std::deque<std::vector<double>> reals_;
};

}  // namespace tailrace::otlp::test
