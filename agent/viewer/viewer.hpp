// SPDX-License-Identifier: Apache-2.0
//
// The viewer: an OTLP/gRPC receiver on loopback that keeps the last traces and logs in bounded
// memory and shows them on one page on loopback. A process of its own, so that nothing in it can
// hurt the agent, and the agent reaches it as it reaches any Collector.
//
//   #include "agent/viewer/viewer.hpp"
//   ViewerOptions options;
//   add_viewer_options(*app.add_subcommand("viewer", …), options);
//   …
//   return run_viewer(options);
#ifndef TAILRACE_AGENT_VIEWER_VIEWER_HPP_
#define TAILRACE_AGENT_VIEWER_VIEWER_HPP_

#include <cstdint>
#include <memory>
#include <string>
#include <sys/types.h>

#include "agent/base/result.hpp"

namespace CLI {
class App;
}

namespace tailrace::agent {

inline constexpr int kDefaultViewerOtlpPort = 4317;  // OTLP/gRPC's own
inline constexpr int kDefaultViewerHttpPort = 8317;

struct ViewerOptions {
  std::string address = "127.0.0.1";                          // or another of 127.0.0.0/8, ::1, localhost
  int otlp_port = kDefaultViewerOtlpPort;                     // 0: any free one
  int http_port = kDefaultViewerHttpPort;                     // 0: any free one
  std::uint64_t memory_bytes = std::uint64_t{64} << 20;       // for traces and logs; at least 1 MiB
  std::uint64_t max_request_bytes = std::uint64_t{64} << 20;  // before and after inflating
  int ready_fd = -1;                                          // also write the ready line there, and close it
  bool parent_death = false;                                  // stop when the process that started this one ends
  pid_t parent_pid = 0;  // its pid, so that a death before the viewer looked is noticed too
};

// --otlp-port, --http-port, --address, --memory, --max-request, --ready-fd, --parent-death,
// --parent-pid.
void add_viewer_options(CLI::App& app, ViewerOptions& options);

// Runs until SIGTERM, SIGINT or the parent's death, then stops within a second. To be called by a
// process's only thread, which does nothing else: it blocks signals and may end the process itself.
// When ready it prints one line:  viewer: otlp 127.0.0.1:PORT, page http://127.0.0.1:PORT/
// Returns the exit code: 0 stopped, 1 could not start (a sentence is on standard error), 2 wrong
// options.
[[nodiscard]] int run_viewer(const ViewerOptions& options);

// The viewer without a process: what run_viewer() runs, and what tests start beside themselves.
// Threads: start() and stop() by one thread; the rest by any.
class Viewer {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Viewer>> start(const ViewerOptions& options);
  ~Viewer();  // stop()
  Viewer(const Viewer&) = delete;
  Viewer& operator=(const Viewer&) = delete;

  [[nodiscard]] std::string otlp_authority() const;  // "127.0.0.1:4317"
  [[nodiscard]] std::string page_url() const;        // "http://127.0.0.1:8317/"

  void stop();

 private:
  class Impl;
  explicit Viewer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_VIEWER_VIEWER_HPP_
