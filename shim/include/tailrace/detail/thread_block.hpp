// SPDX-License-Identifier: Apache-2.0
// The thread block: what the inlined half of every call reads and writes. Its layout is frozen; a
// change of it is a change of the library's soname.
//
// One block belongs to one lane and is used by the thread that owns the lane. Blocks lie in private
// anonymous memory that a forked child finds zeroed (MADV_WIPEONFORK): `control` is then null and
// every call leaves its fast path. `tailrace_thread` starts at a block of zeros for the same effect.
// Threads: the owner alone, but for the words marked "others". Failure: none; nothing here blocks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <tailrace/shm/clock.hpp>
#include <tailrace/shm/layout.hpp>
#include <tailrace/shm/record.hpp>
#include <tailrace/shm/ring.hpp>
#include <tailrace/shm/test_point.hpp>

#define TAILRACE_HIDDEN __attribute__((visibility("hidden")))
#define TAILRACE_EXPORT __attribute__((visibility("default")))
#define TAILRACE_INLINE __attribute__((always_inline, visibility("hidden"))) inline
#define TAILRACE_LIKELY(x) __builtin_expect(static_cast<bool>(x), 1)
#define TAILRACE_UNLIKELY(x) __builtin_expect(static_cast<bool>(x), 0)

namespace tailrace::detail {

inline constexpr std::uint32_t kInlineVersion = 1;  // of everything in this file

// Every public call begins with this test, so that nothing of it is left: no code, no symbol.
#if defined(TAILRACE_DISABLED)
inline constexpr bool kDisabled = true;
#else
inline constexpr bool kDisabled = false;
#endif

// One open span or activated context. Entry 0 of the stack is all zero: no parent.
struct ContextEntry {
  std::uint32_t tflags;       // shm::kSampled and the like
  std::uint32_t dead;         // others: ended out of order or elsewhere; skipped when it comes up
  std::uint64_t trace_id[2];  // bytes in memory order
  std::uint64_t span_id;
};
static_assert(sizeof(ContextEntry) == 32);

inline constexpr std::uint32_t kDepthMax = 128;

// Strings whose id is known to this thread, found by content.
struct NameEntry {
  std::uint64_t first;  // the first and the last eight bytes: with the length they are the
  std::uint64_t last;   // content of a string of up to sixteen bytes
  std::uint32_t length;
  std::uint32_t id;  // 0: seen once
};
inline constexpr std::uint32_t kNameEntries = 128;

// In ThreadBlock::top: an entry below the top is dead. In SpanState::top: the end must look closer. Greater
// than any depth and never equal to a plain top, so that starts and ends leave their inlined path.
inline constexpr std::uint64_t kTopLook = 1ull << 31;
constexpr std::uint32_t depth_of(std::uint64_t top) noexcept { return static_cast<std::uint32_t>(top & 0xff); }

struct SpanLimits {
  std::uint16_t attributes;
  std::uint16_t events;
  std::uint16_t links;
  std::uint16_t nested;  // attributes of one event or link
};

struct alignas(64) ThreadBlock {
  // Line 0: all that a write needs. Null control: no lane, another process, or not initialised.
  const shm::ControlHot* control;
  shm::RingProducer<std::uint64_t> ring;
  // Line 2.
  shm::LaneHead* lane_head;
  std::uintptr_t busy;  // the stack pointer of the call that is changing this block, else 0
  std::uint64_t top;    // owner's serial number << 32 | kTopLook | depth of the stack
  std::uint64_t id_state;
  std::uint64_t id_key;
  std::uint64_t ending;      // shm::slot_ending() of this lane, without a target
  std::uint32_t slots_free;  // bit i: slot i of the lane is free
  std::uint32_t room;        // of a draft, for the inlined items; 0 where limits must be counted
  shm::SpanSlot* slots;
  // Line 3.
  std::uint64_t threshold;    // of this process's own sampler, 56 bits
  std::uint32_t depth_limit;  // 0 where every start takes the slow path
  std::uint32_t log_fast;     // 0 where every log takes the slow path
  std::uint32_t log_floor;    // severities below it are not written, or take the slow path
  std::uint32_t lane;
  const unsigned char* mirror;  // private copy of the string arena
  SpanLimits limits;
  std::uint64_t next_low;   // ids of the next span, drawn by the one before: who starts a span need
  std::uint64_t next_span;  // not wait for them
  unsigned char* cache;     // of series found by attributes
  // Line 4: metrics. Zero: no cells, the library must look.
  unsigned char* cells;              // of this lane
  unsigned char* shared_cells;       // gauges, histograms
  std::uint32_t cells_committed;     // bytes; others: grows with what is registered
  std::uint32_t shared_cells_bytes;  // 0: metrics are off, or have no room
  std::uint32_t shard;               // of histograms
  std::uint32_t cells_refused;       // no space for this lane's: counters go to the shared lane
  // Not for inlined code.
  std::uint32_t size;  // of this struct, and its version
  std::uint32_t version;
  std::uint32_t tid;
  std::uint32_t thread_pending;  // a THREAD record is due
  std::uint32_t loss_pending;    // a LOSS record is due
  std::uint32_t held_lane;       // 1 + shared lane locked by the call that set busy
  std::uint64_t lost[shm::kPriorities];
  std::uint64_t lost_first;
  std::uint64_t lost_last;
  std::uint32_t freed_remote;  // others: slots whose spans ended on another thread
  std::uint32_t taken;         // others: 1 while a thread owns the block
  std::uint64_t serial;
  char name[16];

  ContextEntry stack[kDepthMax + 1];
  NameEntry names[kNameEntries];
};
static_assert(offsetof(ThreadBlock, ring) == 8 && sizeof(shm::RingProducer<std::uint64_t>) == 120);
static_assert(offsetof(ThreadBlock, busy) + 8 == offsetof(ThreadBlock, top));
static_assert(offsetof(ThreadBlock, lane_head) == 128 && offsetof(ThreadBlock, threshold) == 192);
static_assert(offsetof(ThreadBlock, cells) == 256 && offsetof(ThreadBlock, size) == 288);

}  // namespace tailrace::detail

// Eight bytes of static TLS, reached by one load: no call to __tls_get_addr, also after dlopen.
extern "C" {
TAILRACE_EXPORT extern __thread tailrace::detail::ThreadBlock* tailrace_thread
    __attribute__((tls_model("initial-exec")));
}

namespace tailrace::detail {

// Sixteen bytes at a time, with the alignment of eight: SSE2 or NEON, never a call of memcpy.
typedef std::uint64_t Pair __attribute__((vector_size(16), aligned(8), may_alias));
typedef std::uint64_t Word __attribute__((aligned(8), may_alias));

TAILRACE_INLINE std::uintptr_t stack_pointer() noexcept {
  std::uintptr_t sp;
#if defined(__x86_64__)
  asm volatile("mov %%rsp, %0" : "=r"(sp));
#elif defined(__aarch64__)
  asm volatile("mov %0, sp" : "=r"(sp));
#else
  sp = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
#endif
  return sp;
}

// A signal handler on this thread sees busy set before anything that it guards, and cleared after.
TAILRACE_INLINE void set_busy(ThreadBlock* block) noexcept {
#if defined(__x86_64__)
  asm volatile("mov %%rsp, %0" : "=m"(block->busy) : : "memory");
#else
  __atomic_store_n(&block->busy, stack_pointer(), __ATOMIC_RELAXED);
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}
TAILRACE_INLINE void clear_busy(ThreadBlock* block) noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  __atomic_store_n(&block->busy, std::uintptr_t{0}, __ATOMIC_RELAXED);
}

// What makes every start and every log take the slow path: the agent's other clock, shed priorities.
TAILRACE_INLINE std::uint32_t special(const shm::ControlHot* control) noexcept {
  static_assert(offsetof(shm::ControlHot, shed_mask) == offsetof(shm::ControlHot, clock_override) + 1);
  return __atomic_load_n(reinterpret_cast<const std::uint16_t*>(&control->clock_override), __ATOMIC_RELAXED);
}

// The same for logs, in one load: low byte the least severity, above the second byte what makes the slow path.
TAILRACE_INLINE std::uint32_t log_wishes(const shm::ControlHot* control) noexcept {
  static_assert(offsetof(shm::ControlHot, clock_override) == offsetof(shm::ControlHot, min_severity) + 2);
  return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(&control->min_severity), __ATOMIC_RELAXED);
}

// A counter with one writer: no lock prefix, no read-modify-write that others could see torn.
TAILRACE_INLINE void add_one(std::atomic<std::uint64_t>& counter) noexcept {
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
  asm volatile("addq $1, %0" : "+m"(counter));
#else
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
#endif
}
TAILRACE_INLINE void add_plain(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

// wyrand: one addition in the chain from number to number, so that two cost little more than one.
// The key is the thread's own, so that no two threads walk the same sequence.
__extension__ typedef unsigned __int128 Wide;
inline constexpr std::uint64_t kIdStep = 0xa0761d6478bd642full;
TAILRACE_INLINE std::uint64_t mix(std::uint64_t state, std::uint64_t key) noexcept {
#if defined(__x86_64__)
  std::uint64_t low = state;  // by hand: compilers take a product of 128 bits through the stack
  std::uint64_t high;
  asm("mulq %2" : "+a"(low), "=d"(high) : "r"(state ^ key) : "cc");
  return high ^ low;
#else
  const Wide product = static_cast<Wide>(state) * (state ^ key);
  return static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product);
#endif
}

// Slots are taken from the top: the first one stands at the start of a page, where the agent's control
// words and the block itself have loads that would be taken for loads of what was just stored.
TAILRACE_INLINE unsigned highest_bit(std::uint32_t word) noexcept {
  return 31u ^ static_cast<unsigned>(__builtin_clz(word));
}

inline constexpr std::uint64_t kRandomnessMask = (1ull << 56) - 1;

TAILRACE_INLINE void put_word(unsigned char* to, std::uint64_t value) noexcept { *reinterpret_cast<Word*>(to) = value; }
TAILRACE_INLINE void put_pair(unsigned char* to, std::uint64_t a, std::uint64_t b) noexcept {
  *reinterpret_cast<Pair*>(to) = Pair{a, b};
}

// Copies a string into an item and zeroes its padding. `length` is not 0.
TAILRACE_INLINE void copy_text(unsigned char* to, const char* text, std::size_t length) noexcept {
  if (TAILRACE_LIKELY(length >= 8)) {
    const std::size_t last = (length - 1) & ~std::size_t{7};  // where the last word starts
    const char* const end = text + length;
    unsigned char* const tail = to + last;
    std::uint64_t word;
    for (; to != tail; to += 8, text += 8) {
      std::memcpy(&word, text, 8);
      put_word(to, word);
      asm volatile("");  // a few words at most: no vectors, and no code that decides about them
    }
    // The last word's bytes are the end of the last eight.
    std::memcpy(&word, end - 8, 8);
    put_word(tail, word >> (8 * (last + 8 - length)));
  } else if (length >= 4) {
    std::uint32_t first, end;
    std::memcpy(&first, text, 4);
    std::memcpy(&end, text + length - 4, 4);
    put_word(to, first | std::uint64_t{end} << (8 * (length - 4)));
  } else {
    const auto byte = [text](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(text[i])}; };
    put_word(to, byte(0) | byte(length / 2) << (8 * (length / 2)) | byte(length - 1) << (8 * (length - 1)));
  }
}

}  // namespace tailrace::detail
