// SPDX-License-Identifier: Apache-2.0
//
// What `tailrace status` prints: the ledger of every service, what the hold keeps, and whether the
// agent lives. Pure text from a HoldStatus, so that a dead agent's hold reads like a live one's.
//
// Threads: pure functions. Failure: none.
#pragma once

#include <cstdint>
#include <string>

#include "agent/hold/status.hpp"

namespace tailrace::agent {

// A table for people. `now_ns` is the realtime clock, for ages.
std::string status_table(const HoldStatus& status, const std::string& path, std::uint64_t now_ns);

// One JSON object on one line, for programs; every figure of the table and each process apart.
std::string status_json(const HoldStatus& status, const std::string& path);

// {"written":…,"delivered":…,"rejected":…,"dropped":…,"pending":…} of one signal, with the reasons
// and what is unaccounted beside them when `detailed`.
std::string ledger_json(const SignalLedger& ledger, bool detailed);

// "1.5 GiB", "12 KiB", "17 B".
std::string human_bytes(std::uint64_t bytes);
// "3 d 4 h", "12 s", "250 ms".
std::string human_duration(std::uint64_t ns);

}  // namespace tailrace::agent
