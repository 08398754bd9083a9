// SPDX-License-Identifier: Apache-2.0
// dump: everything that a segment holds, as text: `tailrace dump SEGMENT`.
//
// Works on any segment, live or dead, of this major version and any minor one, and needs no agent. Reads
// by pread alone, through the same untrusted reader as the agent; changes nothing. Of a live process the
// picture is the best that can be had without stopping it, and a line says where it moved meanwhile.
//
// Threads: one. Memory: one lane's ring and the string arena at a time, within the reader's limits.
// Failure: 0; or 1, after a sentence, when the file is no readable segment or holds damage.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "agent/observe/segment_source.hpp"

namespace tailrace::agent {

struct DumpOptions {
  std::uint64_t records_per_lane = 100;  // the newest ones
  std::uint64_t spans = 1000;            // open spans in all
  std::uint64_t strings = 0;             // how many strings to list
  std::uint64_t series = 1000;           // of metrics
};

int dump_segment(const std::string& path, const DumpOptions& options, std::ostream& out);
int dump_source(const SegmentSource& source, const std::string& name, const DumpOptions& options, std::ostream& out);

}  // namespace tailrace::agent
