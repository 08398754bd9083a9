// SPDX-License-Identifier: Apache-2.0
// Logs beyond the inlined case: attributes, own times, bodies of any type, and whatever the inlined
// half handed over because a limit, a shared lane or the clock needs a look.
#include <cstring>

#include "encode.hpp"
#include "runtime.hpp"

using namespace tailrace;
using namespace tailrace::shim;

namespace {

// REALTIME nanoseconds of the time that was given; 0: none was. A steady time is as far from now on either clock.
std::uint64_t observed_ns(const Time* time) noexcept {
  if (time == nullptr || !time->given) return 0;
  if (time->clock == static_cast<std::uint8_t>(shm::TimeClock::realtime)) return time->value;
  return shm::realtime_ns() - (shm::monotonic_ns() - time->value);
}

// Items of a log, in the order of docs/abi.md. Runs once to count and once into its place.
std::uint32_t encode(Encoder& e, const detail::LogData& data, std::uint64_t observed, std::size_t attributes) noexcept {
  if (data.body != nullptr) {
    Name key;
    key.id = shm::kBodyKey;
    if (data.body->kind() != Value::Kind::empty && data.name.id == 0) e.item(key, *data.body);
  } else if (data.name.id == 0 && data.name.length != 0) {
    e.string_item(shm::kBodyKey, data.name.text, data.name.length);
  }
  if (!data.event_name.empty()) e.string_item(shm::kEventNameKey, data.event_name.data(), data.event_name.size());
  if (!data.severity_text.empty()) {
    e.string_item(shm::kSeverityTextKey, data.severity_text.data(), data.severity_text.size());
  }
  if (observed != 0) e.word_item(shm::kObservedTimeKey, shm::ItemType::integer, observed);
  for (std::size_t i = 0; i < data.arguments_size; ++i) {
    Name key;
    key.id = shm::kArgumentKey;
    if (!e.item(key, data.arguments[i])) e.mark_cut();
  }
  std::uint32_t left_out = 0;
  for (std::size_t i = 0; i < attributes; ++i) {
    if (!e.item(data.attributes[i].key, data.attributes[i].value)) ++left_out;
  }
  if (left_out != 0) e.mark_cut();
  return left_out;
}

}  // namespace

extern "C" void tailrace_log(const detail::LogData* log) noexcept {
  const detail::LogData& data = *log;
  if (tailrace_thread == &off_block) return;
  const std::uint32_t priority = data.priority <= 3 ? data.priority : detail::priority_of(data.severity);
  ThreadBlock* block = enter();
  if (block == nullptr && g.mode.load(std::memory_order_acquire) != Mode::active) return;  // counted there
  if (segment() == nullptr) {
    g.calls_unrecorded.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const shm::ControlHot& control = g.map.control->hot;
  if (((control.disable_mask.load(std::memory_order_relaxed) | g.settings.off_mask) & 2u) != 0 ||
      data.severity < g.settings.min_severity || data.severity < control.min_severity.load(std::memory_order_relaxed)) {
    return;
  }
  if (priority != 0 && (control.shed_mask.load(std::memory_order_relaxed) >> priority & 1) != 0) {
    count_unlaned(shm::Signal::logs, priority);
    return;
  }
  std::uint8_t clock = 0;
  std::uint64_t time = 0;
  if (data.time != nullptr && data.time->given) {
    clock = data.time->clock;
    time = data.time->value;
  } else {
    time = now(clock);
  }
  const std::uint64_t observed = observed_ns(data.observed);
  const std::size_t limit = g.settings.log_attributes;
  const std::size_t attributes = data.attributes_size < limit ? data.attributes_size : limit;
  const auto dropped = static_cast<std::uint32_t>(data.attributes_size - attributes);

  constexpr auto kFixed = static_cast<std::uint32_t>(sizeof(shm::LogRecord));
  const std::uint32_t room = g.map.geometry.max_record - kFixed - 16;
  Encoder measure(nullptr, room, g.settings.log_value_length);
  std::uint32_t left_out = encode(measure, data, observed, attributes) + dropped;
  const std::uint32_t tail = left_out != 0 ? 16 : 0;
  std::uint32_t size = kFixed + measure.size() + tail;

  ThreadBlock* own = begin_own(block) ? block : nullptr;
  Place place;
  if (!reserve(own, shm::Signal::logs, priority, size, place)) {
    if (own != nullptr) detail::clear_busy(own);
    return;
  }
  Encoder encoder(place.to + kFixed, measure.size(), g.settings.log_value_length);
  const std::uint32_t left_out_now = encode(encoder, data, observed, attributes) + dropped;
  if (tail != 0) left_out = left_out_now;
  // The second run may need less: names were found in the meantime.
  const std::uint32_t spare = measure.size() - encoder.size();
  size -= spare;
  place.target -= spare;
  if (tail != 0) {
    detail::put_word(place.to + kFixed + encoder.size(),
                     shm::item_word(shm::kDroppedAttributesKey, shm::ItemType::integer, 0, 8));
    detail::put_word(place.to + kFixed + encoder.size() + 8, left_out);
  }
  const bool cut = measure.cut() || encoder.cut() || left_out != 0;

  shm::LogRecord record{};
  const std::uint32_t flags = priority | (cut ? std::uint32_t{shm::kFlagTruncated} : 0u) |
                              static_cast<std::uint32_t>(clock) << shm::kFlagStartClockShift;
  const std::uint32_t count = encoder.count() + (tail != 0 ? 1 : 0);
  record.header = {size, static_cast<std::uint16_t>(shm::RecordType::log), static_cast<std::uint8_t>(flags),
                   static_cast<std::uint8_t>(count < 255 ? count : 255)};
  record.time = time;
  record.body = data.body == nullptr || data.name.id != 0 ? data.name.id : 0;
  record.severity = data.severity;
  record.scope = data.scope;
  std::uint32_t tflags = data.is_template != 0 ? shm::kTemplate : 0u;
  if (data.context != nullptr) {
    std::memcpy(record.trace_id, data.context->trace_id, 16);
    std::memcpy(&record.span_id, data.context->span_id, 8);
    tflags |= (data.context->sampled ? shm::kSampled : 0u) | (data.context->random ? shm::kRandom : 0u);
  } else if (block != nullptr) {
    const ContextEntry& entry = block->stack[detail::depth_of(block->top)];
    std::memcpy(record.trace_id, entry.trace_id, 16);
    record.span_id = entry.span_id;
    tflags |= entry.tflags & (shm::kSampled | shm::kRandom);
  }
  record.tflags = static_cast<std::uint8_t>(tflags);
  std::memcpy(place.to, &record, sizeof record);
  publish(place, shm::Signal::logs, true, priority);
  // Whoever says that it dies may have no time left, whatever its record's priority.
  if (priority != 0 && data.severity >= static_cast<std::uint32_t>(Severity::fatal)) ring_bell();
  if (own != nullptr) detail::clear_busy(own);
  if (cut) count_cut(own);
}
