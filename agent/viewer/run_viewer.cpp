// SPDX-License-Identifier: Apache-2.0
//
// The viewer as a process: signals, its parent, the ready line, the last second.
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fmt/format.h>
#include <grpc/support/log.h>
#include <malloc.h>
#include <signal.h>
#include <string>
#include <sys/prctl.h>
#include <thread>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "agent/viewer/viewer.hpp"

namespace tailrace::agent {
namespace {

constexpr int kExitStopped = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

// The kernel sends it when the thread that started us ends; our parent may live on without that
// thread.
constexpr int kParentSignal = SIGUSR1;
constexpr long kParentCheckNs = 200'000'000;
constexpr auto kLastMoment = std::chrono::milliseconds(800);

// A handful of threads: more malloc arenas would only keep more freed memory.
constexpr int kMallocArenas = 2;
// Larger blocks (requests, pages) are mapped, and so given back when they are freed; unset, glibc
// raises this bound with each such block until it keeps them all.
constexpr int kMallocMapBytes = 256 << 10;

sigset_t block_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, kParentSignal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return set;
}

// Threads started later inherit the mask, so every signal of the set comes here.
void wait_for_end(const sigset_t& set, bool parent_death, pid_t parent) {
  const timespec tick{0, kParentCheckNs};
  for (;;) {
    const int number = ::sigtimedwait(&set, nullptr, &tick);
    if (number == SIGTERM || number == SIGINT) {
      return;
    }
    if (parent_death && ::getppid() != parent) {
      return;
    }
  }
}

bool write_all(int fd, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(fd, text.data() + done, text.size() - done);
    if (written < 0 && errno != EINTR) {
      return false;
    }
    done += written > 0 ? static_cast<std::size_t>(written) : 0;
  }
  return true;
}

// A client that reads slowly could hold the orderly stop; nothing here is worth waiting for.
void end_process_soon() {
  std::thread([] {
    std::this_thread::sleep_for(kLastMoment);
    ::_exit(kExitStopped);
  }).detach();
}

}  // namespace

void add_viewer_options(CLI::App& app, ViewerOptions& options) {
  app.add_option("--otlp-port", options.otlp_port, "OTLP/gRPC port; 0 takes any free one")->capture_default_str();
  app.add_option("--http-port", options.http_port, "Port of the page; 0 takes any free one")->capture_default_str();
  app.add_option("--address", options.address, "Loopback address to listen on")->capture_default_str();
  app.add_option("--memory", options.memory_bytes,
                 "Memory for traces and logs, e.g. 64MiB; the oldest are dropped beyond it")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("64MiB");
  app.add_option("--max-request", options.max_request_bytes, "Largest request taken, also after inflating")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("64MiB");
  app.add_option("--ready-fd", options.ready_fd, "Write the line with the ports to this descriptor too");
  app.add_flag("--parent-death", options.parent_death, "Stop when the process that started the viewer ends");
  app.add_option("--parent-pid", options.parent_pid, "With --parent-death: the pid of that process");
}

int run_viewer(const ViewerOptions& options) {
  const sigset_t signals = block_signals();
  ::mallopt(M_ARENA_MAX, kMallocArenas);
  ::mallopt(M_MMAP_THRESHOLD, kMallocMapBytes);
  // gRPC says in several lines what our own sentences say in one.
  ::gpr_set_log_function([](gpr_log_func_args*) {});

  const pid_t parent = options.parent_pid > 0 ? options.parent_pid : ::getppid();
  if (options.parent_death) {
    ::prctl(PR_SET_PDEATHSIG, kParentSignal);
    if (::getppid() != parent) {
      std::fprintf(stderr, "viewer: process %d, which started it, has ended; not starting\n", static_cast<int>(parent));
      return kExitStopped;
    }
  }

  auto viewer = Viewer::start(options);
  if (!viewer) {
    std::fprintf(stderr, "viewer: %s\n", viewer.error().sentence.c_str());
    return viewer.error().code == ErrorCode::kInvalidArgument ? kExitUsage : kExitFailed;
  }
  const std::string ready =
      fmt::format("viewer: otlp {}, page {}\n", (*viewer)->otlp_authority(), (*viewer)->page_url());
  std::fputs(ready.c_str(), stdout);
  std::fflush(stdout);
  if (options.ready_fd >= 0) {
    if (!write_all(options.ready_fd, ready)) {
      std::fprintf(stderr,
                   "viewer: cannot write to descriptor %d given by --ready-fd; the ports are on "
                   "standard output\n",
                   options.ready_fd);
    }
    ::close(options.ready_fd);
  }

  wait_for_end(signals, options.parent_death, parent);
  end_process_soon();
  (*viewer)->stop();
  return kExitStopped;
}

}  // namespace tailrace::agent
