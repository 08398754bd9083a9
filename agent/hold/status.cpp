// SPDX-License-Identifier: Apache-2.0
#include "agent/hold/status.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/hold/core.hpp"
#include "agent/hold/transaction.hpp"
#include "agent/hold/words.hpp"

namespace tailrace::agent {

using namespace hold_layout;

namespace {

constexpr int kCopies = 1000;    // how often a moving hold is copied before the last copy is good enough
constexpr int kPauseAfter = 10;  // copies without a pause
constexpr useconds_t kPauseUs = 200;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

bool read_at(int fd, std::byte* image, std::uint64_t offset, std::uint64_t length) {
  while (length != 0) {
    const ssize_t got = ::pread(fd, image + offset, length, static_cast<off_t>(offset));
    if (got <= 0) {
      return false;
    }
    offset += static_cast<std::uint64_t>(got);
    length -= static_cast<std::uint64_t>(got);
  }
  return true;
}

// Header and tables of the file as a private image; what is beyond the high-water marks stays zero.
struct Copy {
  Geometry geometry;
  std::vector<std::uint64_t> words;

  [[nodiscard]] std::byte* bytes() { return reinterpret_cast<std::byte*>(words.data()); }
};

enum class Step { done, moved, failed };

Step copy_once(int fd, Copy& copy) {
  std::byte* image = copy.bytes();
  const Geometry& g = copy.geometry;
  if (!read_at(fd, image, 0, kHeaderBytes)) {
    return Step::failed;
  }
  const std::uint64_t commits = copy.words[kHeaderCommits];
  const std::uint64_t processes = std::min(copy.words[kHeaderProcessHigh], g.process_count);
  const std::uint64_t slots = std::min(copy.words[kHeaderSlotHigh], g.slot_count);
  // Tables before the log: what a transaction changes while they are copied is found in the log, or
  // has moved the counter.
  if (!read_at(fd, image, g.process(0), std::max<std::uint64_t>(processes, 1) * kProcessBytes) ||
      !read_at(fd, image, g.slot(0), slots * kSlotBytes) || !read_at(fd, image, g.log_offset, kLogEntries * 8)) {
    return Step::failed;
  }
  const std::uint64_t count = std::min(copy.words[g.log_offset / 8 + kLogCount], g.log_entries);
  if (!read_at(fd, image, g.log_offset + kLogEntries * 8, count * 16) || !read_at(fd, image, kHeaderCommits * 8, 8)) {
    return Step::failed;
  }
  const bool torn = examine_log(image, g, g.pages_offset) == LogState::damaged;
  return torn || copy.words[kHeaderCommits] != commits ? Step::moved : Step::done;
}

StateStatus& add_batch(StateStatus& to, std::uint64_t state_word) {
  ++to.batches;
  to.records += slot_records(state_word);
  to.bytes += slot_bytes(state_word);
  return to;
}

void read_threads(const std::uint64_t* header, HoldStatus& status) {
  const std::uint64_t now = clock_ns(CLOCK_MONOTONIC);
  for (std::uint32_t i = 0; i < kThreadMax; ++i) {
    const std::uint64_t* thread = header + kHeaderThreads + i * kThreadWords;
    if (thread[kThreadName] == 0) {
      continue;
    }
    const std::uint64_t beat = thread[kThreadBeat];
    status.threads.push_back({load_text(thread + kThreadName, kThreadNameBytes), now > beat ? now - beat : 0});
    status.oldest_beat_age_ns = std::max(status.oldest_beat_age_ns, status.threads.back().beat_age_ns);
  }
}

void read_slots(const std::uint64_t* image, const Geometry& g, std::map<ProcessIndex, ProcessStatus>& processes,
                HoldStatus& status) {
  const std::uint64_t high = std::min(image[kHeaderSlotHigh], g.slot_count);
  for (std::uint64_t slot = 0; slot < high; ++slot) {
    const std::uint64_t* words = image + g.slot(slot) / 8;
    const std::uint64_t state = words[kSlotState];
    if (slot_state(state) == kSlotFree) {
      continue;
    }
    const std::uint32_t kind = owner_kind(words[kSlotOwner]);
    const auto owner = processes.find(owner_process(words[kSlotOwner]));
    const std::uint32_t signal = owner_signal(words[kSlotOwner]);
    if (owner == processes.end() || signal >= kLedgerSignals || pages_of(slot_bytes(state)) > g.page_count) {
      ++status.skipped;
      continue;
    }
    status.page_bytes_used += pages_of(slot_bytes(state)) * kPageBytes;
    if (kind == kKindBaseline) {
      owner->second.baseline_bytes += slot_bytes(state);
    }
    if (kind != kKindBatch && kind != kKindParked) {
      continue;
    }
    add_batch(kind == kKindParked              ? status.parked
              : slot_state(state) == kSlotOpen ? status.open
                                               : status.closed,
              state);
    ProcessStatus& process = owner->second;
    ++process.batches;
    process.bytes += slot_bytes(state);
    process.ledger[signal].held += slot_records(state);
    if (status.oldest_batch_ns == 0 || words[kSlotOpened] < status.oldest_batch_ns) {
      status.oldest_batch_ns = words[kSlotOpened];
    }
    status.retrying += words[kSlotAttempts] != 0 ? 1 : 0;
  }
}

std::map<ProcessIndex, ProcessStatus> read_processes(const std::uint64_t* image, const Geometry& g,
                                                     HoldStatus& status) {
  std::map<ProcessIndex, ProcessStatus> processes;
  const std::uint64_t high = std::max<std::uint64_t>(1, std::min(image[kHeaderProcessHigh], g.process_count));
  for (std::uint64_t i = 0; i < high; ++i) {
    const std::uint64_t* words = image + g.process(i) / 8;
    if (i != kOthers && words[kProcessState] != kProcessLive && words[kProcessState] != kProcessGone) {
      status.skipped += words[kProcessState] != kProcessFree ? 1 : 0;
      continue;
    }
    ProcessStatus process;
    process.info = describe_process(static_cast<ProcessIndex>(i), words);
    process.others = i == kOthers;
    process.trouble = describe_trouble(words);
    process.baseline = baseline_state(words);
    process.baselines_lost = static_cast<std::uint32_t>(words[kProcessBaseline] >> 32);
    for (std::uint32_t signal = 0; signal < kLedgerSignals; ++signal) {
      process.ledger[signal] = load_ledger(words + kProcessLedger + signal * kLedgerWords);
      process.ledger[signal].judge_lanes(lanes_are_drained(words));
    }
    std::copy_n(words + kProcessGeneral, kProcessWordCount, process.words.begin());
    if (process.others) {
      process.info.identity.service = "others";
      process.info.gone = true;
      if (process.ledger == Ledger{}) {
        continue;
      }
    }
    processes.emplace(static_cast<ProcessIndex>(i), std::move(process));
  }
  return processes;
}

// The image's log, if valid, is applied already.
HoldStatus status_of_tables(const std::uint64_t* image, const Geometry& g) {
  HoldStatus status;
  status.agent_pid = static_cast<std::uint32_t>(image[kHeaderAgentPid]);
  status.agent_epoch = image[kHeaderAgentEpoch];
  status.agent_started_ns = image[kHeaderAgentStarted];
  status.agent_version = load_text(image + kHeaderVersionText, kVersionTextBytes);
  status.starts = image[kHeaderStarts];
  status.commits = image[kHeaderCommits];
  status.file_bytes = g.file_bytes;
  status.page_bytes = g.page_count * kPageBytes;
  read_threads(image, status);

  std::map<ProcessIndex, ProcessStatus> processes = read_processes(image, g, status);
  read_slots(image, g, processes, status);
  std::map<std::string, ServiceStatus> services;
  for (auto& [index, process] : processes) {
    ServiceStatus& service = services[process.info.identity.service];
    service.service = process.info.identity.service;
    service.processes += process.others ? 0 : 1;
    service.gone += process.info.gone && !process.others ? 1 : 0;
    for (std::size_t signal = 0; signal < kSignalCount; ++signal) {
      service.ledger[signal] += process.ledger[signal];
      status.totals[signal] += process.ledger[signal];
    }
    status.processes.push_back(std::move(process));
  }
  for (auto& [name, service] : services) {
    status.services.push_back(std::move(service));
  }
  return status;
}

Error not_a_hold(const std::string& path, const std::string& why) {
  return {ErrorCode::kCorrupt, "hold " + path + ": " + why};
}

}  // namespace

Result<HoldStatus> status_of_image(std::span<const std::byte> image) {
  if (image.size() < kMinBytes) {
    return not_a_hold("image", std::to_string(image.size()) + " bytes are too few");
  }
  std::vector<std::uint64_t> words(image.size() / 8);
  std::memcpy(words.data(), image.data(), words.size() * 8);
  const Geometry geometry = geometry_of(words.size() * 8);
  if (const char* misfit = check_geometry(words.data(), geometry)) {
    return not_a_hold("image", misfit);
  }
  auto* base = reinterpret_cast<std::byte*>(words.data());
  const LogState log = examine_log(base, geometry, geometry.file_bytes);
  if (log == LogState::damaged) {
    return not_a_hold("image", "its transaction log makes no sense");
  }
  if (log == LogState::valid) {
    apply_log(base, geometry, geometry.file_bytes);
  }
  HoldStatus status = status_of_tables(words.data(), geometry);
  status.interrupted = log == LogState::valid;
  return status;
}

Result<HoldStatus> read_status(const std::string& path, std::uint64_t stuck_after_ns) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) {
    return Error{errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kSystem,
                 "hold " + path + ": " + std::strerror(errno) +
                     (errno == ENOENT ? "; no agent has run here, or name its file with --hold" : "")};
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return not_a_hold(path, "not a plain file");
  }
  const auto bytes = static_cast<std::uint64_t>(info.st_size);
  if (bytes < kMinBytes || bytes > kMaxBytes) {
    return not_a_hold(path, "its size of " + std::to_string(bytes) + " bytes is none a hold can have");
  }

  Copy copy;
  copy.geometry = geometry_of(bytes);
  copy.words.resize(copy.geometry.pages_offset / 8);
  Step step = Step::moved;
  for (int attempt = 0; attempt < kCopies && step == Step::moved; ++attempt) {
    if (attempt >= kPauseAfter) {
      ::usleep(kPauseUs);
    }
    step = copy_once(file.get(), copy);
    if (const char* misfit =
            step == Step::failed ? "it was cut short" : check_geometry(copy.words.data(), copy.geometry)) {
      return not_a_hold(path, misfit);
    }
  }

  const bool interrupted = examine_log(copy.bytes(), copy.geometry, copy.geometry.pages_offset) == LogState::valid;
  if (interrupted) {
    apply_log(copy.bytes(), copy.geometry, copy.geometry.pages_offset);
  }
  HoldStatus status = status_of_tables(copy.words.data(), copy.geometry);
  status.interrupted = interrupted;
  status.consistent = step == Step::done;

  if (::flock(file.get(), LOCK_SH | LOCK_NB) == 0) {
    ::flock(file.get(), LOCK_UN);  // an agent that starts in this instant tries again for a while
    status.agent = AgentVerdict::dead;
    return status;
  }
  status.agent = status.oldest_beat_age_ns > stuck_after_ns ? AgentVerdict::stuck : AgentVerdict::running;
  if (const std::uint32_t holder = lock_holder(file.get())) {
    status.agent_pid = holder;
  }
  return status;
}

}  // namespace tailrace::agent
