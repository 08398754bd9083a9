// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>
#include <string>

#include "agent/cli/commands.hpp"
#include "agent/observe/dump.hpp"

namespace tailrace::agent {

void add_dump_command(CLI::App& app, Action& action) {
  struct Chosen {
    std::string path;
    DumpOptions options;
  };
  auto chosen = std::make_shared<Chosen>();
  CLI::App* verb = app.add_subcommand("dump", "prints a segment, live or dead; needs no agent and changes nothing");
  verb->add_option("SEGMENT", chosen->path, "file <16 hex digits>.seg")->required();
  verb->add_option("--records", chosen->options.records_per_lane, "newest records to print of each lane")
      ->default_str("100");
  verb->add_option("--spans", chosen->options.spans, "open spans to print")->default_str("1000");
  verb->add_option("--series", chosen->options.series, "series of metrics to print")->default_str("1000");
  verb->add_option("--strings", chosen->options.strings, "strings to print")->default_str("0");
  verb->callback(
      [chosen, &action] { action = [chosen] { return dump_segment(chosen->path, chosen->options, std::cout); }; });
}

}  // namespace tailrace::agent
