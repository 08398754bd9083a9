// SPDX-License-Identifier: Apache-2.0
//
// FaultGuard: reading a segment that its owner cuts short must not kill the agent.
//
// A page of a mapped file that is not there any more, or that a full tmpfs cannot give, raises SIGBUS. The
// guard's handler finds the mapping in a static table, puts pages of zeros over the fault and marks the
// mapping; the reader then finds zeros, and its owner asks faults() after the copy. A fault anywhere else
// goes to the handler that was there before, or ends the process as it would have without us.
//
// Threads: any; the table is lock-free and the handler is async-signal-safe. Install once, early.
// Failure: a full table is false from add(): such a segment must not be mapped.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::agent {

class FaultGuard {
 public:
  static constexpr std::size_t kMappingsMax = 16384;

  // Installs the SIGBUS handler; repeated calls do nothing.
  static void install();

  FaultGuard() = default;
  ~FaultGuard();
  FaultGuard(const FaultGuard&) = delete;
  FaultGuard& operator=(const FaultGuard&) = delete;

  // Guards [address, address + bytes) until destroyed. `writable` mappings get writable zeros.
  [[nodiscard]] bool add(const void* address, std::size_t bytes, bool writable);
  void remove();
  // How many faults were met in the mapping so far.
  [[nodiscard]] std::uint32_t faults() const;

 private:
  int entry_ = -1;
};

}  // namespace tailrace::agent
