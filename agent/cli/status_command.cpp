// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>

#include "agent/cli/commands.hpp"
#include "agent/discover/directory.hpp"
#include "agent/hold/status.hpp"
#include "agent/observe/status.hpp"
#include "agent/pipeline/places.hpp"
#include "tailrace/shm/clock.hpp"

namespace tailrace::agent {
namespace {

struct StatusOptions {
  std::string directory;
  std::string hold_path;
  bool json = false;
};

int print_status(const StatusOptions& options) {
  std::string path = options.hold_path;
  if (path.empty()) {
    const Result<std::string> found = find_hold(options.directory);
    if (!found) return fail("status", found.error().sentence);
    path = *found;
  }
  const Result<HoldStatus> status = read_status(path);
  if (!status) return fail("status", status.error().sentence);
  const std::string text =
      options.json ? status_json(*status, path) + "\n" : status_table(*status, path, shm::realtime_ns());
  std::fputs(text.c_str(), stdout);
  // A script can tell by the exit status: 0 alive, 3 nobody is draining.
  return status->agent == AgentVerdict::running ? 0 : 3;
}

}  // namespace

void add_status_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* verb =
      app.add_subcommand("status", "the ledger of every service, from the hold: works while the agent is dead, too");
  verb->add_option("--dir", options->directory, "directory of the segments (default: the first that exists)");
  verb->add_option("--hold", options->hold_path, "the hold's file (default: agent/hold in the directory)");
  verb->add_flag("--json", options->json, "one JSON object on one line");
  verb->footer("Exit status: 0 the agent runs, 3 it is stuck or dead (the figures are right all the same), 1 no hold.");
  verb->callback([options, &action] { action = [options] { return print_status(*options); }; });
}

}  // namespace tailrace::agent
