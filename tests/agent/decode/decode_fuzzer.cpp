// SPDX-License-Identifier: Apache-2.0
//
// The ordinary decoder over any bytes. Whatever an application writes, what comes out is what OTLP asks for:
// text is UTF-8, keys are unique and not empty, a span has ids, a name and an end that is not before its
// start; views lie inside memory that is ours.
//
// Input: a byte of lengths, the string arena from its first entry on, then records in a row as in a lane.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "agent/decode/hints.hpp"
#include "agent/decode/log_body.hpp"
#include "shm/reader/utf8.hpp"

namespace tailrace::agent {
namespace {

constexpr std::uint64_t kNowNs = 1'700'000'000'000'000'000ull;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "decode_fuzzer: %s\n", what);
  std::abort();
}

void check_text(std::string_view text) { require(shm::valid_utf8(text), "text is not UTF-8"); }

void check(otlp::Attributes attributes, bool keys, unsigned depth = 0) {
  require(depth <= 32, "nested too deep");
  for (std::size_t i = 0; i < attributes.size(); ++i) {
    const otlp::KeyValue& attribute = attributes[i];
    if (keys) {
      require(!attribute.key.empty(), "a key is empty");
      check_text(attribute.key);
      for (std::size_t j = 0; j < i; ++j) require(attributes[j].key != attribute.key, "a key is there twice");
    }
    using Type = otlp::Value::Type;
    const otlp::Value& value = attribute.value;
    if (value.type == Type::string) check_text(value.text());
    if (value.type == Type::bytes) require(value.text().size() < 1 << 20, "bytes without end");
    if (value.type == Type::array || value.type == Type::map) {
      check(value.members(), value.type == Type::map, depth + 1);
    }
  }
}

void check(const BatchHints& batch) {
  require(!batch.delay || (batch.delay->count() >= 0 && *batch.delay <= kDelayMax), "a delay beyond its bounds");
  require(!batch.records || (*batch.records >= kBatchRecordsMin && *batch.records <= kBatchRecordsMax),
          "a batch beyond its bounds");
}

void check(const ProcessHints& hints) {
  check(hints.traces);
  check(hints.logs);
  require(!hints.metric_interval || *hints.metric_interval >= kMetricIntervalMin, "an interval beyond its bounds");
}

void check(const otlp::SpanView& span) {
  require(span.trace_id.is_valid() && span.span_id.is_valid(), "a span without ids");
  require(!span.name.empty(), "a span without a name");
  require(span.end_ns >= span.start_ns, "a negative duration");
  require(span.kind <= 5 && span.status_code <= 2, "a kind or status that OTLP does not have");
  require((span.flags & ~0x303u) == 0, "flags that are not ours");
  check_text(span.name);
  check_text(span.trace_state);
  check_text(span.status_message);
  check(span.attributes, true);
  for (const otlp::EventView& event : span.events) {
    require(!event.name.empty(), "an event without a name");
    check_text(event.name);
    check(event.attributes, true);
  }
  for (const otlp::LinkView& link : span.links) {
    check_text(link.trace_state);
    check(link.attributes, true);
  }
}

void check(const otlp::LogView& log) {
  require(log.observed_ns != 0, "a log that nobody observed");
  check_text(log.severity_text);
  check_text(log.event_name);
  check(log.attributes, true);
  const otlp::KeyValue body{"body", log.body};
  check({&body, 1}, false);
  if (log.body.type == otlp::Value::Type::string) {
    require(log.body.text().size() <= LogBody::kBytesMax + 3 * LogBody::kBytesMax, "a body without end");
  }
}

void check(const Decoded& decoded, SegmentDecoder& decoder) {
  if (decoded.kind == Decoded::Kind::span || decoded.kind == Decoded::Kind::span_start) check(*decoded.span);
  if (decoded.kind == Decoded::Kind::log) check(*decoded.log);
  if (decoded.kind == Decoded::Kind::bad) return;
  const otlp::ScopeView& scope = decoder.scope(decoded.scope);
  check_text(scope.name);
  check_text(scope.version);
  check_text(scope.schema_url);
  check(scope.attributes, true);
  static_cast<void>(decoder.scope_hash(decoded.scope));
}

void run(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return;
  const std::size_t arena_bytes = std::min<std::size_t>(std::size_t{data[0]} * 8, size - 8);
  const bool anchored = (data[1] & 1) != 0;
  SegmentDecoder decoder(static_cast<shm::ClockKind>(data[1] >> 1 & 3), 8192);
  if (anchored) decoder.timeline().add_claim({1, kNowNs, 1});
  decoder.timeline().add({1'000'000, kNowNs + 400'000, 400'001});

  // Copies of exact size, so that AddressSanitizer sees every byte too far.
  std::vector<std::uint8_t> arena(shm::kArenaStart + arena_bytes);
  if (arena_bytes != 0) std::memcpy(arena.data() + shm::kArenaStart, data + 8, arena_bytes);
  static_cast<void>(decoder.strings().extend({arena.data(), arena.size()}));
  const std::uint32_t scopes[] = {shm::kFirstStringId, data[2], data[3]};
  decoder.set_scopes(scopes);

  std::vector<std::vector<std::uint8_t>> records;
  std::size_t at = 8 + arena_bytes;
  while (size - at >= 8 && records.size() < 64) {
    std::uint32_t length;
    std::memcpy(&length, data + at, sizeof length);
    length = std::min<std::uint32_t>(std::max(length & 0x3FF8u, 8u), static_cast<std::uint32_t>(size - at));
    records.emplace_back(data + at, data + at + length);
    at += length;
  }
  std::vector<shm::Bytes> parts;
  for (const std::vector<std::uint8_t>& record : records) {
    const shm::Bytes bytes{record.data(), record.size()};
    const Decoded decoded = decoder.decode(bytes, kNowNs);
    check(decoded, decoder);
    if (decoded.kind == Decoded::Kind::part) parts.push_back(bytes);
  }
  for (const std::vector<std::uint8_t>& record : records) {
    const shm::Bytes bytes{record.data(), record.size()};
    check(decoder.decode_with_parts(bytes, parts, kNowNs), decoder);
    check(decoder.decode_span_start(bytes, parts, kNowNs, {11, 1, 5}), decoder);
    const SegmentDecoder::Blob blob = decoder.decode_blob(bytes);
    check(blob.attributes, true);
    check_text(blob.schema_url);
    check(check_hints(blob).hints);
  }
  static_cast<void>(decoder.counts());
}

}  // namespace
}  // namespace tailrace::agent

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tailrace::agent::run(data, size);
  return 0;
}
