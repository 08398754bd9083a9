// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/line.hpp"

#include <algorithm>
#include <cstring>

namespace tailrace::agent {
namespace {

constexpr std::size_t kServiceBytes = 64;
constexpr std::size_t kNameBytes = 128;
constexpr std::size_t kBodyBytes = 256;
constexpr std::size_t kKeyBytes = 64;
constexpr std::size_t kValueBytes = 96;
constexpr std::size_t kHeadBytes = offsetof(TapLine, text);
constexpr std::size_t kAttributeHead = 4;
constexpr std::uint8_t kCutMark = 0x80;
constexpr std::string_view kIncomplete = "tailrace.span.incomplete";

static_assert(kServiceBytes + kNameBytes + kBodyBytes <= TapLine::kTextBytes);
static_assert(kHeadBytes == 64);

// Before a character rather than inside one.
std::string_view clip(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t end = limit;
  for (int back = 0; back < 3 && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U; ++back) --end;
  return text.substr(0, end);
}

bool is_text(otlp::Value::Type type) { return type == otlp::Value::Type::string || type == otlp::Value::Type::bytes; }

}  // namespace

std::size_t TapLine::used_text() const {
  return std::size_t{service_bytes} + name_bytes + body_bytes + attribute_bytes;
}

std::size_t TapLine::used_bytes() const { return kHeadBytes + used_text(); }

std::uint16_t TapLine::put_text(std::string_view value, std::size_t limit) {
  const std::string_view kept = clip(value, limit);
  if (kept.size() < value.size()) flags |= kCut;
  if (!kept.empty()) std::memcpy(text + used_text(), kept.data(), kept.size());
  return static_cast<std::uint16_t>(kept.size());
}

// As many as fit; an attribute is there whole, but for a long text.
void TapLine::put_attributes(otlp::Attributes attributes) {
  char* at = text + used_text();
  const char* const end = text + kTextBytes;
  char* const begin = at;
  for (const otlp::KeyValue& attribute : attributes) {
    const otlp::Value& value = attribute.value;
    const std::string_view key = clip(attribute.key, kKeyBytes);
    std::string_view bytes;
    auto type = static_cast<std::uint8_t>(value.type);
    if (is_text(value.type)) {
      bytes = clip(value.text(), kValueBytes);
      if (bytes.size() < value.size) type |= kCutMark;
    } else if (value.type == otlp::Value::Type::boolean) {
      bytes = {reinterpret_cast<const char*>(&value.boolean), sizeof value.boolean};
    } else if (value.type == otlp::Value::Type::integer || value.type == otlp::Value::Type::real) {
      bytes = {reinterpret_cast<const char*>(&value.integer), sizeof value.integer};
    } else if (value.type != otlp::Value::Type::empty) {
      bytes = {reinterpret_cast<const char*>(&value.count), sizeof value.count};
    }
    if (static_cast<std::size_t>(end - at) < kAttributeHead + key.size() + bytes.size()) {
      flags |= kCut;
      break;
    }
    const auto value_bytes = static_cast<std::uint16_t>(bytes.size());
    at[0] = static_cast<char>(type);
    at[1] = static_cast<char>(key.size());
    std::memcpy(at + 2, &value_bytes, sizeof value_bytes);
    at += kAttributeHead;
    if (!key.empty()) std::memcpy(at, key.data(), key.size());
    at += key.size();
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    at += bytes.size();
  }
  attribute_bytes = static_cast<std::uint16_t>(at - begin);
}

TapLine::TapLine(std::string_view service, const otlp::SpanView& span)
    : time_ns(span.end_ns),
      amount(span.end_ns > span.start_ns ? span.end_ns - span.start_ns : 0),
      trace_id(span.trace_id),
      span_id(span.span_id),
      signal(static_cast<std::uint8_t>(Signal::traces)),
      status(span.status_code) {
  for (const otlp::KeyValue& attribute : span.attributes) {
    if (attribute.key == kIncomplete && attribute.value.type == otlp::Value::Type::boolean && attribute.value.boolean) {
      flags |= kUnfinished;
    }
  }
  service_bytes = put_text(service, kServiceBytes);
  name_bytes = put_text(span.name, kNameBytes);
  body_bytes = put_text(span.status_message, kNameBytes);
  put_attributes(span.attributes);
}

TapLine::TapLine(std::string_view service, const otlp::LogView& log)
    : time_ns(log.time_ns != 0 ? log.time_ns : log.observed_ns),
      trace_id(log.trace_id),
      span_id(log.span_id),
      signal(static_cast<std::uint8_t>(Signal::logs)),
      severity(log.severity) {
  service_bytes = put_text(service, kServiceBytes);
  name_bytes = put_text(log.event_name, kNameBytes);
  if (log.body.type == otlp::Value::Type::string) {
    flags |= kHasBody;
    body_bytes = put_text(log.body.text(), kBodyBytes);
    put_attributes(log.attributes);
  } else if (log.body.type == otlp::Value::Type::map) {
    put_attributes(log.body.members());
  } else if (log.body.type != otlp::Value::Type::empty) {
    const otlp::KeyValue body{"body", log.body};
    put_attributes(otlp::Attributes(&body, 1));
  } else {
    put_attributes(log.attributes);
  }
}

TapLine::TapLine(std::string_view service, const TapMetric& metric)
    : time_ns(metric.time_ns),
      amount(metric.kind == TapMetric::Kind::histogram ? metric.count : static_cast<std::uint64_t>(metric.integer)),
      real(metric.real),
      signal(static_cast<std::uint8_t>(Signal::metrics)),
      metric_kind(static_cast<std::uint8_t>(metric.kind)) {
  service_bytes = put_text(service, kServiceBytes);
  name_bytes = put_text(metric.name, kNameBytes);
  body_bytes = put_text(metric.unit, kNameBytes);
  put_attributes(metric.attributes);
}

std::optional<TapLine> TapLine::from(const char* bytes, std::size_t size) {
  TapLine line;
  if (size < kHeadBytes || size > sizeof(TapLine)) return std::nullopt;
  std::memcpy(static_cast<void*>(&line), bytes, size);
  if (line.used_bytes() != size || line.signal >= kSignals ||
      line.metric_kind > static_cast<std::uint8_t>(TapMetric::Kind::histogram)) {
    return std::nullopt;
  }
  return line;
}

std::optional<TapAttributes::Attribute> TapAttributes::next() {
  if (rest_.size() < kAttributeHead) return std::nullopt;
  const auto type = static_cast<std::uint8_t>(rest_[0]);
  const std::size_t key_bytes = static_cast<std::uint8_t>(rest_[1]);
  std::uint16_t value_bytes = 0;
  std::memcpy(&value_bytes, rest_.data() + 2, sizeof value_bytes);
  if (rest_.size() - kAttributeHead < key_bytes + value_bytes) return std::nullopt;
  Attribute attribute;
  attribute.key = rest_.substr(kAttributeHead, key_bytes);
  attribute.cut = (type & kCutMark) != 0;
  const std::string_view value = rest_.substr(kAttributeHead + key_bytes, value_bytes);
  rest_.remove_prefix(kAttributeHead + key_bytes + value_bytes);
  using Type = otlp::Value::Type;
  std::uint64_t word = 0;
  if (value.size() <= sizeof word && !value.empty()) std::memcpy(&word, value.data(), value.size());
  switch (const auto kind = static_cast<Type>(type & ~kCutMark)) {
    case Type::empty: return attribute;
    case Type::string: attribute.value = otlp::Value::string(value); return attribute;
    case Type::bytes: attribute.value = otlp::Value::bytes(value); return attribute;
    case Type::boolean: attribute.value = otlp::Value::of(word != 0); return attribute;
    case Type::integer: attribute.value = otlp::Value::of(static_cast<std::int64_t>(word)); return attribute;
    case Type::real: attribute.value = otlp::Value::of(std::bit_cast<double>(word)); return attribute;
    case Type::array:
    case Type::map:
      attribute.value = kind == Type::map ? otlp::Value::map(nullptr, word) : otlp::Value::array(nullptr, word);
      return attribute;
  }
  return std::nullopt;
}

}  // namespace tailrace::agent
