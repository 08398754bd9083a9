// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/otlp_reader.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <string>

#include <protozero/pbf_reader.hpp>

#include "agent/viewer/metric_reader.hpp"
#include "agent/viewer/otlp_value.hpp"

namespace tailrace::agent::viewer {
namespace {

using protozero::data_view;
using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::tag_and_type;

constexpr auto kBytes = pbf_wire_type::length_delimited;
constexpr auto kVarint = pbf_wire_type::varint;
constexpr auto kFixed32 = pbf_wire_type::fixed32;
constexpr auto kFixed64 = pbf_wire_type::fixed64;

constexpr std::string_view kUnknownService = "unknown_service";

std::string_view as_text(data_view view) { return {view.data(), view.size()}; }

// An id of the wrong length is no id.
template <typename Id>
Id as_id(data_view view) {
  Id id{};
  if (view.size() == id.size()) {
    std::memcpy(id.data(), view.data(), id.size());
  }
  return id;
}

// Calls visit(view) for each length-delimited field of this number.
template <typename Visit>
void each(data_view message, protozero::pbf_tag_type field, Visit&& visit) {
  pbf_reader reader(message);
  while (reader.next()) {
    if (reader.tag() == field && reader.has_wire_type(kBytes)) {
      visit(reader.get_view());
    } else {
      reader.skip();
    }
  }
}

struct KeyValue {
  std::string_view key;
  data_view value;
};

KeyValue read_key_value(data_view message) {
  KeyValue pair;
  pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kBytes): pair.key = as_text(reader.get_view()); break;
      case tag_and_type(2, kBytes): pair.value = reader.get_view(); break;
      default: reader.skip();
    }
  }
  return pair;
}

bool is_true(data_view value) {
  pbf_reader reader(value);
  return reader.next(2, kVarint) && reader.get_bool();
}

// The resource may stand behind what it describes, so it is looked up first. The view lives in the
// request.
std::string_view service_of(data_view resource_message) {
  std::string_view service;
  each(resource_message, 1, [&](data_view resource) {
    each(resource, 1, [&](data_view attribute) {
      check_key_value(attribute, 0);
      const KeyValue pair = read_key_value(attribute);
      if (pair.key == "service.name") {
        pbf_reader value(pair.value);
        if (value.next(1, kBytes)) {
          service = as_text(value.get_view());
        }
      }
    });
  });
  return service.empty() ? kUnknownService : service;
}

// Collects the fields to be kept as they came, while there is room; counts those that found none.
class Detail {
 public:
  void clear() noexcept {
    bytes_.clear();
    left_out_ = 0;
  }
  void add(const char* begin, const char* end) {
    const auto size = static_cast<std::size_t>(end - begin);
    if (bytes_.size() + size > kMaxDetailBytes) {
      ++left_out_;
    } else {
      bytes_.append(begin, size);
    }
  }
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint32_t left_out() const noexcept { return left_out_; }

 private:
  std::string bytes_;
  std::uint32_t left_out_ = 0;
};

// Where a reader stands: between fields, the first byte of the next one.
const char* place_of(const pbf_reader& reader) { return reader.data().data(); }

StatusCode read_status(data_view message) {
  StatusCode code = StatusCode::kUnset;
  pbf_reader reader(message);
  while (reader.next()) {
    if (reader.tag_and_type() == tag_and_type(3, kVarint)) {
      const std::int32_t value = reader.get_enum();
      code = value == 1 ? StatusCode::kOk : value == 2 ? StatusCode::kError : StatusCode::kUnset;
    } else {
      reader.skip();
    }
  }
  return code;
}

NewSpan read_span(data_view message, Detail& detail) {
  NewSpan span;
  detail.clear();
  pbf_reader reader(message);
  for (const char* begin = place_of(reader); reader.next(); begin = place_of(reader)) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kBytes): span.trace_id = as_id<TraceId>(reader.get_view()); continue;
      case tag_and_type(2, kBytes): span.span_id = as_id<SpanId>(reader.get_view()); continue;
      case tag_and_type(4, kBytes): span.parent_id = as_id<SpanId>(reader.get_view()); continue;
      case tag_and_type(5, kBytes): span.name = as_text(reader.get_view()); continue;
      case tag_and_type(6, kVarint):
        span.kind = static_cast<std::uint8_t>(std::clamp(reader.get_enum(), 0, 5));
        continue;
      case tag_and_type(7, kFixed64): span.start_ns = reader.get_fixed64(); continue;
      case tag_and_type(8, kFixed64): span.end_ns = reader.get_fixed64(); continue;
      case tag_and_type(span_field::kAttributes, kBytes): {
        const data_view attribute = reader.get_view();
        check_key_value(attribute, 0);
        const KeyValue pair = read_key_value(attribute);
        span.unfinished = span.unfinished || (pair.key == kUnfinishedAttribute && is_true(pair.value));
        break;
      }
      case tag_and_type(span_field::kEvents, kBytes):
        each(reader.get_view(), 3, [](data_view attribute) { check_key_value(attribute, 0); });
        break;
      case tag_and_type(span_field::kLinks, kBytes):
        each(reader.get_view(), 4, [](data_view attribute) { check_key_value(attribute, 0); });
        break;
      case tag_and_type(span_field::kStatus, kBytes): span.status = read_status(reader.get_view()); break;
      case tag_and_type(span_field::kTraceState, kBytes):
      case tag_and_type(span_field::kDroppedAttributes, kVarint):
      case tag_and_type(span_field::kDroppedEvents, kVarint):
      case tag_and_type(span_field::kDroppedLinks, kVarint):
      case tag_and_type(span_field::kFlags, kFixed32): reader.skip(); break;
      default: reader.skip(); continue;
    }
    detail.add(begin, place_of(reader));
  }
  span.left_out = detail.left_out();
  span.detail = detail.bytes();
  return span;
}

NewLog read_log(data_view message, Detail& detail, std::string& body) {
  NewLog log;
  std::uint64_t observed_ns = 0;
  data_view body_value;
  detail.clear();
  body.clear();
  pbf_reader reader(message);
  for (const char* begin = place_of(reader); reader.next(); begin = place_of(reader)) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kFixed64): log.time_ns = reader.get_fixed64(); continue;
      case tag_and_type(11, kFixed64): observed_ns = reader.get_fixed64(); continue;
      case tag_and_type(2, kVarint):
        log.severity = static_cast<std::uint8_t>(std::clamp(reader.get_enum(), 0, 24));
        continue;
      case tag_and_type(3, kBytes): log.severity_text = as_text(reader.get_view()); continue;
      case tag_and_type(5, kBytes):
        body_value = reader.get_view();
        check_value(body_value, 0);
        continue;
      case tag_and_type(9, kBytes): log.trace_id = as_id<TraceId>(reader.get_view()); continue;
      case tag_and_type(10, kBytes): log.span_id = as_id<SpanId>(reader.get_view()); continue;
      case tag_and_type(12, kBytes): log.event_name = as_text(reader.get_view()); continue;
      case tag_and_type(log_field::kAttributes, kBytes): check_key_value(reader.get_view(), 0); break;
      case tag_and_type(log_field::kDroppedAttributes, kVarint):
      case tag_and_type(log_field::kFlags, kFixed32): reader.skip(); break;
      default: reader.skip(); continue;
    }
    detail.add(begin, place_of(reader));
  }
  if (log.time_ns == 0) {
    log.time_ns = observed_ns;
  }
  // A plain string is shown as it stands in the request; other bodies are put into words only when
  // kept.
  pbf_reader value(body_value);
  if (body_value.size() != 0 && value.next() && value.tag_and_type() == tag_and_type(1, kBytes)) {
    log.body = as_text(value.get_view());
  } else if (body_value.size() != 0) {
    body.assign(body_value.data(), body_value.size());
  }
  log.left_out = detail.left_out();
  log.detail = detail.bytes();
  return log;
}

template <typename Walk>
Result<ReadCounts> guarded(std::string_view signal, std::size_t bytes, Walk&& walk) {
  try {
    return walk();
  } catch (const std::exception& problem) {
    return Error{ErrorCode::kCorrupt, fmt::format("{} request of {} bytes is not OTLP ({}); nothing of it was kept",
                                                  signal, bytes, problem.what())};
  }
}

template <typename Visit>
void each_span(std::string_view request, Visit&& visit) {
  Detail detail;
  each(data_view(request.data(), request.size()), 1, [&](data_view resource_spans) {
    const std::string_view service = service_of(resource_spans);
    each(resource_spans, 2, [&](data_view scope_spans) {
      each(scope_spans, 2, [&](data_view message) {
        NewSpan span = read_span(message, detail);
        span.service = service;
        visit(span);
      });
    });
  });
}

template <typename Visit>
void each_log(std::string_view request, Visit&& visit) {
  Detail detail;
  std::string body;
  each(data_view(request.data(), request.size()), 1, [&](data_view resource_logs) {
    const std::string_view service = service_of(resource_logs);
    each(resource_logs, 2, [&](data_view scope_logs) {
      each(scope_logs, 2, [&](data_view message) {
        NewLog log = read_log(message, detail, body);
        log.service = service;
        visit(log, body);
      });
    });
  });
}

template <typename Visit>
void each_metric(std::string_view request, Visit&& visit) {
  each(data_view(request.data(), request.size()), 1, [&](data_view resource_metrics) {
    const std::string_view service = service_of(resource_metrics);
    each(resource_metrics, 2, [&](data_view scope_metrics) {
      std::string_view scope_name;
      each(scope_metrics, 1,
           [&](data_view scope) { each(scope, 1, [&](data_view name) { scope_name = as_text(name); }); });
      each(scope_metrics, 2, [&](data_view message) {
        read_metric(message, [&](NewMetric& metric) {
          metric.service = service;
          metric.scope = scope_name;
          visit(metric);
        });
      });
    });
  });
}

bool is_valid(const NewSpan& span) { return !is_none(span.trace_id) && !is_none(span.span_id); }

}  // namespace

Result<ReadCounts> read_traces(std::string_view request, Store& store) {
  return guarded("trace", request.size(), [&] {
    ReadCounts counts;
    each_span(request, [&](const NewSpan& span) {
      ++counts.records;
      counts.rejected += is_valid(span) ? 0u : 1u;
    });
    each_span(request, [&](const NewSpan& span) {
      if (is_valid(span)) {
        store.add(span);
      }
    });
    store.count_rejected_spans(counts.rejected);
    return counts;
  });
}

Result<ReadCounts> read_logs(std::string_view request, Store& store) {
  return guarded("log", request.size(), [&] {
    ReadCounts counts;
    each_log(request, [&](const NewLog&, const std::string&) { ++counts.records; });
    each_log(request, [&](NewLog& log, const std::string& body_value) {
      std::string text;
      if (body_value.size() > kMaxDetailBytes) {
        // Its JSON in memory would be many times as large.
        text = fmt::format("(a value of {} bytes, too large to show)", body_value.size());
        log.body = text;
      } else if (!body_value.empty()) {
        text = value_text(body_value);
        log.body = text;
      }
      store.add(log);
    });
    return counts;
  });
}

Result<ReadCounts> read_metrics(std::string_view request, Store& store) {
  return guarded("metrics", request.size(), [&] {
    ReadCounts counts;
    each_metric(request, [&](const NewMetric&) { ++counts.records; });
    each_metric(request, [&](const NewMetric& metric) { store.add(metric); });
    return counts;
  });
}

}  // namespace tailrace::agent::viewer
