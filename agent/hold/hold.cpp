// SPDX-License-Identifier: Apache-2.0
#include "agent/hold/hold.hpp"

#include <algorithm>
#include <cassert>
#include <random>
#include <unistd.h>

#include "agent/hold/core.hpp"
#include "agent/hold/words.hpp"
#include <tailrace/shm/test_point.hpp>

namespace tailrace::agent {

using namespace hold_layout;

namespace {

bool plausible_size(std::uint64_t bytes) { return bytes >= kMinBytes && bytes <= kMaxBytes && bytes % kPageBytes == 0; }

// Killed while it was being made: sized, but nothing was stored yet, or no more than the header.
bool never_finished(const HoldCore& core) {
  if (*core.word(0) != 0) {
    return false;
  }
  const std::uint64_t* tables = core.word(core.geometry.log_offset);
  const std::uint64_t* end = core.word(core.geometry.pages_offset);
  return std::all_of(tables, end, [](std::uint64_t word) { return word == 0; });
}

Error no_room(const std::string& path, std::uint64_t bytes) {
  return {ErrorCode::kResourceExhausted, "hold " + path + ": the file system has no room for its tables of " +
                                             std::to_string(bytes) +
                                             " bytes; free some or name another place with --hold"};
}

// Maps what is there if it can be used, with its tables' memory present.
Result<std::unique_ptr<HoldCore>> map_core(std::unique_ptr<HoldFile>& file, std::uint64_t bytes) {
  if (Status mapped = file->map(bytes); !mapped) {
    return std::move(mapped).error();
  }
  if (const std::uint64_t tables = geometry_of(bytes).pages_offset; !file->commit_range(0, tables)) {
    return no_room(file->path(), tables);
  }
  std::byte* base = file->base();
  return std::make_unique<HoldCore>(std::move(file), std::span(base, bytes));
}

Result<std::unique_ptr<HoldCore>> create_core(std::unique_ptr<HoldFile>& file, std::uint64_t bytes) {
  // Emptied first: one step after which the old content is gone and nothing is left that could be
  // half.
  Status sized = file->resize(0);
  TAILRACE_TEST_POINT("hold.create.emptied");
  if (sized.ok()) {
    sized = file->resize(bytes);
  }
  if (!sized) {
    return std::move(sized).error();
  }
  TAILRACE_TEST_POINT("hold.create.sized");
  auto core = map_core(file, bytes);
  if (!core) {
    if (file != nullptr) {
      static_cast<void>(file->resize(0).ok());
    }
    return core;
  }
  (*core)->create();
  return core;
}

void begin_life(HoldCore& core, const std::string& version) {
  std::uint64_t* header = core.word(0);
  core.recovery.last_pid = static_cast<std::uint32_t>(header[kHeaderAgentPid]);
  std::random_device random;
  core.epoch = std::uint64_t{random()} << 32 | random();
  store_word(header + kHeaderAgentPid, static_cast<std::uint64_t>(::getpid()));
  store_word(header + kHeaderAgentEpoch, core.epoch);
  store_word(header + kHeaderAgentStarted, clock_ns(CLOCK_REALTIME));
  store_word(header + kHeaderStarts, header[kHeaderStarts] + 1);
  store_text(header + kHeaderVersionText, kVersionTextBytes, version);
  for (std::uint32_t i = 0; i < kThreadMax * kThreadWords; ++i) {
    store_word(header + kHeaderThreads + i, 0);
  }
  TAILRACE_TEST_POINT("hold.start.life");
}

}  // namespace

Hold::Hold(std::unique_ptr<HoldCore> core) : core_(std::move(core)) {}
Hold::~Hold() = default;

Result<std::unique_ptr<Hold>> Hold::open(const HoldOptions& options) {
  const std::uint64_t wanted = options.bytes / kPageBytes * kPageBytes;
  if (!plausible_size(wanted)) {
    return Error{ErrorCode::kInvalidArgument, "hold " + options.path + ": " + std::to_string(options.bytes) +
                                                  " bytes; from " + std::to_string(kMinBytes) + " to " +
                                                  std::to_string(kMaxBytes) + " are possible"};
  }
  auto opened = HoldFile::open(options.path);
  if (!opened) {
    return std::move(opened).error();
  }
  std::unique_ptr<HoldFile> file = std::move(opened).value();
  const std::uint64_t found = file->bytes();
  std::unique_ptr<HoldCore> core;
  std::string damage;

  if (plausible_size(found)) {
    auto mapped = map_core(file, found);
    if (!mapped) {
      return std::move(mapped).error();
    }
    core = std::move(mapped).value();
    const char* misfit = core->check();
    if (misfit != nullptr && !never_finished(*core)) {
      damage = misfit;
    }
    if (misfit != nullptr || (found != wanted && core->holds_nothing())) {
      file = std::move(core->file);
      core = nullptr;
    }
  } else if (found != 0) {
    damage = "its size of " + std::to_string(found) + " bytes is none a hold can have";
  }

  if (core == nullptr) {
    if (!damage.empty()) {
      const std::uint64_t tables = plausible_size(found) ? geometry_of(found).pages_offset : std::uint64_t{1} << 20;
      if (Status kept = file->keep_copy(tables); !kept) {
        damage += "; no copy was kept: " + kept.error().sentence;  // never a reason not to start
      }
      TAILRACE_TEST_POINT("hold.create.copied");
    }
    auto created = create_core(file, wanted);
    if (!created) {
      return std::move(created).error();
    }
    core = std::move(created).value();
    core->recovery.renewed = !damage.empty();
    core->recovery.damage = damage;
  } else {
    core->recovery.size_kept = found != wanted;
  }
  core->recover();
  begin_life(*core, options.version);
  return std::unique_ptr<Hold>(new Hold(std::move(core)));
}

Result<std::unique_ptr<Hold>> Hold::over(std::span<std::byte> memory, bool create) {
  if (!plausible_size(memory.size())) {
    return Error{ErrorCode::kInvalidArgument, "hold: " + std::to_string(memory.size()) + " bytes of memory"};
  }
  auto core = std::make_unique<HoldCore>(nullptr, memory);
  if (create) {
    core->create();
  }
  if (const char* misfit = core->check()) {
    return Error{ErrorCode::kCorrupt, std::string("hold: ") + misfit};
  }
  core->recover();
  begin_life(*core, "");
  return std::unique_ptr<Hold>(new Hold(std::move(core)));
}

const Recovery& Hold::recovery() const { return core_->recovery; }

// --- processes

ProcessIndex Hold::find(const Uuid& uuid) const {
  const std::lock_guard lock(core_->mutex);
  return core_->find_process(uuid);
}

Result<ProcessIndex> Hold::add(const ProcessIdentity& identity) {
  const std::lock_guard lock(core_->mutex);
  return core_->add_process(identity);
}

Status Hold::retire(ProcessIndex process) {
  const std::lock_guard lock(core_->mutex);
  return core_->retire_process(process);
}

ProcessInfo Hold::process(ProcessIndex process) const {
  const std::lock_guard lock(core_->mutex);
  return describe_process(process, core_->processes[process]->words.data());
}

std::vector<ProcessIndex> Hold::processes() const {
  const std::lock_guard lock(core_->mutex);
  std::vector<ProcessIndex> all;
  for (ProcessIndex i = kOthers + 1; i < core_->process_high; ++i) {
    if (core_->processes[i] != nullptr && !core_->processes[i]->gone()) {
      all.push_back(i);
    }
  }
  return all;
}

Ledger Hold::ledger(ProcessIndex process) const {
  const std::lock_guard lock(core_->mutex);
  return core_->ledger_of(*core_->processes[process]);
}

std::uint64_t Hold::position(ProcessIndex process, std::uint32_t lane) const {
  const std::lock_guard lock(core_->mutex);
  const auto& lanes = core_->processes[process]->lanes;
  return lane < lanes.size() ? lanes[lane].position : 0;
}

std::uint64_t Hold::word(ProcessIndex process, ProcessWord word) const {
  const std::lock_guard lock(core_->mutex);
  return core_->processes[process]->words[kProcessGeneral + static_cast<std::uint32_t>(word)];
}

void Hold::set_word(ProcessIndex process, ProcessWord word, std::uint64_t value) {
  const std::lock_guard lock(core_->mutex);
  core_->store_process(process, kProcessGeneral + static_cast<std::uint32_t>(word), value);
}

void Hold::set_position(ProcessIndex index, std::uint32_t lane, std::uint64_t position) {
  const std::lock_guard lock(core_->mutex);
  Process& process = *core_->processes[index];
  assert(lane < process.lanes.size());
  process.lanes[lane].position = position;
  store_word(core_->word(core_->position_offset(process, lane)), position);
  TAILRACE_TEST_POINT("hold.position.set");
  core_->publish_settled(process, lane);
}

DrainTrouble Hold::trouble(ProcessIndex process) const {
  const std::lock_guard lock(core_->mutex);
  return describe_trouble(core_->processes[process]->words.data());
}

BaselineState Hold::baseline(ProcessIndex index, std::vector<std::byte>& out) const {
  out.clear();
  const std::lock_guard lock(core_->mutex);
  const Process& process = *core_->processes[index];
  if (process.baseline != nullptr) {
    std::uint64_t left = process.baseline->bytes;
    for (const std::uint32_t page : process.baseline->pages) {
      const std::byte* start = core_->page(page);
      const std::uint64_t part = std::min(left, kPageBytes);
      out.insert(out.end(), start, start + part);
      left -= part;
    }
  }
  return baseline_state(process.words.data());
}

// --- settled

void Hold::attach(ProcessIndex index, SettledSink* sink, std::span<const std::uint64_t> old_settled) {
  const std::lock_guard lock(core_->mutex);
  Process& process = *core_->processes[index];
  process.sink = sink;
  for (std::uint32_t lane = 0; lane < process.lanes.size(); ++lane) {
    LaneState& state = process.lanes[lane];
    const std::uint64_t old = lane < old_settled.size() ? old_settled[lane] : 0;
    state.old_settled = old <= state.position ? old : 0;
    state.published = core_->settled_of(process, lane);
    if (sink != nullptr) {
      sink->settled(lane, state.published);
    }
  }
}

void Hold::detach(ProcessIndex process) {
  const std::lock_guard lock(core_->mutex);
  core_->processes[process]->sink = nullptr;
}

std::uint64_t Hold::settled(ProcessIndex process, std::uint32_t lane) const {
  const std::lock_guard lock(core_->mutex);
  return lane < core_->processes[process]->lanes.size() ? core_->settled_of(*core_->processes[process], lane) : 0;
}

// --- batches

Status Hold::close(BatchId batch, std::span<const Patch> patches) { return core_->close_batch(batch, patches); }

Result<BatchInfo> Hold::info(BatchId batch) const {
  const std::lock_guard lock(core_->mutex);
  const Chain* chain = core_->find_chain(batch);
  if (chain == nullptr) {
    return Error{ErrorCode::kNotFound, "hold: batch " + std::to_string(batch.slot) + " is not there"};
  }
  return core_->describe(*chain);
}

void Hold::pieces(BatchId batch, std::vector<ByteSpan>& out) const {
  out.clear();
  const std::lock_guard lock(core_->mutex);
  const Chain* chain = core_->find_chain(batch);
  if (chain == nullptr) {
    return;
  }
  std::uint64_t left = chain->bytes;
  for (std::size_t i = 0; left != 0; ++i) {
    const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(left, kPageBytes));
    const std::byte* start = core_->page(chain->pages[i]);
    if (!out.empty() && out.back().data() + out.back().size() == start) {
      out.back() = {out.back().data(), out.back().size() + part};
    } else {
      out.emplace_back(start, part);
    }
    left -= part;
  }
}

void Hold::begin_send(std::span<const BatchId> batches) {
  const std::lock_guard lock(core_->mutex);
  for (const BatchId id : batches) {
    if (Chain* chain = core_->find_chain(id); chain != nullptr && chain->state == BatchState::closed) {
      chain->state = BatchState::inflight;
    }
  }
}

void Hold::retry(std::span<const BatchId> batches, std::uint32_t attempts, std::uint64_t due_ns) {
  const std::lock_guard lock(core_->mutex);
  for (const BatchId id : batches) {
    Chain* chain = core_->find_chain(id);
    if (chain == nullptr || chain->state != BatchState::inflight) {
      continue;
    }
    chain->state = BatchState::closed;
    chain->attempts = attempts;
    chain->due_ns = due_ns;
    std::uint64_t* words = core_->word(core_->geometry.slot(chain->slot));
    store_word(words + kSlotAttempts, attempts);
    TAILRACE_TEST_POINT("hold.retry.word");
    store_word(words + kSlotDue, due_ns);
    TAILRACE_TEST_POINT("hold.retry.word");
  }
}

void Hold::unsettled(ProcessIndex process, bool critical_only, std::vector<BatchId>& out) const {
  const std::lock_guard lock(core_->mutex);
  // The process knows how many it has: the search ends with the last one.
  std::uint32_t left = core_->processes[process]->chains;
  for (std::uint32_t slot = 0; slot < core_->slot_high && left != 0; ++slot) {
    const Chain* chain = core_->chains[slot].get();
    if (chain == nullptr || !chain->in_use || chain->key.process != process ||
        (chain->kind != kKindBatch && chain->kind != kKindParked)) {
      continue;
    }
    --left;
    if (chain->kind == kKindBatch && chain->state != BatchState::open &&
        (!critical_only || chain->key.priority == kCriticalPriority)) {
      out.push_back(chain->id());
    }
  }
}

void Hold::forget_settled(std::vector<BatchId>& batches) const {
  const std::lock_guard lock(core_->mutex);
  std::erase_if(batches, [this](BatchId id) { return core_->find_chain(id) == nullptr; });
}

Status Hold::settle(std::span<const Outcome> outcomes) { return core_->settle_batches(outcomes); }

// --- room

std::uint64_t Hold::bytes_free() const {
  const std::lock_guard lock(core_->mutex);
  const std::uint64_t free = core_->pool.free_pages();
  return free > core_->reserve_pages ? (free - core_->reserve_pages) * kPageBytes : 0;
}

Occupancy Hold::occupancy() const {
  const std::lock_guard lock(core_->mutex);
  const PagePool& pool = core_->pool;
  return {pool.pages() * kPageBytes, pool.used_pages() * kPageBytes, core_->parked_pages * kPageBytes,
          pool.committed_pages() * kPageBytes, pool.tmpfs_full()};
}

std::uint64_t Hold::trim(std::uint64_t keep_bytes) {
  constexpr std::uint32_t kGroupsACall = 16;  // the mutex is held for about a millisecond
  const std::lock_guard lock(core_->mutex);
  return core_->pool.trim(static_cast<std::uint32_t>(keep_bytes / kPageBytes), kGroupsACall,
                          [this](std::uint32_t first, std::uint32_t count) {
                            return core_->file != nullptr &&
                                   core_->file->release_range(core_->geometry.page(first), count * kPageBytes);
                          }) *
         kPageBytes;
}

// --- life

void Hold::name_thread(std::uint32_t thread, std::string_view name) {
  assert(thread < kThreadMax);
  store_text(core_->word((kHeaderThreads + thread * kThreadWords + kThreadName) * 8), kThreadNameBytes, name);
  beat(thread);
}

void Hold::beat(std::uint32_t thread) {
  assert(thread < kThreadMax);
  store_word(core_->word((kHeaderThreads + thread * kThreadWords + kThreadBeat) * 8), clock_ns(CLOCK_MONOTONIC));
}

std::uint64_t Hold::epoch() const { return core_->epoch; }

std::uint64_t Hold::commits() const {
  const std::lock_guard lock(core_->mutex);
  return core_->transaction.commits();
}

}  // namespace tailrace::agent
