// SPDX-License-Identifier: Apache-2.0
#include "tests/fault/host.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace tailrace::testing {
namespace {

namespace fs = std::filesystem;
namespace pb = opentelemetry::proto;
using agent::Captured;
using agent::ChildProcess;
using std::chrono::seconds;
using std::chrono::steady_clock;

template <class Attributes>
std::string text_of(const Attributes& attributes, const std::string& key) {
  for (const auto& attribute : attributes) {
    if (attribute.key() == key) return attribute.value().string_value();
  }
  return {};
}

template <class Attributes>
std::int64_t number_of(const Attributes& attributes, const std::string& key) {
  for (const auto& attribute : attributes) {
    if (attribute.key() == key) return attribute.value().int_value();
  }
  return -1;
}

template <class Attributes>
bool truth_of(const Attributes& attributes, const std::string& key) {
  for (const auto& attribute : attributes) {
    if (attribute.key() == key) return attribute.value().bool_value();
  }
  return false;
}

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void add_spans(const fs::path& path, std::vector<Arrived>& out) {
  pb::collector::trace::v1::ExportTraceServiceRequest request;
  ASSERT_TRUE(request.ParseFromString(bytes_of(path))) << path << " is not a request";
  for (const auto& resource : request.resource_spans()) {
    const std::string service = text_of(resource.resource().attributes(), "service.name");
    for (const auto& scope : resource.scope_spans()) {
      for (const auto& span : scope.spans()) {
        Arrived one;
        one.service = service;
        one.name = span.name();
        one.thread = number_of(span.attributes(), "thread");
        one.number = number_of(span.attributes(), "number");
        one.attributes = span.attributes_size();
        one.dropped_attributes = span.dropped_attributes_count();
        one.incomplete = truth_of(span.attributes(), "tailrace.span.incomplete");
        one.request = path.parent_path().filename() / path.filename();
        out.push_back(std::move(one));
      }
    }
  }
}

void add_logs(const fs::path& path, std::vector<Arrived>& out) {
  pb::collector::logs::v1::ExportLogsServiceRequest request;
  ASSERT_TRUE(request.ParseFromString(bytes_of(path))) << path << " is not a request";
  for (const auto& resource : request.resource_logs()) {
    const std::string service = text_of(resource.resource().attributes(), "service.name");
    for (const auto& scope : resource.scope_logs()) {
      for (const auto& record : scope.log_records()) {
        Arrived one;
        one.service = service;
        one.name = record.body().string_value();
        one.is_log = true;
        one.thread = number_of(record.attributes(), "thread");
        one.number = number_of(record.attributes(), "number");
        one.request = path.parent_path().filename() / path.filename();
        out.push_back(std::move(one));
      }
    }
  }
}

template <class Point>
void add_point(ArrivedPoint one, const Point& point, bool delta, double value, std::vector<ArrivedPoint>& out) {
  for (const auto& attribute : point.attributes()) one.attributes += attribute.ShortDebugString() + " ";
  one.thread = number_of(point.attributes(), "thread");
  one.delta = delta;
  one.start_ns = point.start_time_unix_nano();
  one.time_ns = point.time_unix_nano();
  one.value = value;
  out.push_back(std::move(one));
}

void add_metric(const ArrivedPoint& one, const pb::metrics::v1::Metric& metric, std::vector<ArrivedPoint>& out) {
  const auto is_delta = [](const auto& data) {
    return data.aggregation_temporality() == pb::metrics::v1::AGGREGATION_TEMPORALITY_DELTA;
  };
  const auto value_of = [](const pb::metrics::v1::NumberDataPoint& point) {
    return point.has_as_int() ? static_cast<double>(point.as_int()) : point.as_double();
  };
  for (const auto& point : metric.sum().data_points()) {
    add_point(one, point, is_delta(metric.sum()), value_of(point), out);
  }
  for (const auto& point : metric.gauge().data_points()) add_point(one, point, false, value_of(point), out);
  for (const auto& point : metric.histogram().data_points()) {
    add_point(one, point, is_delta(metric.histogram()), static_cast<double>(point.count()), out);
  }
  for (const auto& point : metric.exponential_histogram().data_points()) {
    add_point(one, point, is_delta(metric.exponential_histogram()), static_cast<double>(point.count()), out);
  }
}

void add_points(const fs::path& path, std::vector<ArrivedPoint>& out) {
  pb::collector::metrics::v1::ExportMetricsServiceRequest request;
  ASSERT_TRUE(request.ParseFromString(bytes_of(path))) << path << " is not a request";
  for (const auto& resource : request.resource_metrics()) {
    ArrivedPoint one;
    one.service = text_of(resource.resource().attributes(), "service.name");
    one.request = path.parent_path().filename() / path.filename();
    for (const auto& scope : resource.scope_metrics()) {
      for (const auto& metric : scope.metrics()) {
        one.metric = metric.name();
        add_metric(one, metric, out);
      }
    }
  }
}

}  // namespace

Host::Host() {
  char made[] = "/dev/shm/tailrace-test-XXXXXX";
  if (::mkdtemp(made) == nullptr) {
    ADD_FAILURE() << "cannot make a directory in /dev/shm";
    std::abort();
  }
  path_ = made;
  fs::create_directories(path_ + "/requests");
}

Host::~Host() {
  agent_.reset();
  sink_.reset();
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

// Each life of the sink has a folder of its own, so that none overwrites an earlier one's requests.
void Host::start_sink(const std::vector<std::string>& options) {
  std::vector<std::string> arguments{"--dir", path_ + "/requests/" + std::to_string(sink_lives_++), "--port",
                                     std::to_string(sink_port_)};
  arguments.insert(arguments.end(), options.begin(), options.end());
  for (int attempt = 0;; ++attempt) {
    auto sink = ChildProcess::start(TAILRACE_TEST_SINK, arguments, Captured::standard_output);
    ASSERT_TRUE(sink.ok()) << sink.error().sentence;
    const std::string line = sink->read_line(seconds(20)).value_or("");
    if (line.rfind("PORT ", 0) == 0) {
      sink_port_ = std::stoi(line.substr(5));
      sink_.emplace(std::move(sink).value());
      return;
    }
    ASSERT_LT(attempt, 20) << "the sink does not listen on port " << sink_port_ << ": " << line;
    std::this_thread::sleep_for(milliseconds(100));
  }
}

void Host::stop_sink() { sink_.reset(); }

std::vector<std::string> Host::agent_arguments(const std::vector<std::string>& options) const {
  std::vector<std::string> arguments{"agent", "--dir", segments(), "--endpoint",
                                     "http://127.0.0.1:" + std::to_string(sink_port_)};
  arguments.insert(arguments.end(), options.begin(), options.end());
  // What a test counts is what its programs record, unless it is about metrics.
  if (std::find(options.begin(), options.end(), "--metric-interval") == options.end()) {
    arguments.emplace_back("--no-process-metrics");
  }
  return arguments;
}

bool Host::run_agent_that_dies(const std::string& point, int hit, std::vector<std::string> options) {
  auto agent = ChildProcess::start(
      TAILRACE_PROGRAM, agent_arguments(options), Captured::standard_error,
      {{"LD_PRELOAD", TAILRACE_TEST_KILLER}, {"KILL_POINT", point}, {"KILL_HIT", std::to_string(hit)}});
  EXPECT_TRUE(agent.ok());
  if (!agent.ok()) return false;
  const auto deadline = steady_clock::now() + seconds(10);
  while (agent->running() && steady_clock::now() < deadline) {
    while (agent->read_line(milliseconds(10))) {}
  }
  const bool died = !agent->running();
  const int status = agent->stop();
  return died && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

void Host::start_agent(std::vector<std::string> options) {
  const std::vector<std::string> arguments = agent_arguments(options);
  auto agent = ChildProcess::start(TAILRACE_PROGRAM, arguments, Captured::standard_error);
  ASSERT_TRUE(agent.ok()) << agent.error().sentence;
  agent_.emplace(std::move(agent).value());
  first_words_.clear();
  for (;;) {
    const std::optional<std::string> line = agent_->read_line(seconds(20));
    ASSERT_TRUE(line) << "the agent did not start; it said:\n" << first_words_;
    first_words_ += *line + "\n";
    if (line->find("ready:") != std::string::npos) return;
  }
}

void Host::kill_agent() {
  agent_->signal(SIGKILL);
  agent_->stop();
  agent_.reset();
}

int Host::stop_agent(milliseconds patience) {
  const int status = agent_->stop(patience);
  return status;
}

std::vector<std::string> Host::agent_words() {
  std::vector<std::string> words;
  while (agent_) {
    const std::optional<std::string> line = agent_->read_line(milliseconds(0));
    if (!line) break;
    words.push_back(*line);
  }
  return words;
}

agent::ChildProcess Host::start_program(const std::string& program, const std::vector<std::string>& arguments,
                                        const std::vector<std::pair<std::string, std::string>>& environment) {
  std::vector<std::pair<std::string, std::string>> all{{"TAILRACE_DIR", segments()}};
  all.insert(all.end(), environment.begin(), environment.end());
  auto child = ChildProcess::start(program, arguments, Captured::standard_output, all);
  if (!child.ok()) {
    ADD_FAILURE() << child.error().sentence;
    std::abort();
  }
  return std::move(child).value();
}

agent::HoldStatus Host::status() const {
  auto status = agent::read_status(hold());
  EXPECT_TRUE(status.ok()) << status.error().sentence;
  return status.ok() ? std::move(status).value() : agent::HoldStatus{};
}

bool Host::wait_until_settled(milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  for (;;) {
    const agent::HoldStatus now = status();
    bool settled = true;
    for (const agent::SignalLedger& row : now.totals) settled = settled && row.pending() == 0;
    for (const agent::ProcessStatus& process : now.processes) {
      settled = settled && (process.others || process.info.gone);
    }
    if (settled) return true;
    if (steady_clock::now() >= deadline) return false;
    // A pipe that nobody reads would stop the agent.
    for (const std::string& line : agent_words()) std::fprintf(stderr, "  %s\n", line.c_str());
    std::this_thread::sleep_for(milliseconds(20));
  }
}

std::vector<Arrived> Host::arrived() const {
  std::vector<Arrived> all;
  for (const auto& entry : fs::recursive_directory_iterator(path_ + "/requests")) {
    const std::string name = entry.path().filename();
    if (name.rfind("traces-", 0) == 0) add_spans(entry.path(), all);
    if (name.rfind("logs-", 0) == 0) add_logs(entry.path(), all);
  }
  return all;
}

std::vector<ArrivedPoint> Host::arrived_points() const {
  std::vector<ArrivedPoint> all;
  for (const auto& entry : fs::recursive_directory_iterator(path_ + "/requests")) {
    if (entry.path().filename().string().rfind("metrics-", 0) == 0) add_points(entry.path(), all);
  }
  return all;
}

void expect_balanced(const agent::HoldStatus& status) {
  for (const agent::ProcessStatus& process : status.processes) {
    for (std::size_t i = 0; i < agent::kSignalCount; ++i) {
      const agent::SignalLedger& row = process.ledger[i];
      const std::string what =
          process.info.identity.service + " " + std::string(agent::signal_name(static_cast<agent::Signal>(i)));
      EXPECT_EQ(row.imbalance(), 0) << what;
      // `written` is stored after head, so of a live process it may be one behind for each lane it uses.
      if (process.info.phase == agent::ProcessPhase::drained) {
        EXPECT_EQ(row.unaccounted(), 0) << what << " written " << row.written() << " seen " << row.seen;
      }
    }
  }
}

}  // namespace tailrace::testing
