// SPDX-License-Identifier: Apache-2.0
// The start of a span beyond the inlined case: every kind of parent, slots that are not the lane's own.
#include "span_draft.hpp"

namespace tailrace::shim {
namespace {

std::uint64_t random_id(ThreadBlock* block) noexcept {
  if (block == nullptr || block == &closed_block) {
    std::uint64_t id = 0;
    shm::fill_random(&id, sizeof id);
    return id;
  }
  const std::uint64_t id = detail::mix(block->id_state, block->id_key);
  block->id_state += detail::kIdStep;
  return id;
}

// The tracestate of a root that was sampled by ratio: the same for as long as nobody changes the ratio.
std::uint32_t threshold_alone(std::uint64_t threshold, TraceStateText& state) noexcept {
  static std::atomic<std::uint32_t> last;
  std::uint32_t handle = last.load(std::memory_order_relaxed);
  if (read_trace_state(handle, state) && own_member(state.view()).threshold == threshold) return handle;
  state.size = 0;
  set_threshold(state, &threshold);
  handle = keep_trace_state(state.view());
  last.store(handle, std::memory_order_relaxed);
  return handle;
}

struct Sampled {
  bool keep;
  std::uint32_t tflags;
};
// Decides, and leaves in `state` what the span and its children carry: the threshold of this decision, or, of a
// parent's that is followed, the one that came, unless it contradicts what it was said to have led to. `handle`: where
// the text lives, 0 where it does not yet.
// Source: rules of ProbabilitySampler; TraceIdRatioBased never had one algorithm, so R >= T is one that is legal.
Sampled sample(const ContextEntry* parent, std::uint64_t trace_low, TraceStateText& state,
               std::uint32_t& handle) noexcept {
  const Settings& settings = g.settings;
  const bool has_parent = parent != nullptr && parent->span_id != 0;
  const std::uint32_t tflags = has_parent ? parent->tflags & shm::kRandom : shm::kRandom;
  const OwnMember own = state.empty() ? OwnMember{} : own_member(state.view());
  const std::uint64_t randomness =
      own.has_randomness ? own.randomness : __builtin_bswap64(trace_low) & detail::kRandomnessMask;
  if (has_parent && settings.parent_based) {
    const bool keep = (parent->tflags & shm::kSampled) != 0;
    const bool contradicts = own.has_threshold && keep != (randomness >= own.threshold);
    if (contradicts && set_threshold(state, nullptr)) handle = 0;
    return {keep, tflags | (keep ? shm::kSampled : 0)};
  }
  const std::uint64_t agents = g.map.control->hot.trace_threshold.load(std::memory_order_relaxed);
  const std::uint64_t threshold = agents > settings.threshold ? agents : settings.threshold;
  const bool keep = randomness >= threshold;
  const bool states = keep && (settings.ratio || own.has_threshold);
  if (states && state.empty())
    handle = threshold_alone(threshold, state);
  else if ((states || own.has_threshold) && set_threshold(state, states ? &threshold : nullptr))
    handle = 0;
  return {keep, tflags | (keep ? shm::kSampled : 0)};
}

// The tracestate that a span starts from: given with it, else its parent's. `handle`: where that one lives.
void inherit(const SpanOptions& options, std::uint32_t parents, TraceStateText& state, std::uint32_t& handle) noexcept {
  handle = 0;
  if (options.trace_state.empty()) {
    if (parents != 0 && read_trace_state(parents, state)) handle = parents;
    return;
  }
  TraceStateParser parser;
  if (!parser.add(options.trace_state) || parser.shortened()) count_cut(tailrace_thread);
  parser.finish(state);
}

}  // namespace
}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

// The start itself, behind the checks of who calls: its frame is large, and what stands as deep as it would make an
// ordinary call that comes after a longjmp look like a handler (begin_own()).
__attribute__((noinline)) static void start_recorded(SpanState& s, const detail::SpanStart* start,
                                                     const SpanOptions& options, std::uint32_t priority,
                                                     ThreadBlock* block) noexcept {
  const shm::ControlHot& control = g.map.control->hot;
  ThreadBlock* own = block != nullptr && block->lane != kNoLane ? block : nullptr;
  struct Leave {
    ThreadBlock* block;
    ~Leave() {
      if (block != nullptr) detail::clear_busy(block);
    }
  } leave{own};

  // The parent.
  std::uint32_t parents_state = 0;
  ContextEntry given{};
  const ContextEntry* parent = nullptr;
  if (block != nullptr) block->top = without_dead(*block);
  const std::uint32_t depth = block != nullptr ? depth_of(block->top) : 0u;
  if (options.parent.mode() == 0) {
    if (block != nullptr) parent = &block->stack[depth];
    if (parent != nullptr) parents_state = pinned_handle(parent->tflags >> kFlagsTraceStateShift);
  } else if (options.parent.mode() == 1 && options.parent.context() != nullptr && options.parent.context()->valid()) {
    const Context& context = *options.parent.context();
    std::memcpy(given.trace_id, context.trace_id, 16);
    std::memcpy(&given.span_id, context.span_id, 8);
    given.tflags = (context.sampled ? shm::kSampled : 0u) | (context.random ? shm::kRandom : 0u) |
                   (context.remote ? shm::kRemote : 0u);
    parent = &given;
    parents_state = context.trace_state;
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
  } else if (own != nullptr) {
    // The number that the inlined start looked at, if it was here before: a root is decided once.
    ids[0] = (own->id_state ^ own->id_key) | 1;
    ids[1] = __builtin_bswap64(own->next_low);
    own->next_low = detail::mix(own->id_state, own->id_key);
    own->id_state += 2 * detail::kIdStep;
  } else {
    ids[0] = random_id(block) | 1;
    ids[1] = __builtin_bswap64(random_id(block));
  }
  ids[2] = random_id(block);
  if (ids[2] == 0) ids[2] = 1;
  TraceStateText trace_state;
  std::uint32_t state_handle = 0;
  if (parents_state != 0 || !options.trace_state.empty()) inherit(options, parents_state, trace_state, state_handle);
  const Sampled sampled = sample(parent, ids[1], trace_state, state_handle);
  // Pinned until the span ends, so that its children and whoever injects it find it. Of a span with one, no end
  // is inlined.
  std::uint32_t pinned = 0;
  if (!trace_state.empty()) {
    if (state_handle == 0) state_handle = keep_trace_state(trace_state.view());
    pinned = pin_trace_state(state_handle);
  }
  const std::uint32_t context_flags = sampled.tflags | pinned << kFlagsTraceStateShift;
  const std::uint64_t parent_id = has_parent ? parent->span_id : 0;
  const std::uint32_t remote = has_parent ? parent->tflags & shm::kRemote : 0;

  s.block = block != nullptr ? block : &closed_block;
  if (pushes) {
    ContextEntry& entry = block->stack[depth + 1];
    entry.trace_id[0] = ids[0];
    entry.trace_id[1] = ids[1];
    __atomic_store_n(&entry.span_id, ids[2], __ATOMIC_RELAXED);
    entry.tflags = context_flags;
    __atomic_store_n(&entry.dead, 0u, __ATOMIC_RELAXED);
    block->top = block->top + 1;
    s.top = block->top;
  } else {
    s.top = (block != nullptr ? block->serial : g.generation.load(std::memory_order_relaxed)) << 32;
  }
  if (pinned != 0) {
    s.top |= kTopLook;
    s.bits = std::uint64_t{pinned} << kStateTraceStateShift;
  }
  const bool shed = (control.shed_mask.load(std::memory_order_relaxed) >> priority & 1) != 0 && priority != 0;
  if (!sampled.keep || shed) {
    if (!sampled.keep) {
      if (own != nullptr)
        detail::add_plain(own->lane_head->not_sampled, 1);
      else
        g.map.heads[g.map.geometry.lanes - 1].not_sampled.fetch_add(1, std::memory_order_relaxed);
    } else {
      count_unlaned(Signal::traces, priority);
    }
    if (start->ids != nullptr) {
      std::memcpy(start->ids, ids, sizeof ids);
      start->ids[3] = context_flags;
    }
    return;
  }

  shm::SpanRecord record{};
  std::uint8_t clock = options.start.clock;
  record.start = options.start.given ? options.start.value : now(clock);
  const auto flags =
      static_cast<std::uint8_t>(priority | static_cast<std::uint32_t>(clock) << shm::kFlagStartClockShift);
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
    s.bits = plain ? 1u << (slot - own->slots) : 0u;
    if (!plain) s.top |= kTopLook;
  } else {
    // No slot anywhere: announced in the lane, kept in private memory, every item a part.
    const std::uint32_t place_index = take_no_slot();
    if (place_index == kNoLane) {
      count_unlaned(Signal::traces, priority);
      if (start->ids != nullptr) {
        std::memcpy(start->ids, ids, sizeof ids);
        start->ids[3] = context_flags;
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
    add_text(s, shm::kNameKey, start->name.text, start->name.length);
  }
  if (!trace_state.empty()) {
    begin_counting(s).trace_state = pinned;
    add_text(s, shm::kTraceStateKey, trace_state.bytes, trace_state.size);
  }
  for (const Link& link : options.links) tailrace_span_link(&s, &link);
}

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
  start_recorded(s, start, options, priority, block);
}
