// SPDX-License-Identifier: Apache-2.0
//
// ProcessLimits: when the batches of one process are closed, by signal.
//
// Order: the agent's options, then the hints (the agent's own variables before the process's), then the
// defaults. Critical records never wait; background ones wait no less than normal ones.
//
// Threads, ownership, failure: a value.
#pragma once

#include <array>

#include "agent/base/signal.hpp"
#include "agent/decode/hints.hpp"
#include "agent/pipeline/options.hpp"

namespace tailrace::agent {

using ProcessLimits = std::array<BatchLimits, kSignals>;

ProcessLimits limits_of(const AgentOptions& options, const ProcessHints& hints);

}  // namespace tailrace::agent
