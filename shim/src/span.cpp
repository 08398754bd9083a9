// SPDX-License-Identifier: Apache-2.0
// Spans beyond the inlined case: every kind of parent, slots that are not the lane's own, items that
// need counting, chains and parts, ends on other threads.
//
// A draft grows through three places: its slot, pool slots chained behind it, SPAN_PART records. What
// was put somewhere never moves.
#include <cstring>

#include "encode.hpp"
#include "runtime.hpp"

namespace tailrace::shim {
namespace {

using detail::kStateCounted;
using detail::kStateNoSlot;
using detail::depth_of;
using detail::kTopLook;
using detail::kWordClosed;
using detail::kWordBusy;
using shm::ItemType;
using shm::RecordType;
using shm::Signal;

// What stays free of max_record for what the end itself adds: dropped counts and the number of parts.
constexpr std::uint32_t kEndItems = 4 * 16;
constexpr unsigned kNoSlotShift = 40;  // of SpanState::bits: which place of those without a slot

// Not a span of the parent: its block stays zero for ever in a child, but for the static one.
bool ours(const SpanState& s) noexcept {
  if (s.block == nullptr) return false;
  if (s.block != &closed_block) return s.block->control != nullptr;
  return s.top >> 32 == g.generation.load(std::memory_order_relaxed);
}

void forget(SpanState& s) noexcept { s = SpanState{}; }

bool in_pool(const shm::SpanSlot* slot) noexcept {
  return slot >= g.map.pool && slot < g.map.pool + g.map.geometry.pool_slots;
}
std::uint32_t pool_index(const shm::SpanSlot* slot) noexcept { return static_cast<std::uint32_t>(slot - g.map.pool); }

std::uint32_t lane_of(const shm::SpanSlot* slot) noexcept {
  return static_cast<std::uint32_t>((slot - g.map.slots) / static_cast<std::ptrdiff_t>(shm::kSlotsPerLane));
}

// Valid for a recording span of ours.
Side& side_of(const SpanState& s) noexcept {
  constexpr std::uint32_t kPool = shm::kLanesMax * shm::kSlotsPerLane;
  if ((s.bits & kStateNoSlot) != 0) {
    return side_at(kPool + shm::kPoolSlotsDefault + (static_cast<std::uint32_t>(s.bits >> kNoSlotShift) & (kNoSlotSpans - 1)));
  }
  if (in_pool(s.slot)) return side_at(kPool + pool_index(s.slot));
  return side_at(static_cast<std::uint32_t>(s.slot - g.map.slots));
}

bool counted(const SpanState& s) noexcept { return (s.bits & kStateCounted) != 0; }

bool busy(const SpanState& s) noexcept { return (s.word & kWordBusy) != 0; }
std::uint32_t size_of(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word & ~kWordClosed); }

// Inlined items stop: what follows must be counted or stands elsewhere.
void close_room(SpanState& s) noexcept { s.word |= kWordClosed; }

unsigned char* draft_of(const SpanState& s) noexcept {
  return s.slot != nullptr ? s.slot->bytes : reinterpret_cast<unsigned char*>(side_of(s).draft);
}

// Gives a slot back: to the own list without an atomic, to another lane's by its `freed_remote`.
void free_slot(ThreadBlock* own, shm::SpanSlot* slot) noexcept {
  if (in_pool(slot)) {
    free_pool_slot(pool_index(slot));
    return;
  }
  const std::uint32_t lane = lane_of(slot);
  const std::uint32_t bit = 1u << ((slot - g.map.slots) % static_cast<std::ptrdiff_t>(shm::kSlotsPerLane));
  if (own != nullptr && own->lane == lane) {
    own->slots_free |= bit;
  } else {
    // Release: the owner reuses the slot after our last store into it.
    __atomic_fetch_or(&block_at(lane)->freed_remote, bit, __ATOMIC_RELEASE);
  }
}

void free_chain(const SpanState& s, const Side& side) noexcept {
  std::uint64_t next = s.slot->next.load(std::memory_order_relaxed);
  s.slot->next.store(0, std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < side.chained && next != 0 && next <= g.map.geometry.pool_slots; ++i) {
    shm::SpanSlot& slot = g.map.pool[next - 1];
    const auto index = static_cast<std::uint32_t>(next - 1);
    next = slot.next.load(std::memory_order_relaxed);
    slot.next.store(0, std::memory_order_relaxed);
    slot.state.store(shm::kSlotFree, std::memory_order_release);
    free_pool_slot(index);
  }
}

shm::SpanSlot* take_slot(ThreadBlock* own) noexcept {
  if (own != nullptr) {
    if (own->slots_free == 0) own->slots_free = __atomic_exchange_n(&own->freed_remote, 0u, __ATOMIC_ACQUIRE);
    if (own->slots_free != 0) {
      const std::uint32_t free_slots = own->slots_free;
      const unsigned index = detail::highest_bit(free_slots);
      own->slots_free = free_slots ^ 1u << index;
      return own->slots + index;
    }
  }
  const std::uint32_t index = take_pool_slot();
  return index != kNoLane ? g.map.pool + index : nullptr;
}

void ids_of(const SpanState& s, std::uint64_t (&ids)[3]) noexcept { std::memcpy(ids, draft_of(s) + 24, 24); }

std::uint64_t random_id(ThreadBlock* block) noexcept {
  if (block == nullptr || block == &closed_block) {
    std::uint64_t id = 0;
    shm::fill_random(&id, sizeof id);
    return id;
  }
  block->id_state += detail::kIdStep;
  return detail::mix(block->id_state, block->id_key);
}

struct Sampled {
  bool keep;
  std::uint32_t tflags;
};
Sampled sample(const ContextEntry* parent, std::uint64_t trace_low) noexcept {
  const Settings& settings = g.settings;
  const bool has_parent = parent != nullptr && parent->span_id != 0;
  std::uint32_t tflags = has_parent ? parent->tflags & shm::kRandom : shm::kRandom;
  if (has_parent && settings.parent_based) {
    const bool keep = (parent->tflags & shm::kSampled) != 0;
    return {keep, tflags | (keep ? shm::kSampled : 0)};
  }
  const std::uint64_t agents = g.map.control->hot.trace_threshold.load(std::memory_order_relaxed);
  const std::uint64_t threshold = agents > settings.threshold ? agents : settings.threshold;
  const bool keep = (__builtin_bswap64(trace_low) & detail::kRandomnessMask) >= threshold;
  return {keep, tflags | (keep ? shm::kSampled : 0)};
}

// ------------------------------------------------------------------------------------------- items

Side& begin_counting(SpanState& s) noexcept {
  Side& side = side_of(s);
  if (!counted(s)) {
    s.bits |= kStateCounted;
    std::memset(static_cast<void*>(&side), 0, offsetof(Side, draft));
  }
  return side;
}

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

void store_word(unsigned char* to, std::uint64_t word) noexcept {
  __atomic_store_n(reinterpret_cast<detail::Word*>(to), word, __ATOMIC_RELEASE);
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

// -------------------------------------------------------------------------------------------- end

struct EndExtras {
  unsigned char bytes[kEndItems];
  std::uint32_t size;
  std::uint32_t count;
};
void collect_extras(const Side& side, EndExtras& extras) noexcept {
  Encoder encoder(extras.bytes, sizeof extras.bytes, 0xffffffff);
  if (side.dropped_attributes != 0) encoder.word_item(shm::kDroppedAttributesKey, ItemType::integer, side.dropped_attributes);
  if (side.dropped_events != 0) encoder.word_item(shm::kDroppedEventsKey, ItemType::integer, side.dropped_events);
  if (side.dropped_links != 0) encoder.word_item(shm::kDroppedLinksKey, ItemType::integer, side.dropped_links);
  if (side.parts != 0) encoder.word_item(shm::kPartCountKey, ItemType::integer, side.parts);
  extras.size = encoder.size();
  extras.count = encoder.count();
}

// The stack's top behind the entries that are dead there; says whether others are below it.
std::uint64_t without_dead(const ThreadBlock& block) noexcept {
  const auto dead = [&block](std::uint32_t depth) { return __atomic_load_n(&block.stack[depth].dead, __ATOMIC_RELAXED) != 0; };
  std::uint32_t depth = depth_of(block.top);
  while (depth > 0 && dead(depth)) --depth;
  std::uint64_t look = 0;
  for (std::uint32_t below = 1; below < depth; ++below) {
    if (dead(below)) look = kTopLook;
  }
  return block.serial << 32 | look | depth;
}

// Takes the span off the stack of its thread. `own` null: not our stack, or in a signal handler.
void leave_stack(const SpanState& s, std::uint64_t span_id, bool may_pop) noexcept {
  const std::uint32_t depth = depth_of(s.top);
  if (depth == 0 || depth > detail::kDepthMax || s.block == &closed_block) return;
  ThreadBlock* block = s.block;
  ContextEntry& entry = block->stack[depth];
  // Another owner's entry at this depth has another span's id.
  if ((__atomic_load_n(&block->top, __ATOMIC_RELAXED) ^ s.top) >> 32 != 0) return;
  if (span_id != 0 && __atomic_load_n(&entry.span_id, __ATOMIC_RELAXED) != span_id) return;
  __atomic_store_n(&entry.dead, 1u, __ATOMIC_RELAXED);
  if (!may_pop || tailrace_thread != block) return;
  block->top = without_dead(*block);
}

}  // namespace
}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" void tailrace_span_start(SpanState* state, const detail::SpanStart* start) noexcept {
  static const SpanOptions kDefaults{};
  SpanState& s = *state;
  forget(s);
  if (tailrace_thread == &off_block) return;
  const SpanOptions& options = start->options != nullptr ? *start->options : kDefaults;
  const std::uint32_t priority = static_cast<std::uint32_t>(options.priority) & 3;
  ThreadBlock* block = enter();
  if (block == nullptr && g.mode.load(std::memory_order_acquire) != Mode::active) return;  // counted there
  if (segment() == nullptr) {
    g.calls_unrecorded.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const shm::ControlHot& control = g.map.control->hot;
  if (((control.disable_mask.load(std::memory_order_relaxed) | g.settings.off_mask) & 1u) != 0) return;
  if (block != nullptr && block->lane != kNoLane && block->busy != 0 && !begin_own(block)) {
    count_unlaned(Signal::traces, priority);  // a handler that interrupted a write: no span is started there
    return;
  }
  if (block != nullptr && block->lane != kNoLane) detail::set_busy(block);
  ThreadBlock* own = block != nullptr && block->lane != kNoLane ? block : nullptr;
  struct Leave {
    ThreadBlock* block;
    ~Leave() {
      if (block != nullptr) detail::clear_busy(block);
    }
  } leave{own};

  // The parent.
  ContextEntry given{};
  const ContextEntry* parent = nullptr;
  if (block != nullptr) block->top = without_dead(*block);
  const std::uint32_t depth = block != nullptr ? depth_of(block->top) : 0u;
  if (options.parent.mode() == 0) {
    if (block != nullptr) parent = &block->stack[depth];
  } else if (options.parent.mode() == 1 && options.parent.context() != nullptr && options.parent.context()->valid()) {
    const Context& context = *options.parent.context();
    std::memcpy(given.trace_id, context.trace_id, 16);
    std::memcpy(&given.span_id, context.span_id, 8);
    given.tflags = (context.sampled ? shm::kSampled : 0u) | (context.random ? shm::kRandom : 0u) |
                   (context.remote ? shm::kRemote : 0u);
    parent = &given;
  }
  const bool has_parent = parent != nullptr && parent->span_id != 0;
  const bool pushes = start->ids == nullptr && block != nullptr;
  if (pushes && depth >= g.settings.depth_limit) {
    detail::add_plain(block->lane_head->refused, 1);
    return;
  }

  std::uint64_t ids[3];
  if (has_parent) {
    ids[0] = parent->trace_id[0];
    ids[1] = parent->trace_id[1];
  } else {
    ids[0] = random_id(block) | 1;
    ids[1] = __builtin_bswap64(random_id(block));
  }
  ids[2] = random_id(block);
  if (ids[2] == 0) ids[2] = 1;
  const Sampled sampled = sample(parent, ids[1]);
  const std::uint64_t parent_id = has_parent ? parent->span_id : 0;
  const std::uint32_t remote = has_parent ? parent->tflags & shm::kRemote : 0;

  s.block = block != nullptr ? block : &closed_block;
  if (pushes) {
    ContextEntry& entry = block->stack[depth + 1];
    entry.trace_id[0] = ids[0];
    entry.trace_id[1] = ids[1];
    __atomic_store_n(&entry.span_id, ids[2], __ATOMIC_RELAXED);
    entry.tflags = sampled.tflags;
    __atomic_store_n(&entry.dead, 0u, __ATOMIC_RELAXED);
    block->top = block->top + 1;
    s.top = block->top;
  } else {
    s.top = (block != nullptr ? block->serial : g.generation.load(std::memory_order_relaxed)) << 32;
  }
  const bool shed = (control.shed_mask.load(std::memory_order_relaxed) >> priority & 1) != 0 && priority != 0;
  if (!sampled.keep || shed) {
    if (!sampled.keep) {
      if (own != nullptr) detail::add_plain(own->lane_head->not_sampled, 1);
      else g.map.heads[g.map.geometry.lanes - 1].not_sampled.fetch_add(1, std::memory_order_relaxed);
    } else {
      count_unlaned(Signal::traces, priority);
    }
    if (start->ids != nullptr) {
      std::memcpy(start->ids, ids, sizeof ids);
      start->ids[3] = sampled.tflags;
    }
    return;
  }

  shm::SpanRecord record{};
  std::uint8_t clock = options.start.clock;
  record.start = options.start.given ? options.start.value : now(clock);
  const auto flags = static_cast<std::uint8_t>(priority | static_cast<std::uint32_t>(clock) << shm::kFlagStartClockShift);
  record.header = {sizeof record, static_cast<std::uint16_t>(RecordType::span), flags, 0};
  std::memcpy(record.trace_id, ids, 16);
  record.span_id = ids[2];
  record.parent_id = parent_id;
  record.name = start->name.id;
  record.kind_status = static_cast<std::uint8_t>(options.kind);
  record.tflags = static_cast<std::uint8_t>(sampled.tflags | shm::kRemoteKnown | remote);
  record.scope = options.scope != nullptr ? options.scope->id() : std::uint16_t{0};

  shm::SpanSlot* slot = take_slot(own);
  if (slot != nullptr) {
    TAILRACE_TEST_POINT("shim.start.slot_taken");
    slot->next.store(0, std::memory_order_relaxed);
    std::memcpy(slot->bytes, &record, sizeof record);
    TAILRACE_TEST_POINT("shim.start.filled");
    slot->state.store(shm::slot_open(record.span_id), std::memory_order_release);
    TAILRACE_TEST_POINT("shim.start.open");
    s.slot = slot;
    std::memcpy(&s.word, &record.header, 8);
    const bool plain = own != nullptr && !in_pool(slot) && block->depth_limit != 0 && clock == 0 && priority != 0;
    if (plain) s.bits = 1u << (slot - own->slots);
    else s.top |= kTopLook;
  } else {
    // No slot anywhere: announced in the lane, kept in private memory, every item a part.
    const std::uint32_t place_index = take_no_slot();
    if (place_index == kNoLane) {
      count_unlaned(Signal::traces, priority);
      if (start->ids != nullptr) {
        std::memcpy(start->ids, ids, sizeof ids);
        start->ids[3] = sampled.tflags;
      }
      return;
    }
    s.bits = kStateNoSlot | std::uint64_t{place_index} << kNoSlotShift;
    s.top |= kTopLook;
    std::memcpy(&s.word, &record.header, 8);
    s.word |= kWordClosed;
    begin_counting(s);
    shm::SpanRecord announced = record;
    announced.header.type = static_cast<std::uint16_t>(RecordType::span_start);
    announced.tflags |= shm::kStarted;
    Place place;
    if (reserve(own, Signal::other, priority, sizeof announced, place)) {
      std::memcpy(place.to, &announced, sizeof announced);
      publish(place, Signal::other, true, 1);
      record.tflags |= shm::kStarted;
    }
    std::memcpy(draft_of(s), &record, sizeof record);
  }
  if (own != nullptr) detail::clear_busy(own);
  leave.block = nullptr;
  if (start->name.id == 0) {
    add(s, false, [start](Encoder& e) { return e.string_item(shm::kNameKey, start->name.text, start->name.length); });
  }
  if (!options.trace_state.empty()) {
    add(s, false, [&options](Encoder& e) {
      return e.string_item(shm::kTraceStateKey, options.trace_state.data(), options.trace_state.size());
    });
  }
  for (const Link& link : options.links) tailrace_span_link(&s, &link);
}

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

extern "C" void tailrace_span_context(const SpanState* state, const std::uint64_t* given, Context* out) noexcept {
  const SpanState& s = *state;
  *out = Context{};
  if (!ours(s)) return;
  std::uint64_t ids[3];
  std::uint64_t tflags = 0;
  const std::uint32_t depth = depth_of(s.top);
  if (s.word != 0) {
    ids_of(s, ids);
    tflags = draft_of(s)[offsetof(shm::SpanRecord, tflags)];
  } else if (given != nullptr) {
    std::memcpy(ids, given, sizeof ids);
    tflags = given[3];
  } else if (depth != 0 && depth <= detail::kDepthMax && (s.block->top ^ s.top) >> 32 == 0) {
    const ContextEntry& entry = s.block->stack[depth];
    ids[0] = entry.trace_id[0];
    ids[1] = entry.trace_id[1];
    ids[2] = entry.span_id;
    tflags = entry.tflags;
  } else {
    return;
  }
  std::memcpy(out->trace_id, ids, 16);
  std::memcpy(out->span_id, &ids[2], 8);
  out->sampled = (tflags & shm::kSampled) != 0;
  out->random = (tflags & shm::kRandom) != 0;
}

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
  if (s.word == 0) {
    leave_stack(s, ids[2], may_pop);
    if (own != nullptr) detail::clear_busy(own);
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
  const std::uint32_t total = first + side.chain_bytes + extras.size;
  std::uint64_t count = (word >> 56) + extras.count + side.chain_items;
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
    if (side.chain_bytes != 0) {
      std::uint64_t next = s.slot->next.load(std::memory_order_relaxed);
      for (std::uint32_t i = 0; i < side.chained && next != 0 && next <= g.map.geometry.pool_slots; ++i) {
        const shm::SpanSlot& more = g.map.pool[next - 1];
        std::uint32_t size;
        std::memcpy(&size, more.bytes, 4);
        if (size < sizeof(shm::MoreRecord) || size > shm::kDraftBytes) break;
        std::uint32_t bytes = size - static_cast<std::uint32_t>(sizeof(shm::MoreRecord));
        if (bytes > first + side.chain_bytes - at) bytes = first + side.chain_bytes - at;
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
  forget(s);
}

// ---------------------------------------------------------------------------------------- contexts

extern "C" bool tailrace_current(Context* out) noexcept {
  *out = Context{};
  const ThreadBlock* block = tailrace_thread;
  if (block->control == nullptr) return false;
  const ContextEntry& entry = block->stack[depth_of(block->top)];
  if (entry.span_id == 0) return false;
  std::memcpy(out->trace_id, entry.trace_id, 16);
  std::memcpy(out->span_id, &entry.span_id, 8);
  out->sampled = (entry.tflags & shm::kSampled) != 0;
  out->random = (entry.tflags & shm::kRandom) != 0;
  out->remote = (entry.tflags & shm::kRemote) != 0;
  return true;
}

extern "C" std::uint64_t tailrace_activate(const Context* context) noexcept {
  ThreadBlock* block = enter();
  if (block == nullptr || block->busy != 0) return 0;
  block->top = without_dead(*block);
  const std::uint32_t depth = depth_of(block->top);
  if (depth >= g.settings.depth_limit) return 0;
  ContextEntry& entry = block->stack[depth + 1];
  entry = ContextEntry{};
  if (context->valid()) {
    std::memcpy(entry.trace_id, context->trace_id, 16);
    std::memcpy(&entry.span_id, context->span_id, 8);
    entry.tflags = (context->sampled ? shm::kSampled : 0u) | (context->random ? shm::kRandom : 0u) |
                   (context->remote ? shm::kRemote : 0u) | shm::kRemoteKnown;
  }
  block->top = block->top + 1;
  return block->top;
}

extern "C" void tailrace_deactivate(std::uint64_t top) noexcept {
  ThreadBlock* block = tailrace_thread;
  if (block->control == nullptr || (block->top ^ top) >> 32 != 0) return;  // another thread, another process
  SpanState s{};
  s.block = block;
  s.top = top;
  leave_stack(s, 0, true);
}

// The name of a C++ type out of what the compiler gives: the plain nested names of the Itanium ABI,
// and "[with E = …]" where there is no RTTI. Anything else is passed on as it is.
extern "C" std::size_t tailrace_type_name(const char* mangled, char* out, std::size_t room) noexcept {
  const char* from = mangled;
  std::size_t n = 0;
  const auto put = [&](const char* text, std::size_t length) {
    for (std::size_t i = 0; i < length && n < room; ++i) out[n++] = text[i];
  };
  if (const char* with = std::strstr(mangled, "E = "); with != nullptr) {
    with += 4;
    std::size_t length = 0;
    while (with[length] != 0 && with[length] != ';' && with[length] != ']') ++length;
    put(with, length);
    return n;
  }
  const bool nested = *from == 'N';
  if (nested) ++from;
  bool good = true;
  if (from[0] == 'S' && from[1] == 't') {
    put("std", 3);
    from += 2;
  }
  while (good && *from != 0 && !(nested && *from == 'E')) {
    std::size_t length = 0;
    while (*from >= '0' && *from <= '9') length = length * 10 + static_cast<std::size_t>(*from++ - '0');
    good = length > 0 && length <= std::strlen(from);
    if (!good) break;
    if (n != 0) put("::", 2);
    if (length >= 11 && std::memcmp(from, "_GLOBAL__N_", 11) == 0) put("(anonymous namespace)", 21);
    else put(from, length);
    from += length;
  }
  if (!good) {
    n = 0;
    put(mangled, std::strlen(mangled));
  }
  return n;
}
