// SPDX-License-Identifier: Apache-2.0
//
// The viewer alone as a program, for tests of it as a process.
#include <CLI/CLI.hpp>

#include "agent/viewer/viewer.hpp"

int main(int argc, char** argv) {
  CLI::App app("The viewer alone");
  tailrace::agent::ViewerOptions options;
  tailrace::agent::add_viewer_options(app, options);
  CLI11_PARSE(app, argc, argv);
  return tailrace::agent::run_viewer(options);
}
