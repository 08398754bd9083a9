// SPDX-License-Identifier: Apache-2.0
//
// Signal: what kind of telemetry a record, batch or request carries. One numbering everywhere:
// lanes, hold, ledger, encoder, requests.
//
// Threads, ownership, failure: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "proto/encode/view.hpp"

namespace tailrace::agent {

using Signal = otlp::Signal;

inline constexpr std::size_t kSignals = 3;
inline constexpr std::array<Signal, kSignals> kEachSignal = {Signal::traces, Signal::logs, Signal::metrics};

constexpr std::size_t index_of(Signal signal) noexcept { return static_cast<std::size_t>(signal); }

constexpr std::string_view signal_name(Signal signal) noexcept {
  constexpr std::array<std::string_view, kSignals> kNames = {"traces", "logs", "metrics"};
  return index_of(signal) < kSignals ? kNames[index_of(signal)] : std::string_view("unknown");
}

}  // namespace tailrace::agent
