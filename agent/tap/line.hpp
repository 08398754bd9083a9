// SPDX-License-Identifier: Apache-2.0
//
// TapLine: the part of a span, log or metric point that one line shows, as a record of fixed size.
//
// Copied from a decoded view by a drain worker: lengths are cut, values are copied and not put into words,
// nothing is allocated. The same bytes, without the unused end of `text`, go through the socket; what reads
// them there checks every length.
//
//   text: service | name | body or unit | attributes, each {u8 type, u8 key, u16 value, key, value}
//
// Threads: a value. Failure: what does not fit is cut, and `flags` says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/base/signal.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::agent {

// One point of a metric. `number` of a histogram is its sum.
struct TapMetric {
  enum class Kind : std::uint8_t { integer, real, histogram };
  std::string_view name;
  std::string_view unit;
  otlp::Attributes attributes;
  std::uint64_t time_ns = 0;
  Kind kind = Kind::integer;
  std::int64_t integer = 0;
  double real = 0;
  std::uint64_t count = 0;  // histogram
};

struct TapLine {
  static constexpr std::size_t kTextBytes = 512;
  enum Flag : std::uint8_t { kCut = 1, kUnfinished = 2, kHasBody = 4 };

  std::uint64_t time_ns = 0;
  std::uint64_t amount = 0;  // span: duration in ns; metric: the integer, or the histogram's count
  double real = 0;           // metric: the number, or the histogram's sum
  otlp::TraceId trace_id;
  otlp::SpanId span_id;
  std::uint8_t signal = 0;
  std::uint8_t severity = 0;  // log
  std::uint8_t status = 0;    // span: OTLP's status code
  std::uint8_t flags = 0;
  std::uint8_t metric_kind = 0;
  std::uint8_t zero = 0;
  std::uint16_t service_bytes = 0;
  std::uint16_t name_bytes = 0;
  std::uint16_t body_bytes = 0;
  std::uint16_t attribute_bytes = 0;
  std::uint16_t zero_too = 0;
  char text[kTextBytes];  // not initialized beyond what is used

  TapLine() {}  // NOLINT: `text` is left as it is on purpose
  TapLine(std::string_view service, const otlp::SpanView& span);
  TapLine(std::string_view service, const otlp::LogView& log);
  TapLine(std::string_view service, const TapMetric& metric);

  // What of this object is to be sent.
  [[nodiscard]] std::size_t used_bytes() const;
  // From bytes of a socket. Nothing: they are no line.
  [[nodiscard]] static std::optional<TapLine> from(const char* bytes, std::size_t size);

  [[nodiscard]] std::string_view service() const { return {text, service_bytes}; }
  [[nodiscard]] std::string_view name() const { return {text + service_bytes, name_bytes}; }
  [[nodiscard]] std::string_view body() const { return {text + service_bytes + name_bytes, body_bytes}; }
  [[nodiscard]] std::string_view attributes() const {
    return {text + service_bytes + name_bytes + body_bytes, attribute_bytes};
  }

 private:
  std::size_t used_text() const;
  std::uint16_t put_text(std::string_view value, std::size_t limit);
  void put_attributes(otlp::Attributes attributes);
};

// The attributes of a line, one after another.
class TapAttributes {
 public:
  explicit TapAttributes(std::string_view bytes) : rest_(bytes) {}

  struct Attribute {
    std::string_view key;
    otlp::Value value;  // an array or map has its count alone
    bool cut = false;   // the value's text was longer
  };
  // Nothing at the end, and where the bytes do not hold together.
  std::optional<Attribute> next();

 private:
  std::string_view rest_;
};

}  // namespace tailrace::agent
