// SPDX-License-Identifier: Apache-2.0
// Logs: their records, and bodies made of a template and its arguments.
#include "agent/decode/decoder_impl.hpp"

namespace tailrace::agent {

bool SegmentDecoder::Impl::log_items(shm::Bytes items) {
  ItemRef item;
  for (shm::ItemCursor cursor(items);;) {
    const shm::Next found = cursor.next(item);
    if (found == shm::Next::end) return true;
    if (found == shm::Next::broken) return false;
    if (item.key >= shm::kFirstStringId || item.key <= shm::kInlineKey) {
      if (!items_.add(attributes_, item)) return false;
      continue;
    }
    switch (item.key) {
      case shm::kArgumentKey:
      case shm::kBodyKey: {
        otlp::Value value;
        const ItemDecoder::Took took = items_.value_of(item, value);
        if (took == ItemDecoder::Took::broken) return false;
        if (took == ItemDecoder::Took::unknown) ++items_.counts.items_unknown;
        if (item.key == shm::kArgumentKey) {
          arguments_.push_back(value);
        } else {
          log_.body = value;
          has_body_ = true;
        }
        break;
      }
      case shm::kEventNameKey: log_.event_name = text_or(item, {}); break;
      case shm::kSeverityTextKey: log_.severity_text = text_or(item, {}); break;
      case shm::kObservedTimeKey:
        if (integer_of(item) > 0) log_.observed_ns = static_cast<std::uint64_t>(item.integer());
        break;
      case shm::kDroppedAttributesKey:
        log_.dropped_attributes = add_saturating(log_.dropped_attributes, integer_of(item));
        break;
      default: ++items_.counts.items_unknown; break;
    }
  }
}

Decoded SegmentDecoder::Impl::log(shm::Bytes bytes, std::uint8_t flags, std::uint64_t observed_ns) {
  shm::LogRecord fixed;
  if (!bytes.load(0, fixed)) return bad(BadRecord::too_short);
  const shm::Bytes items = bytes.from(sizeof fixed);
  scratch_.reset();
  attributes_ = {};
  items_.open(attributes_, items.size);
  arguments_.clear();
  has_body_ = false;
  log_ = {};
  log_.observed_ns = observed_ns;
  if (!log_items(items)) return bad(BadRecord::bad_items);

  log_.time_ns = time_of(fixed.time, static_cast<shm::TimeClock>(flags >> shm::kFlagStartClockShift & 3u));
  last_time_ns_ = std::max(last_time_ns_, log_.time_ns);
  log_.severity = fixed.severity;
  if (!has_body_ && fixed.body != 0) log_.body = otlp::Value::string(strings_.find(fixed.body).text);
  if ((fixed.tflags & shm::kTemplate) != 0 && log_.body.type == otlp::Value::Type::string) {
    log_.body = otlp::Value::string(items_.clean(body_.format(log_.body.text(), arguments_)));
  }
  // Ids that are not there have no flags; a span id without its trace means nothing.
  if (!is_zero(fixed.trace_id)) {
    log_.trace_id = trace_id_of(fixed.trace_id);
    log_.span_id = span_id_of(fixed.span_id);
    log_.flags = fixed.tflags & kTraceFlags;
  }
  log_.attributes = attributes_.view();
  log_.dropped_attributes = add_saturating(log_.dropped_attributes, attributes_.dropped);

  Decoded decoded;
  decoded.kind = Decoded::Kind::log;
  decoded.priority = flags & shm::kFlagPriorityMask;
  decoded.truncated = (flags & shm::kFlagTruncated) != 0;
  decoded.scope = fixed.scope;
  decoded.trace_id = log_.trace_id;
  decoded.span_id = log_.span_id;
  decoded.log = &log_;
  ++counts_.logs;
  counts_.truncated += decoded.truncated ? 1 : 0;
  return decoded;
}

}  // namespace tailrace::agent
