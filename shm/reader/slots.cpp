// SPDX-License-Identifier: Apache-2.0
#include "shm/reader/slots.hpp"

namespace tailrace::shm {
namespace {

constexpr std::size_t kBytesAt = offsetof(SpanSlot, bytes);
constexpr std::uint64_t kStateMask = 3;

// ENDING has 52 bits for the target; differences decide, so that it may wrap.
bool head_reached(std::uint64_t head, std::uint64_t target) {
  constexpr unsigned kDropped = 2 + kSlotLaneBits;
  return static_cast<std::int64_t>((head - target) << kDropped) >= 0;
}

// The record that a slot's bytes start with, its size believed only inside the slot.
Bytes draft(Bytes slot, RecordType type, std::size_t fixed_bytes) {
  const Bytes bytes = slot.from(kBytesAt);
  RecordHeader header;
  if (!bytes.load(0, header) || header.type != static_cast<std::uint16_t>(type)) return {};
  if (header.size < fixed_bytes || header.size % 8 != 0) return {};
  return bytes.part(0, header.size);
}

// Collects the chain's items. False when a link leads nowhere, in circles, or further than kChainMax.
bool follow_chain(std::uint64_t next, const SlotContext& context, SlotSpan& out) {
  std::array<std::uint64_t, kChainMax> seen{};
  for (std::size_t length = 0; next != 0; ++length) {
    if (length == kChainMax) return false;
    for (std::size_t i = 0; i < length; ++i) {
      if (seen[i] == next) return false;
    }
    seen[length] = next;
    const std::uint64_t index = next - 1;
    if (context.slot_bytes == 0 || index >= context.pool.size / context.slot_bytes) return false;
    const Bytes slot = context.pool.part(static_cast<std::size_t>(index) * context.slot_bytes, context.slot_bytes);
    const auto state = slot.load_or_zero<std::uint64_t>(offsetof(SpanSlot, state));
    if ((state & kStateMask) != kSlotMore) return false;
    const Bytes record = draft(slot, RecordType::more, sizeof(MoreRecord));
    if (record.empty()) return false;
    if (record.size > sizeof(MoreRecord)) out.items[out.item_ranges++] = record.from(sizeof(MoreRecord));
    next = slot.load_or_zero<std::uint64_t>(offsetof(SpanSlot, next));
  }
  return true;
}

}  // namespace

SlotSpan read_slot(Bytes slot, const SlotContext& context) {
  SlotSpan out;
  std::uint64_t state = 0;
  if (!slot.load(offsetof(SpanSlot, state), state)) {
    out.verdict = SlotVerdict::broken;
    return out;
  }
  switch (state & kStateMask) {
    case kSlotOpen: out.verdict = SlotVerdict::open; break;
    case kSlotEnding: {
      out.lane = slot_ending_lane(state);
      if (out.lane >= context.lane_count) {
        out.verdict = SlotVerdict::broken;
        return out;
      }
      if (head_reached(context.heads[out.lane], slot_ending_target(state))) return out;
      out.verdict = SlotVerdict::ended;
      break;
    }
    default: return out;  // kSlotFree, kSlotMore
  }

  const Bytes record = draft(slot, RecordType::span, sizeof(SpanRecord));
  const bool whole = record.load(0, out.record);
  // An open slot names its span twice; while it is filled anew the two differ.
  if (!whole || (out.verdict == SlotVerdict::open && state != slot_open(out.record.span_id))) {
    out = SlotSpan{};
    out.verdict = SlotVerdict::broken;
    return out;
  }
  if (record.size > sizeof(SpanRecord)) out.items[out.item_ranges++] = record.from(sizeof(SpanRecord));
  out.chain_broken = !follow_chain(slot.load_or_zero<std::uint64_t>(offsetof(SpanSlot, next)), context, out);
  return out;
}

}  // namespace tailrace::shm
