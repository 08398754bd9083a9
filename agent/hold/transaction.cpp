// SPDX-License-Identifier: Apache-2.0
#include "agent/hold/transaction.hpp"

#include <cassert>

#include "agent/hold/mutation.hpp"
#include "agent/hold/words.hpp"
#include <tailrace/shm/test_point.hpp>

namespace tailrace::agent {

using namespace hold_layout;

Transaction::Transaction(std::byte* base, const Geometry& geometry) : base_(base), geometry_(geometry) {
  pairs_.reserve(256);
}

void Transaction::set(std::uint64_t offset, std::uint64_t value) {
  assert(offset % 8 == 0 && offset + 8 <= geometry_.file_bytes);
  pairs_.push_back(offset);
  pairs_.push_back(mutated(Mutation::deltas_in_log) ? value - *word(offset) : value);
}

void Transaction::commit() {
  const std::uint64_t count = pairs_.size() / 2;
  if (count == 0) {
    return;
  }
  assert(count <= geometry_.log_entries);
  std::uint64_t* log = word(geometry_.log_offset);

  if (mutated(Mutation::valid_before_entries)) {
    store_word(log + kLogCount, count);
  }
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    store_word(log + kLogEntries + i, pairs_[i]);
    TAILRACE_TEST_POINT("hold.txn.entry");
  }
  store_word(log + kLogChecksum, log_checksum(count, pairs_.data()));
  TAILRACE_TEST_POINT("hold.txn.checksum");
  store_word(log + kLogCount, count);  // from here on the transaction has happened
  TAILRACE_TEST_POINT("hold.txn.valid");
  if (mutated(Mutation::clear_before_apply)) {
    store_word(log + kLogCount, 0);
    TAILRACE_TEST_POINT("hold.txn.clear");
  }

  for (std::size_t i = 0; i < pairs_.size(); i += 2) {
    std::uint64_t* target = word(pairs_[i]);
    store_word(target, mutated(Mutation::deltas_in_log) ? *target + pairs_[i + 1] : pairs_[i + 1]);
    TAILRACE_TEST_POINT("hold.txn.apply");
  }
  // Before the log is cleared: a status that finds the log clear and this counter unmoved has
  // copied tables in which no transaction was half done.
  store_word(word(0) + kHeaderCommits, ++commits_);
  TAILRACE_TEST_POINT("hold.txn.counted");
  store_word(log + kLogCount, 0);
  TAILRACE_TEST_POINT("hold.txn.clear");
  pairs_.clear();
}

LogState examine_log(const std::byte* base, const Geometry& geometry, std::uint64_t limit) {
  const auto* words = reinterpret_cast<const std::uint64_t*>(base);
  const std::uint64_t* log = words + geometry.log_offset / 8;
  const std::uint64_t count = log[kLogCount];
  if (count == 0) {
    return LogState::empty;
  }
  if (count > geometry.log_entries || log[kLogChecksum] != log_checksum(count, log + kLogEntries)) {
    return LogState::damaged;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t offset = log[kLogEntries + 2 * i];
    if (offset % 8 != 0 || offset < geometry.processes_offset || offset >= geometry.file_bytes) {
      return LogState::damaged;
    }
    if (offset < geometry.page_words_offset) {
      continue;  // a process or a slot
    }
    if (offset < geometry.pages_offset) {
      return LogState::damaged;  // page words are never part of a transaction
    }
    if (offset >= limit) {
      continue;
    }
    // The only pages whose words change by transaction are lane positions.
    const std::uint64_t page = (offset - geometry.pages_offset) / kPageBytes;
    if (page >= geometry.page_count) {
      return LogState::damaged;
    }
    const std::uint64_t owner = words[geometry.page_word(page) / 8];
    if (owner == 0 || page_slot(owner) >= geometry.slot_count ||
        owner_kind(words[geometry.slot(page_slot(owner)) / 8 + kSlotOwner]) != kKindPositions) {
      return LogState::damaged;
    }
  }
  return LogState::valid;
}

void apply_log(std::byte* base, const Geometry& geometry, std::uint64_t limit) {
  auto* words = reinterpret_cast<std::uint64_t*>(base);
  const std::uint64_t* log = words + geometry.log_offset / 8;
  const std::uint64_t count = log[kLogCount];
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t offset = log[kLogEntries + 2 * i];
    if (offset >= limit) {
      continue;
    }
    std::uint64_t* target = words + offset / 8;
    const std::uint64_t value = log[kLogEntries + 2 * i + 1];
    store_word(target, mutated(Mutation::deltas_in_log) ? *target + value : value);
    TAILRACE_TEST_POINT("hold.start.apply");
  }
}

}  // namespace tailrace::agent
