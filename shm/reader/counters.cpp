// SPDX-License-Identifier: Apache-2.0
#include "shm/reader/counters.hpp"

namespace tailrace::shm {
namespace {

using Counters = std::array<PrioritySums, kSignals>;

Counters load_counters(Bytes bytes, std::size_t offset) {
  Counters counters{};
  for (std::size_t s = 0; s < kSignals; ++s) {
    for (std::size_t p = 0; p < kPriorities; ++p) {
      counters[s][p] = bytes.load_or_zero<std::uint64_t>(offset + 8 * (s * kPriorities + p));
    }
  }
  return counters;
}

void add_counters(Counters& sums, const Counters& more) {
  for (std::size_t s = 0; s < kSignals; ++s) {
    for (std::size_t p = 0; p < kPriorities; ++p) sums[s][p] = add_saturating(sums[s][p], more[s][p]);
  }
}

std::uint64_t sum_of(const PrioritySums& sums) {
  std::uint64_t total = 0;
  for (const std::uint64_t one : sums) total = add_saturating(total, one);
  return total;
}

// Loads into a field of the type it has.
template <class T>
void take(Bytes bytes, std::size_t offset, T& field) {
  field = bytes.load_or_zero<T>(offset);
}

}  // namespace

LaneWords parse_lane_head(Bytes entry) {
  LaneWords lane;
  take(entry, offsetof(LaneHead, head), lane.head);
  for (std::size_t s = 0; s < kSignals; ++s) {
    take(entry, offsetof(LaneHead, written) + 8 * s, lane.written[s]);
  }
  lane.dropped = load_counters(entry, offsetof(LaneHead, dropped));
  take(entry, offsetof(LaneHead, not_sampled), lane.not_sampled);
  take(entry, offsetof(LaneHead, refused), lane.refused);
  take(entry, offsetof(LaneHead, cut), lane.cut);
  take(entry, offsetof(LaneHead, owner_from), lane.owner_from);
  take(entry, offsetof(LaneHead, tid), lane.tid);
  take(entry, offsetof(LaneHead, shard), lane.shard);
  take(entry, offsetof(LaneHead, cell_words), lane.cell_words);
  take(entry, offsetof(LaneHead, name), lane.name);
  lane.in_use = entry.load_or_zero<std::uint32_t>(offsetof(LaneHead, in_use)) != 0;
  lane.committed = (entry.load_or_zero<std::uint32_t>(offsetof(LaneHead, committed)) & 1u) != 0;
  return lane;
}

LaneTailWords parse_lane_tail(Bytes entry) {
  LaneTailWords tail;
  take(entry, offsetof(LaneTail, tail), tail.tail);
  take(entry, offsetof(LaneTail, settled), tail.settled);
  return tail;
}

ProcessWords parse_process(Bytes region) {
  ProcessWords process;
  take(region, offsetof(ProcessDynamic, strings_len), process.strings_len);
  take(region, offsetof(ProcessDynamic, metrics_count), process.metrics_count);
  take(region, offsetof(ProcessDynamic, lanes_used), process.lanes_used);
  take(region, offsetof(ProcessDynamic, doorbell), process.doorbell);
  take(region, offsetof(ProcessDynamic, flush_gen), process.flush_gen);
  take(region, offsetof(ProcessDynamic, scopes_count), process.scopes_count);
  take(region, offsetof(ProcessDynamic, pool_used), process.pool_used);
  process.unlaned_dropped = load_counters(region, offsetof(ProcessDynamic, unlaned_dropped));
  constexpr std::size_t kCrash = offsetof(ProcessDynamic, crash);
  take(region, kCrash + offsetof(Crash, signal), process.crash_signal);
  take(region, kCrash + offsetof(Crash, lane), process.crash_lane);
  take(region, kCrash + offsetof(Crash, address), process.crash_address);
  take(region, kCrash + offsetof(Crash, counter), process.crash_counter);
  take(region, offsetof(ProcessDynamic, metrics_unrecorded), process.metrics_unrecorded);
  take(region, offsetof(ProcessDynamic, metrics_invalid), process.metrics_invalid);
  take(region, offsetof(ProcessDynamic, metrics_clamped), process.metrics_clamped);
  for (std::size_t i = 0; i < kAnchors; ++i) {
    const std::size_t at = offsetof(ProcessDynamic, anchors) + i * sizeof(Anchor);
    AnchorWords& anchor = process.anchors[i];
    take(region, at + offsetof(Anchor, seq), anchor.seq);
    take(region, at + offsetof(Anchor, counter), anchor.counter);
    take(region, at + offsetof(Anchor, realtime_ns), anchor.realtime_ns);
    take(region, at + offsetof(Anchor, monotonic_ns), anchor.monotonic_ns);
  }
  take(region, offsetof(ProcessDynamic, critical_gen), process.critical_gen);
  for (std::size_t s = 0; s < kSignals; ++s) {
    take(region, offsetof(ProcessDynamic, critical_written) + s * sizeof(std::uint64_t), process.critical_written[s]);
  }
  return process;
}

ControlWords parse_control(Bytes region) {
  ControlWords control;
  take(region, offsetof(ControlHot, generation), control.generation);
  take(region, offsetof(ControlHot, disable_mask), control.disable_mask);
  take(region, offsetof(ControlHot, trace_threshold), control.trace_threshold);
  take(region, offsetof(ControlHot, min_severity), control.min_severity);
  take(region, offsetof(ControlHot, pressure), control.pressure);
  take(region, offsetof(ControlHot, clock_override), control.clock_override);
  take(region, offsetof(ControlHot, shed_mask), control.shed_mask);
  take(region, offsetof(ControlHot, long_span_seconds), control.long_span_seconds);
  constexpr std::size_t kAgent = offsetof(Control, agent);
  take(region, kAgent + offsetof(ControlAgent, heartbeat_monotonic_ns), control.heartbeat_monotonic_ns);
  take(region, kAgent + offsetof(ControlAgent, agent_epoch), control.agent_epoch);
  take(region, kAgent + offsetof(ControlAgent, agent_state), control.agent_state);
  take(region, kAgent + offsetof(ControlAgent, reason), control.reason);
  take(region, kAgent + offsetof(ControlAgent, abi_major), control.abi_major);
  take(region, kAgent + offsetof(ControlAgent, abi_minor), control.abi_minor);
  take(region, kAgent + offsetof(ControlAgent, agent_features), control.agent_features);
  constexpr std::size_t kFlush = offsetof(Control, flush);
  take(region, kFlush + offsetof(ControlFlush, flush_done), control.flush_done);
  take(region, kFlush + offsetof(ControlFlush, agent_sleeping), control.agent_sleeping);
  take(region, kFlush + offsetof(ControlFlush, critical_done), control.critical_done);
  take(region, kFlush + offsetof(ControlFlush, settled_seq), control.settled_seq);
  for (std::size_t row = 0; row < kFlushKinds * kSignals; ++row) {
    const std::size_t at = offsetof(Control, settled) + row * sizeof(SettledRow);
    SettledWords& words = control.settled[row / kSignals][row % kSignals];
    take(region, at + offsetof(SettledRow, produced), words.produced);
    take(region, at + offsetof(SettledRow, delivered), words.delivered);
    take(region, at + offsetof(SettledRow, rejected), words.rejected);
    for (std::size_t i = 0; i < kDropGroups; ++i) {
      take(region, at + offsetof(SettledRow, dropped) + i * sizeof(std::uint64_t), words.dropped[i]);
    }
  }
  return control;
}

void CounterSums::add(const LaneWords& lane) {
  for (std::size_t s = 0; s < kSignals; ++s) written[s] = add_saturating(written[s], lane.written[s]);
  add_counters(dropped, lane.dropped);
  not_sampled = add_saturating(not_sampled, lane.not_sampled);
  refused = add_saturating(refused, lane.refused);
  cut = add_saturating(cut, lane.cut);
}

void CounterSums::add(const ProcessWords& process) { add_counters(unlaned, process.unlaned_dropped); }

std::uint64_t CounterSums::dropped_of(Signal signal) const { return sum_of(dropped[static_cast<std::size_t>(signal)]); }
std::uint64_t CounterSums::unlaned_of(Signal signal) const { return sum_of(unlaned[static_cast<std::size_t>(signal)]); }

}  // namespace tailrace::shm
