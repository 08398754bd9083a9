// SPDX-License-Identifier: Apache-2.0
// What the library keeps of its process.
//
// Two kinds of private memory: `Global` survives a fork (configuration, the mirror of the strings);
// `Private` is found zeroed by a forked child (locks, lane table, thread blocks), so that the child
// finds every lock free and every block empty, and builds a segment of its own at its first record.
// Threads: as each member says. Failure: everything degrades to counting.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <tailrace/detail/config.hpp>
#include <tailrace/detail/log.hpp>
#include <tailrace/detail/span.hpp>
#include <tailrace/shm/birth.hpp>

namespace tailrace::shim {

using detail::ContextEntry;
using detail::Name;
using detail::SpanState;
using detail::ThreadBlock;

inline constexpr std::uint32_t kLanelessBlocks = 1024;  // threads beyond the lanes that keep a context
inline constexpr std::uint32_t kNoLane = 0xffffffffu;
inline constexpr std::uint32_t kCacheEntries = 128;  // of a lane's look-ups of series
inline constexpr std::uint32_t kCacheBytes = kCacheEntries * 192;
inline constexpr std::uint32_t kPoolWordsMax = shm::kPoolSlotsDefault / 64;
inline constexpr std::uint32_t kNameTable = 1u << 16;

// The kernel puts at least this much between a call and the handler that interrupts it (red zone,
// registers, floating point state). What stands less deep below a call's frame is an ordinary call that
// came later, by way of a few frames of this library.
#if defined(__SANITIZE_THREAD__)
// ThreadSanitizer keeps a signal back and calls its handler from the next call that it intercepts, as a function.
inline constexpr std::uintptr_t kHandlerFrame = 0;
#else
inline constexpr std::uintptr_t kHandlerFrame = 1000;
#endif

// A lock that nobody waits for long: it is tried a bounded number of times. A holder that a longjmp
// threw out of it, or whose thread is gone, loses it.
class PrivateLock {
 public:
  bool try_lock(unsigned attempts) noexcept;
  void unlock() noexcept;

 private:
  std::atomic<std::uint32_t> tid_;
  std::atomic<std::uintptr_t> stack_;
};

// A lane that any thread may write to while it holds the lock.
struct SharedWriter {
  PrivateLock lock;
  shm::RingProducer<std::uint64_t> ring;
  std::uint32_t ready;
};

// What the library remembers of a span beyond its handle, once anything but inlined items was added.
struct alignas(64) Side {
  std::uint32_t last_slot;  // 1 + pool index of the last slot of the chain
  std::uint32_t last_size;
  std::uint32_t chain_bytes;
  std::uint32_t chain_items;
  std::uint32_t chained;  // slots behind the first
  std::uint32_t parts;
  std::uint32_t dropped_attributes;
  std::uint32_t dropped_events;
  std::uint32_t dropped_links;
  std::uint32_t attributes;  // outside the first slot
  std::uint32_t events;
  std::uint32_t links;
  std::uint32_t others;         // items of the first slot that are no attributes
  std::uint32_t trace_state;    // pinned by the span
  std::uint32_t repeats;        // attributes whose key an earlier one has, as far as they were counted:
  std::uint32_t repeats_until;  // among so many
  std::uint64_t draft[8];       // the SPAN record of a span that found no slot
};
inline constexpr std::uint32_t kNoSlotSpans = 16384;
inline constexpr std::uint32_t kSides = shm::kLanesMax * shm::kSlotsPerLane + shm::kPoolSlotsDefault + kNoSlotSpans;

// What flush() has told so far, of one kind of flush.
inline constexpr std::size_t kFlushCauses = 7;
struct FlushTotals {
  struct Signal {
    std::uint64_t written;
    std::uint64_t delivered;
    std::uint64_t rejected;
    std::uint64_t dropped[kFlushCauses];
  };
  Signal signals[shm::kSignals];
};

enum class ChildState : std::uint32_t { none = 0, building = 1, ready = 2, failed = 3 };

// Zero-filled is "a process image that has nothing yet". In MADV_WIPEONFORK memory.
struct Private {
  std::atomic<ChildState> state;
  std::uint32_t pid;
  PrivateLock strings_lock;
  PrivateLock lanes_lock;
  PrivateLock anchor_lock;
  std::uint64_t last_anchor_ns;
  std::uint32_t next_anchor;
  std::atomic<std::uint64_t> lanes_taken[shm::kLanesMax / 64];
  std::atomic<std::uint64_t> laneless_taken[kLanelessBlocks / 64];
  std::atomic<std::uint64_t> pool_taken[kPoolWordsMax];
  std::atomic<std::uint64_t> no_slot_taken[kNoSlotSpans / 64];
  std::atomic<std::uint64_t> pool_committed;  // bit i: slots 64 i … 64 i + 63
  std::uint64_t strings_committed;            // bytes of R5; under strings_lock
  SharedWriter shared[shm::kSharedLanes];
  // Of metrics; under Global::metrics_lock. Bytes that are committed.
  std::uint32_t metrics_ready;  // 0: off, or no space for what there was when the segment was born
  std::uint64_t descriptors_committed;
  std::uint64_t shared_cells_committed;
  std::uint64_t shared_lane_cells;        // of the shared lane that has cells: the last one
  FlushTotals flushed[shm::kFlushKinds];  // words that only grow, each changed atomically
};

enum class Mode : std::uint32_t { before_init = 0, initialising = 1, active = 2, off = 3 };

// Settings after configuration and environment were merged; constant after init().
struct Settings {
  char directory[256];
  char runtime_dir[256];
  std::uint64_t threshold;  // of the root sampler
  bool parent_based;
  std::uint32_t observe_interval_ms;
  std::uint32_t off_mask;  // bit s: nothing of signal s is recorded
  bool exponential_histograms;
  bool ratio;  // neither all nor nothing: what is kept says how likely that was
  std::uint32_t min_severity;
  bool quiet;
  detail::SpanLimits span_limits;
  std::uint32_t link_attributes;
  std::uint32_t span_value_length;
  std::uint32_t log_attributes;
  std::uint32_t log_value_length;
  std::uint32_t depth_limit;
  shm::SegmentShape geometry;
};

struct Global {
  std::atomic<Mode> mode;
  Code why_code;
  char why[246];
  char segment_name[32];
  Settings settings;
  shm::SegmentMap map;                    // of this process image; valid while Private::state is ready
  std::uint32_t clock;                    // shm::ClockKind
  std::atomic<std::uint64_t> serial;      // of owners of blocks; never the same again, in no child either
  std::atomic<std::uint32_t> generation;  // forks so far: tells spans of the parent from ours

  std::atomic<unsigned char*> area;  // Private, then the blocks

  // The strings: private copy of R5, at the same offsets.
  std::atomic<unsigned char*> mirror;
  std::atomic<std::uint32_t>* name_table;
  std::atomic<std::uint64_t> mirror_length;
  std::uint32_t scope_strings[shm::kScopesMax];
  std::atomic<std::uint32_t> scopes_count;
  std::uint32_t resource_offset;  // kept for children, rewritten in place: the instance id differs
  std::uint32_t resource_length;
  std::uint32_t instance_id_offset;  // of its 36 characters
  std::uint32_t hints_offset;
  std::uint32_t hints_length;

  std::atomic<std::uint32_t> propagators_off;  // Propagator bits; also when nothing is recorded

  std::atomic<std::uint64_t> calls_before_init;
  std::atomic<std::uint64_t> calls_unrecorded;
  std::atomic<std::uint64_t> cut_unlaned;
  std::atomic<std::uint64_t> bad_input;  // calls of the C interface with wrong arguments

  // Metrics (metrics.hpp). The lock is not in wiped memory: a child's threads and whoever builds its
  // segment must meet at the same one.
  std::atomic<void*> registry;
  PrivateLock metrics_lock;
  std::atomic<std::uint32_t> instruments;
  std::atomic<std::uint32_t> series;
  std::atomic<std::uint64_t> metrics_unrecorded;  // where there is no segment to count them in
  std::atomic<std::uint64_t> metrics_invalid;
  std::atomic<std::uint32_t> ticking;  // the thread that runs observables now
  std::atomic<std::uint64_t> callbacks_failed;
  char complaint[500];  // before init()
};

extern Global g __attribute__((visibility("hidden")));
extern ThreadBlock zero_block __attribute__((visibility("hidden")));
extern ThreadBlock closed_block __attribute__((visibility("hidden")));
extern ThreadBlock off_block __attribute__((visibility("hidden")));

struct Instance {
  std::uint32_t abi_major;
  std::uint32_t inline_version;
  std::uint64_t block_size;
};

Private* ensure_area() noexcept;  // null: no memory
inline Private* area() noexcept { return reinterpret_cast<Private*>(g.area.load(std::memory_order_acquire)); }
ThreadBlock* block_at(std::uint32_t index) noexcept;
Side& side_at(std::uint32_t index) noexcept;
unsigned char* cache_at(std::uint32_t lane) noexcept;  // kCacheBytes, of series found by attributes
std::uint32_t gettid_now() noexcept;
void spin_pause() noexcept;

// The segment of this process image, built now if a fork left us without; null: none to be had.
const shm::SegmentMap* segment() noexcept;
// Builds it: resource, strings, anchors, name. False: `why` says it.
bool build_segment(Private& p, char* why, std::size_t room) noexcept;

// This thread's block, taken now if it has none; null: not recorded, and counted.
ThreadBlock* enter() noexcept;
bool make_thread_hooks() noexcept;
// Points a block at a lane: for enter(), and for tests that bring their own memory.
void attach_block(ThreadBlock& block, const shm::SegmentMap& map, std::uint32_t lane, std::uint64_t serial) noexcept;

// True: the block's own lane may be used now, and `busy` is set. False: a signal handler interrupted a
// write, or there is no lane.
bool begin_own(ThreadBlock* block) noexcept;

// Where a record goes. After reserve() it must be published.
struct Place {
  unsigned char* to;
  std::uint64_t target;
  std::uint32_t lane;
  shm::LaneHead* head;
  ThreadBlock* own;      // begin_own() was true for it
  SharedWriter* shared;  // locked
};
bool reserve(ThreadBlock* own, shm::Signal signal, std::uint32_t priority, std::uint32_t bytes, Place& place) noexcept;
void publish(Place& place, shm::Signal signal, bool counts, std::uint32_t priority) noexcept;
void count_unlaned(shm::Signal signal, std::uint32_t priority) noexcept;
void count_cut(ThreadBlock* own) noexcept;
void ring_bell() noexcept;
// A critical record is in the ring: counted, and the agent woken if it sleeps.
void note_critical(shm::Signal signal, bool counts) noexcept;
void write_anchor(Private& p, std::uint64_t min_age_ns) noexcept;

std::uint64_t now(std::uint8_t& clock) noexcept;  // counter, or what the agent asked for instead

// Slots of the process-wide pool: index, or kNoLane.
std::uint32_t take_pool_slot() noexcept;
void free_pool_slot(std::uint32_t index) noexcept;
// Places for the drafts of spans that found no slot.
std::uint32_t take_no_slot() noexcept;
void free_no_slot(std::uint32_t index) noexcept;

// Strings. 0: write it inline.
std::uint32_t intern(const char* text, std::size_t length, bool literal) noexcept;
std::uint32_t find_string(const char* text, std::size_t length) noexcept;  // 0: was never interned
// Space in the arena that is not a string: offset, 0 = full. Under strings_lock.
bool copy_mirror(Private& p, const shm::SegmentMap& map) noexcept;
std::uint32_t append_blob(const void* bytes, std::size_t length) noexcept;
unsigned char* mirror() noexcept;

// Says a sentence, unless quiet. The rest is what it ends with.
void say(const char* sentence, const char* rest = "") noexcept;

void uuid_text(const std::uint8_t* uuid, char* out) noexcept;

}  // namespace tailrace::shim

extern "C" {
extern const tailrace::shim::Instance tailrace_instance __attribute__((visibility("default")));
}
