// SPDX-License-Identifier: Apache-2.0
//
// The agent's life: start, housekeeping, stop.
//
//   start   configuration, hold, directory, what the hold keeps, segments: a line on standard error for each
//   run     new segments to the workers, those whose file is gone out of the hold, liveness, bounds
//   stop    SIGTERM or SIGINT: last drain, flush within the deadline; the rest stays in the hold
//
// Threads: run_agent() uses the caller's thread as housekeeper and makes the others; signals are blocked
//   in all of them and taken here. Failure: what cannot start is an Error whose sentence says what to do;
//   once running, nothing but a signal ends it.
#pragma once

#include "agent/base/result.hpp"
#include "agent/pipeline/options.hpp"

namespace tailrace::agent {

// Returns when the agent was asked to stop.
Status run_agent(const AgentOptions& options);

}  // namespace tailrace::agent
