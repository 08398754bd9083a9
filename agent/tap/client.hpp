// SPDX-License-Identifier: Apache-2.0
//
// `tailrace tap` as its user sees it: asks the agent, prints what comes, and ends when it is told to.
//
// Threads: the caller's; SIGINT, SIGTERM and SIGPIPE are taken care of while it runs. Failure: one sentence
// that says where no agent answered, or why it did not want to.
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/result.hpp"
#include "agent/tap/filter.hpp"

namespace tailrace::agent {

struct TapOptions {
  std::string socket_path;
  TapFilter filter;
  std::uint64_t count = 0;  // lines to end after; 0: for ever
  bool json = false;
  bool colour = false;
};

// Done as the user wished (told to stop, enough lines, nobody reads any more), or ended by the agent.
enum class TapEnd { as_wished, agent_went };

[[nodiscard]] Result<TapEnd> run_tap(const TapOptions& options);

}  // namespace tailrace::agent
