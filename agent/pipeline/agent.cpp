// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/agent.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/base/child_process.hpp"
#include "agent/decode/resource.hpp"
#include "agent/discover/directory.hpp"
#include "agent/discover/fault_guard.hpp"
#include "agent/export/settings.hpp"
#include "agent/observe/status.hpp"
#include "agent/pipeline/dispatcher.hpp"
#include "agent/pipeline/orphans.hpp"
#include "agent/pipeline/places.hpp"
#include "agent/pipeline/session.hpp"
#include "agent/pipeline/viewer_process.hpp"
#include "agent/pipeline/worker.hpp"
#include "agent/tap/protocol.hpp"
#include "agent/tap/server.hpp"
#include "proto/encode/batch.hpp"

namespace tailrace::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr auto kRescan = seconds(3);
constexpr std::uint32_t kHousekeeperThread = 0;

// The signals that end the agent, as a descriptor.
class StopSignals {
 public:
  StopSignals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGHUP, SIG_IGN);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~StopSignals() {
    if (fd_ >= 0) ::close(fd_);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool arrived() const {
    signalfd_siginfo info;
    return ::read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info);
  }

 private:
  int fd_ = -1;
};

class Agent {
 public:
  explicit Agent(const AgentOptions& options) : options_(options) {}

  Status start();
  void run();
  void stop();

 private:
  Status open_directory_and_hold();
  Status configure_export();
  void read_own_hints();
  void take_up_recovered();
  void start_threads();
  void scan();
  void attach(const std::string& name, const LockTable& locks);
  void keep_bounds();
  Dispatcher& dispatcher(Signal signal) { return *dispatchers_[by_signal_[index_of(signal)]]; }

  const AgentOptions& options_;
  StopSignals signals_;
  HostFacts host_ = HostFacts::read();
  ProcessHints own_hints_;
  std::optional<ViewerProcess> viewer_;
  std::unique_ptr<Directory> directory_;
  std::string hold_path_;
  std::unique_ptr<Hold> hold_;
  std::vector<std::unique_ptr<Dispatcher>> dispatchers_;
  std::array<std::size_t, kSignals> by_signal_{};
  TapHub taps_;
  std::unique_ptr<TapServer> tap_server_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<Orphans> orphans_;
  std::map<std::string, ProcessIndex> attached_;  // segment name → process
  std::vector<std::string> present_;              // as the last scan found them, sorted
  std::size_t next_worker_ = 0;
};

Status Agent::start() {
  FaultGuard::install();
  if (Status status = open_directory_and_hold(); !status.ok()) return status;
  if (Status status = configure_export(); !status.ok()) return status;
  read_own_hints();
  take_up_recovered();
  start_threads();
  scan();
  spdlog::info("ready: {} processes attached", attached_.size());
  return {};
}

Status Agent::open_directory_and_hold() {
  DirectoryOptions wanted;
  wanted.path = options_.directory;
  if (const char* given = std::getenv("TAILRACE_DIR"); wanted.path.empty() && given != nullptr) {
    wanted.path = given;
  }
  Result<std::unique_ptr<Directory>> directory = Directory::open(wanted);
  if (!directory) return std::move(directory).error();
  directory_ = std::move(directory).value();

  HoldOptions hold;
  hold.path = options_.hold_path.empty() ? hold_beside(directory_->path()) : options_.hold_path;
  hold.bytes = options_.hold_bytes;
  hold.version = TAILRACE_VERSION;
  Result<std::unique_ptr<Hold>> opened = Hold::open(hold);
  if (!opened) return std::move(opened).error();
  hold_ = std::move(opened).value();
  hold_path_ = hold.path;
  hold_->name_thread(kHousekeeperThread, "housekeeper");
  orphans_.emplace(*hold_);

  const Recovery& found = hold_->recovery();
  spdlog::info("directory {}", directory_->path());
  if (found.renewed) {
    spdlog::warn(
        "hold {} was damaged ({}) and is made anew; its tables are kept in {}.damaged, what it held is lost "
        "and shown as unaccounted",
        hold_path_, found.damage, hold_path_);
  } else if (found.created) {
    spdlog::info("hold {} made, {}", hold_path_, human_bytes(options_.hold_bytes));
  } else {
    spdlog::info("hold {} taken up{}: {} processes, {} records in {} batches ({}){}", hold_path_,
                 found.last_pid != 0 ? fmt::format(" from pid {}", found.last_pid) : std::string(), found.processes,
                 found.records, found.open.size() + found.closed.size() + found.parked.size(), human_bytes(found.bytes),
                 found.interrupted ? "; a transaction that was under way is completed" : "");
  }
  if (!is_on_tmpfs(hold_path_)) {
    spdlog::warn(
        "hold {} is not on a tmpfs: what is recorded goes through a disk's cache and is written to it, which "
        "costs time and wears it; name a file on a tmpfs with --hold",
        hold_path_);
  }
  if (found.size_kept) {
    spdlog::warn(
        "hold {}: it is not empty, so it keeps its size and --hold-size waits for an agent that finds it "
        "empty",
        hold_path_);
  }
  if (found.records_damaged != 0) {
    spdlog::warn("hold {}: {} batches with {} records were damaged and are booked as hold_damaged", hold_path_,
                 found.chains_damaged, found.records_damaged);
  }
  return {};
}

Status Agent::configure_export() {
  ExportOptions given;
  given.endpoint = options_.endpoint;
  given.headers = options_.headers;
  given.timeout_ms = options_.timeout_ms;
  if (options_.viewer) {
    Result<ViewerProcess> viewer =
        ViewerProcess::start(own_program(), options_.viewer_otlp_port, options_.viewer_http_port);
    if (!viewer) return std::move(viewer).error();
    viewer_.emplace(std::move(viewer).value());
    spdlog::info("viewer {}", viewer_->page());
    Result<ParsedEndpoint> endpoint = parse_endpoint("viewer", "http://" + viewer_->otlp(), BareMeans::plain_text);
    if (!endpoint) return std::move(endpoint).error();
    given.fallback = endpoint->endpoint;
  }
  const SettingsReport report = read_export_settings(export_variables(), given);
  for (const std::string& warning : report.warnings) spdlog::warn("{}", warning);
  if (!report.ok()) {
    std::string all;
    for (const std::string& error : report.errors) all += (all.empty() ? "" : "; ") + error;
    return Error{ErrorCode::kInvalidArgument, all};
  }
  std::uint32_t thread = kHousekeeperThread + 1;
  for (const Destination& destination : destinations_of(report.settings)) {
    for (std::size_t i = 0; i < kSignals; ++i) {
      if (destination.signals[i]) by_signal_[i] = dispatchers_.size();
    }
    dispatchers_.push_back(std::make_unique<Dispatcher>(*hold_, destination, options_, thread++, [this] {
      for (const std::unique_ptr<Worker>& worker : workers_) worker->made_room();
    }));
    spdlog::info("destination {}", dispatchers_.back()->url());
  }
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const unsigned count = options_.workers != 0 ? options_.workers : std::min(cores, kWorkersMax);
  for (unsigned i = 0; i < count; ++i) {
    workers_.push_back(std::make_unique<Worker>(*hold_, options_, thread++, taps_, [this](const WaitingBatch& batch) {
      dispatcher(batch.signal).push(batch);
    }));
  }
  return {};
}

void Agent::read_own_hints() {
  HintsReport report = own_hints();
  for (const std::string& warning : report.warnings) spdlog::warn("{}", warning);
  own_hints_ = report.hints;
  const MetricSettings metrics = metric_settings_of(options_, own_hints_);
  spdlog::info(
      "metrics every {} ms, {}{}{}", metrics.interval.count(), preference_name(metrics.preference),
      metrics.process_metrics ? ", with process.*" : "",
      options_.metric_interval || own_hints_.metric_interval ? "" : "; a process may ask for another interval");
}

// What an earlier agent held goes out like everything else, after its shape was checked once.
void Agent::take_up_recovered() {
  const auto sound = [this](const BatchInfo& batch, otlp::BatchState state) {
    std::vector<ByteSpan> raw;
    hold_->pieces(batch.id, raw);
    std::vector<otlp::Piece> pieces;
    for (const ByteSpan& bytes : raw) {
      pieces.emplace_back(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    }
    const otlp::BatchCheck check = otlp::check_batch(pieces, state, static_cast<otlp::Signal>(batch.key.signal));
    return check.fault == otlp::BatchFault::none && check.records == batch.records;
  };
  const auto book_damaged = [this](const BatchInfo& batch) {
    Outcome outcome;
    outcome.batch = batch.id;
    outcome.dropped = batch.records;
    outcome.reason = DropReason::hold_damaged;
    const Status settled = hold_->settle(std::span(&outcome, 1));
    spdlog::error("a batch of {} records in the hold is damaged and booked{}", batch.records,
                  settled.ok() ? "" : ": " + settled.error().sentence);
  };
  for (const BatchInfo& batch : hold_->recovery().open) {
    const bool whole = sound(batch, otlp::BatchState::open);
    const Status closed = close_batch(*hold_, batch);
    if (!closed.ok() || !whole) {
      if (!closed.ok()) static_cast<void>(hold_->close(batch.id, {}));
      book_damaged(batch);
      continue;
    }
    dispatcher(batch.key.signal).push(waiting_batch(batch));
  }
  for (const BatchInfo& batch : hold_->recovery().closed) {
    if (!sound(batch, otlp::BatchState::closed)) {
      book_damaged(batch);
      continue;
    }
    dispatcher(batch.key.signal).push(waiting_batch(batch));
  }
}

void Agent::start_threads() {
  for (const std::unique_ptr<Dispatcher>& dispatcher : dispatchers_) dispatcher->start();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->start();
  // The hold's lock is ours, so a socket that is there is one that a killed agent left.
  Result<std::unique_ptr<TapServer>> server = TapServer::start(tap_socket_of(hold_path_), taps_);
  if (server) {
    tap_server_ = std::move(server).value();
  } else {
    spdlog::warn("{}; `tailrace tap` finds no agent, all else works", server.error().sentence);
  }
}

void Agent::scan() {
  std::vector<std::string> gone;
  for (const std::unique_ptr<Worker>& worker : workers_) worker->take_gone(gone);
  for (const std::string& name : gone) attached_.erase(name);

  LockTable locks;
  bool locks_read = false;
  present_ = directory_->scan();
  for (const std::string& name : present_) {
    if (attached_.contains(name)) continue;
    if (!std::exchange(locks_read, true)) locks = LockTable::read();
    attach(name, locks);
  }
}

void Agent::attach(const std::string& name, const LockTable& locks) {
  Result<std::unique_ptr<AttachedSegment>> segment = directory_->open_segment(name, locks);
  if (!segment) {
    const ErrorCode code = segment.error().code;
    if (code != ErrorCode::kUnavailable && code != ErrorCode::kNotFound) {
      spdlog::warn("{}", segment.error().sentence);
    }
    return;
  }
  Result<std::unique_ptr<Session>> session =
      Session::start(*hold_, std::move(segment).value(), host_, options_, own_hints_);
  if (!session) {
    spdlog::warn("{}", session.error().sentence);
    return;
  }
  spdlog::info("attached {}", (*session)->describe());
  attached_.emplace(name, (*session)->process());
  workers_[next_worker_++ % workers_.size()]->adopt(std::move(session).value());
}

void Agent::keep_bounds() {
  hold_->trim();
  std::uint64_t dead_bytes = 0;
  Worker* most = nullptr;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    dead_bytes += worker->dead_bytes();
    if (most == nullptr || worker->dead_bytes() > most->dead_bytes()) most = worker.get();
  }
  if (dead_bytes > options_.dead_segment_bytes && most != nullptr) {
    spdlog::warn(
        "segments of dead processes take {}, more than {}: some are removed, drained ones first; what was not "
        "drained is booked as segment_evicted",
        human_bytes(dead_bytes), human_bytes(options_.dead_segment_bytes));
    most->evict_dead(dead_bytes - options_.dead_segment_bytes);
  }
  // A segment that is there but cannot be read just now is no orphan.
  orphans_->settle([this](ProcessIndex process) {
    const bool attached = std::any_of(attached_.begin(), attached_.end(),
                                      [process](const auto& entry) { return entry.second == process; });
    return attached || std::binary_search(present_.begin(), present_.end(), hold_->process(process).identity.segment);
  });
}

void Agent::run() {
  auto next_scan = steady_clock::now() + kRescan;
  auto next_bounds = steady_clock::now() + seconds(1);
  for (;;) {
    hold_->beat(kHousekeeperThread);
    std::array<pollfd, 2> wanted{pollfd{signals_.fd(), POLLIN, 0}, pollfd{directory_->watch_fd(), POLLIN, 0}};
    const int ready = ::poll(wanted.data(), wanted.size(), 500);
    if (ready < 0 && errno != EINTR) {
      spdlog::error("poll: {}; looking again by time", std::strerror(errno));
      std::this_thread::sleep_for(milliseconds(500));
    }
    if (signals_.arrived()) return;
    const auto now = steady_clock::now();
    const bool changed = directory_->take_changes();
    if (changed || now >= next_scan) {
      scan();
      next_scan = now + kRescan;
    }
    if (now >= next_bounds) {
      keep_bounds();
      next_bounds = now + seconds(1);
    }
  }
}

void Agent::stop() {
  const auto deadline = steady_clock::now() + options_.shutdown;
  spdlog::info("stopping: draining and sending for at most {} ms", options_.shutdown.count());
  scan();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->finish(deadline);
  for (const std::unique_ptr<Dispatcher>& dispatcher : dispatchers_) dispatcher->finish(deadline);
  for (const std::unique_ptr<Worker>& worker : workers_) worker->answer_flushes();
  tap_server_.reset();
  workers_.clear();
  dispatchers_.clear();
  const Result<HoldStatus> left = read_status(hold_path_);
  orphans_.reset();
  hold_.reset();
  directory_.reset();
  const std::uint64_t records = left ? left->open.records + left->closed.records + left->parked.records : 0;
  if (!left) {
    spdlog::warn("stopped; what is left cannot be told: {}", left.error().sentence);
  } else if (records == 0) {
    spdlog::info("stopped: everything taken is settled");
  } else {
    spdlog::warn("stopped: {} records ({}) could not be sent in time and stay in {}; the next agent sends them",
                 records, human_bytes(left->page_bytes_used), hold_path_);
  }
}

}  // namespace

Status run_agent(const AgentOptions& options) {
  auto logger = spdlog::stderr_logger_mt("tailrace agent");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %n: %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  Agent agent(options);
  if (Status started = agent.start(); !started.ok()) return started;
  agent.run();
  agent.stop();
  return {};
}

}  // namespace tailrace::agent
