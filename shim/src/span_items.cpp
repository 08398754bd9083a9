// SPDX-License-Identifier: Apache-2.0
// What is added to a span beyond the inlined case: items that need counting, chains and parts.
#include "span_draft.hpp"

namespace tailrace::shim {
namespace {

std::uint32_t attributes_of(const SpanState& s, const Side& side) noexcept {
  const auto first = static_cast<std::uint32_t>(s.slot != nullptr && !busy(s) ? s.word >> 56 : 0);
  return side.attributes + (first > side.others ? first - side.others : 0);
}

// Whether the draft's first slot has an attribute of this key: setting it again is no new one. The same text may
// stand there inline and have an id by now, or the other way round where the thread's cache has forgotten it.
bool has_key(const SpanState& s, const Name& key) noexcept {
  if (s.slot == nullptr || busy(s)) return false;
  const std::uint32_t size = size_of(s.word);
  for (std::uint32_t at = sizeof(shm::SpanRecord); at + 8 <= size;) {
    shm::ItemHeader item;
    std::memcpy(&item, s.slot->bytes + at, sizeof item);
    if (item.type < static_cast<std::uint8_t>(ItemType::event)) {
      if (key.id != 0 && item.key == key.id) return true;
      if (item.key == shm::kInlineKey && at + 16 + key.length <= size) {
        std::uint16_t length;
        std::memcpy(&length, s.slot->bytes + at + 8, sizeof length);
        if (length == key.length && std::memcmp(s.slot->bytes + at + 16, key.text, length) == 0) return true;
      }
      // The key was read back from shared memory: it may be anything.
      if (key.id == 0 && item.key >= shm::kFirstStringId && item.key < shm::kArenaBytesDefault / 8 - 1) {
        const unsigned char* known = mirror() + item.key * std::uint64_t{8};
        std::uint32_t length;
        std::memcpy(&length, known, sizeof length);
        const bool inside = item.key * std::uint64_t{8} + sizeof length + length <= shm::kArenaBytesDefault;
        if (inside && length == key.length && std::memcmp(known + sizeof length, key.text, length) == 0) return true;
      }
    }
    at += 8 + shm::padded(item.length);
  }
  return false;
}

std::uint64_t grown(std::uint64_t word, std::uint32_t bytes, std::uint32_t items) noexcept {
  std::uint64_t count = (word >> 56) + items;
  if (count > 255) count = 255;
  return (word & ~(0xffull << 56)) + bytes + (count << 56);
}

// A SPAN_PART of its own for items of `bytes` bytes.
template <class Fill>
bool write_part(const SpanState& s, Side& side, std::uint32_t bytes, bool& cut, Fill&& fill) noexcept {
  std::uint64_t ids[3];
  ids_of(s, ids);
  ThreadBlock* block = tailrace_thread;
  ThreadBlock* own = begin_own(block) ? block : nullptr;
  Place place;
  const std::uint32_t size = static_cast<std::uint32_t>(sizeof(shm::SpanPartRecord)) + bytes;
  const bool good = reserve(own, Signal::other, static_cast<std::uint32_t>(Priority::normal), size, place);
  if (good) {
    Encoder encoder(place.to + sizeof(shm::SpanPartRecord), bytes, g.settings.span_value_length);
    fill(encoder);
    cut = cut || encoder.cut();
    // The second run may need less: names were found in the meantime.
    const std::uint32_t spare = bytes - encoder.size();
    place.target -= spare;
    detail::put_word(place.to, shm::header_word(size - spare, RecordType::span_part,
                                                static_cast<std::uint8_t>(Priority::normal),
                                                static_cast<std::uint8_t>(encoder.count() < 255 ? encoder.count() : 255)));
    std::memcpy(place.to + 8, ids, sizeof ids);
    detail::put_word(place.to + offsetof(shm::SpanPartRecord, index), side.parts);
    TAILRACE_TEST_POINT("shim.part.filled");
    publish(place, Signal::other, true, 1);
    ++side.parts;
  }
  if (own != nullptr) detail::clear_busy(own);
  return good;
}

// Puts what `fill` encodes where there is room for it. `fill` runs twice.
template <class Fill>
bool add(SpanState& s, bool attribute, Fill&& fill) noexcept {
  Side& side = begin_counting(s);
  const std::uint32_t whole = g.map.geometry.max_record - kEndItems - static_cast<std::uint32_t>(sizeof(shm::SpanPartRecord));
  Encoder measure(nullptr, whole, g.settings.span_value_length);
  if (!fill(measure)) return false;
  const std::uint32_t bytes = measure.size();
  bool cut = measure.cut();
  bool done = false;
  const std::uint64_t closed = s.word & kWordClosed;
  const std::uint64_t word = s.word & ~kWordClosed;
  const bool interrupted = busy(s);
  if (s.slot != nullptr && !interrupted) {
    const std::uint32_t first = size_of(word);
    s.word = kWordBusy;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::uint64_t after = word;
    std::uint64_t closing = closed;
    // Behind a part only parts: the last value of a key is the one that is read last.
    if (side.chained == 0 && closed == 0 && first + bytes <= shm::kDraftBytes) {
      Encoder encoder(s.slot->bytes + first, bytes, g.settings.span_value_length);
      fill(encoder);
      cut = cut || encoder.cut();
      TAILRACE_TEST_POINT("shim.item.filled");
      after = grown(word, encoder.size(), encoder.count());
      store_word(s.slot->bytes, after);
      TAILRACE_TEST_POINT("shim.item.published");
      if (!attribute) side.others += encoder.count();
      done = true;
    } else if (side.parts == 0 && bytes + sizeof(shm::MoreRecord) <= shm::kDraftBytes &&
               first + side.chain_bytes + bytes + kEndItems <= g.map.geometry.max_record) {
      shm::SpanSlot* last = side.chained != 0 ? g.map.pool + (side.last_slot - 1) : nullptr;
      if (last == nullptr || side.last_size + bytes > shm::kDraftBytes) {
        const std::uint32_t index = take_pool_slot();
        if (index != kNoLane) {
          shm::SpanSlot* more = g.map.pool + index;
          store_word(more->bytes, shm::header_word(sizeof(shm::MoreRecord), RecordType::more, 0, 0));
          more->next.store(0, std::memory_order_relaxed);
          more->state.store(shm::kSlotMore, std::memory_order_release);
          TAILRACE_TEST_POINT("shim.chain.filled");
          (last != nullptr ? last : s.slot)->next.store(index + 1, std::memory_order_release);
          TAILRACE_TEST_POINT("shim.chain.linked");
          last = more;
          side.last_slot = index + 1;
          side.last_size = sizeof(shm::MoreRecord);
          ++side.chained;
          closing = kWordClosed;
        } else {
          last = nullptr;
        }
      }
      if (last != nullptr) {
        Encoder encoder(last->bytes + side.last_size, bytes, g.settings.span_value_length);
        fill(encoder);
        cut = cut || encoder.cut();
        std::uint64_t more_word;
        std::memcpy(&more_word, last->bytes, 8);
        TAILRACE_TEST_POINT("shim.item.filled");
        store_word(last->bytes, grown(more_word & ~0xffffffffull, side.last_size + encoder.size(), encoder.count()));
        TAILRACE_TEST_POINT("shim.item.published");
        side.last_size += encoder.size();
        side.chain_bytes += encoder.size();
        side.chain_items += encoder.count();
        if (attribute) ++side.attributes;
        done = true;
      }
    }
    if (cut) {
      after |= std::uint64_t{shm::kFlagTruncated} << 48;
      store_word(s.slot->bytes, after);
    }
    std::atomic_signal_fence(std::memory_order_seq_cst);
    s.word = after | closing;
  }
  if (!done) {
    done = write_part(s, side, bytes, cut, fill);
    if (done && attribute) ++side.attributes;
    // The interrupted call will store its own word: what it does not touch must tell the end.
    if (interrupted) s.top |= kTopLook;
    else close_room(s);
  }
  if (cut) count_cut(tailrace_thread);
  return done;
}

}  // namespace

bool add_text(SpanState& s, std::uint32_t key, const char* text, std::size_t length) noexcept {
  return add(s, false, [key, text, length](Encoder& e) { return e.string_item(key, text, length); });
}

}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" void tailrace_span_set(SpanState* state, const Name* key, const Value* value) noexcept {
  SpanState& s = *state;
  if (s.word == 0) return;
  if (!ours(s)) {
    forget(s);
    return;
  }
  Side& side = begin_counting(s);
  if (key->length == 0 && key->id == 0) return;  // an attribute without a key is none
  if (attributes_of(s, side) >= g.settings.span_limits.attributes && !has_key(s, *key)) {
    ++side.dropped_attributes;
    close_room(s);
    count_cut(tailrace_thread);
    return;
  }
  if (!add(s, true, [key, value](Encoder& e) { return e.item(*key, *value); })) {
    ++side.dropped_attributes;
    close_room(s);
  }
}

extern "C" void tailrace_span_event(SpanState* state, const Name* name, const Attribute* attributes, std::size_t count,
                                    const Time* time) noexcept {
  SpanState& s = *state;
  if (s.word == 0) return;
  if (!ours(s)) {
    forget(s);
    return;
  }
  Side& side = begin_counting(s);
  if (side.events >= g.settings.span_limits.events) {
    ++side.dropped_events;
    close_room(s);
    count_cut(tailrace_thread);
    return;
  }
  std::uint8_t clock = time->clock;
  const std::uint64_t at = time->given ? time->value : now(clock);
  const std::size_t limit = g.settings.span_limits.nested;
  const std::size_t kept = count < limit ? count : limit;
  std::size_t fitting = kept;  // found by the first run
  const bool good = add(s, false, [&](Encoder& e) {
    const Encoder::Open open = e.begin(*name, ItemType::event, clock);
    if (!open.good || e.left() < sizeof(shm::EventBody)) return false;
    shm::EventBody body{at, static_cast<std::uint32_t>(count - fitting), 0};
    if (fitting < count) e.mark_cut();
    e.raw(&body, sizeof body);
    for (std::size_t i = 0; i < fitting; ++i) {
      if (!e.item(attributes[i].key, attributes[i].value)) {
        e.mark_cut();
        fitting = i;
      }
    }
    e.finish(open);
    return true;
  });
  if (good) {
    ++side.events;
  } else {
    ++side.dropped_events;
    close_room(s);
  }
}

extern "C" void tailrace_span_link(SpanState* state, const Link* link) noexcept {
  SpanState& s = *state;
  if (s.word == 0) return;
  if (!ours(s)) {
    forget(s);
    return;
  }
  Side& side = begin_counting(s);
  if (side.links >= g.settings.span_limits.links) {
    ++side.dropped_links;
    close_room(s);
    count_cut(tailrace_thread);
    return;
  }
  TraceStateText trace_state;
  if (link->context.trace_state != 0) read_trace_state(link->context.trace_state, trace_state);
  const std::size_t count = link->attributes.size();
  const std::size_t limit = g.settings.link_attributes;
  const std::size_t kept = count < limit ? count : limit;
  std::size_t fitting = kept;  // found by the first run
  const bool good = add(s, false, [&](Encoder& e) {
    const Encoder::Open open = e.begin(Name{}, ItemType::link);
    if (!open.good || e.left() < sizeof(shm::LinkBody)) return false;
    shm::LinkBody body{};
    std::memcpy(body.trace_id, link->context.trace_id, 16);
    std::memcpy(&body.span_id, link->context.span_id, 8);
    body.flags = (link->context.sampled ? 1u : 0u) | (link->context.random ? 2u : 0u) | 0x100u |
                 (link->context.remote ? 0x200u : 0u);
    body.dropped_attributes = static_cast<std::uint32_t>(count - fitting);
    if (fitting < count) e.mark_cut();
    e.raw(&body, sizeof body);
    if (!trace_state.empty() && !e.string_item(shm::kTraceStateKey, trace_state.bytes, trace_state.size)) e.mark_cut();
    for (std::size_t i = 0; i < fitting; ++i) {
      if (!e.item(link->attributes.data()[i].key, link->attributes.data()[i].value)) {
        e.mark_cut();
        fitting = i;
      }
    }
    e.finish(open);
    return true;
  });
  if (good) {
    ++side.links;
  } else {
    ++side.dropped_links;
    close_room(s);
  }
}

// The record's own words change in the draft only: an aligned byte or word, whole for any reader.
extern "C" void tailrace_span_status(SpanState* state, unsigned code, const char* message, std::size_t length) noexcept {
  SpanState& s = *state;
  if (s.word == 0 || code > 2) return;
  if (!ours(s)) {
    forget(s);
    return;
  }
  unsigned char* at = draft_of(s) + offsetof(shm::SpanRecord, kind_status);
  const unsigned before = *at >> 4;
  if (before == 1 || code == 0) return;  // ok is final, unset is never set
  __atomic_store_n(at, static_cast<unsigned char>((*at & 15u) | code << 4), __ATOMIC_RELAXED);
  const bool replaces = before == 2;
  if (code == 2 ? length > 0 || replaces : replaces) {
    const std::size_t kept = code == 2 ? length : 0;
    add(s, false, [message, kept](Encoder& e) { return e.string_item(shm::kStatusMessageKey, message, kept); });
  }
}

extern "C" void tailrace_span_rename(SpanState* state, const Name* name) noexcept {
  SpanState& s = *state;
  if (s.word == 0) return;
  if (!ours(s)) {
    forget(s);
    return;
  }
  add(s, false, [name](Encoder& e) {
    return name->id != 0 ? e.word_item(shm::kNameKey, ItemType::string_id, name->id)
                         : e.string_item(shm::kNameKey, name->text, name->length);
  });
}
