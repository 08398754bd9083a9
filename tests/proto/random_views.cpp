// SPDX-License-Identifier: Apache-2.0
#include "tests/proto/random_views.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace tailrace::otlp::test {

void RandomViews::clear() {
  texts_.clear();
  items_.clear();
  events_.clear();
  links_.clear();
  numbers_.clear();
  reals_.clear();
}

std::uint64_t RandomViews::number() {
  static constexpr std::array<std::uint64_t, 10> kEdges{
      0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX, std::uint64_t{1} << 63, UINT64_MAX};
  if (one_in(4)) return kEdges[below(kEdges.size())];
  return random_() >> below(64);
}

std::uint32_t RandomViews::count() { return one_in(3) ? static_cast<std::uint32_t>(number()) : 0; }

std::string_view RandomViews::text() {
  static constexpr std::array<std::string_view, 5> kCharacters{"a", "é", "€", "𝄞", ""};
  std::string text;
  const bool ascii = !one_in(8);
  std::uint64_t length = below(40);
  if (one_in(20)) length = 100 + below(100);
  if (one_in(300)) length = 16000 + below(800);
  while (length-- > 0) {
    text += ascii ? std::string(1, static_cast<char>(below(128))) : std::string(kCharacters[below(kCharacters.size())]);
  }
  return texts_.emplace_back(std::move(text));
}

std::string_view RandomViews::key() {
  const std::string_view key = text();
  return key.empty() ? std::string_view("key") : key;
}

std::string_view RandomViews::raw() {
  std::string raw(below(one_in(10) ? 300 : 20), '\0');
  for (char& byte : raw) byte = static_cast<char>(random_());
  return texts_.emplace_back(std::move(raw));
}

Value RandomViews::value(int depth) {
  static constexpr std::array kReals{0.0,
                                     -0.0,
                                     1.5,
                                     std::numeric_limits<double>::infinity(),
                                     -std::numeric_limits<double>::infinity(),
                                     std::numeric_limits<double>::denorm_min(),
                                     std::numeric_limits<double>::max()};
  switch (below(depth > 0 ? 10 : 8)) {
    case 0: return {};
    case 1: return Value::of(one_in(2));
    case 2:
    case 3: return Value::of(static_cast<std::int64_t>(number()));
    case 4:
      if (one_in(10)) return Value::of(std::nan(""));
      return Value::of(one_in(2) ? kReals[below(kReals.size())] : static_cast<double>(number()) / 3.0);
    case 5: return Value::bytes(raw());
    case 6:
    case 7: return Value::string(text());
    case 8: {
      std::vector<KeyValue> elements(below(5));
      for (KeyValue& element : elements) element.value = value(depth - 1);
      const auto& kept = items_.emplace_back(std::move(elements));
      return Value::array(kept.data(), kept.size());
    }
    default: {
      const Attributes members = attributes(depth - 1);
      return Value::map(members.data(), members.size());
    }
  }
}

Attributes RandomViews::attributes(int depth) {
  std::vector<KeyValue> items(below(one_in(30) ? 60 : 6));
  for (KeyValue& item : items) item = {key(), value(depth)};
  return items_.emplace_back(std::move(items));
}

template <typename Id>
Id RandomViews::id(bool may_be_absent) {
  Id id;
  if (may_be_absent && one_in(3)) return id;
  for (auto& byte : id.bytes) byte = static_cast<std::uint8_t>(random_());
  id.bytes.back() |= 1;
  return id;
}

SpanView RandomViews::span() {
  constexpr int kDepth = 3;
  SpanView span;
  span.trace_id = id<TraceId>(false);
  span.span_id = id<SpanId>(false);
  span.parent_span_id = id<SpanId>(true);
  if (one_in(4)) span.trace_state = text();
  span.name = text();
  span.flags = one_in(4) ? 0 : static_cast<std::uint32_t>(number());
  span.kind = static_cast<std::uint8_t>(below(6));
  span.status_code = static_cast<std::uint8_t>(below(3));
  if (one_in(4)) span.status_message = text();
  span.start_ns = number();
  span.end_ns = number();
  span.attributes = attributes(kDepth);
  span.dropped_attributes = count();
  span.dropped_events = count();
  span.dropped_links = count();

  std::vector<EventView> events(one_in(3) ? below(4) : 0);
  for (EventView& event : events) event = {number(), text(), attributes(kDepth), count()};
  span.events = events_.emplace_back(std::move(events));

  std::vector<LinkView> links(one_in(3) ? below(4) : 0);
  for (LinkView& link : links) {
    link = {id<TraceId>(false),
            id<SpanId>(false),
            one_in(2) ? text() : std::string_view(),
            static_cast<std::uint32_t>(number()),
            attributes(kDepth),
            count()};
  }
  span.links = links_.emplace_back(std::move(links));
  return span;
}

LogView RandomViews::log() {
  constexpr int kDepth = 3;
  LogView log;
  log.time_ns = number();
  log.observed_ns = number();
  log.severity = static_cast<std::uint8_t>(below(25));
  if (one_in(2)) log.severity_text = text();
  log.body = value(kDepth);
  log.attributes = attributes(kDepth);
  log.dropped_attributes = count();
  log.flags = count();
  log.trace_id = id<TraceId>(true);
  log.span_id = id<SpanId>(true);
  if (one_in(3)) log.event_name = text();
  return log;
}

ResourceView RandomViews::resource() { return {attributes(2), count(), text()}; }

ScopeView RandomViews::scope() { return {text(), text(), text(), attributes(2), count()}; }

double RandomViews::real() {
  const Value any = value(0);
  return any.type == Value::Type::real ? any.real : static_cast<double>(below(1000)) / 8;
}

std::optional<double> RandomViews::maybe_real() { return one_in(2) ? std::optional(real()) : std::nullopt; }

std::span<const std::uint64_t> RandomViews::numbers(std::size_t count) {
  std::vector<std::uint64_t>& made = numbers_.emplace_back(count);
  for (std::uint64_t& one : made) one = number();
  return made;
}

MetricView RandomViews::metric() {
  MetricView metric;
  metric.name = text();
  metric.description = text();
  metric.unit = text();
  metric.data = static_cast<MetricData>(below(4));
  if (metric.data != MetricData::gauge) metric.temporality = static_cast<Temporality>(below(3));
  metric.monotonic = metric.data == MetricData::sum && one_in(2);
  return metric;
}

NumberPointView RandomViews::number_point() {
  NumberPointView point;
  point.attributes = attributes(2);
  point.start_ns = number();
  point.time_ns = number();
  point.value = one_in(2) ? Value::of(static_cast<std::int64_t>(number())) : Value::of(real());
  point.flags = count();
  return point;
}

HistogramPointView RandomViews::histogram_point() {
  HistogramPointView point;
  point.attributes = attributes(2);
  point.start_ns = number();
  point.time_ns = number();
  point.count = number();
  point.sum = maybe_real();
  if (!one_in(4)) {
    std::vector<double>& bounds = reals_.emplace_back(below(40));
    for (double& bound : bounds) bound = real();
    point.bounds = bounds;
    point.bucket_counts = numbers(bounds.size() + 1);
  }
  point.flags = count();
  point.min = maybe_real();
  point.max = maybe_real();
  return point;
}

ExponentialPointView RandomViews::exponential_point() {
  ExponentialPointView point;
  point.attributes = attributes(2);
  point.start_ns = number();
  point.time_ns = number();
  point.count = number();
  point.sum = maybe_real();
  point.scale = static_cast<std::int32_t>(number());
  point.zero_count = number();
  for (auto* side : {&point.positive, &point.negative}) {
    if (one_in(3)) continue;
    side->counts = numbers(1 + below(200));
    side->offset = static_cast<std::int32_t>(number());
  }
  point.flags = count();
  point.min = maybe_real();
  point.max = maybe_real();
  point.zero_threshold = one_in(3) ? 0 : real();
  return point;
}

}  // namespace tailrace::otlp::test
