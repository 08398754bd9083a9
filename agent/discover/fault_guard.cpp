// SPDX-License-Identifier: Apache-2.0
#include "agent/discover/fault_guard.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>

namespace tailrace::agent {
namespace {

// A mapping's words. `begin` is stored last and cleared first: the handler believes an entry that has one.
struct Mapping {
  std::atomic<std::uintptr_t> begin;
  std::atomic<std::uintptr_t> end;
  std::atomic<std::uint32_t> faults;
  std::atomic<std::uint8_t> writable;
  std::atomic<std::uint8_t> taken;
};

std::array<Mapping, FaultGuard::kMappingsMax> mappings;
std::atomic<std::size_t> mappings_used{0};  // entries ever taken
std::uintptr_t page_bytes = 4096;
struct sigaction former {};

Mapping* mapping_of(std::uintptr_t address) {
  const std::size_t used = mappings_used.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < used; ++i) {
    const std::uintptr_t begin = mappings[i].begin.load(std::memory_order_acquire);
    if (begin != 0 && address >= begin && address < mappings[i].end.load(std::memory_order_relaxed)) {
      return &mappings[i];
    }
  }
  return nullptr;
}

// The fault is not ours: whoever was here before decides, and without one the process ends as if there
// were no handler, because the instruction is run again.
void pass_on(int signal, siginfo_t* info, void* context) {
  if ((former.sa_flags & SA_SIGINFO) != 0 && former.sa_sigaction != nullptr) {
    former.sa_sigaction(signal, info, context);
  } else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN) {
    former.sa_handler(signal);
  } else {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(signal, &standard, nullptr);
    if (info->si_code <= 0) ::raise(signal);  // sent by somebody, so nothing would repeat it
  }
}

// Async-signal-safe: atomics and one system call.
void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  Mapping* mapping = info->si_code == BUS_ADRERR ? mapping_of(address) : nullptr;
  if (mapping != nullptr) {
    const int protection = mapping->writable.load(std::memory_order_relaxed) != 0 ? PROT_READ | PROT_WRITE : PROT_READ;
    const long mapped = ::syscall(SYS_mmap, address & ~(page_bytes - 1), page_bytes, protection,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0L);
    if (mapped != -1) {
      mapping->faults.fetch_add(1, std::memory_order_relaxed);
      errno = saved;
      return;
    }
  }
  pass_on(signal, info, context);
  errno = saved;
}

}  // namespace

void FaultGuard::install() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &former);
  });
}

FaultGuard::~FaultGuard() { remove(); }

bool FaultGuard::add(const void* address, std::size_t bytes, bool writable) {
  install();
  remove();
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    std::uint8_t expected = 0;
    if (!mappings[i].taken.compare_exchange_strong(expected, 1, std::memory_order_acquire)) continue;
    const auto begin = reinterpret_cast<std::uintptr_t>(address);
    mappings[i].end.store(begin + bytes, std::memory_order_relaxed);
    mappings[i].writable.store(writable ? 1 : 0, std::memory_order_relaxed);
    mappings[i].faults.store(0, std::memory_order_relaxed);
    mappings[i].begin.store(begin, std::memory_order_release);
    std::size_t used = mappings_used.load(std::memory_order_relaxed);
    while (used <= i && !mappings_used.compare_exchange_weak(used, i + 1, std::memory_order_release)) {}
    entry_ = static_cast<int>(i);
    return true;
  }
  return false;
}

void FaultGuard::remove() {
  if (entry_ < 0) return;
  Mapping& mapping = mappings[static_cast<std::size_t>(entry_)];
  mapping.begin.store(0, std::memory_order_release);
  mapping.end.store(0, std::memory_order_relaxed);
  mapping.taken.store(0, std::memory_order_release);
  entry_ = -1;
}

std::uint32_t FaultGuard::faults() const {
  return entry_ < 0 ? 0 : mappings[static_cast<std::size_t>(entry_)].faults.load(std::memory_order_relaxed);
}

}  // namespace tailrace::agent
