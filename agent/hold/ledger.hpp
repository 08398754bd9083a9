// SPDX-License-Identifier: Apache-2.0
//
// The ledger: where every record went, per process and signal.
//
//   written = delivered + rejected + dropped{reason} + pending      (docs/design/hold.md)
//
// Two sides of it are counted apart and never smoothed into agreement: what the application's side
// counted (shim_written, and what it dropped itself) and what the agent saw. The difference is what
// still lies in the lanes while the process lives, and `unaccounted` once its lanes are known to be
// drained.
//
// Threads: values. Source: agent.md "The ledger".
#ifndef TAILRACE_AGENT_HOLD_LEDGER_HPP_
#define TAILRACE_AGENT_HOLD_LEDGER_HPP_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <tailrace/shm/layout.hpp>

#include "agent/base/signal.hpp"
#include "agent/hold/layout.hpp"

namespace tailrace::agent {

inline constexpr std::size_t kSignalCount = hold_layout::kLedgerSignals;

// Numbers are part of the hold's layout: append only, at most 24.
enum class DropReason : std::uint8_t {
  // Counted by the application's side; the agent never saw the record.
  lane_full = 0,
  no_lane = 1,
  unlaned = 2,
  // Counted by the agent, for records it took.
  oversize = 3,
  corrupt = 4,
  quarantined = 5,
  non_retryable = 6,  // the destination refused for good; the code is kept beside it
  retry_expired = 7,
  shutdown_timeout = 8,
  segment_evicted = 9,
  hold_damaged = 10,
  hold_full = 11,
  poison = 12,  // the agent died on this record three times
  rate_limited = 13,
  sampled = 14,
  shed = 15,
  filtered = 16,
  spool_full = 17,
};
inline constexpr std::size_t kDropReasonCount = 18;
static_assert(kDropReasonCount <= hold_layout::kDropReasonMax);

std::string_view drop_reason_name(DropReason reason);
constexpr bool is_shim_reason(DropReason reason) { return reason <= DropReason::unlaned; }

// What the application is told of a reason; not for the shim's own.
shm::DropGroup drop_group(DropReason reason);
static_assert(shm::kDropGroups == hold_layout::kDropGroups);

// Of a signal's records, the critical ones.
struct CriticalLedger {
  std::uint64_t delivered = 0;
  std::uint64_t rejected = 0;
  std::array<std::uint64_t, hold_layout::kDropGroups> dropped{};
  bool operator==(const CriticalLedger&) const = default;
};

// One signal of one process (or of a service, or of everything: they add up).
struct SignalLedger {
  std::uint64_t shim_written = 0;  // the shim's count: what it published plus what it dropped
  std::uint64_t produced = 0;      // made by the agent: metric points, spans left open by a dead process
  std::uint64_t seen = 0;          // taken by the agent from lanes, and produced
  std::uint64_t delivered = 0;
  std::uint64_t rejected = 0;
  std::array<std::uint64_t, hold_layout::kDropReasonMax> dropped{};
  std::array<std::uint64_t, hold_layout::kGrpcCodes> non_retryable{};  // by gRPC code; sums to its reason
  CriticalLedger critical;
  // Derived when the ledger is read:
  std::uint64_t held = 0;      // records in chains: open, closed, being sent, parked
  std::uint64_t in_lanes = 0;  // written and not seen yet; 0 once the process's lanes are drained for good

  [[nodiscard]] std::uint64_t written() const { return shim_written + produced; }
  [[nodiscard]] std::uint64_t dropped_total() const;
  [[nodiscard]] std::uint64_t shim_dropped() const;
  [[nodiscard]] std::uint64_t agent_dropped() const { return dropped_total() - shim_dropped(); }

  // Written, and neither seen nor dropped by the shim. Negative: the agent saw more than was
  // written.
  [[nodiscard]] std::int64_t difference() const { return static_cast<std::int64_t>(written() - seen - shim_dropped()); }
  // Sets in_lanes: all of a positive difference while the process's lanes may still hold something.
  void judge_lanes(bool drained) {
    in_lanes = drained || difference() < 0 ? 0 : static_cast<std::uint64_t>(difference());
  }
  [[nodiscard]] std::uint64_t pending() const { return held + in_lanes; }
  // written − delivered − rejected − dropped − pending, whatever its sign. 0 unless something is
  // wrong.
  [[nodiscard]] std::int64_t unaccounted() const {
    return static_cast<std::int64_t>(written() - delivered - rejected - dropped_total() - pending());
  }
  // seen − delivered − rejected − dropped by the agent − held. 0 unless the hold is damaged.
  [[nodiscard]] std::int64_t imbalance() const {
    return static_cast<std::int64_t>(seen - delivered - rejected - agent_dropped() - held);
  }

  SignalLedger& operator+=(const SignalLedger& other);
  bool operator==(const SignalLedger&) const = default;
};

using Ledger = std::array<SignalLedger, kSignalCount>;

// Shares `total` over parts in proportion to their counts, largest remainder first; the sum is
// exactly min(total, sum of counts) and no part gets more than its count. For partial success,
// which names a number and not the records.
std::vector<std::uint64_t> share_out(std::uint64_t total, std::span<const std::uint64_t> counts);

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_LEDGER_HPP_
