// SPDX-License-Identifier: Apache-2.0
// Private tables of fixed size that few programs need: mapped at the first use, touched as they are used, never given
// back.
//
// Threads: any; whoever comes first makes it, without a lock. Failure: null, where there is no memory.
#pragma once

#include <sys/mman.h>

#include <atomic>

namespace tailrace::shim {

// `Table` is valid when it is all zero.
template <class Table>
Table* lazy_table(std::atomic<Table*>& the_table) noexcept {
  Table* have = the_table.load(std::memory_order_acquire);
  if (have != nullptr) return have;
  void* fresh =
      mmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (fresh == MAP_FAILED) return nullptr;
  munlock(fresh, sizeof(Table));  // under mlockall(MCL_FUTURE) all of it would stay resident
  if (!the_table.compare_exchange_strong(have, static_cast<Table*>(fresh), std::memory_order_acq_rel)) {
    munmap(fresh, sizeof(Table));
    return have;
  }
  return static_cast<Table*>(fresh);
}

}  // namespace tailrace::shim
