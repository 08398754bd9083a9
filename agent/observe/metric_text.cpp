// SPDX-License-Identifier: Apache-2.0
#include "agent/observe/metric_text.hpp"

#include <fmt/format.h>

#include <cmath>

namespace tailrace::agent {
namespace {

using namespace shm;

constexpr std::size_t kBucketsShown = 12;

const char* const kKinds[] = {"none", "counter", "up-down counter", "gauge", "histogram", "exponential histogram"};

double edge(const Series& series, std::int64_t index) {
  return std::exp2(std::ldexp(static_cast<double>(index), -series.scale));
}

std::string bucket_text(const Series& series, std::size_t at) {
  if (series.kind == MetricKind::histogram) {
    const std::vector<double>& bounds = *series.bounds;
    return fmt::format("({}, {}]", at == 0 ? "-inf" : fmt::format("{}", bounds[at - 1]),
                       at == bounds.size() ? "inf" : fmt::format("{}", bounds[at]));
  }
  const bool negative = at >= series.buckets;
  const std::int64_t index = std::int64_t{series.first_index} + static_cast<std::int64_t>(at % series.buckets);
  return negative ? fmt::format("[{:.6g}, {:.6g})", -edge(series, index + 1), -edge(series, index))
                  : fmt::format("({:.6g}, {:.6g}]", edge(series, index), edge(series, index + 1));
}

}  // namespace

std::string series_text(const Series& series, SegmentText& text, const StringTable& strings) {
  std::string line =
      fmt::format("{}{} {} {}", series.observable ? "observable " : "", kKinds[static_cast<std::size_t>(series.kind)],
                  series.real ? "real" : "integer", text.string(series.name));
  if (series.unit != 0) line += " unit " + text.string(series.unit);
  if (series.scope != 0) line += fmt::format(" scope {}", series.scope);
  if (series.overflow) line += " overflow";
  if (series.kind == MetricKind::exponential_histogram) line += fmt::format(" scale {}", series.scale);
  const auto items = series.attributes != 0 ? strings.lookup(series.attributes) : std::nullopt;
  if (items) line += " {" + text.items(bytes_of(*items)) + "}";
  return line;
}

std::string number_text(const Series& series, std::uint64_t value) {
  if (series.real) return fmt::format("= {}", real_of(value));
  if (series.kind == MetricKind::counter) return fmt::format("= {}", value);
  return fmt::format("= {}", static_cast<std::int64_t>(value));
}

std::string histogram_text(const Series& series, std::span<const std::uint64_t> words) {
  MergedHistogram merged;
  merge_shards(series, words.data(), merged);
  std::uint64_t count = merged.zero;
  std::size_t filled = 0;
  std::string buckets;
  for (std::size_t i = 0; i < merged.buckets.size(); ++i) {
    if (merged.buckets[i] == 0) continue;
    count += merged.buckets[i];
    if (++filled <= kBucketsShown) buckets += fmt::format(", {}: {}", bucket_text(series, i), merged.buckets[i]);
  }
  if (filled > kBucketsShown) buckets += fmt::format(" … {} more", filled - kBucketsShown);
  std::string line = fmt::format(
      "count {} sum {}", count,
      series.real ? fmt::format("{}", real_of(merged.sum)) : fmt::format("{}", static_cast<std::int64_t>(merged.sum)));
  if (merged.has_extremes) line += fmt::format(" min {} max {}", merged.min, merged.max);
  if (series.kind == MetricKind::exponential_histogram) line += fmt::format(" zero {}", merged.zero);
  return line + buckets;
}

}  // namespace tailrace::agent
