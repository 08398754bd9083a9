// SPDX-License-Identifier: Apache-2.0
//
// read_status: everything `tailrace status` prints, read from the hold's file alone. Needs no
// answer from the agent and takes no lock it could wait for, so it works while the agent runs, is
// stuck, or is dead, and says which.
//
// Copies header, tables and log with pread; applies a valid log to the copy; copies again if the
// commit counter moved. Threads: pure function of the file. Failure: an Error naming the file;
// bytes that make no sense are skipped and counted, never trusted.
#ifndef TAILRACE_AGENT_HOLD_STATUS_HPP_
#define TAILRACE_AGENT_HOLD_STATUS_HPP_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/hold/hold.hpp"
#include "agent/hold/ledger.hpp"

namespace tailrace::agent {

enum class AgentVerdict : std::uint8_t { running, stuck, dead };

struct ThreadStatus {
  std::string name;
  std::uint64_t beat_age_ns = 0;
};

struct ProcessStatus {
  ProcessInfo info;
  bool others = false;  // the entry of folded processes
  Ledger ledger;
  std::uint32_t batches = 0;  // chains of any state
  std::uint64_t bytes = 0;
  std::uint64_t baseline_bytes = 0;  // what is kept of its metrics, to make deltas from
  BaselineState baseline = BaselineState::none;
  std::uint32_t baselines_lost = 0;  // times that it was damaged, or gone with an earlier hold
  std::array<std::uint64_t, hold_layout::kProcessWordCount> words{};
  DrainTrouble trouble;
};

struct ServiceStatus {
  std::string service;
  std::uint32_t processes = 0;
  std::uint32_t gone = 0;
  Ledger ledger;
};

struct StateStatus {
  std::uint64_t batches = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
};

struct HoldStatus {
  AgentVerdict agent = AgentVerdict::dead;
  std::uint32_t agent_pid = 0;  // of the running agent, else of the last one
  std::uint64_t agent_epoch = 0;
  std::uint64_t agent_started_ns = 0;  // realtime
  std::string agent_version;
  std::uint64_t starts = 0;
  std::uint64_t commits = 0;
  bool interrupted = false;  // a transaction was under way; the figures are those after it
  bool consistent = true;    // false: the agent committed during every one of many copies
  std::uint64_t oldest_beat_age_ns = 0;
  std::vector<ThreadStatus> threads;

  std::vector<ProcessStatus> processes;  // in use, live and gone
  std::vector<ServiceStatus> services;   // by name
  Ledger totals;
  StateStatus open;
  StateStatus closed;  // waiting and being sent: which of the two is private to the agent
  StateStatus parked;
  std::uint64_t oldest_batch_ns = 0;  // realtime when the oldest chain was opened; 0: none
  std::uint32_t retrying = 0;         // batches with attempts behind them
  std::uint64_t file_bytes = 0;
  std::uint64_t page_bytes = 0;
  std::uint64_t page_bytes_used = 0;
  std::uint32_t skipped = 0;  // table entries that made no sense
};

// `stuck_after_ns`: an agent that holds the lock and whose oldest heartbeat is older is stuck.
Result<HoldStatus> read_status(const std::string& path, std::uint64_t stuck_after_ns = 10'000'000'000);

// The same over bytes that are at hand, without the agent's verdict. For tests and the fuzzer.
Result<HoldStatus> status_of_image(std::span<const std::byte> image);

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_STATUS_HPP_
