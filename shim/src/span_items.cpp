// SPDX-License-Identifier: Apache-2.0
// What is added to a span beyond the inlined case: items that need counting, chains and parts.
#include "span_draft.hpp"

namespace tailrace::shim {
namespace {

std::uint32_t attributes_of(const SpanState& s, const Side& side) noexcept {
  const auto first = static_cast<std::uint32_t>(s.slot != nullptr && !busy(s) ? s.word >> 56 : 0);
  return side.attributes + (first > side.others ? first - side.others : 0);
}

// The key of the attribute that stands at `at`. False: it is no attribute. The bytes were read back from shared
// memory: they may be anything.
bool key_at(const unsigned char* bytes, std::uint32_t at, std::uint32_t size, const shm::ItemHeader& item,
            Name& key) noexcept {
  if (item.type >= static_cast<std::uint8_t>(ItemType::event)) return false;
  key = Name{};
  if (item.key == shm::kInlineKey) {
    std::uint16_t length = 0;
    if (at + 16 <= size) std::memcpy(&length, bytes + at + 8, sizeof length);
    if (at + 16 + length > size) return false;
    key.text = reinterpret_cast<const char*>(bytes) + at + 16;
    key.length = length;
    return true;
  }
  if (item.key < shm::kFirstStringId) return false;
  key.id = item.key;
  const std::uint64_t offset = item.key * std::uint64_t{8};
  if (offset + 8 > shm::kArenaBytesDefault) return true;
  std::uint32_t length;
  std::memcpy(&length, mirror() + offset, sizeof length);
  if (offset + sizeof length + length > shm::kArenaBytesDefault) return true;
  key.text = reinterpret_cast<const char*>(mirror()) + offset + sizeof length;
  key.length = length;
  return true;
}

// The same text may stand in one place inline and have an id in another.
bool same_key(const Name& a, const Name& b) noexcept {
  if (a.id != 0 && a.id == b.id) return true;
  return a.text != nullptr && b.text != nullptr && a.length == b.length && std::memcmp(a.text, b.text, a.length) == 0;
}

// Calls `see` for the key of each attribute of the draft and its chain, until it says true; says whether it did.
// What went into a SPAN_PART is out of reach: there a key that is set again counts as a new one.
template <class See>
bool find_key(const SpanState& s, const Side& side, See&& see) noexcept {
  if (s.slot == nullptr || busy(s)) return false;
  const unsigned char* bytes = s.slot->bytes;
  std::uint32_t at = sizeof(shm::SpanRecord);
  std::uint32_t size = size_of(s.word);
  std::uint64_t next = s.slot->next.load(std::memory_order_relaxed);
  for (std::uint32_t slots = 0;; ++slots) {
    while (at + 8 <= size && size <= shm::kDraftBytes) {
      shm::ItemHeader item;
      std::memcpy(&item, bytes + at, sizeof item);
      Name key;
      if (key_at(bytes, at, size, item, key) && see(key)) return true;
      at += 8 + shm::padded(item.length);
    }
    if (slots == side.chained || next == 0 || next > g.map.geometry.pool_slots) return false;
    const shm::SpanSlot& more = g.map.pool[next - 1];
    bytes = more.bytes;
    at = sizeof(shm::MoreRecord);
    std::memcpy(&size, more.bytes, sizeof size);
    next = more.next.load(std::memory_order_relaxed);
  }
}

// How many attributes have a key that an earlier one has.
std::uint32_t repeats_in(const SpanState& s, const Side& side) noexcept {
  std::uint32_t repeats = 0;
  std::uint32_t seen = 0;
  find_key(s, side, [&](const Name& key) {
    std::uint32_t before = seen++;
    const bool repeated =
        find_key(s, side, [&](const Name& earlier) { return before-- == 0 || same_key(earlier, key); });
    // The walk always ends, at the latest at the key itself.
    if (repeated && before != ~std::uint32_t{0}) ++repeats;
    return false;
  });
  return repeats;
}

enum class Room { free, same_key, none };

// Whether the limit of attributes lets this key in. A key that is set again is not one more, so repeats are
// counted, but only when the limit seems to be reached and something came since they were counted.
Room room_for(const SpanState& s, Side& side, const Name& key) noexcept {
  const std::uint32_t limit = g.settings.span_limits.attributes;
  const std::uint32_t items = attributes_of(s, side);
  if (items < limit + side.repeats) return Room::free;
  if (find_key(s, side, [&key](const Name& known) { return same_key(known, key); })) return Room::same_key;
  if (busy(s) || side.repeats_until == items) return Room::none;
  side.repeats = repeats_in(s, side);
  side.repeats_until = items;
  return items < limit + side.repeats ? Room::free : Room::none;
}

// What encodes the items: a view of a caller's lambda, so that there is one copy of the code that finds room for them.
class Fill {
 public:
  template <class F>
  Fill(const F& f) noexcept  // NOLINT: implicit by purpose
      : what_(&f), call_([](const void* what, Encoder& e) { return (*static_cast<const F*>(what))(e); }) {}
  bool operator()(Encoder& e) const noexcept { return call_(what_, e); }

 private:
  const void* what_;
  bool (*call_)(const void* what, Encoder& e);
};

// A SPAN_PART of its own for items of `bytes` bytes.
bool write_part(const SpanState& s, Side& side, std::uint32_t bytes, bool& cut, Fill fill) noexcept {
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
    detail::put_word(place.to,
                     shm::header_word(size - spare, RecordType::span_part, static_cast<std::uint8_t>(Priority::normal),
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
bool add(SpanState& s, bool attribute, Fill fill) noexcept {
  Side& side = begin_counting(s);
  const std::uint32_t whole =
      g.map.geometry.max_record - kEndItems - static_cast<std::uint32_t>(sizeof(shm::SpanPartRecord));
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
    if (interrupted)
      s.top |= kTopLook;
    else
      close_room(s);
  }
  if (cut) count_cut(tailrace_thread);
  return done;
}

// `attributes` stand behind `first`, and are left out before them.
void add_event(SpanState& s, const Name& name, Attributes first, Attributes attributes, const Time& time) noexcept {
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
  std::uint8_t clock = time.clock;
  const std::uint64_t at = time.given ? time.value : now(clock);
  const std::size_t count = first.size() + attributes.size();
  const std::size_t limit = g.settings.span_limits.nested;
  std::size_t fitting = count < limit ? count : limit;  // the first run may find that it is less
  const bool good = add(s, false, [&](Encoder& e) {
    const Encoder::Open open = e.begin(name, ItemType::event, clock);
    if (!open.good || e.left() < sizeof(shm::EventBody)) return false;
    shm::EventBody body{at, static_cast<std::uint32_t>(count - fitting), 0};
    if (fitting < count) e.mark_cut();
    e.raw(&body, sizeof body);
    for (std::size_t i = 0; i < fitting; ++i) {
      const Attribute& attribute = i < first.size() ? first.data()[i] : attributes.data()[i - first.size()];
      if (!e.item(attribute.key, attribute.value)) {
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
  const Room room = room_for(s, side, *key);
  if (room == Room::none) {
    ++side.dropped_attributes;
    close_room(s);
    count_cut(tailrace_thread);
    return;
  }
  const bool counted = side.repeats_until == attributes_of(s, side);
  if (!add(s, true, [key, value](Encoder& e) { return e.item(*key, *value); })) {
    ++side.dropped_attributes;
    close_room(s);
  } else if (room == Room::same_key) {
    ++side.repeats;
    if (counted) side.repeats_until = attributes_of(s, side);
  }
}

extern "C" void tailrace_span_event(SpanState* state, const Name* name, const Attribute* attributes, std::size_t count,
                                    const Time* time) noexcept {
  add_event(*state, *name, {}, {attributes, count}, *time);
}

extern "C" void tailrace_span_exception(SpanState* state, const char* type, std::size_t type_length,
                                        const char* message, std::size_t message_length, const Attribute* attributes,
                                        std::size_t count) noexcept {
  const Attribute first[] = {{"exception.type", Value(std::string_view(type, type_length))},
                             {"exception.message", Value(std::string_view(message, message_length))}};
  add_event(*state, detail::name_of("exception"), {first, 2}, {attributes, count}, Time());
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
extern "C" void tailrace_span_status(SpanState* state, unsigned code, const char* message,
                                     std::size_t length) noexcept {
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
