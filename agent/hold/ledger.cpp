// SPDX-License-Identifier: Apache-2.0
#include "agent/hold/ledger.hpp"

#include <algorithm>
#include <numeric>

namespace tailrace::agent {

__extension__ using Wide = unsigned __int128;  // a product of two counts

std::string_view drop_reason_name(DropReason reason) {
  static constexpr std::array<std::string_view, kDropReasonCount> kNames = {
      "lane_full",    "no_lane",       "unlaned",       "oversize",         "corrupt",
      "quarantined",  "non_retryable", "retry_expired", "shutdown_timeout", "segment_evicted",
      "hold_damaged", "hold_full",     "poison",        "rate_limited",     "sampled",
      "shed",         "filtered",      "spool_full"};
  const auto index = static_cast<std::size_t>(reason);
  return index < kNames.size() ? kNames[index] : "unknown";
}

shm::DropGroup drop_group(DropReason reason) {
  switch (reason) {
    case DropReason::non_retryable: return shm::DropGroup::refused;
    case DropReason::retry_expired:
    case DropReason::shutdown_timeout: return shm::DropGroup::expired;
    case DropReason::oversize:
    case DropReason::corrupt:
    case DropReason::quarantined:
    case DropReason::poison: return shm::DropGroup::unusable;
    case DropReason::rate_limited:
    case DropReason::sampled:
    case DropReason::shed:
    case DropReason::filtered: return shm::DropGroup::policy;
    case DropReason::lane_full:
    case DropReason::no_lane:
    case DropReason::unlaned:
    case DropReason::segment_evicted:
    case DropReason::hold_damaged:
    case DropReason::hold_full:
    case DropReason::spool_full: break;
  }
  return shm::DropGroup::lost;
}

std::uint64_t SignalLedger::dropped_total() const {
  return std::accumulate(dropped.begin(), dropped.end(), std::uint64_t{0});
}

std::uint64_t SignalLedger::shim_dropped() const {
  std::uint64_t sum = 0;
  for (std::size_t reason = 0; is_shim_reason(static_cast<DropReason>(reason)); ++reason) {
    sum += dropped[reason];
  }
  return sum;
}

SignalLedger& SignalLedger::operator+=(const SignalLedger& other) {
  shim_written += other.shim_written;
  produced += other.produced;
  seen += other.seen;
  delivered += other.delivered;
  rejected += other.rejected;
  for (std::size_t i = 0; i < dropped.size(); ++i) {
    dropped[i] += other.dropped[i];
  }
  for (std::size_t i = 0; i < non_retryable.size(); ++i) {
    non_retryable[i] += other.non_retryable[i];
  }
  critical.delivered += other.critical.delivered;
  critical.rejected += other.critical.rejected;
  for (std::size_t i = 0; i < critical.dropped.size(); ++i) {
    critical.dropped[i] += other.critical.dropped[i];
  }
  held += other.held;
  in_lanes += other.in_lanes;
  return *this;
}

std::vector<std::uint64_t> share_out(std::uint64_t total, std::span<const std::uint64_t> counts) {
  std::vector<std::uint64_t> shares(counts.size());
  const std::uint64_t sum = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (sum == 0) {
    return shares;
  }
  total = std::min(total, sum);

  struct Remainder {
    std::uint64_t value;
    std::size_t part;
  };
  std::vector<Remainder> remainders;
  std::uint64_t shared = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const Wide product = Wide{total} * counts[i];
    shares[i] = static_cast<std::uint64_t>(product / sum);
    shared += shares[i];
    remainders.push_back({static_cast<std::uint64_t>(product % sum), i});
  }
  std::stable_sort(remainders.begin(), remainders.end(),
                   [](const Remainder& a, const Remainder& b) { return a.value > b.value; });
  // Fewer are left than parts with a remainder, so no part passes its count.
  for (std::size_t i = 0; shared < total; ++i, ++shared) {
    ++shares[remainders[i].part];
  }
  return shares;
}

}  // namespace tailrace::agent
