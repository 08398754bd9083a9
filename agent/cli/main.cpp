// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>

#include "agent/cli/commands.hpp"

namespace tailrace::agent {

int fail(const std::string& verb, const std::string& sentence) {
  std::fprintf(stderr, "tailrace %s: %s\n", verb.c_str(), sentence.c_str());
  return 1;
}

}  // namespace tailrace::agent

int main(int argc, char** argv) {
  namespace ta = tailrace::agent;
  CLI::App app("tailrace: telemetry out of the hot path; shared memory in, OTLP out");
  app.set_version_flag("--version", std::string("tailrace ") + TAILRACE_VERSION);
  app.require_subcommand(1);
  ta::Action action;
  ta::add_agent_command(app, action);
  ta::add_status_command(app, action);
  ta::add_tap_command(app, action);
  ta::add_dump_command(app, action);
#ifdef TAILRACE_HAVE_VIEWER
  ta::add_viewer_command(app, action);
#endif
#ifdef TAILRACE_HAVE_DEMO
  ta::add_demo_command(app, action);
#endif
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return action();
}
