// SPDX-License-Identifier: Apache-2.0
// The end of a span beyond the inlined case: chains and parts, another thread's slots, a clock or a time of its own.
#include "span_draft.hpp"

namespace tailrace::shim {
namespace {

struct EndExtras {
  unsigned char bytes[kEndItems];
  std::uint32_t size;
  std::uint32_t count;
};
void collect_extras(const Side& side, EndExtras& extras) noexcept {
  Encoder encoder(extras.bytes, sizeof extras.bytes, 0xffffffff);
  if (side.dropped_attributes != 0)
    encoder.word_item(shm::kDroppedAttributesKey, ItemType::integer, side.dropped_attributes);
  if (side.dropped_events != 0) encoder.word_item(shm::kDroppedEventsKey, ItemType::integer, side.dropped_events);
  if (side.dropped_links != 0) encoder.word_item(shm::kDroppedLinksKey, ItemType::integer, side.dropped_links);
  if (side.parts != 0) encoder.word_item(shm::kPartCountKey, ItemType::integer, side.parts);
  extras.size = encoder.size();
  extras.count = encoder.count();
}

// Puts them behind the draft or its chain, where there is room, before the draft says that it ends: who finds it
// and not the record then finds them too.
void keep_extras(const SpanState& s, const Side& side, EndExtras& extras, std::uint64_t& word, std::uint32_t& first,
                 std::uint32_t& chain_bytes) noexcept {
  if (s.slot == nullptr || extras.size == 0) return;
  if (first + extras.size <= shm::kDraftBytes) {
    std::memcpy(s.slot->bytes + first, extras.bytes, extras.size);
    word = grown((word & ~0xffffffffull) | first, extras.size, extras.count);
    first += extras.size;
  } else if (side.chained != 0 && side.last_size + extras.size <= shm::kDraftBytes) {
    shm::SpanSlot& last = g.map.pool[side.last_slot - 1];
    std::memcpy(last.bytes + side.last_size, extras.bytes, extras.size);
    std::uint64_t more;
    std::memcpy(&more, last.bytes, sizeof more);
    store_word(last.bytes, grown((more & ~0xffffffffull) | side.last_size, extras.size, extras.count));
    chain_bytes += extras.size;
  } else {
    return;
  }
  extras.size = 0;
}

}  // namespace
}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" void tailrace_span_end(SpanState* state, const Time* time) noexcept {
  SpanState& s = *state;
  if (s.block == nullptr) return;
  if (!ours(s)) {
    forget(s);
    return;
  }
  std::uint64_t ids[3] = {};
  if (s.word != 0) ids_of(s, ids);
  ThreadBlock* block = tailrace_thread;
  if (block->control == nullptr && block != &closed_block) {
    ThreadBlock* entered = enter();
    if (entered != nullptr) block = entered;
  }
  ThreadBlock* own = begin_own(block) ? block : nullptr;
  const bool may_pop = own != nullptr || (block->lane == kNoLane && block->control != nullptr);
  const std::uint32_t trace_state = trace_state_of(s);
  if (s.word == 0) {
    leave_stack(s, ids[2], may_pop);
    if (own != nullptr) detail::clear_busy(own);
    unpin_trace_state(trace_state);
    forget(s);
    return;
  }
  std::uint64_t word = s.word;
  if (busy(s)) {
    // A longjmp left an item half added: what was published before it stands in the draft's header.
    std::memcpy(&word, draft_of(s), 8);
  }
  word &= ~kWordClosed;
  auto first = static_cast<std::uint32_t>(word);
  if (first < sizeof(shm::SpanRecord) || first > shm::kDraftBytes || first % 8 != 0) first = sizeof(shm::SpanRecord);
  const std::uint32_t priority = static_cast<std::uint32_t>(word >> 48) & shm::kFlagPriorityMask;
  std::uint8_t clock = time != nullptr ? time->clock : std::uint8_t{0};
  const std::uint64_t end = time != nullptr && time->given ? time->value : now(clock);

  static const Side kNothing{};
  const Side& side = counted(s) ? side_of(s) : kNothing;
  EndExtras extras;
  collect_extras(side, extras);
  std::uint64_t count = (word >> 56) + extras.count + side.chain_items;
  std::uint32_t chain_bytes = side.chain_bytes;
  keep_extras(s, side, extras, word, first, chain_bytes);
  const std::uint32_t total = first + chain_bytes + extras.size;
  if (count > 255) count = 255;
  std::uint32_t flags = static_cast<std::uint32_t>(word >> 48) & 0xff;
  flags = (flags & 0x3f) | static_cast<std::uint32_t>(clock) << shm::kFlagEndClockShift;
  if (side.parts != 0) flags |= shm::kFlagHasParts;
  const std::uint64_t final_word =
      shm::header_word(total, RecordType::span, static_cast<std::uint8_t>(flags), static_cast<std::uint8_t>(count));

  unsigned char* draft = draft_of(s);
  Place place;
  if (reserve(own, Signal::traces, priority, total, place)) {
    detail::put_word(draft + 8, end);
    // The clock of the end is in the flags: for a reader that finds the draft and not the record.
    if (s.slot != nullptr) {
      store_word(draft, (word & ~(0xffull << 48)) | std::uint64_t{flags} << 48);
      TAILRACE_TEST_POINT("shim.end.time");
      s.slot->state.store(shm::slot_ending(place.lane, place.target), std::memory_order_release);
      TAILRACE_TEST_POINT("shim.end.ending");
    }
    detail::put_word(place.to, final_word);
    detail::put_word(place.to + 8, end);
    std::memcpy(place.to + 16, draft + 16, first - 16);
    std::uint32_t at = first;
    if (chain_bytes != 0) {
      std::uint64_t next = s.slot->next.load(std::memory_order_relaxed);
      for (std::uint32_t i = 0; i < side.chained && next != 0 && next <= g.map.geometry.pool_slots; ++i) {
        const shm::SpanSlot& more = g.map.pool[next - 1];
        std::uint32_t size;
        std::memcpy(&size, more.bytes, 4);
        if (size < sizeof(shm::MoreRecord) || size > shm::kDraftBytes) break;
        std::uint32_t bytes = size - static_cast<std::uint32_t>(sizeof(shm::MoreRecord));
        if (bytes > first + chain_bytes - at) bytes = first + chain_bytes - at;
        std::memcpy(place.to + at, more.bytes + sizeof(shm::MoreRecord), bytes);
        at += bytes;
        next = more.next.load(std::memory_order_relaxed);
      }
    }
    std::memcpy(place.to + at, extras.bytes, extras.size);
    TAILRACE_TEST_POINT("shim.end.copied");
    publish(place, Signal::traces, true, priority);
  }
  if (s.slot != nullptr) {
    s.slot->state.store(shm::kSlotFree, std::memory_order_release);
    TAILRACE_TEST_POINT("shim.end.free");
    if (side.chained != 0) free_chain(s, side);
    free_slot(own, s.slot);
  } else {
    free_no_slot(static_cast<std::uint32_t>(s.bits >> kNoSlotShift) & (kNoSlotSpans - 1));
  }
  leave_stack(s, ids[2], may_pop);
  if (own != nullptr) detail::clear_busy(own);
  unpin_trace_state(trace_state);
  forget(s);
}
