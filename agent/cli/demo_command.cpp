// SPDX-License-Identifier: Apache-2.0
//
// `tailrace demo`: the whole way on one machine. An agent with its viewer, an instrumented file server,
// and clients for it; then what was recorded, what arrived, and what it cost.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "agent/base/child_process.hpp"
#include "agent/cli/commands.hpp"
#include "agent/hold/status.hpp"
#include "agent/observe/status.hpp"
#include "agent/pipeline/places.hpp"
#include "demo/load/load.hpp"
#include "tailrace/shm/clock.hpp"

namespace tailrace::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
namespace fs = std::filesystem;

struct DemoOptions {
  unsigned seconds = 10;
  bool json = false;
  bool keep = false;
  unsigned connections = 4;
  unsigned rate = 4000;
  std::string root = "/usr/share/doc";
};

volatile std::sig_atomic_t interrupted = 0;

// A directory of the demo's own on a tmpfs, removed when it ends.
class Place {
 public:
  static Result<Place> make() {
    std::string path = "/dev/shm/tailrace-demo-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
      return Error{ErrorCode::kSystem,
                   "cannot make a directory in /dev/shm, where shared memory lives; is it mounted?"};
    }
    return Place(path);
  }
  ~Place() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Place(Place&& other) noexcept : path_(std::exchange(other.path_, std::string())) {}
  Place& operator=(Place&&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit Place(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// User and system time of a process so far, in nanoseconds.
std::uint64_t cpu_ns(pid_t pid) {
  std::uint64_t sum = 0;
  std::error_code error;
  for (const auto& task : fs::directory_iterator(fmt::format("/proc/{}/task", pid), error)) {
    std::ifstream file(task.path() / "schedstat");
    std::uint64_t ran = 0;
    if (file >> ran) sum += ran;
  }
  return sum;
}

Result<ChildProcess> start_agent(const Place& place, std::string& page) {
  Result<ChildProcess> agent = ChildProcess::start(
      own_program(), {"agent", "--viewer", "--metric-interval", "1000", "--dir", place.path() + "/segments"},
      Captured::standard_error, {{"TAILRACE_DIR", place.path() + "/segments"}});
  if (!agent) return agent;
  std::string said;
  const auto deadline = steady_clock::now() + seconds(20);
  while (steady_clock::now() < deadline) {
    const std::optional<std::string> line = agent->read_line(milliseconds(500));
    if (!line) {
      if (!agent->running()) break;
      continue;
    }
    said = *line;
    if (const std::size_t at = line->find("viewer http"); at != std::string::npos) page = line->substr(at + 7);
    if (line->find("ready:") != std::string::npos) return agent;
  }
  return Error{ErrorCode::kUnavailable, "the agent did not start; its last words: " + said};
}

Result<ChildProcess> start_service(const Place& place, const DemoOptions& options, int& port) {
  const fs::path program = fs::path(own_program()).parent_path() / "tailrace-demo-service";
  if (!fs::exists(program)) {
    return Error{ErrorCode::kNotFound, program.string() + " is not there; build with -DTAILRACE_BUILD_EXAMPLES=ON"};
  }
  Result<ChildProcess> service =
      ChildProcess::start(program.string(), {"--root", options.root, "--threads", std::to_string(options.connections)},
                          Captured::standard_output, {{"TAILRACE_DIR", place.path() + "/segments"}});
  if (!service) return service;
  const std::string line = service->read_line(seconds(10)).value_or("");
  if (line.rfind("listening ", 0) != 0) {
    return Error{ErrorCode::kUnavailable, "the demo's service did not start; its own message stands above"};
  }
  port = std::atoi(line.c_str() + 10);
  return service;
}

std::uint64_t records_of(const HoldStatus& status) {
  std::uint64_t sum = 0;
  for (const SignalLedger& row : status.totals) sum += row.seen - row.produced;
  return sum;
}

bool settled(const HoldStatus& status) {
  for (const SignalLedger& row : status.totals) {
    if (row.pending() != 0) return false;
  }
  return true;
}

// The agent's words, so that it never waits for somebody to read them.
void pass_on_words(ChildProcess& agent) {
  while (const std::optional<std::string> line = agent.read_line(milliseconds(0))) {
    std::fprintf(stderr, "%s\n", line->c_str());
  }
}

void show_progress(unsigned second, const DemoOptions& options, const demo::Load& load, std::uint64_t last,
                   const std::string& hold) {
  const Result<HoldStatus> status = read_status(hold);
  std::uint64_t delivered = 0;
  if (status) {
    for (const SignalLedger& row : status->totals) delivered += row.delivered;
  }
  std::fprintf(stderr, "%3u/%u s   %6llu requests/s   %10llu records delivered\n", second, options.seconds,
               static_cast<unsigned long long>(load.requests() - last), static_cast<unsigned long long>(delivered));
}

// Until nothing is pending, or `patience` is over.
Result<HoldStatus> wait_until_settled(const std::string& hold, milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  for (;;) {
    Result<HoldStatus> status = read_status(hold);
    if (!status || settled(*status) || steady_clock::now() >= deadline) return status;
    std::this_thread::sleep_for(milliseconds(50));
  }
}

void print_table(const HoldStatus& status, std::uint64_t requests, double ns_per_span, std::uint64_t samples,
                 double agent_ns, const std::string& page) {
  std::printf("\n%-8s %12s %12s %10s %10s %10s\n", "SIGNAL", "WRITTEN", "DELIVERED", "REJECTED", "DROPPED", "PENDING");
  for (const Signal signal : {Signal::traces, Signal::logs, Signal::metrics}) {
    const SignalLedger& row = status.totals[index_of(signal)];
    std::printf("%-8s %12llu %12llu %10llu %10llu %10llu\n", std::string(signal_name(signal)).c_str(),
                static_cast<unsigned long long>(row.written()), static_cast<unsigned long long>(row.delivered),
                static_cast<unsigned long long>(row.rejected), static_cast<unsigned long long>(row.dropped_total()),
                static_cast<unsigned long long>(row.pending()));
  }
  std::printf("\n%llu requests served\n", static_cast<unsigned long long>(requests));
  std::printf("%.0f ns a span with three attributes, inside the service under load (median of %llu samples)\n",
              ns_per_span, static_cast<unsigned long long>(samples));
  std::printf("%.0f ns of the agent's processor time a record, all of its work included\n", agent_ns);
  if (!page.empty()) std::printf("look at %s\n", page.c_str());
}

std::string json_line(const HoldStatus& status, std::uint64_t requests, double ns_per_span, double agent_ns) {
  nlohmann::ordered_json line;
  for (const Signal signal : {Signal::traces, Signal::logs, Signal::metrics}) {
    line["ledger"][std::string(signal_name(signal))] =
        nlohmann::ordered_json::parse(ledger_json(status.totals[index_of(signal)], false));
  }
  line["requests"] = requests;
  line["shim_ns_per_span"] = ns_per_span;
  line["agent_cpu_ns_per_record"] = agent_ns;
  return line.dump();
}

int run_demo(const DemoOptions& options) {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  demo::LoadOptions wanted;
  wanted.paths = demo::find_files(options.root, 500, 256 * 1024);
  if (wanted.paths.empty()) {
    return fail("demo", options.root + " has no readable files to serve; name another directory with --root");
  }
  Result<Place> place = Place::make();
  if (!place) return fail("demo", place.error().sentence);
  const std::string hold = hold_beside(place->path() + "/segments");

  std::string page;
  std::fprintf(stderr, "starting the agent and its viewer …\n");
  Result<ChildProcess> agent = start_agent(*place, page);
  if (!agent) return fail("demo", agent.error().sentence);
  std::fprintf(stderr, "viewer: %s\nstarting the service over %s …\n", page.c_str(), options.root.c_str());
  int port = 0;
  Result<ChildProcess> service = start_service(*place, options, port);
  if (!service) return fail("demo", service.error().sentence);

  wanted.port = port;
  wanted.connections = options.connections;
  wanted.requests_per_second = options.rate;
  const std::uint64_t cpu_before = cpu_ns(agent->pid());
  std::uint64_t failures = 0;
  {
    demo::Load load(std::move(wanted));
    for (unsigned second = 1; second <= options.seconds && interrupted == 0; ++second) {
      const std::uint64_t last = load.requests();
      std::this_thread::sleep_for(seconds(1));
      pass_on_words(*agent);
      show_progress(second, options, load, last, hold);
    }
    load.stop();
    failures = load.failures();
  }
  service->signal(SIGTERM);
  const std::string words = service->read_line(seconds(10)).value_or("{}");
  service->stop();
  const nlohmann::json measured = nlohmann::json::parse(words, nullptr, false);
  if (measured.is_discarded() || !measured.contains("requests")) {
    return fail("demo", "the service ended without its figures: " + words);
  }
  std::fprintf(stderr, "waiting until everything is settled …\n");
  const Result<HoldStatus> status = wait_until_settled(hold, seconds(15));
  if (!status) return fail("demo", status.error().sentence);
  const std::uint64_t records = records_of(*status);
  const double agent_ns =
      records == 0 ? 0 : static_cast<double>(cpu_ns(agent->pid()) - cpu_before) / static_cast<double>(records);
  const auto requests = measured["requests"].get<std::uint64_t>();
  const double ns_per_span = measured["ns_per_span"].get<double>();

  print_table(*status, requests, ns_per_span, measured["samples"].get<std::uint64_t>(), agent_ns, page);
  if (failures != 0) std::printf("%llu requests failed\n", static_cast<unsigned long long>(failures));
  if (options.keep && interrupted == 0) {
    std::printf("the viewer stays up; Ctrl-C ends it\n");
    std::fflush(stdout);
    while (interrupted == 0 && agent->running()) {
      pass_on_words(*agent);
      std::this_thread::sleep_for(milliseconds(100));
    }
  }
  agent->stop();
  if (options.json) std::printf("%s\n", json_line(*status, requests, ns_per_span, agent_ns).c_str());
  std::uint64_t missing = 0;
  for (const SignalLedger& row : status->totals) missing += row.dropped_total() + row.rejected + row.pending();
  return missing == 0 && requests != 0 ? 0 : 1;
}

}  // namespace

void add_demo_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<DemoOptions>();
  CLI::App* verb =
      app.add_subcommand("demo", "an instrumented service under load, an agent and a viewer; then the ledger");
  verb->add_option("--seconds", options->seconds, "how long the load lasts")
      ->check(CLI::Range(1, 86400))
      ->default_str("10");
  verb->add_flag("--json", options->json, "the result again as JSON, as the last line of standard output");
  verb->add_flag("--keep", options->keep, "leave agent and viewer up until Ctrl-C");
  verb->add_option("--connections", options->connections, "clients, and threads of the service")
      ->check(CLI::Range(1, 64))
      ->default_str("4");
  verb->add_option("--rate", options->rate, "requests a second of all clients together")
      ->check(CLI::Range(1, 1000000))
      ->default_str("4000");
  verb->add_option("--root", options->root, "the files to serve")->default_str("/usr/share/doc");
  verb->footer("Exit status: 0 everything recorded was delivered, 1 something was not.");
  verb->callback([options, &action] { action = [options] { return run_demo(*options); }; });
}

}  // namespace tailrace::agent
