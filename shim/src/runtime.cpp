// SPDX-License-Identifier: Apache-2.0
// Threads and processes: who owns which block, and what a fork, an exit or a longjmp leaves behind.
#include "no_cancel.hpp"
#include "runtime.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "metrics.hpp"
#include "propagation.hpp"
#include "trace_state.hpp"

namespace tailrace::shim {

Global g;
ThreadBlock zero_block;    // where every thread starts: control is null
ThreadBlock closed_block;  // after the thread's end began: shared lanes only
ThreadBlock off_block;     // telemetry is off: the inlined check says so

namespace {

constexpr std::size_t kPrivateBytes = (sizeof(Private) + 65535) & ~std::size_t{65535};
constexpr std::size_t kBlockStride = 8192;
// Blocks stand half a slot off a page's start: a load from the block whose low twelve address bits equal
// those of a store into a slot that is still under way would wait for that store.
constexpr std::size_t kBlockOffset = shm::kSlotBytes / 2;
static_assert(sizeof(ThreadBlock) <= kBlockStride - kBlockOffset);
constexpr std::size_t kBlocksBytes = (shm::kLanesMax + kLanelessBlocks) * kBlockStride;
constexpr std::size_t kSidesBytes = kSides * sizeof(Side);
constexpr std::size_t kAreaBytes =
    kPrivateBytes + kBlocksBytes + kSidesBytes + std::size_t{shm::kLanesMax} * kCacheBytes;

pthread_key_t exit_key;
bool hooks_made;

// A signal handler that interrupts the taking of a lane must not start another.
__thread std::uint32_t entering __attribute__((tls_model("initial-exec")));
__thread bool holds_for_fork __attribute__((tls_model("initial-exec")));
__thread bool holds_metrics __attribute__((tls_model("initial-exec")));

void release_block(void* block) noexcept;

void before_fork() noexcept {
  // No string or series half written may be seen by the child. Bounded: a holder that is stopped must not stop us.
  holds_metrics = g.metrics_lock.try_lock(2000);
  Private* p = area();
  holds_for_fork = p != nullptr && p->strings_lock.try_lock(2000);
}
void after_fork_in_parent() noexcept {
  if (holds_for_fork) area()->strings_lock.unlock();
  holds_for_fork = false;
  if (holds_metrics) g.metrics_lock.unlock();
  holds_metrics = false;
}
// The second layer: kernels and emulators that do not wipe, pointers taken before the fork.
void after_fork_in_child() noexcept {
  unsigned char* base = g.area.load(std::memory_order_relaxed);
  holds_for_fork = false;
  if (holds_metrics) g.metrics_lock.unlock();
  holds_metrics = false;
  trace_states_after_fork();
  activations_after_fork();
  forget_ticking();
  if (base == nullptr) return;
  madvise(base, kAreaBytes, MADV_DONTNEED);
  if (g.map.base != nullptr) {
    mmap(g.map.base, g.map.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
         0);
  }
}

// Lowest free bit of a bitmap; kNoLane: none.
template <std::size_t Words>
std::uint32_t take_bit(std::atomic<std::uint64_t> (&words)[Words], std::uint32_t bits) noexcept {
  for (std::size_t w = 0; w * 64 < bits; ++w) {
    std::uint64_t word = words[w].load(std::memory_order_relaxed);
    while (word != ~std::uint64_t{0}) {
      const unsigned bit = static_cast<unsigned>(__builtin_ctzll(~word));
      const auto index = static_cast<std::uint32_t>(w * 64 + bit);
      if (index >= bits) return kNoLane;
      // Acquire: what the last owner did with the lane happened before.
      if (words[w].compare_exchange_weak(word, word | std::uint64_t{1} << bit, std::memory_order_acq_rel)) return index;
    }
  }
  return kNoLane;
}
template <std::size_t Words>
void free_bit(std::atomic<std::uint64_t> (&words)[Words], std::uint32_t index) noexcept {
  words[index / 64].fetch_and(~(std::uint64_t{1} << (index % 64)), std::memory_order_release);
}

void raise_to(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
  std::uint32_t have = word.load(std::memory_order_relaxed);
  while (have < value && !word.compare_exchange_weak(have, value, std::memory_order_release)) {}
}

std::uint32_t ordinary_lanes(const shm::SegmentMap& map) { return map.geometry.lanes - shm::kSharedLanes; }

// Ring, slack and slots at once, so that no later record meets a page fault.
bool commit_lane(const shm::SegmentMap& map, std::uint32_t lane) noexcept {
  if (map.heads[lane].committed.load(std::memory_order_relaxed) != 0) return true;
  if (!shm::commit_range(map.ring(lane), map.lane_stride()) ||
      !shm::commit_range(map.lane_slots(lane), std::size_t{shm::kSlotsPerLane} * sizeof(shm::SpanSlot))) {
    return false;
  }
  TAILRACE_TEST_POINT("shim.lane.pages");
  map.heads[lane].committed.store(1, std::memory_order_release);
  TAILRACE_TEST_POINT("shim.lane.committed");
  return true;
}

// Lanes whose thread is gone without having said so (killed by a raw exit, key destructors used up).
std::uint32_t reclaim_lane(Private& p, const shm::SegmentMap& map) noexcept {
  if (!p.lanes_lock.try_lock(1)) return kNoLane;
  std::uint32_t found = kNoLane;
  for (std::uint32_t lane = 0; lane < ordinary_lanes(map) && found == kNoLane; ++lane) {
    const std::uint32_t tid = __atomic_load_n(&block_at(lane)->tid, __ATOMIC_ACQUIRE);
    if (tid == 0 || (p.lanes_taken[lane / 64].load(std::memory_order_acquire) >> (lane % 64) & 1) == 0) continue;
    if (syscall(SYS_tgkill, getpid(), tid, 0) != 0 && errno == ESRCH) {
      __atomic_store_n(&block_at(lane)->tid, 0u, __ATOMIC_RELEASE);
      found = lane;
    }
  }
  p.lanes_lock.unlock();
  return found;
}

void store_name(shm::LaneHead& head, const char (&name)[16]) noexcept {
  std::uint64_t words[2];
  std::memcpy(words, name, 16);
  head.name[0].store(words[0], std::memory_order_relaxed);
  head.name[1].store(words[1], std::memory_order_relaxed);
}

ThreadBlock* take_block() noexcept {
  const shm::SegmentMap* map = segment();
  Private* p = area();
  if (map == nullptr || p == nullptr) return nullptr;
  std::uint32_t lane = take_bit(p->lanes_taken, ordinary_lanes(*map));
  if (lane == kNoLane) lane = reclaim_lane(*p, *map);
  TAILRACE_TEST_POINT("shim.lane.taken");
  if (lane != kNoLane && !commit_lane(*map, lane)) {
    free_bit(p->lanes_taken, lane);
    lane = kNoLane;
  }
  const std::uint64_t serial = g.serial.fetch_add(1, std::memory_order_relaxed) + 1;
  ThreadBlock* block = nullptr;
  if (lane != kNoLane) {
    block = block_at(lane);
    attach_block(*block, *map, lane, serial);
    raise_to(map->process->lanes_used, lane + 1);
    TAILRACE_TEST_POINT("shim.lane.used");
  } else {
    const std::uint32_t index = take_bit(p->laneless_taken, kLanelessBlocks);
    if (index == kNoLane) return nullptr;
    block = block_at(shm::kLanesMax + index);
    attach_block(*block, *map, kNoLane, serial);
  }
  pthread_setspecific(exit_key, block);
  return block;
}

void release_block(void* at) noexcept {
  auto* block = static_cast<ThreadBlock*>(at);
  tailrace_thread = &closed_block;
  Private* p = area();
  // A child inherits the value of the key, but not the block behind it.
  if (p == nullptr || block == nullptr || block->control == nullptr) return;
  const auto index = static_cast<std::uint32_t>(
      (reinterpret_cast<unsigned char*>(block) - reinterpret_cast<unsigned char*>(block_at(0))) /
      static_cast<std::ptrdiff_t>(kBlockStride));
  __atomic_store_n(&block->tid, 0u, __ATOMIC_RELEASE);
  block->top = block->serial << 32;
  if (index < shm::kLanesMax) {
    g.map.heads[index].in_use.store(0, std::memory_order_release);
    TAILRACE_TEST_POINT("shim.lane.released");
    free_bit(p->lanes_taken, index);
  } else {
    free_bit(p->laneless_taken, index - shm::kLanesMax);
  }
}

}  // namespace

std::uint32_t gettid_now() noexcept { return static_cast<std::uint32_t>(syscall(SYS_gettid)); }

void spin_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

bool PrivateLock::try_lock(unsigned attempts) noexcept {
  const std::uint32_t me = gettid_now();
  for (unsigned i = 0; i < attempts; ++i) {
    std::uint32_t holder = 0;
    if (tid_.compare_exchange_strong(holder, me, std::memory_order_acquire)) {
      stack_.store(detail::stack_pointer(), std::memory_order_relaxed);
      return true;
    }
    if (holder == me) {
      // Either a signal handler interrupted the holder, or a longjmp left it.
      stack_t alternative{};
      const bool on_alternative = sigaltstack(nullptr, &alternative) == 0 && (alternative.ss_flags & SS_ONSTACK) != 0;
      if (on_alternative || detail::stack_pointer() + kHandlerFrame < stack_.load(std::memory_order_relaxed))
        return false;
      stack_.store(detail::stack_pointer(), std::memory_order_relaxed);
      return true;
    }
    if (i == attempts - 1 && syscall(SYS_tgkill, getpid(), holder, 0) != 0 && errno == ESRCH &&
        tid_.compare_exchange_strong(holder, me, std::memory_order_acquire)) {
      stack_.store(detail::stack_pointer(), std::memory_order_relaxed);
      return true;
    }
    spin_pause();
  }
  return false;
}

void PrivateLock::unlock() noexcept { tid_.store(0, std::memory_order_release); }

namespace {
unsigned char* map_area() noexcept {
  void* fresh = mmap(nullptr, kAreaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (fresh == MAP_FAILED) return nullptr;
  munlock(fresh, kAreaBytes);                   // under mlockall(MCL_FUTURE) all of it would stay resident
  madvise(fresh, kAreaBytes, MADV_WIPEONFORK);  // before 4.14: after_fork_in_child() does it
  return static_cast<unsigned char*>(fresh);
}
}  // namespace

Private* ensure_area() noexcept {
  unsigned char* have = g.area.load(std::memory_order_acquire);
  if (have != nullptr) return reinterpret_cast<Private*>(have);
  unsigned char* fresh = map_area();
  if (fresh == nullptr) return nullptr;
  if (!g.area.compare_exchange_strong(have, fresh, std::memory_order_acq_rel)) {
    munmap(fresh, kAreaBytes);
    return reinterpret_cast<Private*>(have);
  }
  return reinterpret_cast<Private*>(fresh);
}

ThreadBlock* block_at(std::uint32_t index) noexcept {
  return reinterpret_cast<ThreadBlock*>(g.area.load(std::memory_order_relaxed) + kPrivateBytes + kBlockOffset +
                                        index * kBlockStride);
}

Side& side_at(std::uint32_t index) noexcept {
  return reinterpret_cast<Side*>(g.area.load(std::memory_order_relaxed) + kPrivateBytes + kBlocksBytes)[index];
}

unsigned char* cache_at(std::uint32_t lane) noexcept {
  return g.area.load(std::memory_order_relaxed) + kPrivateBytes + kBlocksBytes + kSidesBytes +
         std::size_t{lane} * kCacheBytes;
}

bool make_thread_hooks() noexcept {
  if (hooks_made) return true;
  if (pthread_key_create(&exit_key, release_block) != 0) return false;
  hooks_made = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
  return hooks_made;
}

const shm::SegmentMap* segment() noexcept {
  if (g.mode.load(std::memory_order_acquire) != Mode::active) return nullptr;
  Private* p = area();
  if (p == nullptr) return nullptr;
  ChildState state = p->state.load(std::memory_order_acquire);
  if (state == ChildState::ready) return &g.map;
  if (state != ChildState::none) return nullptr;
  // A forked child, at its first record: it gets a segment and blocks of its own. The wiped blocks stay
  // zero for ever, so that whatever still points to them finds out.
  if (!p->state.compare_exchange_strong(state, ChildState::building, std::memory_order_acq_rel)) return nullptr;
  auto* fresh = reinterpret_cast<Private*>(map_area());
  if (fresh == nullptr) {
    p->state.store(ChildState::failed, std::memory_order_release);
    return nullptr;
  }
  fresh->state.store(ChildState::building, std::memory_order_relaxed);
  g.generation.fetch_add(1, std::memory_order_relaxed);
  g.area.store(reinterpret_cast<unsigned char*>(fresh), std::memory_order_release);
  char why[256];
  if (!build_segment(*fresh, why, sizeof why)) {
    fresh->state.store(ChildState::failed, std::memory_order_release);
    return nullptr;
  }
  return &g.map;
}

void attach_block(ThreadBlock& block, const shm::SegmentMap& map, std::uint32_t lane, std::uint64_t serial) noexcept {
  const Settings& s = g.settings;
  const bool fresh = block.size == 0;
  block.lane = lane;
  block.serial = serial & 0xffffffffu;
  block.top = block.serial << 32;
  block.busy = 0;
  block.threshold = s.threshold;
  block.limits = s.span_limits;
  block.mirror = mirror();
  __atomic_store_n(&block.tid, gettid_now(), __ATOMIC_RELEASE);  // pairs with the acquire in reclaim_lane()
  block.held_lane = 0;
  prctl(PR_GET_NAME, block.name);
  std::uint64_t seed[2];
  shm::fill_random(seed, sizeof seed);
  while (__builtin_popcountll(seed[1]) < 20 || __builtin_popcountll(seed[1]) > 44) shm::fill_random(seed + 1, 8);
  block.id_state = seed[0];
  block.id_key = seed[1];
  block.next_low = detail::mix(block.id_state + detail::kIdStep, block.id_key);
  block.next_span = detail::mix(block.id_state + 2 * detail::kIdStep, block.id_key) | 1;
  block.id_state += 3 * detail::kIdStep;
  // Sixty scalar attributes fill a draft: above that, no limit of a span can be met by inlined items.
  const bool unlimited = s.span_limits.attributes >= 62 && s.span_value_length == 0xffffffffu;
  const bool counter = g.clock != static_cast<std::uint32_t>(shm::ClockKind::monotonic);
  const bool fast = counter && lane != kNoLane;
  block.depth_limit = fast && s.parent_based && (s.off_mask & 1) == 0 ? s.depth_limit : 0;
  block.room = unlimited ? shm::kDraftBytes : 0;
  block.log_fast = fast && s.log_attributes >= 16 && (s.off_mask & 2) == 0 ? 1 : 0;
  block.log_floor = block.log_fast != 0 ? s.min_severity : 255;
  block.ending = lane != kNoLane ? shm::slot_ending(lane, 0) : 0;
  if (lane != kNoLane) {
    shm::LaneHead& head = map.heads[lane];
    block.lane_head = &head;
    if (fresh) {
      block.slots = map.lane_slots(lane);
      block.slots_free = ~0u;
      block.ring.attach(map.ring(lane), map.geometry.ring_bytes, head.head.load(std::memory_order_relaxed),
                        map.tails[lane].tail.load(std::memory_order_acquire), 64);
    }
    block.thread_pending = 1;
    for (std::uint64_t& limit : block.ring.limit) limit = block.ring.head;  // the next record brings the THREAD
    head.owner_from.store(block.ring.head, std::memory_order_relaxed);
    head.tid.store(block.tid, std::memory_order_relaxed);
    TAILRACE_TEST_POINT("shim.lane.tid");
    store_name(head, block.name);
    head.in_use.store(1, std::memory_order_release);
    TAILRACE_TEST_POINT("shim.lane.in_use");
  } else {
    block.lane_head = &map.heads[map.geometry.lanes - 1];
    block.slots_free = 0;
  }
  block.cells_refused = 0;
  block.shard = lane < shm::kSharedShard ? lane : shm::kSharedShard;
  block.shared_cells = map.metric_shared;
  block.shared_cells_bytes = area()->metrics_ready != 0 ? static_cast<std::uint32_t>(shm::kSharedCellBytes) : 0;
  if (lane != kNoLane) {
    map.heads[lane].shard.store(block.shard, std::memory_order_relaxed);
    block.cells = map.lane_cells(lane);
    block.cache = cache_at(lane);
    commit_cells(block, 1000);
  }
  block.version = detail::kInlineVersion;
  block.size = sizeof block;
  block.control = &map.control->hot;  // last: from here on the inlined calls use the block
}

ThreadBlock* enter() noexcept {
  ThreadBlock* block = tailrace_thread;
  if (block == &closed_block || block == &off_block) return nullptr;
  if (block->control != nullptr) return block;
  switch (g.mode.load(std::memory_order_acquire)) {
    case Mode::active: break;
    case Mode::off: g.calls_unrecorded.fetch_add(1, std::memory_order_relaxed); return nullptr;
    default: g.calls_before_init.fetch_add(1, std::memory_order_relaxed); return nullptr;
  }
  if (entering != 0) return nullptr;
  entering = 1;
  const int error = errno;
  block = take_block();
  if (block != nullptr) {
    tailrace_thread = block;
    Private* p = area();
    write_anchor(*p, 1000000000ull);
  }
  errno = error;
  entering = 0;
  return block;
}

// Slots of the pool.
std::uint32_t take_pool_slot() noexcept {
  const shm::SegmentMap* map = segment();
  Private* p = area();
  if (map == nullptr || p == nullptr) return kNoLane;
  const std::uint32_t index = take_bit(p->pool_taken, map->geometry.pool_slots);
  if (index == kNoLane) return kNoLane;
  const std::uint32_t chunk = index / 64;
  if ((p->pool_committed.load(std::memory_order_acquire) >> chunk & 1) == 0) {
    const std::uint32_t first = chunk * 64;
    const std::uint32_t left = map->geometry.pool_slots - first;
    if (!shm::commit_range(map->pool + first, sizeof(shm::SpanSlot) * (left < 64 ? left : 64))) {
      free_pool_slot(index);
      return kNoLane;
    }
    TAILRACE_TEST_POINT("shim.pool.pages");
    p->pool_committed.fetch_or(std::uint64_t{1} << chunk, std::memory_order_release);
  }
  raise_to(map->process->pool_used, index + 1);
  TAILRACE_TEST_POINT("shim.pool.used");
  return index;
}
void free_pool_slot(std::uint32_t index) noexcept {
  if (Private* p = area(); p != nullptr) free_bit(p->pool_taken, index);
}

std::uint32_t take_no_slot() noexcept {
  Private* p = area();
  return p != nullptr ? take_bit(p->no_slot_taken, kNoSlotSpans) : kNoLane;
}
void free_no_slot(std::uint32_t index) noexcept {
  if (Private* p = area(); p != nullptr) free_bit(p->no_slot_taken, index);
}

std::uint64_t now(std::uint8_t& clock) noexcept {
  if (g.clock == static_cast<std::uint32_t>(shm::ClockKind::monotonic)) {
    clock = static_cast<std::uint8_t>(shm::TimeClock::counter);  // the counter is that clock
    return shm::monotonic_ns();
  }
  const bool active = g.mode.load(std::memory_order_relaxed) == Mode::active && area() != nullptr &&
                      area()->state.load(std::memory_order_acquire) == ChildState::ready;
  if (active && g.map.control->hot.clock_override.load(std::memory_order_relaxed) ==
                    static_cast<std::uint8_t>(shm::ClockKind::monotonic)) {
    clock = static_cast<std::uint8_t>(shm::TimeClock::monotonic);
    return shm::monotonic_ns();
  }
  clock = static_cast<std::uint8_t>(shm::TimeClock::counter);
  return shm::cpu_counter();
}

// The first anchor stays for ever; the other seven follow each other.
void write_anchor(Private& p, std::uint64_t min_age_ns) noexcept {
  const std::uint64_t mono = shm::monotonic_ns();
  if (p.last_anchor_ns != 0 && mono - p.last_anchor_ns < min_age_ns) return;
  if (!p.anchor_lock.try_lock(1)) return;
  p.last_anchor_ns = mono;
  shm::Anchor& anchor = g.map.process->anchors[p.next_anchor];
  p.next_anchor = p.next_anchor + 1 < shm::kAnchors ? p.next_anchor + 1 : 1;
  const shm::ClockReading reading = shm::read_clocks(static_cast<shm::ClockKind>(g.clock));
  const std::uint64_t seq = anchor.seq.load(std::memory_order_relaxed);
  anchor.seq.store(seq + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // odd before any field; pairs with the reader's acquire
  anchor.counter.store(reading.counter, std::memory_order_relaxed);
  anchor.realtime_ns.store(reading.realtime_ns, std::memory_order_relaxed);
  anchor.monotonic_ns.store(reading.monotonic_ns, std::memory_order_relaxed);
  TAILRACE_TEST_POINT("shim.anchor.filled");
  anchor.seq.store(seq + 2, std::memory_order_release);
  p.anchor_lock.unlock();
}

void ring_bell() noexcept {
  Private* p = area();
  if (p == nullptr || p->state.load(std::memory_order_acquire) != ChildState::ready) return;
  const int error = errno;
  std::atomic<std::uint32_t>& bell = g.map.process->doorbell;
  bell.fetch_add(1, std::memory_order_release);
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&bell), FUTEX_WAKE, 1, nullptr, nullptr, 0);
  errno = error;
}

void note_critical(shm::Signal signal, bool counts) noexcept {
  Private* p = area();
  if (p == nullptr || p->state.load(std::memory_order_acquire) != ChildState::ready) return;
  shm::ProcessDynamic& process = *g.map.process;
  if (counts) process.critical_written[static_cast<std::size_t>(signal)].fetch_add(1, std::memory_order_relaxed);
  TAILRACE_TEST_POINT("shim.write.critical");
  // An agent that is awake looks at the bell before it sleeps. Sequentially consistent, as its store of agent_sleeping
  // and the fence behind it: it sees this bell, or we see that it sleeps. So a flood wakes it once.
  process.doorbell.fetch_add(1, std::memory_order_seq_cst);
  if (g.map.control->flush.agent_sleeping.load(std::memory_order_seq_cst) == 0) return;
  const int error = errno;
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&process.doorbell), FUTEX_WAKE, 1, nullptr, nullptr, 0);
  errno = error;
}

void say(const char* sentence, const char* rest) noexcept {
  if (g.settings.quiet) return;
  const NoCancel whole;
  const auto part = [](const char* text) { return iovec{const_cast<char*>(text), std::strlen(text)}; };
  const iovec line[] = {part("tailrace: "), part(sentence), part(rest), part("\n")};
  if (writev(STDERR_FILENO, line, 4) < 0) return;  // nobody listens: nothing to do about it
}

}  // namespace tailrace::shim

using namespace tailrace;

__thread detail::ThreadBlock* tailrace_thread __attribute__((tls_model("initial-exec"))) = &shim::zero_block;

// The first copy of the library in a process publishes itself: an executable's static copy exports its
// symbols, and every later copy of this major version is bound to them by the dynamic linker. A copy
// of another major has other symbols; it sees this one, keeps to itself and says so.
extern "C" __attribute__((weak, visibility("default")))
const shim::Instance tailrace_instance = {shm::kAbiMajor, detail::kInlineVersion, sizeof(detail::ThreadBlock)};

extern "C" bool tailrace_attach_thread(const char* name, std::size_t length) noexcept {
  detail::ThreadBlock* block = shim::enter();
  if (block == nullptr || block->lane == shim::kNoLane) return false;
  if (length > 0) {
    const std::uint32_t kept = length < sizeof block->name ? static_cast<std::uint32_t>(length) : sizeof block->name;
    std::memset(block->name, 0, sizeof block->name);
    std::memcpy(block->name, name, kept);
    shim::store_name(*block->lane_head, block->name);
    block->thread_pending = 1;
    for (std::uint64_t& limit : block->ring.limit) limit = block->ring.head;
  }
  return true;
}
