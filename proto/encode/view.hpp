// SPDX-License-Identifier: Apache-2.0
//
// The views that stand between decode and encode: one span, one log record, a
// resource and a scope, with nothing copied and nothing owned.
//
// Threads: plain values; a view is used by the thread that filled it.
// Memory: every pointer, span and string_view is borrowed; what it points at
//   must outlive the call the view is passed to. No constructor allocates.
// Failure: none here. A default-made view is valid and empty.
// Source: the OpenTelemetry protocol's messages Span, LogRecord, Resource,
//   InstrumentationScope, KeyValue and AnyValue (proto/opentelemetry/proto).

#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tailrace::otlp {

// The numbers are those used everywhere (hold, ledger, lanes).
enum class Signal : std::uint8_t { traces = 0, logs = 1, metrics = 2 };

struct KeyValue;

// One AnyValue. The active member follows from `type`: boolean, integer and
// real by themselves; data with size for string and bytes; items with count
// for map, and for array, where the keys of the items are empty and ignored.
struct Value {
  enum class Type : std::uint8_t { empty, boolean, integer, real, string, bytes, array, map };

  Type type = Type::empty;
  union {
    bool boolean;
    std::int64_t integer = 0;
    double real;
    const char* data;
    const KeyValue* items;
  };
  union {
    std::size_t size = 0;
    std::size_t count;
  };

  constexpr Value() = default;

  static constexpr Value of(bool flag) {
    Value value(Type::boolean);
    value.boolean = flag;
    return value;
  }
  static constexpr Value of(std::int64_t number) {
    Value value(Type::integer);
    value.integer = number;
    return value;
  }
  static constexpr Value of(double number) {
    Value value(Type::real);
    value.real = number;
    return value;
  }
  // A literal's pointer would choose bool without a word; string() is meant.
  template <typename T>
  static Value of(T) = delete;

  static constexpr Value string(std::string_view text) { return text_like(Type::string, text); }
  static constexpr Value bytes(std::string_view raw) { return text_like(Type::bytes, raw); }
  static constexpr Value array(const KeyValue* items, std::size_t count) {
    return items_like(Type::array, items, count);
  }
  static constexpr Value map(const KeyValue* items, std::size_t count) { return items_like(Type::map, items, count); }

  // string and bytes only.
  [[nodiscard]] constexpr std::string_view text() const { return {data, size}; }
  // array and map only; needs the complete KeyValue below.
  [[nodiscard]] constexpr std::span<const KeyValue> members() const;

 private:
  explicit constexpr Value(Type kind) : type(kind) {}
  static constexpr Value text_like(Type kind, std::string_view text) {
    Value value(kind);
    value.data = text.data();
    value.size = text.size();
    return value;
  }
  static constexpr Value items_like(Type kind, const KeyValue* items, std::size_t count) {
    Value value(kind);
    value.items = items;
    value.count = count;
    return value;
  }
};

// An attribute, a member of a map, or (key empty) an element of an array.
struct KeyValue {
  std::string_view key;
  Value value;
};

constexpr std::span<const KeyValue> Value::members() const { return {items, count}; }

using Attributes = std::span<const KeyValue>;

// All zero means absent (W3C Trace Context); the bytes are in wire order.
struct TraceId {
  std::array<std::uint8_t, 16> bytes{};
  [[nodiscard]] constexpr bool is_valid() const {
    const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(bytes);
    return (words[0] | words[1]) != 0;
  }
  constexpr bool operator==(const TraceId&) const = default;
};

struct SpanId {
  std::array<std::uint8_t, 8> bytes{};
  [[nodiscard]] constexpr bool is_valid() const { return std::bit_cast<std::uint64_t>(bytes) != 0; }
  constexpr bool operator==(const SpanId&) const = default;
};

struct EventView {
  std::uint64_t time_ns = 0;
  std::string_view name;
  Attributes attributes;
  std::uint32_t dropped_attributes = 0;
};

struct LinkView {
  TraceId trace_id;
  SpanId span_id;
  std::string_view trace_state;
  std::uint32_t flags = 0;
  Attributes attributes;
  std::uint32_t dropped_attributes = 0;
};

// kind and status_code carry OTLP's numbers (1 internal … 5 consumer; 0 unset,
// 1 ok, 2 error). flags carries OTLP's Span.flags, remote bits included.
struct SpanView {
  TraceId trace_id;
  SpanId span_id;
  SpanId parent_span_id;
  std::string_view trace_state;
  std::string_view name;
  std::uint32_t flags = 0;
  std::uint8_t kind = 0;
  std::uint8_t status_code = 0;
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
  Attributes attributes;
  std::uint32_t dropped_attributes = 0;
  std::uint32_t dropped_events = 0;
  std::uint32_t dropped_links = 0;
  std::span<const EventView> events;
  std::span<const LinkView> links;
  std::string_view status_message;
};

// severity carries OTLP's number (1 trace … 24 fatal4, 0 unspecified).
struct LogView {
  std::uint64_t time_ns = 0;
  std::uint64_t observed_ns = 0;
  std::uint8_t severity = 0;
  std::string_view severity_text;
  Value body;
  Attributes attributes;
  std::uint32_t dropped_attributes = 0;
  std::uint32_t flags = 0;
  TraceId trace_id;
  SpanId span_id;
  std::string_view event_name;
};

struct ScopeView {
  std::string_view name;
  std::string_view version;
  std::string_view schema_url;
  Attributes attributes;
  std::uint32_t dropped_attributes = 0;
};

struct ResourceView {
  Attributes attributes;
  std::uint32_t dropped_attributes = 0;
  std::string_view schema_url;
};

}  // namespace tailrace::otlp
