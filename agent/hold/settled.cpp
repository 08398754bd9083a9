// SPDX-License-Identifier: Apache-2.0
//
// `settled` of a lane (rule 5): the lowest first position that any live chain of the process took
// from it, else the committed position. Everything before it is delivered, rejected, or dropped
// with a reason.
#include <algorithm>

#include "agent/hold/core.hpp"
#include "agent/hold/mutation.hpp"

namespace tailrace::agent {

void HoldCore::add_first(Process& process, Chain& chain, Origin origin) {
  if (origin.lane >= process.lanes.size() || mutated(Mutation::first_position_forgotten)) {
    return;
  }
  LaneState& lane = process.lanes[origin.lane];
  std::vector<LaneState::First>& firsts = lane.firsts;
  if (firsts.size() >= lane.compact_at) {
    // Behind one old batch that cannot be sent, chains come and go: their entries must not add up.
    firsts.erase(firsts.begin(), firsts.begin() + static_cast<std::ptrdiff_t>(lane.front));
    lane.front = 0;
    std::erase_if(firsts, [this](const LaneState::First& entry) { return find_chain(entry.chain) == nullptr; });
    lane.compact_at = std::max<std::size_t>(64, 2 * firsts.size());
  }
  const LaneState::First first{origin.position, chain.id()};
  // Lanes are read in order, so this is the end but for a joined span.
  auto place = firsts.end();
  if (!firsts.empty() && firsts.back().position > origin.position) {
    place = std::upper_bound(
        firsts.begin() + static_cast<std::ptrdiff_t>(lane.front), firsts.end(), origin.position,
        [](std::uint64_t position, const LaneState::First& entry) { return position < entry.position; });
  }
  firsts.insert(place, first);
  chain.firsts.push_back(origin);
}

// A parked chain's records went into `to`, which now holds their positions.
void HoldCore::move_firsts(Process& process, Chain& from, Chain& to) {
  for (const Origin& origin : from.firsts) {
    add_first(process, to, origin);
  }
  if (from.resumed && !to.resumed) {
    to.resumed = true;
    ++process.resumed;
  }
}

std::uint64_t HoldCore::settled_of(Process& process, std::uint32_t lane) {
  LaneState& state = process.lanes[lane];
  while (state.front < state.firsts.size() && find_chain(state.firsts[state.front].chain) == nullptr) {
    ++state.front;
  }
  std::uint64_t value = state.front < state.firsts.size() ? state.firsts[state.front].position : state.position;
  if (process.resumed != 0) {
    value = std::min(value, state.old_settled);
  }
  return value;
}

void HoldCore::publish_settled(Process& process, std::uint32_t lane) {
  const std::uint64_t value = settled_of(process, lane);
  LaneState& state = process.lanes[lane];
  if (value != state.published) {
    state.published = value;
    if (process.sink != nullptr) {
      process.sink->settled(lane, value);
    }
  }
}

void HoldCore::publish_all(Process& process) {
  for (std::uint32_t lane = 0; lane < process.lanes.size(); ++lane) {
    publish_settled(process, lane);
  }
}

void HoldCore::publish_after(Process& process, const std::vector<Origin>& firsts, bool was_resumed) {
  if (was_resumed && --process.resumed == 0) {
    publish_all(process);
    return;
  }
  for (const Origin& origin : firsts) {
    publish_settled(process, origin.lane);
  }
}

}  // namespace tailrace::agent
