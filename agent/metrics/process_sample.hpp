// SPDX-License-Identifier: Apache-2.0
//
// ProcessSample: what the kernel tells anyone about a process: time, memory, threads, faults, switches.
//
// Three small files of /proc, each one read of at most 8 KiB; nothing in them waits for the process.
// Threads: any. Memory: values. Failure: nothing when the process is gone, a zombie or not visible;
//   what only some may read, or this kernel does not have, is left out.
// Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_fd(5).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace tailrace::agent {

struct ProcessSample {
  std::uint64_t start_ticks = 0;  // since boot; the same as long as it is the same process
  std::uint64_t user_ticks = 0;
  std::uint64_t system_ticks = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t threads = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_bytes = 0;
  std::optional<std::uint64_t> voluntary_switches;
  std::optional<std::uint64_t> involuntary_switches;
  std::optional<std::uint64_t> descriptors;  // a kernel before 6.2 does not count them for us
  bool operator==(const ProcessSample&) const = default;
};

[[nodiscard]] std::optional<ProcessSample> read_process_sample(pid_t pid, const std::string& root = "");

// How long ago, by the kernel's clock that runs during suspend, a process with these start ticks began.
[[nodiscard]] std::uint64_t age_ns_of(std::uint64_t start_ticks);
// Of the kernel's ticks, in which it counts time of processes.
[[nodiscard]] std::uint64_t ticks_per_second();

}  // namespace tailrace::agent
