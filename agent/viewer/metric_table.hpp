// SPDX-License-Identifier: Apache-2.0
//
// MetricTable: the latest point of each series, in a byte budget.
//
// A series is a service, a scope, an instrument and a set of attributes as it came. When there is no room,
// the series that was quiet for longest goes. Of a histogram no buckets are kept: what the page shows is
// worked out when it is read.
//
// Threads: none of its own; the owner locks. Ownership: owns all it keeps. Failure: a series that is larger
// than the whole budget is not kept, and counted as dropped.
#ifndef TAILRACE_AGENT_VIEWER_METRIC_TABLE_HPP_
#define TAILRACE_AGENT_VIEWER_METRIC_TABLE_HPP_

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/viewer/record.hpp"

namespace tailrace::agent::viewer {

class MetricTable {
 public:
  explicit MetricTable(std::size_t budget_bytes) : budget_bytes_(budget_bytes) {}

  void add(const NewMetric& metric);

  // By service, name, attributes; at most `limit` rows and `max_bytes` of text.
  [[nodiscard]] std::vector<MetricRow> rows(std::size_t limit, std::size_t max_bytes) const;

  [[nodiscard]] std::size_t size() const noexcept { return series_.size(); }
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Series {
    std::string key;  // service, scope, name, unit, attributes, each with its length before it
    MetricPoint point;
    std::uint16_t service_bytes;
    std::uint16_t scope_bytes;
    std::uint16_t name_bytes;
    std::uint16_t unit_bytes;
    std::uint32_t left_out;
  };
  [[nodiscard]] static std::size_t bytes_of(const Series& series) noexcept;
  void drop_quietest();

  const std::size_t budget_bytes_;
  std::list<Series> series_;  // the one that was updated last stands first
  std::unordered_map<std::string_view, std::list<Series>::iterator> index_;  // by key, which the list owns
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_METRIC_TABLE_HPP_
