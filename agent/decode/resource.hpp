// SPDX-License-Identifier: Apache-2.0
//
// Resource: who a segment's records come from, as OTLP's resource.
//
// The application's own attributes, minus those it may not set, plus what the agent knows from the kernel:
// pid (of the lock), owner (of the file), what everyone may read in /proc, the container, the host. Reading
// is done once, when the segment is attached; the process may be gone a moment later.
//
// Threads: values. Memory: ProcessResource owns everything its view points at.
// Failure: what cannot be read is left out; "nothing found" is not an error.
// Source: segment.md 3.9; otlp/rules.md 1.8.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "agent/discover/segment.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::agent {

// What is the same for every process of this host.
struct HostFacts {
  std::string name;
  std::string arch;  // OpenTelemetry's names: amd64, arm64 …
  std::string id;    // empty inside a container
  [[nodiscard]] static HostFacts read(const std::string& root = "");
};

// What everyone may read of a process.
struct ProcessFacts {
  pid_t pid = 0;              // 0: unknown, or gone
  std::string creation_time;  // ISO 8601
  std::string executable;     // the kernel's name of it, at most 15 bytes
  std::string owner;
  std::string container_id;
  std::uint64_t start_ticks = 0;
  // `owner` is looked up in /etc/passwd alone: a name service may block.
  [[nodiscard]] static ProcessFacts read(pid_t pid, uid_t uid, const std::string& root = "");
};

[[nodiscard]] std::string container_id_of(std::string_view cgroup_file);

class ProcessResource {
 public:
  // `app` may be unsound: then the agent's own facts are all there is.
  ProcessResource(const SegmentDecoder::Blob& app, const Uuid& uuid, const ProcessFacts& process,
                  const HostFacts& host);
  ~ProcessResource();
  ProcessResource(ProcessResource&&) noexcept;
  ProcessResource& operator=(ProcessResource&&) noexcept;

  [[nodiscard]] const otlp::ResourceView& view() const;
  [[nodiscard]] std::string_view service() const;   // service.name, never empty
  [[nodiscard]] std::string_view instance() const;  // service.instance.id

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// All of the above for one segment: reads /proc, and believes it only if the lock still has that holder.
ProcessResource read_resource(AttachedSegment& segment, SegmentDecoder& decoder, const HostFacts& host);

}  // namespace tailrace::agent
