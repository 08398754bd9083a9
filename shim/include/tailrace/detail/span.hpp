// SPDX-License-Identifier: Apache-2.0
// Spans: the inlined half of starting, describing and ending them.
//
// A recording span's draft stands in a slot of shared memory, where it is found if the process dies.
// What is inlined handles the common case alone: own lane, an ordinary parent, scalar attributes that
// fit. Everything else is one call into the library, which starts again from the beginning.
// Threads: a span is used by one thread at a time. Failure: a span that cannot be recorded is counted
// and does nothing.
#pragma once

#include <tailrace/detail/context.hpp>

namespace tailrace {

enum class SpanKind : std::uint8_t { unspecified = 0, internal = 1, server = 2, client = 3, producer = 4, consumer = 5 };
enum class StatusCode : std::uint8_t { unset = 0, ok = 1, error = 2 };

struct Link {
  Context context;
  Attributes attributes = {};
};

// The parent of a span: by default the current context.
class Parent {
 public:
  constexpr Parent() noexcept = default;
  constexpr Parent(const Context& context) noexcept : context_(&context), mode_(1) {}  // NOLINT: implicit
  static constexpr Parent none() noexcept {
    Parent parent;
    parent.mode_ = 2;
    return parent;
  }
  constexpr std::uint8_t mode() const noexcept { return mode_; }
  constexpr const Context* context() const noexcept { return context_; }

 private:
  const Context* context_ = nullptr;  // outlives the call that takes it
  std::uint8_t mode_ = 0;             // 0 current, 1 explicit, 2 none
};

struct SpanOptions {
  SpanKind kind = SpanKind::internal;
  Parent parent = {};
  std::initializer_list<Link> links = {};
  Time start = {};
  Priority priority = Priority::normal;
  const Scope* scope = nullptr;
  std::string_view trace_state = {};
};

namespace detail {

inline constexpr std::uint64_t kWordBusy = 0x80000000u;  // in SpanState::word: an item is being added
inline constexpr std::uint64_t kItemCountOne = 1ull << 56;

// Private half of a span. `word` is the draft's header: size, type, flags, count; 0 = not recording.
struct SpanState {
  ThreadBlock* block;  // whose thread started it; null: nothing left to end
  shm::SpanSlot* slot;
  std::uint64_t word;
  std::uint64_t top;   // ThreadBlock::top behind the push, low half 0: on no stack
  std::uint32_t room;  // the inlined items may fill the draft up to here
  std::uint16_t scope;
  std::uint16_t chained;  // slots that continue the first
  // Behind this line only the library looks; set when `room` is 0.
  std::uint32_t last_slot;  // 1 + pool index of the last slot of the chain
  std::uint32_t last_size;
  std::uint32_t chain_bytes;
  std::uint32_t parts;
  std::uint32_t chain_items;
  std::uint16_t attributes;  // outside the first slot
  std::uint16_t events;
  std::uint16_t links;
  std::uint16_t others;      // items of the first slot that are no attributes
  std::uint32_t dropped_attributes;
  std::uint32_t dropped_events;
  std::uint32_t dropped_links;
  std::uint32_t flags;
  std::uint64_t basics[8];  // the SPAN record of a span that found no slot; ids of one not recorded
};

inline constexpr std::uint32_t kStateCounted = 1;   // the counts above are set
inline constexpr std::uint32_t kStateBasics = 2;    // `basics` holds the record
inline constexpr std::uint32_t kStateDetached = 4;  // never current

struct SpanStart {
  Name name;
  const SpanOptions* options;  // null: defaults
  std::uint32_t detached;
  std::uint32_t reserved;
};

}  // namespace detail
}  // namespace tailrace

extern "C" {
TAILRACE_EXPORT void tailrace_span_start(tailrace::detail::SpanState* state,
                                         const tailrace::detail::SpanStart* start) noexcept;
TAILRACE_EXPORT void tailrace_span_set(tailrace::detail::SpanState* state, const tailrace::detail::Name* key,
                                       const tailrace::Value* value) noexcept;
TAILRACE_EXPORT void tailrace_span_event(tailrace::detail::SpanState* state, const tailrace::detail::Name* name,
                                         const tailrace::Attribute* attributes, std::size_t count,
                                         const tailrace::Time* time) noexcept;
TAILRACE_EXPORT void tailrace_span_link(tailrace::detail::SpanState* state, const tailrace::Link* link) noexcept;
TAILRACE_EXPORT void tailrace_span_status(tailrace::detail::SpanState* state, unsigned code, const char* message,
                                          std::size_t length) noexcept;
TAILRACE_EXPORT void tailrace_span_rename(tailrace::detail::SpanState* state,
                                          const tailrace::detail::Name* name) noexcept;
TAILRACE_EXPORT void tailrace_span_end(tailrace::detail::SpanState* state, const tailrace::Time* time) noexcept;
TAILRACE_EXPORT void tailrace_span_context(const tailrace::detail::SpanState* state,
                                           tailrace::Context* out) noexcept;
// Room for a record in the thread's own lane, after the inlined check said no: bytes of prefix that
// stand between head and the record, or -1 when it was dropped and counted.
TAILRACE_EXPORT std::int64_t tailrace_make_room(tailrace::detail::ThreadBlock* block, unsigned signal,
                                                unsigned priority, std::size_t bytes) noexcept;
TAILRACE_EXPORT void tailrace_ring_bell(void) noexcept;
TAILRACE_EXPORT std::size_t tailrace_type_name(const char* mangled, char* out, std::size_t room) noexcept;
}

namespace tailrace {
namespace detail {

// Copies a draft behind its first two words. Sixteen bytes at a step: the slot's size is a multiple of
// it, and the ring allows 64 bytes of overrun.
TAILRACE_INLINE void copy_draft(unsigned char* to, const unsigned char* from, std::uint32_t size) noexcept {
  for (std::uint32_t at = 16; at < size; at += 16) {
    *reinterpret_cast<Pair*>(to + at) = *reinterpret_cast<const Pair*>(from + at);
  }
}

// One function a DSO, called directly. Its slow half begins again from the state.
TAILRACE_HIDDEN __attribute__((noinline)) inline void end_span(SpanState& state) noexcept {
  ThreadBlock* block = tailrace_thread;
  const std::uint64_t word = state.word;
  const auto size = static_cast<std::uint32_t>(word);
  // The same top means the same thread, the same process image, and nothing open above.
  if (TAILRACE_UNLIKELY((block->top ^ state.top) != 0 || block->busy != 0 || size > state.room ||
                        block->stack[static_cast<std::uint32_t>(state.top) - 1].dead != 0 ||
                        block->control->clock_override.load(std::memory_order_relaxed) != 0)) {
    tailrace_span_end(&state, nullptr);
    return;
  }
  shm::SpanSlot* slot = state.slot;
  state.word = 0;
  set_busy(block);
  const std::size_t priority = (word >> 48) & shm::kFlagPriorityMask;
  std::uint64_t at = block->ring.head;
  if (TAILRACE_UNLIKELY(!block->ring.fits(priority, size))) {
    const std::int64_t prefix = tailrace_make_room(block, 0, static_cast<unsigned>(priority), size);
    if (prefix < 0) at = ~0ull;
    else at += static_cast<std::uint64_t>(prefix);
  }
  if (TAILRACE_LIKELY(at != ~0ull)) {
    const std::uint64_t target = at + size;
    unsigned char* to = block->ring.data + (at & block->ring.mask);
    const std::uint64_t now = shm::cpu_counter();
    put_word(slot->bytes + 8, now);
    TAILRACE_TEST_POINT("shim.end.time");
    slot->state.store(shm::slot_ending(block->lane, target), std::memory_order_release);
    TAILRACE_TEST_POINT("shim.end.ending");
    // From registers: reading the two words back would wait for their stores.
    put_word(to, word);
    put_word(to + 8, now);
    copy_draft(to, slot->bytes, size);
    TAILRACE_TEST_POINT("shim.end.copied");
    block->ring.head = target;
    block->lane_head->head.store(target, std::memory_order_release);  // pairs with the agent's acquire
    TAILRACE_TEST_POINT("shim.end.head");
    add_plain(block->lane_head->written[0], 1);
    TAILRACE_TEST_POINT("shim.end.written");
  }
  slot->state.store(shm::kSlotFree, std::memory_order_release);
  TAILRACE_TEST_POINT("shim.end.free");
  block->slots_free |= 1u << (slot - block->slots);
  block->top = state.top - 1;
  clear_busy(block);
  state.block = nullptr;
  if (TAILRACE_UNLIKELY(priority == 0)) tailrace_ring_bell();
}

// A span whose slot, parent and sampling are the ordinary ones. False: nothing was done.
TAILRACE_INLINE bool start_fast(SpanState& state, std::uint32_t name, SpanKind kind, Priority priority,
                                std::uint16_t scope) noexcept {
  ThreadBlock* block = tailrace_thread;
  const shm::ControlHot* control = block->control;
  if (TAILRACE_UNLIKELY(control == nullptr)) return false;
  if (TAILRACE_UNLIKELY(((control->disable_mask.load(std::memory_order_relaxed) | block->off_mask) & 1u) != 0)) {
    state.block = nullptr;
    state.word = 0;
    return true;
  }
  const std::uint64_t top = block->top;
  const auto depth = static_cast<std::uint32_t>(top);
  if (TAILRACE_UNLIKELY((block->slow | (block->busy != 0) | (block->slots_free == 0) | (depth >= block->depth_limit) |
                         (name == 0) | control->clock_override.load(std::memory_order_relaxed) |
                         control->shed_mask.load(std::memory_order_relaxed)) != 0)) {
    return false;
  }
  const ContextEntry* parent = &block->stack[depth];
  ContextEntry* entry = &block->stack[depth + 1];
  std::uint64_t hi;
  std::uint64_t lo;
  std::uint32_t tflags;
  const std::uint64_t parent_id = parent->span_id;
  std::uint64_t step = block->id_state;
  if (parent_id == 0) {
    hi = mix(step + kIdStep, block->id_key) | 1;
    const std::uint64_t random = mix(step + 2 * kIdStep, block->id_key);
    step += 2 * kIdStep;
    lo = __builtin_bswap64(random);
    const std::uint64_t agents = control->trace_threshold.load(std::memory_order_relaxed);
    const std::uint64_t threshold = agents > block->threshold ? agents : block->threshold;
    // The low 56 bits of the trace id decide, as its last seven bytes.
    tflags = (random & kRandomnessMask) >= threshold ? shm::kRandom | shm::kSampled : shm::kRandom;
  } else {
    hi = parent->trace_id[0];
    lo = parent->trace_id[1];
    tflags = parent->tflags & (shm::kRandom | shm::kSampled);
    if ((parent->tflags & shm::kRemoteKnown) != 0) return false;  // activated: its flags need more thought
  }
  step += kIdStep;
  std::uint64_t span_id = mix(step, block->id_key);
  span_id |= span_id == 0;

  set_busy(block);
  block->id_state = step;
  state.block = block;
  state.top = top + 1;
  entry->trace_id[0] = hi;
  entry->trace_id[1] = lo;
  entry->span_id = span_id;
  put_word(reinterpret_cast<unsigned char*>(&entry->tflags), tflags);  // and not dead
  if (TAILRACE_LIKELY((tflags & shm::kSampled) != 0)) {
    const std::uint32_t free_slots = block->slots_free;
    block->slots_free = free_slots & (free_slots - 1);
    shm::SpanSlot* slot = block->slots + __builtin_ctz(free_slots);
    const std::uint64_t word = shm::header_word(sizeof(shm::SpanRecord), shm::RecordType::span,
                                                static_cast<std::uint8_t>(priority), 0);
    unsigned char* draft = slot->bytes;
    TAILRACE_TEST_POINT("shim.start.slot_taken");
    put_word(draft, word);
    put_word(draft + 8, 0);
    put_word(draft + 16, shm::cpu_counter());
    put_word(draft + 24, hi);
    put_word(draft + 32, lo);
    put_word(draft + 40, span_id);
    put_word(draft + 48, parent_id);
    put_word(draft + 56, name | static_cast<std::uint64_t>(kind) << 32 |
                             static_cast<std::uint64_t>(tflags | shm::kRemoteKnown) << 40 |
                             static_cast<std::uint64_t>(scope) << 48);
    TAILRACE_TEST_POINT("shim.start.filled");
    slot->state.store(shm::slot_open(span_id), std::memory_order_release);  // pairs with a reader of the dead
    TAILRACE_TEST_POINT("shim.start.open");
    state.slot = slot;
    state.word = word;
    state.room = block->room;
    state.flags = 0;
  } else {
    state.word = 0;
    state.flags = 0;
    add_plain(block->lane_head->not_sampled, 1);
  }
  block->top = top + 1;
  clear_busy(block);
  return true;
}

// An item of one word. False: the library must look (full, counted, busy, forked).
TAILRACE_INLINE bool set_word(SpanState& state, std::uint32_t key, shm::ItemType type, std::uint64_t value) noexcept {
  const std::uint64_t word = state.word;
  const std::uint64_t at = static_cast<std::uint32_t>(word);
  if (TAILRACE_UNLIKELY(at + 16 > state.room || key == 0 || state.block->control == nullptr)) return false;
  state.word = kWordBusy;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  unsigned char* draft = state.slot->bytes;
  put_pair(draft + at, shm::item_word(key, type, 0, 8), value);
  TAILRACE_TEST_POINT("shim.item.filled");
  const std::uint64_t grown = word + 16 + kItemCountOne;
  // The one word publishes length and count: whoever reads the dead process's draft sees whole items.
  __atomic_store_n(reinterpret_cast<Word*>(draft), grown, __ATOMIC_RELEASE);
  TAILRACE_TEST_POINT("shim.item.published");
  std::atomic_signal_fence(std::memory_order_seq_cst);
  state.word = grown;
  return true;
}

// A short string, copied here; what is longer goes out of line.
TAILRACE_HIDDEN __attribute__((noinline)) inline void set_text(SpanState& state, const Name& key, const char* text,
                                                               std::size_t length) noexcept {
  const std::uint64_t word = state.word;
  const std::uint64_t at = static_cast<std::uint32_t>(word);
  const std::uint64_t bytes = 8 + ((length + 7) & ~std::uint64_t{7});
  if (TAILRACE_UNLIKELY(length - 1 >= 512 || at + bytes > state.room || key.id == 0 ||
                        state.block->control == nullptr)) {
    const Value value(std::string_view(text, length));
    tailrace_span_set(&state, &key, &value);
    return;
  }
  state.word = kWordBusy;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  unsigned char* to = state.slot->bytes + at;
  put_word(to, shm::item_word(key.id, shm::ItemType::string, 0, static_cast<std::uint16_t>(length)));
  put_word(to + bytes - 8, 0);  // the padding
  std::memcpy(to + 8, text, length);
  TAILRACE_TEST_POINT("shim.item.filled");
  const std::uint64_t grown = word + bytes + kItemCountOne;
  __atomic_store_n(reinterpret_cast<Word*>(state.slot->bytes), grown, __ATOMIC_RELEASE);
  TAILRACE_TEST_POINT("shim.item.published");
  std::atomic_signal_fence(std::memory_order_seq_cst);
  state.word = grown;
}

TAILRACE_HIDDEN __attribute__((noinline, cold)) inline void set_slow(SpanState& state, const Name& key,
                                                                     const Value& value) noexcept {
  tailrace_span_set(&state, &key, &value);
}

}  // namespace detail

// What every span can do. Calls after its end do nothing.
class SpanBase {
 public:
  SpanBase(const SpanBase&) = delete;
  SpanBase& operator=(const SpanBase&) = delete;

  // True while what is set will be kept. Compute expensive values only then.
  bool recording() const noexcept { return state_.word != 0; }

  // An attribute. The last value of a key counts.
  template <class K, class V>
  TAILRACE_INLINE void set(const K& key, const V& value) noexcept {
    if (TAILRACE_UNLIKELY(state_.word == 0)) return;
    const detail::Name name = detail::name_of(key);
    if constexpr (std::is_same_v<V, bool>) {
      if (TAILRACE_LIKELY(detail::set_word(state_, name.id, shm::ItemType::boolean, value ? 1 : 0))) return;
    } else if constexpr (std::is_integral_v<V> && !(std::is_unsigned_v<V> && sizeof(V) == 8)) {
      if (TAILRACE_LIKELY(detail::set_word(state_, name.id, shm::ItemType::integer,
                                           static_cast<std::uint64_t>(static_cast<std::int64_t>(value))))) {
        return;
      }
    } else if constexpr (std::is_floating_point_v<V>) {
      const double real = static_cast<double>(value);
      std::uint64_t bits;
      std::memcpy(&bits, &real, 8);
      if (TAILRACE_LIKELY(detail::set_word(state_, name.id, shm::ItemType::real, bits))) return;
    } else if constexpr (detail::is_literal<V>) {
      const std::uint32_t id = V::id();
      if (TAILRACE_LIKELY(id != 0 && detail::set_word(state_, name.id, shm::ItemType::string_id, id))) return;
    } else if constexpr (detail::is_text<V>) {
      const std::string_view view(value);
      detail::set_text(state_, name, view.data(), view.size());
      return;
    }
    detail::set_slow(state_, name, Value(value));
  }
  template <class K>
  void set(const K& key, std::initializer_list<Value> values) noexcept {
    if (state_.word == 0) return;
    detail::set_slow(state_, detail::name_of(key), Value(values));
  }
  void set(Attributes attributes) noexcept {
    if (state_.word == 0) return;
    for (std::size_t i = 0; i < attributes.size(); ++i) {
      detail::set_slow(state_, attributes.data()[i].key, attributes.data()[i].value);
    }
  }

  // Safe in a signal handler with "…"_n names and scalar attributes.
  template <class N>
  void event(const N& name, Attributes attributes = {}, Time time = {}) noexcept {
    if (state_.word == 0) return;
    const detail::Name resolved = detail::name_of(name);
    tailrace_span_event(&state_, &resolved, attributes.data(), attributes.size(), &time);
  }
  void link(const Context& context, Attributes attributes = {}) noexcept {
    if (state_.word == 0) return;
    const Link link{context, attributes};
    tailrace_span_link(&state_, &link);
  }
  // `ok` is final; a message belongs to `error` alone.
  void status(StatusCode code, std::string_view message = {}) noexcept {
    if (state_.word == 0) return;
    tailrace_span_status(&state_, static_cast<unsigned>(code), message.data(), message.size());
  }
  template <class N>
  void rename(const N& name) noexcept {
    if (state_.word == 0) return;
    const detail::Name resolved = detail::name_of(name);
    tailrace_span_rename(&state_, &resolved);
  }
  // The event that the conventions ask for. The status stays yours to set.
  template <class E>
  void exception(const E& error, Attributes attributes = {}) noexcept {
    if (state_.word == 0) return;
    char type[128];
#if defined(__GXX_RTTI) || defined(__cpp_rtti)
    const std::size_t length = tailrace_type_name(typeid_name(error), type, sizeof type);
#else
    const std::size_t length = tailrace_type_name(__PRETTY_FUNCTION__, type, sizeof type);
#endif
    constexpr std::size_t kMost = 16;
    Attribute all[kMost + 2] = {{"exception.type", Value(std::string_view(type, length))},
                                {"exception.message", Value(std::string_view(error.what()))},
                                {"", Value()}, {"", Value()}, {"", Value()}, {"", Value()}, {"", Value()},
                                {"", Value()}, {"", Value()}, {"", Value()}, {"", Value()}, {"", Value()},
                                {"", Value()}, {"", Value()}, {"", Value()}, {"", Value()}, {"", Value()},
                                {"", Value()}};
    std::size_t n = 2;
    for (std::size_t i = 0; i < attributes.size() && n < kMost + 2; ++i) all[n++] = attributes.data()[i];
    event("exception", Attributes(all, n));
  }

  Context context() const noexcept {
    Context context;
    if (state_.block != nullptr) tailrace_span_context(&state_, &context);
    return context;
  }
  // Ends it now, or says when it ended. A second end does nothing.
  void end(Time time) noexcept {
    if (state_.block != nullptr) tailrace_span_end(&state_, &time);
  }

 protected:
  SpanBase() noexcept = default;  // NOLINT: start() fills what is read
  ~SpanBase() = default;

  template <class N>
  __attribute__((noinline, cold)) void start_slow(const N& name, const SpanOptions* options, bool detached) noexcept {
    const detail::SpanStart start{detail::name_of(name), options, detached ? 1u : 0u, 0};
    tailrace_span_start(&state_, &start);
  }
#if defined(__GXX_RTTI) || defined(__cpp_rtti)
  template <class E>
  static const char* typeid_name(const E& error) noexcept;
#endif

  detail::SpanState state_;
};

// The current span of its thread until it ends. Not movable: it stands where it was made.
class Span : public SpanBase {
 public:
  template <class N>
  TAILRACE_INLINE explicit Span(const N& name, const SpanOptions& options) noexcept {
    const bool plain = options.parent.mode() == 0 && options.links.size() == 0 && !options.start.given &&
                       options.trace_state.empty();
    if (plain && TAILRACE_LIKELY(detail::start_fast(state_, detail::name_of(name).id, options.kind, options.priority,
                                                    options.scope != nullptr ? options.scope->id() : std::uint16_t{0}))) {
      return;
    }
    this->start_slow(name, &options, false);
  }
  template <class N>
  TAILRACE_INLINE explicit Span(const N& name) noexcept {
    if (TAILRACE_LIKELY(detail::start_fast(state_, detail::name_of(name).id, SpanKind::internal, Priority::normal, 0))) return;
    this->start_slow(name, nullptr, false);
  }
  TAILRACE_INLINE ~Span() { end(); }

  using SpanBase::end;
  TAILRACE_INLINE void end() noexcept {
    if (TAILRACE_LIKELY(state_.word != 0)) {
      detail::end_span(state_);
      return;
    }
    if (state_.block == nullptr) return;
    detail::ThreadBlock* block = tailrace_thread;
    if (TAILRACE_LIKELY(block->top == state_.top && block->stack[static_cast<std::uint32_t>(state_.top) - 1].dead == 0)) {
      block->top = state_.top - 1;
      state_.block = nullptr;
      return;
    }
    tailrace_span_end(&state_, nullptr);
  }
};

// A span that is never current and may be moved and ended on any thread.
class DetachedSpan : public SpanBase {
 public:
  DetachedSpan() noexcept {
    state_.block = nullptr;
    state_.word = 0;
  }
  template <class N>
  explicit DetachedSpan(const N& name, const SpanOptions& options = {}) noexcept {
    this->start_slow(name, &options, true);
  }
  DetachedSpan(DetachedSpan&& other) noexcept : SpanBase() {
    state_ = other.state_;
    other.state_.block = nullptr;
    other.state_.word = 0;
  }
  DetachedSpan& operator=(DetachedSpan&& other) noexcept {
    if (this != &other) {
      end();
      state_ = other.state_;
      other.state_.block = nullptr;
      other.state_.word = 0;
    }
    return *this;
  }
  ~DetachedSpan() { end(); }

  using SpanBase::end;
  void end() noexcept {
    if (state_.block != nullptr) tailrace_span_end(&state_, nullptr);
  }
};

// auto span = tailrace::span("pay"_n); it is current until it ends, at the latest where it stands.
template <class N>
[[nodiscard]] TAILRACE_INLINE Span span(const N& name) noexcept {
  return Span(name);
}
template <class N>
[[nodiscard]] TAILRACE_INLINE Span span(const N& name, const SpanOptions& options) noexcept {
  return Span(name, options);
}
template <class N>
[[nodiscard]] inline DetachedSpan start_span(const N& name, const SpanOptions& options = {}) noexcept {
  return DetachedSpan(name, options);
}

}  // namespace tailrace

#if defined(__GXX_RTTI) || defined(__cpp_rtti)
#include <typeinfo>
namespace tailrace {
template <class E>
const char* SpanBase::typeid_name(const E& error) noexcept {
  return typeid(error).name();
}
}  // namespace tailrace
#endif
