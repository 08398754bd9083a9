// SPDX-License-Identifier: Apache-2.0
//
// Transaction: the one way in which more than one word of the hold changes.
//
// Pairs (offset, new value) with a checksum, made valid by one store of their count, applied,
// cleared by one store. Values are absolute: whoever finds a valid log applies it again, which is
// harmless.
//
// Threads: under the hold's mutex, from the first value read until commit() returns.
// Ownership: borrows the mapping. Failure: the caller keeps within capacity(); commit() cannot
// fail.
#ifndef TAILRACE_AGENT_HOLD_TRANSACTION_HPP_
#define TAILRACE_AGENT_HOLD_TRANSACTION_HPP_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "agent/hold/layout.hpp"

namespace tailrace::agent {

class Transaction {
 public:
  Transaction(std::byte* base, const hold_layout::Geometry& geometry);

  // A later pair for the same word wins.
  void set(std::uint64_t offset, std::uint64_t value);
  [[nodiscard]] std::uint64_t capacity() const { return geometry_.log_entries; }
  [[nodiscard]] bool empty() const { return pairs_.empty(); }
  void commit();

  [[nodiscard]] std::uint64_t commits() const { return commits_; }
  void set_commits(std::uint64_t commits) { commits_ = commits; }

 private:
  [[nodiscard]] std::uint64_t* word(std::uint64_t offset) const {
    return reinterpret_cast<std::uint64_t*>(base_ + offset);
  }

  std::byte* base_;
  hold_layout::Geometry geometry_;
  std::vector<std::uint64_t> pairs_;  // private: the log is never read back by who wrote it
  std::uint64_t commits_ = 0;
};

// What lies in the log of an image: base points at the file's first byte; it may be a private copy
// of the first `limit` bytes, and then a target beyond is believed.
enum class LogState { empty, valid, damaged };
LogState examine_log(const std::byte* base, const hold_layout::Geometry& geometry, std::uint64_t limit);
// Applies a valid log to the image's first `limit` bytes, without clearing it.
void apply_log(std::byte* base, const hold_layout::Geometry& geometry, std::uint64_t limit);

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_TRANSACTION_HPP_
