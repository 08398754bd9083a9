// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "agent/cli/commands.hpp"
#include "agent/viewer/viewer.hpp"

namespace tailrace::agent {

void add_viewer_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<ViewerOptions>();
  CLI::App* verb = app.add_subcommand("viewer", "an OTLP receiver on loopback with a page of the last traces and logs");
  add_viewer_options(*verb, *options);
  verb->callback([options, &action] { action = [options] { return run_viewer(*options); }; });
}

}  // namespace tailrace::agent
