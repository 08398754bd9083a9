// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/metric_table.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "agent/viewer/store.hpp"
#include "agent/viewer/text.hpp"

namespace tailrace::agent::viewer {
namespace {

// List and index: nodes, pointers, a bucket, malloc's own.
constexpr std::size_t kOverheadBytes = 160;

}  // namespace

std::size_t MetricTable::bytes_of(const Series& series) noexcept {
  return sizeof(Series) + series.key.capacity() + kOverheadBytes;
}

void MetricTable::add(const NewMetric& metric) {
  const std::string_view service = clip_text(metric.service, kMaxServiceBytes);
  const std::string_view scope = clip_text(metric.scope, kMaxServiceBytes);
  const std::string_view name = clip_text(metric.name, kMaxNameBytes);
  const std::string_view unit = clip_text(metric.unit, kMaxUnitBytes);
  Series made;
  made.point = metric.point;
  made.left_out = metric.left_out;
  std::string_view attributes = metric.attributes;
  if (attributes.size() > kMaxMetricAttributeBytes) {
    attributes = {};
    ++made.left_out;
  }
  made.service_bytes = static_cast<std::uint16_t>(service.size());
  made.scope_bytes = static_cast<std::uint16_t>(scope.size());
  made.name_bytes = static_cast<std::uint16_t>(name.size());
  made.unit_bytes = static_cast<std::uint16_t>(unit.size());
  // The lengths in front make the key of each series another one.
  for (const std::size_t bytes : {service.size(), scope.size(), name.size(), unit.size()}) {
    made.key += static_cast<char>(bytes & 0xFF);
    made.key += static_cast<char>(bytes >> 8);
  }
  made.key.reserve(made.key.size() + service.size() + scope.size() + name.size() + unit.size() + attributes.size());
  made.key.append(service).append(scope).append(name).append(unit).append(attributes);

  if (const auto found = index_.find(made.key); found != index_.end()) {
    series_.splice(series_.begin(), series_, found->second);
    found->second->point = made.point;
    found->second->left_out = made.left_out;
    return;
  }
  if (bytes_of(made) > budget_bytes_) {
    ++dropped_;
    return;
  }
  series_.push_front(std::move(made));
  index_.emplace(series_.front().key, series_.begin());
  bytes_ += bytes_of(series_.front());
  while (bytes_ > budget_bytes_) drop_quietest();
}

void MetricTable::drop_quietest() {
  bytes_ -= bytes_of(series_.back());
  index_.erase(series_.back().key);
  series_.pop_back();
  ++dropped_;
}

std::vector<MetricRow> MetricTable::rows(std::size_t limit, std::size_t max_bytes) const {
  std::vector<MetricRow> rows;
  std::size_t bytes = 0;
  for (const Series& series : series_) {
    bytes += sizeof(MetricRow) + series.key.size();
    if (rows.size() == limit || bytes > max_bytes) break;
    MetricRow& row = rows.emplace_back();
    std::size_t at = 8;
    const auto take = [&](std::size_t size) {
      at += size;
      return series.key.substr(at - size, size);
    };
    row.service = take(series.service_bytes);
    row.scope = take(series.scope_bytes);
    row.name = take(series.name_bytes);
    row.unit = take(series.unit_bytes);
    row.attributes = series.key.substr(at);
    row.point = series.point;
    row.left_out = series.left_out;
  }
  std::sort(rows.begin(), rows.end(), [](const MetricRow& a, const MetricRow& b) {
    return std::tie(a.service, a.name, a.attributes) < std::tie(b.service, b.name, b.attributes);
  });
  return rows;
}

}  // namespace tailrace::agent::viewer
