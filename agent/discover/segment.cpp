// SPDX-License-Identifier: Apache-2.0
#include "agent/discover/segment.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <tailrace/shm/clock.hpp>
#include <tailrace/shm/test_point.hpp>

#include "agent/discover/mapped_file.hpp"

namespace tailrace::agent {
namespace {

namespace ipc = boost::interprocess;

// How long a segment whose pages cannot be had is left alone.
constexpr std::uint64_t kTryAgainNs = 1'000'000'000;

template <class T>
T relaxed(const std::atomic<T>& word) {
  return word.load(std::memory_order_relaxed);
}

bool map_over(const ipc::mapped_region& region, int protection, int fd, std::uint64_t offset) {
  return ::mmap(region.get_address(), region.get_size(), protection, MAP_SHARED | MAP_FIXED, fd,
                static_cast<off_t>(offset)) != MAP_FAILED;
}

}  // namespace

AttachedSegment::State::~State() {
  if (counted) {
    const std::lock_guard lock(directory->mutex);
    --directory->segments;
    const auto own = directory->segments_by_uid.find(facts.st_uid);
    if (own != directory->segments_by_uid.end() && --own->second == 0) {
      directory->segments_by_uid.erase(own);
    }
  }
}

Status AttachedSegment::State::map() {
  const shm::RegionRange& r1 = geometry.region(shm::RegionKind::control);
  const shm::RegionRange& r4 = geometry.region(shm::RegionKind::lane_tails);
  try {
    const CheckedFile file(fd.get());
    whole = ipc::mapped_region(file, ipc::read_only, 0, geometry.segment_size);
    control = ipc::mapped_region(file, ipc::read_write, static_cast<ipc::offset_t>(r1.offset), r1.length);
    tails = ipc::mapped_region(file, ipc::read_write, static_cast<ipc::offset_t>(r4.offset), r4.length);
  } catch (const ipc::interprocess_exception& failure) {
    return Error{ErrorCode::kResourceExhausted, "cannot map " + std::to_string(geometry.segment_size) +
                                                    " bytes: " + failure.what() +
                                                    "; raise the limit of address space or of mappings"};
  }
  base = static_cast<const std::uint8_t*>(whole.get_address());
  if (!whole_guard.add(base, whole.get_size(), false) ||
      !control_guard.add(control.get_address(), control.get_size(), true) ||
      !tails_guard.add(tails.get_address(), tails.get_size(), true)) {
    return Error{ErrorCode::kResourceExhausted,
                 "more than " + std::to_string(FaultGuard::kMappingsMax) + " mappings; too many segments at once"};
  }
  return {};
}

bool AttachedSegment::State::map_again() {
  return map_over(whole, PROT_READ, fd.get(), 0) &&
         map_over(control, PROT_READ | PROT_WRITE, fd.get(), geometry.region(shm::RegionKind::control).offset) &&
         map_over(tails, PROT_READ | PROT_WRITE, fd.get(), geometry.region(shm::RegionKind::lane_tails).offset);
}

AttachedSegment::AttachedSegment(std::unique_ptr<State> state) : state_(std::move(state)) {}
AttachedSegment::~AttachedSegment() = default;

const std::string& AttachedSegment::name() const { return state_->name; }
const Uuid& AttachedSegment::uuid() const { return state_->geometry.uuid; }
uid_t AttachedSegment::uid() const { return state_->facts.st_uid; }
pid_t AttachedSegment::pid() const { return state_->pid; }
std::uint64_t AttachedSegment::inode() const { return state_->facts.st_ino; }
const shm::Geometry& AttachedSegment::geometry() const { return state_->geometry; }

// --- life and death

bool AttachedSegment::try_lock_dead() {
  if (!state_->dead) state_->dead = lock_is_free();
  return state_->dead;
}

bool AttachedSegment::dead() const { return state_->dead; }

bool AttachedSegment::lock_is_free() const { return ::flock(state_->fd.get(), LOCK_SH | LOCK_NB) == 0; }

Status AttachedSegment::unlink() {
  const int directory = state_->directory->fd.get();
  struct stat now {};
  if (::fstatat(directory, state_->name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
  } else if (now.st_ino != state_->facts.st_ino || now.st_dev != state_->facts.st_dev) {
    return {};  // another file has the name now
  } else if (::unlinkat(directory, state_->name.c_str(), 0) == 0 || errno == ENOENT) {
    return {};
  }
  return Error{ErrorCode::kSystem, "segment " + state_->name + ": cannot remove it from " + state_->directory->path +
                                       ": " + std::strerror(errno)};
}

// --- trouble

SegmentCondition AttachedSegment::condition() const { return state_->condition.load(std::memory_order_relaxed); }

std::string AttachedSegment::trouble() const { return state_->trouble; }

SegmentCondition AttachedSegment::refresh_condition() {
  State& s = *state_;
  const SegmentCondition was = condition();
  if (was == SegmentCondition::poisoned || was == SegmentCondition::quarantined) return was;
  const std::uint32_t faults = s.faults();
  if (faults == s.faults_seen && was == SegmentCondition::sound) return was;

  struct stat now {};
  if (::fstat(s.fd.get(), &now) != 0 || static_cast<std::uint64_t>(now.st_size) < s.geometry.segment_size) {
    s.faults_seen = faults;
    s.trouble = "segment " + s.name + ": its file shrank from " + std::to_string(s.geometry.segment_size) + " to " +
                std::to_string(now.st_size) + " bytes; nothing of it is read any more";
    s.condition.store(SegmentCondition::poisoned, std::memory_order_relaxed);
    return SegmentCondition::poisoned;
  }
  const std::uint64_t clock_ns = shm::monotonic_ns();
  if (faults != s.faults_seen) {
    s.faults_seen = faults;
    s.try_again_ns = clock_ns + kTryAgainNs;
    s.trouble = "segment " + s.name + ": a page cannot be had; its tmpfs is full, make room on it";
    s.condition.store(SegmentCondition::unreadable, std::memory_order_relaxed);
  } else if (clock_ns >= s.try_again_ns && s.map_again()) {
    s.trouble.clear();
    s.condition.store(SegmentCondition::sound, std::memory_order_relaxed);
  }
  return condition();
}

void AttachedSegment::quarantine(std::string why) {
  if (condition() == SegmentCondition::poisoned) return;
  state_->trouble = "segment " + state_->name + ": " + why + "; nothing of it is read any more";
  state_->condition.store(SegmentCondition::quarantined, std::memory_order_relaxed);
  reject(shm::RejectReason::quarantined);
}

// --- sizes

std::uint32_t AttachedSegment::lane_count() const { return state_->geometry.lane_count; }
bool AttachedSegment::is_shared_lane(std::uint32_t lane) const { return lane >= state_->geometry.ordinary_lanes(); }
std::uint32_t AttachedSegment::ring_bytes() const { return state_->geometry.ring_bytes; }
std::uint64_t AttachedSegment::memory_bytes() const {
  struct stat now {};
  return ::fstat(state_->fd.get(), &now) == 0 ? static_cast<std::uint64_t>(now.st_blocks) * 512 : 0;
}
std::uint64_t AttachedSegment::segment_bytes() const { return static_cast<std::uint64_t>(state_->facts.st_size); }

// --- the application's words

std::uint32_t AttachedSegment::lanes_used() const {
  return std::min(relaxed(state_->process().lanes_used), state_->geometry.ordinary_lanes());
}

bool AttachedSegment::lane_committed(std::uint32_t lane) const {
  // Acquire: pairs with the shim's release after it gave the lane its pages.
  return (state_->lane_head(lane).committed.load(std::memory_order_acquire) & 1u) != 0;
}

std::uint64_t AttachedSegment::head(std::uint32_t lane) const {
  // Acquire: pairs with the shim's release; every byte before this position is there.
  return state_->lane_head(lane).head.load(std::memory_order_acquire);
}

std::uint64_t AttachedSegment::strings_len() const {
  return std::min(state_->process().strings_len.load(std::memory_order_acquire),
                  state_->geometry.region(shm::RegionKind::strings).length);
}

std::uint32_t AttachedSegment::scopes_count() const {
  return std::min(state_->process().scopes_count.load(std::memory_order_acquire), state_->geometry.scopes_max);
}

std::uint32_t AttachedSegment::pool_used() const {
  return std::min(state_->process().pool_used.load(std::memory_order_acquire), state_->geometry.pool_slots);
}
std::uint32_t AttachedSegment::metrics_count() const {
  return std::min(state_->process().metrics_count.load(std::memory_order_acquire), state_->geometry.metrics_max);
}

std::uint32_t AttachedSegment::flush_gen(shm::FlushKind kind) const {
  const shm::ProcessDynamic& process = state_->process();
  return (kind == shm::FlushKind::critical ? process.critical_gen : process.flush_gen).load(std::memory_order_acquire);
}

CrashNote AttachedSegment::crash() const {
  const shm::Crash& crash = state_->process().crash;
  CrashNote note;
  note.signal = crash.signal.load(std::memory_order_acquire);  // stored last
  if (note.signal == 0) return note;
  note.lane = relaxed(crash.lane);
  note.address = relaxed(crash.address);
  note.counter = relaxed(crash.counter);
  return note;
}

shm::ProcessWords AttachedSegment::process_words() const {
  std::array<std::uint8_t, sizeof(shm::ProcessDynamic)> copy{};
  if (!read(state_->geometry.region(shm::RegionKind::process).offset, copy)) return {};
  return shm::parse_process({copy.data(), copy.size()});
}

shm::CounterSums AttachedSegment::counters() const {
  shm::CounterSums sums;
  const auto add = [this, &sums](std::uint32_t lane) {
    const shm::LaneHead& head = state_->lane_head(lane);
    shm::LaneWords words;
    for (std::size_t s = 0; s < shm::kSignals; ++s) {
      words.written[s] = relaxed(head.written[s]);
      for (std::size_t p = 0; p < shm::kPriorities; ++p) words.dropped[s][p] = relaxed(head.dropped[s][p]);
    }
    words.not_sampled = relaxed(head.not_sampled);
    words.refused = relaxed(head.refused);
    words.cut = relaxed(head.cut);
    sums.add(words);
  };
  const std::uint32_t used = lanes_used();
  for (std::uint32_t lane = 0; lane < used; ++lane) add(lane);
  for (std::uint32_t lane = state_->geometry.ordinary_lanes(); lane < lane_count(); ++lane) add(lane);
  shm::ProcessWords process;
  for (std::size_t s = 0; s < shm::kSignals; ++s) {
    for (std::size_t p = 0; p < shm::kPriorities; ++p) {
      process.unlaned_dropped[s][p] = relaxed(state_->process().unlaned_dropped[s][p]);
    }
  }
  sums.add(process);
  return sums;
}

const std::atomic<std::uint32_t>* AttachedSegment::doorbell() const { return &state_->process().doorbell; }

// --- the agent's words

std::uint64_t AttachedSegment::tail(std::uint32_t lane) const { return relaxed(state_->lane_tail(lane).tail); }
std::uint64_t AttachedSegment::settled(std::uint32_t lane) const { return relaxed(state_->lane_tail(lane).settled); }
std::vector<std::uint64_t> AttachedSegment::settled_words() const {
  std::vector<std::uint64_t> words(lane_count());
  for (std::uint32_t lane = 0; lane < words.size(); ++lane) words[lane] = settled(lane);
  return words;
}

void AttachedSegment::publish_tail(std::uint32_t lane, std::uint64_t position) {
  // Release: what lay before it is ours before the shim's acquire can see the space as free.
  state_->lane_tail(lane).tail.store(position, std::memory_order_release);
}

void AttachedSegment::publish_settled(std::uint32_t lane, std::uint64_t position) {
  state_->lane_tail(lane).settled.store(position, std::memory_order_release);
}

std::uint64_t AttachedSegment::last_epoch() const {
  return state_->control_words().agent.agent_epoch.load(std::memory_order_relaxed);
}

void AttachedSegment::announce(std::uint64_t epoch, std::uint64_t features) {
  shm::ControlAgent& agent = state_->control_words().agent;
  agent.agent_epoch.store(epoch, std::memory_order_relaxed);
  agent.abi_major.store(shm::kAbiMajor, std::memory_order_relaxed);
  agent.abi_minor.store(shm::kAbiMinor, std::memory_order_relaxed);
  agent.agent_features.store(features, std::memory_order_relaxed);
  agent.reason.store(0, std::memory_order_relaxed);
  beat(shm::monotonic_ns());
  // Last: whoever sees "attached" sees whose it is.
  agent.agent_state.store(static_cast<std::uint32_t>(shm::AgentState::attached), std::memory_order_release);
}

void AttachedSegment::reject(shm::RejectReason reason) {
  shm::ControlAgent& agent = state_->control_words().agent;
  agent.reason.store(static_cast<std::uint32_t>(reason), std::memory_order_relaxed);
  agent.agent_state.store(static_cast<std::uint32_t>(shm::AgentState::rejected), std::memory_order_release);
}

void AttachedSegment::withdraw() {
  set_sleeping(false);
  state_->control_words().agent.agent_state.store(static_cast<std::uint32_t>(shm::AgentState::none),
                                                  std::memory_order_release);
}

void AttachedSegment::beat(std::uint64_t monotonic_ns) {
  state_->control_words().agent.heartbeat_monotonic_ns.store(monotonic_ns, std::memory_order_relaxed);
}

void AttachedSegment::set_sleeping(bool sleeping) {
  // Relaxed: a bell that is missed for it costs one poll period and nothing else.
  state_->control_words().flush.agent_sleeping.store(sleeping ? 1 : 0, std::memory_order_relaxed);
}

void AttachedSegment::set_clock_override(shm::ClockKind kind) {
  state_->control_words().hot.clock_override.store(static_cast<std::uint8_t>(kind), std::memory_order_relaxed);
}

std::uint32_t AttachedSegment::flush_done(shm::FlushKind kind) const {
  const shm::ControlFlush& flush = state_->control_words().flush;
  return relaxed(kind == shm::FlushKind::critical ? flush.critical_done : flush.flush_done);
}

void AttachedSegment::set_flush_done(shm::FlushKind kind, std::uint32_t generation) {
  shm::ControlFlush& flush = state_->control_words().flush;
  std::atomic<std::uint32_t>& done = kind == shm::FlushKind::critical ? flush.critical_done : flush.flush_done;
  TAILRACE_TEST_POINT("agent.flush.done");
  done.store(generation, std::memory_order_release);
  ::syscall(SYS_futex, &done, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void AttachedSegment::publish_counts(shm::FlushKind kind, const std::array<SettledCounts, shm::kSignals>& counts) {
  shm::Control& control = state_->control_words();
  std::atomic<std::uint64_t>& seq = control.flush.settled_seq;
  const std::uint64_t odd = relaxed(seq) | 1;  // it is odd already when an agent died in here
  seq.store(odd, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // odd before any row; pairs with the reader's acquire
  TAILRACE_TEST_POINT("agent.flush.counts");
  for (std::size_t s = 0; s < counts.size(); ++s) {
    shm::SettledRow& row = control.settled[static_cast<std::size_t>(kind)][s];
    row.produced.store(counts[s].produced, std::memory_order_relaxed);
    row.delivered.store(counts[s].delivered, std::memory_order_relaxed);
    row.rejected.store(counts[s].rejected, std::memory_order_relaxed);
    for (std::size_t i = 0; i < shm::kDropGroups; ++i) {
      row.dropped[i].store(counts[s].dropped[i], std::memory_order_relaxed);
    }
  }
  seq.store(odd + 1, std::memory_order_release);
}

// --- bytes

bool AttachedSegment::read(std::uint64_t offset, std::span<std::uint8_t> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(state_->fd.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

bool AttachedSegment::read_words(std::uint64_t offset, std::span<std::uint64_t> out) const {
  const State& s = *state_;
  if (!readable() || offset % 8 != 0 || offset > s.geometry.segment_size ||
      out.size() > (s.geometry.segment_size - offset) / 8) {
    return false;
  }
  const auto* words = reinterpret_cast<const std::atomic<std::uint64_t>*>(s.base + offset);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = relaxed(words[i]);
  return s.faults() == s.faults_seen;
}
const std::uint8_t* AttachedSegment::ring(std::uint32_t lane) const {
  return lane_committed(lane) ? state_->base + state_->geometry.lane_ring(lane) : nullptr;
}

}  // namespace tailrace::agent
