// SPDX-License-Identifier: Apache-2.0
//
// The verbs of the one program `tailrace`. Each function describes its verb to the command line and
// sets `action` when the user chose it; main() runs it and returns its answer.
//
// Threads: start-up only. Failure: a verb prints one sentence to standard error and returns 1; what
// the command line itself refuses is printed by CLI11 with the usage, and is 2.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace tailrace::agent {

using Action = std::function<int()>;

void add_agent_command(CLI::App& app, Action& action);
void add_viewer_command(CLI::App& app, Action& action);
void add_status_command(CLI::App& app, Action& action);
void add_tap_command(CLI::App& app, Action& action);
void add_dump_command(CLI::App& app, Action& action);
void add_demo_command(CLI::App& app, Action& action);

// Prints "tailrace VERB: SENTENCE" to standard error; returns 1.
int fail(const std::string& verb, const std::string& sentence);

}  // namespace tailrace::agent
