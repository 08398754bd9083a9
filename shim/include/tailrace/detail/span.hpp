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

enum class SpanKind : std::uint8_t {
  unspecified = 0,
  internal = 1,
  server = 2,
  client = 3,
  producer = 4,
  consumer = 5
};
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

// A view: what braces or temporaries give it lives until the end of the statement.
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

// In the low half of SpanState::word, beside or instead of the size. Both are beyond any room, so that
// the inlined items and ends give way to the library.
inline constexpr std::uint64_t kWordBusy = 0x80000000u;    // an item is being added
inline constexpr std::uint64_t kWordClosed = 0x40000000u;  // something must be counted or stands elsewhere
inline constexpr std::uint64_t kItemCountOne = 1ull << 56;

// A span's handle. It is small and nothing inlined takes its address, so that a span used in one
// function lives in registers; the library works on a copy. What it must remember beyond this stands
// in private memory beside the slot.
// `word` is the draft's header as published: size, type, flags, count; 0 = not recording.
struct SpanState {
  ThreadBlock* block = nullptr;  // whose thread started it; null: nothing left to end
  shm::SpanSlot* slot = nullptr;
  std::uint64_t word = 0;
  std::uint64_t top = 0;   // ThreadBlock::top behind the push, low half 0: on no stack
  std::uint64_t bits = 0;  // low half: the slot's bit in ThreadBlock::slots_free; high half: below
};
static_assert(sizeof(SpanState) == 40);

inline constexpr std::uint64_t kStateCounted = 1ull << 32;  // the record beside the slot is in use
inline constexpr std::uint64_t kStateNoSlot = 1ull << 33;   // the draft stands there too

struct SpanStart {
  Name name;
  const SpanOptions* options;  // null: defaults
  std::uint64_t* ids;          // of a detached span: where its three words of ids go; else null
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
TAILRACE_EXPORT void tailrace_span_exception(tailrace::detail::SpanState* state, const char* type,
                                             std::size_t type_length, const char* message, std::size_t message_length,
                                             const tailrace::Attribute* attributes, std::size_t count) noexcept;
TAILRACE_EXPORT void tailrace_span_link(tailrace::detail::SpanState* state, const tailrace::Link* link) noexcept;
TAILRACE_EXPORT void tailrace_span_status(tailrace::detail::SpanState* state, unsigned code, const char* message,
                                          std::size_t length) noexcept;
TAILRACE_EXPORT void tailrace_span_rename(tailrace::detail::SpanState* state,
                                          const tailrace::detail::Name* name) noexcept;
TAILRACE_EXPORT void tailrace_span_end(tailrace::detail::SpanState* state, const tailrace::Time* time) noexcept;
TAILRACE_EXPORT void tailrace_span_context(const tailrace::detail::SpanState* state, const std::uint64_t* ids,
                                           tailrace::Context* out) noexcept;
// The inlined check found no room: true if there is none and the record was dropped and counted.
TAILRACE_EXPORT bool tailrace_full(tailrace::detail::ThreadBlock* block, unsigned signal, unsigned priority,
                                   std::size_t bytes) noexcept;
TAILRACE_EXPORT std::size_t tailrace_type_name(const char* mangled, char* out, std::size_t room) noexcept;
}

namespace tailrace {
namespace detail {

// Copies a draft behind its first two words, 32 bytes at a step: they divide what a slot holds behind
// them, and the ring allows 64 bytes of overrun.
TAILRACE_INLINE void copy_draft(unsigned char* to, const unsigned char* from, std::uint64_t size) noexcept {
  static_assert((shm::kDraftBytes - 16) % 32 == 0);
  std::uint64_t at = 16;
  do {
    const Pair a = *reinterpret_cast<const Pair*>(from + at);
    const Pair b = *reinterpret_cast<const Pair*>(from + at + 16);
    *reinterpret_cast<Pair*>(to + at) = a;
    *reinterpret_cast<Pair*>(to + at + 16) = b;
    at += 32;
  } while (at < size);
}

TAILRACE_HIDDEN __attribute__((noinline, cold)) inline void end_cold(SpanState state, Time time) noexcept {
  tailrace_span_end(&state, &time);
}
TAILRACE_HIDDEN __attribute__((noinline, cold)) inline void end_cold_now(ThreadBlock* started, shm::SpanSlot* slot,
                                                                         std::uint64_t word, std::uint64_t top,
                                                                         std::uint64_t bits) noexcept {
  SpanState state{started, slot, word, top, bits};
  const Time time;
  tailrace_span_end(&state, &time);
}

// One function a DSO, called directly; a leaf, so that nothing is saved on the stack. Its slow half
// begins again from the handle: another thread, another process image, something open above or dead
// below, a handler that interrupted a write, a closed draft, no room, a critical record.
TAILRACE_HIDDEN __attribute__((noinline)) inline void end_span(ThreadBlock* started, shm::SpanSlot* slot,
                                                               std::uint64_t word, std::uint64_t top,
                                                               std::uint64_t bits) noexcept {
  ThreadBlock* block = started;
  const std::uint64_t size = static_cast<std::uint32_t>(word);
  if (TAILRACE_UNLIKELY(tailrace_thread != block || block->top != top || block->busy != 0)) {
    end_cold_now(started, slot, word, top, bits);
    return;
  }
  // Before head is read: a handler that writes between the two would be written over.
  set_busy(block);
  const std::uint64_t at = block->ring.head;
  if (TAILRACE_UNLIKELY(!block->ring.fits((word >> 48) & shm::kFlagPriorityMask, size))) {
    clear_busy(block);
    end_cold_now(started, slot, word, top, bits);
    return;
  }
  const std::uint64_t now = shm::cpu_counter();
  const std::uint64_t target = at + size;
  unsigned char* to = block->ring.data + (at & block->ring.mask);
  put_word(slot->bytes + 8, now);
  TAILRACE_TEST_POINT("shim.end.time");
  slot->state.store(block->ending | target << (2 + shm::kSlotLaneBits), std::memory_order_release);
  TAILRACE_TEST_POINT("shim.end.ending");
  // From registers: reading the two words back would wait for their stores.
  put_pair(to, word, now);
  copy_draft(to, slot->bytes, size);
  TAILRACE_TEST_POINT("shim.end.copied");
  shm::LaneHead* lane = block->lane_head;
  lane->head.store(target, std::memory_order_release);  // pairs with the agent's acquire
  TAILRACE_TEST_POINT("shim.end.head");
  add_one(lane->written[0]);
  TAILRACE_TEST_POINT("shim.end.written");
  slot->state.store(shm::kSlotFree, std::memory_order_release);
  TAILRACE_TEST_POINT("shim.end.free");
  block->ring.head = target;
  block->slots_free |= static_cast<std::uint32_t>(bits);
  block->top = top - 1;
  clear_busy(block);
}

// Undoes the busy mark of a start that the library has to make.
TAILRACE_INLINE bool leave_start(ThreadBlock* block) noexcept {
  clear_busy(block);
  return false;
}

// A span whose slot, parent and sampling are the ordinary ones. False: nothing was done.
TAILRACE_INLINE bool start_fast(SpanState& state, std::uint32_t name, SpanKind kind, Priority priority,
                                std::uint16_t scope) noexcept {
  ThreadBlock* block = tailrace_thread;
  const shm::ControlHot* control = block->control;
  if (TAILRACE_UNLIKELY(control == nullptr)) return false;
  if (TAILRACE_UNLIKELY((control->disable_mask.load(std::memory_order_relaxed) & 1u) != 0)) return true;
  if (TAILRACE_UNLIKELY(block->busy != 0 || name == 0 || special(control) != 0)) return false;
  set_busy(block);
  // Everything that a handler could change is read behind the mark.
  const std::uint64_t top = block->top;
  const auto depth = static_cast<std::uint32_t>(top);
  // Also without a lane, or where every start takes the slow path: the limit is 0 there.
  const std::uint32_t free_slots = block->slots_free;
  if (TAILRACE_UNLIKELY(depth >= block->depth_limit || free_slots == 0)) return leave_start(block);
  ContextEntry* parent = &block->stack[depth];
  const std::uint64_t parent_id = parent->span_id;
  const std::uint64_t step = block->id_state;
  const std::uint64_t key = block->id_key;
  std::uint64_t hi;
  std::uint64_t lo;
  std::uint64_t tflags;
  if (parent_id == 0) {
    // Unique by the thread's key; the randomness that counts is in the low half.
    hi = (step ^ key) | 1;
    const std::uint64_t random = block->next_low;
    lo = __builtin_bswap64(random);
    // The low 56 bits of the trace id decide, as its last seven bytes.
    const std::uint64_t randomness = random & kRandomnessMask;
    bool sampled = randomness >= control->trace_threshold.load(std::memory_order_relaxed);
    if (TAILRACE_UNLIKELY(block->threshold != 0)) {
      // By ratio: whoever is kept says so in a tracestate. The library decides again, by the same number.
      if (sampled && randomness >= block->threshold) return leave_start(block);
      sampled = false;
    }
    tflags = sampled ? shm::kRandom | shm::kSampled : shm::kRandom;
    block->next_low = mix(step, key);
  } else {
    hi = parent->trace_id[0];
    lo = parent->trace_id[1];
    std::memcpy(&tflags, &parent->tflags, 8);
    // Activated (its flags need more thought) or dead (not the one to follow).
    if (TAILRACE_UNLIKELY(tflags > (shm::kRandom | shm::kSampled))) return leave_start(block);
  }
  ContextEntry* entry = parent + 1;
  state.block = block;
  state.top = top + 1;
  block->id_state = step + 2 * kIdStep;
  unsigned char* const words = reinterpret_cast<unsigned char*>(entry);
  put_word(words, tflags);  // and not dead
  put_word(words + 8, hi);
  put_word(words + 16, lo);
  if (TAILRACE_LIKELY((tflags & shm::kSampled) != 0)) {
    // Early: the counter waits for whatever was begun before it.
    const std::uint64_t now = shm::cpu_counter();
    const std::uint64_t span_id = block->next_span;
    const unsigned index = highest_bit(free_slots);
    const std::uint32_t bit = 1u << index;
    block->slots_free = free_slots ^ bit;
    put_word(words + 24, span_id);
    shm::SpanSlot* slot = block->slots + index;
    const std::uint64_t word =
        shm::header_word(sizeof(shm::SpanRecord), shm::RecordType::span, static_cast<std::uint8_t>(priority), 0);
    unsigned char* draft = slot->bytes;
    TAILRACE_TEST_POINT("shim.start.slot_taken");
    put_word(draft + 48, parent_id);
    put_word(draft + 56, name | static_cast<std::uint64_t>(kind) << 32 | (tflags | shm::kRemoteKnown) << 40 |
                             static_cast<std::uint64_t>(scope) << 48);
    put_word(draft + 32, lo);
    put_word(draft + 40, span_id);
    put_word(draft, word);
    put_word(draft + 8, 0);
    put_word(draft + 16, now);
    put_word(draft + 24, hi);
    TAILRACE_TEST_POINT("shim.start.filled");
    slot->state.store(shm::slot_open(span_id), std::memory_order_release);  // pairs with a reader of the dead
    TAILRACE_TEST_POINT("shim.start.open");
    block->next_span = mix(step + kIdStep, key) | 1;  // never zero, without a branch
    state.slot = slot;
    state.word = word;
    // Who waits for a critical span is told at its end, by the library.
    if (priority == Priority::critical) state.top |= kTopLook;
    state.bits = bit;
  } else {
    // Nobody records this id, it only has to be its own: no random number is drawn for it.
    put_word(words + 24, (key - step) | 1);
    add_one(block->lane_head->not_sampled);
  }
  block->top = top + 1;
  clear_busy(block);
  return true;
}

// An item of one word. False: the library must look (full, counted, busy, forked: room is 0 there).
TAILRACE_INLINE bool set_word(SpanState& state, std::uint32_t key, shm::ItemType type, std::uint64_t value) noexcept {
  const std::uint64_t word = state.word;
  const std::uint64_t at = static_cast<std::uint32_t>(word);
  if (TAILRACE_UNLIKELY(key == 0 || at + 16 > state.block->room)) return false;
  // A handle that a signal handler can reach stands in memory: it is found busy there.
  state.word = kWordBusy;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  unsigned char* draft = state.slot->bytes;
  put_word(draft + at, shm::item_word(key, type, 0, 8));
  put_word(draft + at + 8, value);
  TAILRACE_TEST_POINT("shim.item.filled");
  const std::uint64_t grown = word + 16 + kItemCountOne;
  // The one word publishes length and count: whoever reads the dead process's draft sees whole items.
  __atomic_store_n(reinterpret_cast<Word*>(draft), grown, __ATOMIC_RELEASE);
  TAILRACE_TEST_POINT("shim.item.published");
  std::atomic_signal_fence(std::memory_order_seq_cst);
  state.word = grown;
  if (grown == 0) __builtin_unreachable();  // still recording
  return true;
}

TAILRACE_HIDDEN __attribute__((noinline, cold)) inline SpanState set_cold(SpanState state, Name key,
                                                                          const Value& value) noexcept {
  tailrace_span_set(&state, &key, &value);
  return state;
}

// A string of run-time length: the new header word, or 0 for the slow path.
TAILRACE_HIDDEN __attribute__((noinline)) inline std::uint64_t put_text(shm::SpanSlot* slot, std::uint64_t word,
                                                                        std::uint32_t key, const char* text,
                                                                        std::size_t length) noexcept {
  const std::uint64_t at = static_cast<std::uint32_t>(word);
  const std::uint64_t bytes = 8 + ((length + 7) & ~std::uint64_t{7});
  unsigned char* to = slot->bytes + at;
  put_word(to, shm::item_word(key, shm::ItemType::string, 0, static_cast<std::uint16_t>(length)));
  copy_text(to + 8, text, length);
  TAILRACE_TEST_POINT("shim.item.filled");
  const std::uint64_t grown = word + bytes + kItemCountOne;
  __atomic_store_n(reinterpret_cast<Word*>(slot->bytes), grown, __ATOMIC_RELEASE);
  TAILRACE_TEST_POINT("shim.item.published");
  return grown;
}
TAILRACE_INLINE bool set_text(SpanState& state, std::uint32_t key, const char* text, std::size_t length) noexcept {
  const std::uint64_t word = state.word;
  const std::uint64_t at = static_cast<std::uint32_t>(word);
  if (TAILRACE_UNLIKELY(length - 1 >= 512 || key == 0 || at + length + 15 > state.block->room)) return false;
  state.word = kWordBusy;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const std::uint64_t grown = put_text(state.slot, word, key, text, length);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  state.word = grown;
  return true;
}

TAILRACE_HIDDEN __attribute__((noinline, cold)) inline SpanState start_cold(Name name, const SpanOptions* options,
                                                                            std::uint64_t* ids) noexcept {
  SpanState state;
  const SpanStart start{name, options, ids};
  tailrace_span_start(&state, &start);
  return state;
}
TAILRACE_HIDDEN __attribute__((noinline)) inline SpanState event_cold(SpanState state, Name name, Attributes attributes,
                                                                      const Time& time) noexcept {
  tailrace_span_event(&state, &name, attributes.data(), attributes.size(), &time);
  return state;
}
TAILRACE_HIDDEN __attribute__((noinline)) inline SpanState link_cold(SpanState state, const Link& link) noexcept {
  tailrace_span_link(&state, &link);
  return state;
}
TAILRACE_HIDDEN __attribute__((noinline)) inline SpanState status_cold(SpanState state, StatusCode code,
                                                                       std::string_view message) noexcept {
  tailrace_span_status(&state, static_cast<unsigned>(code), message.data(), message.size());
  return state;
}
TAILRACE_HIDDEN __attribute__((noinline)) inline SpanState rename_cold(SpanState state, Name name) noexcept {
  tailrace_span_rename(&state, &name);
  return state;
}
TAILRACE_HIDDEN __attribute__((noinline)) inline Context context_cold(SpanState state,
                                                                      const std::uint64_t* ids) noexcept {
  Context context;
  tailrace_span_context(&state, ids, &context);
  return context;
}

}  // namespace detail

// What every span can do. Calls after its end do nothing.
class SpanBase {
 public:
  SpanBase(const SpanBase&) = delete;
  SpanBase& operator=(const SpanBase&) = delete;

  // True while what is set will be kept. Compute expensive values only then.
  TAILRACE_INLINE bool recording() const noexcept { return !detail::kDisabled && state_.word != 0; }

  // An attribute. The last value of a key counts. A `char` is a text of one character; the other small integers,
  // std::int8_t and std::uint8_t among them, are numbers.
  template <class K, class V>
  TAILRACE_INLINE void set(const K& key, const V& value) noexcept {
    if (TAILRACE_UNLIKELY(!recording())) return;
    const std::uint32_t id = detail::known_id(key);
    if constexpr (std::is_same_v<V, bool>) {
      if (TAILRACE_LIKELY(detail::set_word(state_, id, shm::ItemType::boolean, value ? 1 : 0))) return;
    } else if constexpr (std::is_same_v<V, char>) {
      if (TAILRACE_LIKELY(detail::set_text(state_, id, &value, 1))) return;
    } else if constexpr (std::is_integral_v<V> && !(std::is_unsigned_v<V> && sizeof(V) == 8)) {
      if (TAILRACE_LIKELY(detail::set_word(state_, id, shm::ItemType::integer,
                                           static_cast<std::uint64_t>(static_cast<std::int64_t>(value))))) {
        return;
      }
    } else if constexpr (std::is_floating_point_v<V>) {
      const double real = static_cast<double>(value);
      std::uint64_t bits;
      std::memcpy(&bits, &real, 8);
      if (TAILRACE_LIKELY(detail::set_word(state_, id, shm::ItemType::real, bits))) return;
    } else if constexpr (detail::is_literal<V>) {
      const std::uint32_t text = V::known();
      if (TAILRACE_LIKELY(text != 0 && detail::set_word(state_, id, shm::ItemType::string_id, text))) return;
    } else if constexpr (detail::is_text<V>) {
      const std::string_view view = detail::text_view(value);
      if (TAILRACE_LIKELY(detail::set_text(state_, id, view.data(), view.size()))) return;
    }
    state_ = detail::set_cold(state_, detail::name_of(key, id), Value(value));
  }
  template <class K>
  TAILRACE_INLINE void set(const K& key, std::initializer_list<Value> values) noexcept {
    if (!recording()) return;
    state_ = detail::set_cold(state_, detail::name_of(key), Value(values));
  }
  TAILRACE_INLINE void set(Attributes attributes) noexcept {
    for (std::size_t i = 0; i < attributes.size() && recording(); ++i) {
      state_ = detail::set_cold(state_, attributes.data()[i].key, attributes.data()[i].value);
    }
  }

  // Safe in a signal handler with "…"_n names and scalar attributes.
  template <class N>
  TAILRACE_INLINE void event(const N& name, Attributes attributes = {}, Time time = {}) noexcept {
    if (!recording()) return;
    state_ = detail::event_cold(state_, detail::name_of(name), attributes, time);
  }
  TAILRACE_INLINE void link(const Context& context, Attributes attributes = {}) noexcept {
    if (!recording()) return;
    state_ = detail::link_cold(state_, Link{context, attributes});
  }
  // `ok` is final; a message belongs to `error` alone.
  TAILRACE_INLINE void status(StatusCode code, std::string_view message = {}) noexcept {
    if (!recording()) return;
    state_ = detail::status_cold(state_, code, message);
  }
  template <class N>
  TAILRACE_INLINE void rename(const N& name) noexcept {
    if (!recording()) return;
    state_ = detail::rename_cold(state_, detail::name_of(name));
  }
  // The event that the conventions ask for. The status stays yours to set.
  template <class E>
  TAILRACE_INLINE void exception(const E& error, Attributes attributes = {}) noexcept {
    if (!recording()) return;
    state_ = exception_event(state_, error, attributes);
  }

 protected:
  TAILRACE_INLINE SpanBase() noexcept = default;
  ~SpanBase() = default;

  template <class E>
  __attribute__((noinline)) static detail::SpanState exception_event(detail::SpanState state, const E& error,
                                                                     Attributes attributes) noexcept {
    char type[128];
#if defined(__GXX_RTTI) || defined(__cpp_rtti)
    const std::size_t length = tailrace_type_name(typeid_name(error), type, sizeof type);
#else
    const std::size_t length = tailrace_type_name(__PRETTY_FUNCTION__, type, sizeof type);
#endif
    const std::string_view message(error.what());
    tailrace_span_exception(&state, type, length, message.data(), message.size(), attributes.data(), attributes.size());
    return state;
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
    if constexpr (detail::kDisabled) return;
    const bool plain =
        options.parent.mode() == 0 && options.links.size() == 0 && !options.start.given && options.trace_state.empty();
    const std::uint32_t id = detail::known_id(name);
    if (plain &&
        TAILRACE_LIKELY(detail::start_fast(state_, id, options.kind, options.priority,
                                           options.scope != nullptr ? options.scope->id() : std::uint16_t{0}))) {
      return;
    }
    state_ = detail::start_cold(detail::name_of(name, id), &options, nullptr);
  }
  template <class N>
  TAILRACE_INLINE explicit Span(const N& name) noexcept {
    if constexpr (detail::kDisabled) return;
    const std::uint32_t id = detail::known_id(name);
    if (TAILRACE_UNLIKELY(!detail::start_fast(state_, id, SpanKind::internal, Priority::normal, 0))) {
      state_ = detail::start_cold(detail::name_of(name, id), nullptr, nullptr);
    }
  }
  TAILRACE_INLINE ~Span() { end(); }

  TAILRACE_INLINE Context context() const noexcept {
    return !detail::kDisabled && state_.block != nullptr ? detail::context_cold(state_, nullptr) : Context{};
  }
  // Ends it now, or says when it ended. A second end does nothing.
  TAILRACE_INLINE void end() noexcept {
    if constexpr (detail::kDisabled) return;
    const detail::SpanState state = state_;
    state_.block = nullptr;
    state_.word = 0;
    if (TAILRACE_LIKELY(state.word != 0)) {
      detail::end_span(state.block, state.slot, state.word, state.top, state.bits);
      return;
    }
    if (state.block == nullptr) return;
    detail::ThreadBlock* block = tailrace_thread;
    if (TAILRACE_LIKELY(block->top == state.top)) {
      block->top = state.top - 1;
      return;
    }
    detail::end_cold(state, Time());
  }
  TAILRACE_INLINE void end(Time time) noexcept {
    if constexpr (detail::kDisabled) return;
    const detail::SpanState state = state_;
    state_.block = nullptr;
    state_.word = 0;
    if (state.block != nullptr) detail::end_cold(state, time);
  }
};

// A span that is never current and may be moved and ended on any thread.
class DetachedSpan : public SpanBase {
 public:
  DetachedSpan() noexcept = default;
  template <class N>
  TAILRACE_INLINE explicit DetachedSpan(const N& name, const SpanOptions& options = {}) noexcept {
    if constexpr (detail::kDisabled) return;
    state_ = detail::start_cold(detail::name_of(name), &options, ids_);
  }
  DetachedSpan(DetachedSpan&& other) noexcept : SpanBase() { take(other); }
  DetachedSpan& operator=(DetachedSpan&& other) noexcept {
    if (this != &other) {
      end();
      take(other);
    }
    return *this;
  }
  TAILRACE_INLINE ~DetachedSpan() { end(); }

  TAILRACE_INLINE Context context() const noexcept {
    return !detail::kDisabled && state_.block != nullptr ? detail::context_cold(state_, ids_) : Context{};
  }
  TAILRACE_INLINE void end(Time time = {}) noexcept {
    if constexpr (detail::kDisabled) return;
    const detail::SpanState state = state_;
    state_.block = nullptr;
    state_.word = 0;
    if (state.block != nullptr) detail::end_cold(state, time);
  }

 private:
  void take(DetachedSpan& other) noexcept {
    state_ = other.state_;
    for (int i = 0; i < 4; ++i) ids_[i] = other.ids_[i];
    other.state_ = detail::SpanState{};
  }
  std::uint64_t ids_[4] = {};  // of a span that is not recorded: trace id, span id, flags
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
