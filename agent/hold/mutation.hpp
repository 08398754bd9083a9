// SPDX-License-Identifier: Apache-2.0
//
// Deliberate mistakes, compiled only into the tests' own copy of the hold
// (TAILRACE_HOLD_MUTATIONS). The kill matrix must catch each one: that is what shows that it would
// catch a real one.
#ifndef TAILRACE_AGENT_HOLD_MUTATION_HPP_
#define TAILRACE_AGENT_HOLD_MUTATION_HPP_

namespace tailrace::agent {

enum class Mutation : int {
  none = 0,
  position_before_commit,      // the lane's position is stored outside the transaction
  pages_before_settlement,     // page words are cleared before the settlement is valid
  pages_not_cleared_at_start,  // page words beyond a committed length are left (a later kill finds
                               // two owners)
  settle_in_two,               // the ledger is booked in one transaction, slots are freed in the next
  valid_before_entries,        // the log's count is stored before its pairs
  deltas_in_log,               // applying adds instead of setting
  clear_before_apply,          // the log is cleared before it is applied
  page_word_after_commit,      // pages are named only once the batch is committed
  booked_before_join,          // a parked chain is freed before the batch has grown
  first_position_forgotten,    // settled moves with the committed position
  baseline_before_points,      // the baseline is switched, and its points are committed afterwards
  points_before_baseline,      // the other way round
  baseline_freed_early,        // the old baseline's pages are given up before the switch is valid
};

#ifdef TAILRACE_HOLD_MUTATIONS
extern Mutation hold_mutation;
inline bool mutated(Mutation which) { return hold_mutation == which; }
#else
constexpr bool mutated(Mutation) { return false; }
#endif

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_MUTATION_HPP_
