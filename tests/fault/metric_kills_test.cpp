// SPDX-License-Identifier: Apache-2.0
//
// kill -9 and metrics: what was counted is sent once, whoever dies, and whatever the destination does meanwhile.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <new>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/fault/counting.hpp"
#include "tests/fault/host.hpp"

namespace tailrace::testing {
namespace {

using agent::ChildProcess;
using std::chrono::seconds;

constexpr int kKills = 20;
const char* const kOwnMetrics[] = {"adds", "sizes", "spread"};

// A counting program and the file through which it speaks.
class Count {
 public:
  Count(Host& host, const std::string& service,
        const std::vector<std::pair<std::string, std::string>>& environment = {}, unsigned threads = 3)
      : service_(service), threads_(threads) {
    const std::string path = host.path() + "/" + service;
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(::ftruncate(file, sizeof(Counting)), 0);
    shared_ = static_cast<Counting*>(::mmap(nullptr, sizeof(Counting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    ::close(file);
    program_.emplace(
        host.start_program(TAILRACE_COUNTING, {service, std::to_string(threads), path, "50", "500"}, environment));
  }
  ~Count() { ::munmap(shared_, sizeof(Counting)); }
  Count(const Count&) = delete;
  Count& operator=(const Count&) = delete;

  void kill() {
    program_->signal(SIGKILL);
    program_->stop();
  }
  void finish() {
    shared_->stop = 1;
    EXPECT_TRUE(wait_until([this] { return !program_->running(); }, seconds(20)));
  }
  [[nodiscard]] unsigned threads() const { return threads_; }
  [[nodiscard]] const std::string& service() const { return service_; }
  [[nodiscard]] std::uint64_t begun(unsigned thread) const { return shared_->threads[thread].begun; }
  [[nodiscard]] std::uint64_t returned(unsigned thread) const { return shared_->threads[thread].returned; }

 private:
  std::string service_;
  unsigned threads_;
  Counting* shared_;
  std::optional<ChildProcess> program_;
};

using SeriesKey = std::tuple<std::string, std::string, std::string>;  // service, metric, attributes

struct SeriesPoints {
  std::map<std::pair<std::uint64_t, std::uint64_t>, ArrivedPoint> points;  // by start and time
  std::size_t copies = 0;                                                  // those that came once more
};

std::map<SeriesKey, SeriesPoints> by_series(const std::vector<ArrivedPoint>& all) {
  std::map<SeriesKey, SeriesPoints> series;
  for (const ArrivedPoint& point : all) {
    SeriesPoints& own = series[{point.service, point.metric, point.attributes}];
    const auto [at, fresh] = own.points.emplace(std::pair(point.start_ns, point.time_ns), point);
    if (!fresh) {
      EXPECT_EQ(at->second.value, point.value) << point.metric << ": one interval with two values";
      ++own.copies;
    }
  }
  return series;
}

std::size_t copies_of(const std::map<SeriesKey, SeriesPoints>& series) {
  std::size_t copies = 0;
  for (const auto& [key, own] : series) copies += own.copies;
  return copies;
}

// What a process counted for each metric and thread, put together from its deltas; the intervals of a series may not
// overlap.
std::map<std::pair<std::string, std::int64_t>, double> sum_of_deltas(const std::map<SeriesKey, SeriesPoints>& series,
                                                                     const std::string& service) {
  std::map<std::pair<std::string, std::int64_t>, double> sums;
  for (const auto& [key, own] : series) {
    if (std::get<0>(key) != service || std::get<1>(key).rfind("process.", 0) == 0) continue;
    std::uint64_t last_ns = 0;
    for (const auto& [interval, point] : own.points) {
      EXPECT_TRUE(point.delta) << point.metric;
      EXPECT_GE(point.start_ns, last_ns) << point.metric << " " << point.attributes << ": intervals overlap";
      EXPECT_GT(point.time_ns, point.start_ns);
      last_ns = point.time_ns;
      sums[{point.metric, point.thread}] += point.value;
    }
  }
  return sums;
}

std::map<std::pair<std::string, std::int64_t>, double> last_values(const std::map<SeriesKey, SeriesPoints>& series,
                                                                   const std::string& service) {
  std::map<std::pair<std::string, std::int64_t>, double> last;
  for (const auto& [key, own] : series) {
    if (std::get<0>(key) != service || std::get<1>(key).rfind("process.", 0) == 0) continue;
    double before = 0;
    for (const auto& [interval, point] : own.points) {
      EXPECT_FALSE(point.delta) << point.metric;
      EXPECT_EQ(point.start_ns, own.points.begin()->second.start_ns) << "a cumulative series has one start";
      EXPECT_GE(point.value, before) << point.metric << " went back";
      before = point.value;
    }
    last[{own.points.begin()->second.metric, own.points.begin()->second.thread}] += before;
  }
  return last;
}

class MetricKillsTest : public ::testing::Test {
 protected:
  milliseconds some_time(int least_ms, int most_ms) {
    return milliseconds(std::uniform_int_distribution<int>(least_ms, most_ms)(random_));
  }
  static std::vector<std::string> options(const std::string& temporality, std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--metric-interval", "100", "--temporality", temporality, "--workers", "1"});
    return more;
  }
  void kill_agent_often(const std::vector<std::string>& agent) {
    for (int kill = 0; kill < kKills; ++kill) {
      std::this_thread::sleep_for(some_time(20, 180));
      host_.kill_agent();
      expect_balanced(host_.status());
      host_.start_agent(agent);
    }
  }
  // Everything that returned, and nothing that was not begun.
  static void expect_counted(const std::map<std::pair<std::string, std::int64_t>, double>& sums, const Count& count) {
    for (unsigned thread = 0; thread < count.threads(); ++thread) {
      for (const char* metric : kOwnMetrics) {
        const auto found = sums.find({metric, thread});
        const double sum = found != sums.end() ? found->second : 0;
        EXPECT_GE(sum, static_cast<double>(count.returned(thread))) << count.service() << " " << metric << " lost some";
        EXPECT_LE(sum, static_cast<double>(count.begun(thread))) << count.service() << " " << metric << " repeats some";
      }
    }
  }
  // The ledger says the same as the destination.
  void expect_ledger(std::size_t distinct_points) {
    const agent::HoldStatus status = host_.status();
    expect_balanced(status);
    const agent::SignalLedger& row = status.totals[2];
    EXPECT_EQ(row.written(), distinct_points);
    EXPECT_EQ(row.delivered, distinct_points);
    EXPECT_EQ(row.dropped_total() + row.rejected, 0u);
    EXPECT_EQ(row.unaccounted(), 0);
    for (const agent::ProcessStatus& process : status.processes) {
      EXPECT_EQ(process.baselines_lost, 0u);
      EXPECT_EQ(process.baseline_bytes, 0u) << "a process that is gone gives its baseline back";
    }
  }

  std::mt19937 random_{20260404};
  Host host_;
};

TEST_F(MetricKillsTest, AnAgentKilledBetweenAndDuringCollectionsNeitherRepeatsNorLosesADelta) {
  host_.start_sink();
  host_.start_agent(options("delta"));
  Count count(host_, "counting");
  kill_agent_often(options("delta"));
  count.finish();
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  const std::vector<ArrivedPoint> all = host_.arrived_points();
  const auto series = by_series(all);
  EXPECT_GT(count.returned(0), 1000u) << "too little load to show anything";
  expect_counted(sum_of_deltas(series, "counting"), count);
  // Only whole requests whose answer was not booked came again.
  std::map<std::string, int> requests;
  for (const ArrivedPoint& point : all) ++requests[point.request];
  ASSERT_FALSE(requests.empty());
  EXPECT_LE(copies_of(series), static_cast<std::size_t>(kKills) * 4 * (all.size() / requests.size() + 1));
  expect_ledger(all.size() - copies_of(series));
}

#if defined(TAILRACE_TEST_POINTS) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST_F(MetricKillsTest, AnAgentKilledAtEveryStepOfACollectionNeitherRepeatsNorLosesADelta) {
  host_.start_sink();
  Count count(host_, "counting");
  int deaths = 0;
  for (const int hit : {1, 2, 5}) {
    for (const char* point : {"agent.metrics.collected", "agent.metrics.appended", "agent.metrics.kept",
                              "hold.pass.begin", "hold.txn.entry", "hold.txn.valid", "hold.txn.apply", "hold.txn.clear",
                              "hold.pass.committed", "hold.page.clear", "agent.metrics.committed", "hold.slot.words",
                              "hold.page.take", "hold.close.state", "hold.settle.committed"}) {
      EXPECT_TRUE(host_.run_agent_that_dies(point, hit, options("delta"))) << point << " hit " << hit;
      expect_balanced(host_.status());
      ++deaths;
    }
  }
  EXPECT_EQ(deaths, 45);
  host_.start_agent(options("delta"));
  count.finish();
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  const std::vector<ArrivedPoint> all = host_.arrived_points();
  const auto series = by_series(all);
  expect_counted(sum_of_deltas(series, "counting"), count);
  expect_ledger(all.size() - copies_of(series));
}

TEST_F(MetricKillsTest, LastValuesAreSentOnceThoughEveryAgentDiesOverThem) {
  host_.start_sink();
  for (const char* temporality : {"delta", "cumulative"}) {
    Count count(host_, temporality);
    ASSERT_TRUE(wait_until([&] { return count.returned(2) > 200; }, seconds(20)));
    count.kill();
    // An hour: nothing but the death brings a collection.
    const std::vector<std::string> slow{"--metric-interval", "3600000", "--temporality", temporality};
    for (const char* point : {"agent.metrics.collected", "agent.metrics.kept", "hold.txn.valid",
                              "agent.metrics.committed", "hold.settle.begin"}) {
      EXPECT_TRUE(host_.run_agent_that_dies(point, 1, slow)) << point;
    }
    host_.start_agent(slow);
    ASSERT_TRUE(host_.wait_until_settled(seconds(30)));
    const auto series = by_series(host_.arrived_points());
    expect_counted(
        temporality == std::string("delta") ? sum_of_deltas(series, temporality) : last_values(series, temporality),
        count);
    for (const auto& [key, own] : series) {
      if (std::get<0>(key) != temporality) continue;
      EXPECT_EQ(own.points.size(), 1u) << std::get<1>(key);
    }
    EXPECT_EQ(host_.stop_agent(), 0);
  }
}
#endif

TEST_F(MetricKillsTest, AHoldThatIsLostSendsNothingTwice) {
  host_.start_sink();
  host_.start_agent(options("delta"));
  Count count(host_, "counting");
  ASSERT_TRUE(wait_until([this] { return host_.status().totals[2].delivered > 1000; }, seconds(20)));
  host_.kill_agent();
  std::filesystem::remove(host_.hold());
  host_.start_agent(options("delta"));
  ASSERT_TRUE(wait_until([this] { return host_.status().totals[2].delivered > 1000; }, seconds(20)));
  std::string said = host_.first_words();
  for (const std::string& line : host_.agent_words()) said += line + "\n";
  EXPECT_NE(said.find("its deltas start anew"), std::string::npos) << said;
  EXPECT_EQ(host_.status().processes.at(0).baselines_lost, 1u);
  count.finish();
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  const auto sums = sum_of_deltas(by_series(host_.arrived_points()), "counting");
  for (unsigned thread = 0; thread < count.threads(); ++thread) {
    const double sum = sums.at({"adds", thread});
    EXPECT_LE(sum, static_cast<double>(count.begun(thread)));
    EXPECT_GT(sum, static_cast<double>(count.returned(thread)) / 4) << "only what was counted in between is missing";
  }
}

TEST_F(MetricKillsTest, AnAgentKilledInAnOutageDeliversEveryDeltaOnce) {
  host_.start_sink();  // for its port
  host_.stop_sink();
  const std::vector<std::string> agent = options("delta", {"--hold-size", "4MiB"});
  host_.start_agent(agent);
  Count count(host_, "counting");
  kill_agent_often(agent);
  agent::HoldStatus outage;
  EXPECT_TRUE(wait_until(
      [&] {
        outage = host_.status();
        return outage.page_bytes_used > outage.page_bytes / 4;
      },
      seconds(20)))
      << "the hold is too empty to show anything";
  EXPECT_EQ(outage.totals[2].delivered, 0u);
  EXPECT_GT(outage.totals[2].held, 1000u);
  host_.start_sink();
  count.finish();
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  const std::vector<ArrivedPoint> all = host_.arrived_points();
  const auto series = by_series(all);
  expect_counted(sum_of_deltas(series, "counting"), count);
  EXPECT_EQ(copies_of(series), 0u);
  expect_ledger(all.size());
}

TEST_F(MetricKillsTest, AnAgentKilledOftenSendsCumulativeValuesThatOnlyGrowUpToTheLast) {
  host_.start_sink();
  host_.start_agent(options("cumulative"));
  Count count(host_, "counting");
  kill_agent_often(options("cumulative"));
  count.finish();
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  const std::vector<ArrivedPoint> all = host_.arrived_points();
  const auto series = by_series(all);
  expect_counted(last_values(series, "counting"), count);
  expect_ledger(all.size() - copies_of(series));
}

TEST_F(MetricKillsTest, AnApplicationKilledUnderLoadKeepsEveryAddThatReturned) {
  host_.start_sink();
  for (const char* temporality : {"delta", "cumulative"}) {
    host_.start_agent(options(temporality));
    std::vector<std::unique_ptr<Count>> counts;
    for (int kill = 0; kill < kKills / 2; ++kill) {
      counts.push_back(std::make_unique<Count>(host_, temporality + std::to_string(kill)));
      std::this_thread::sleep_for(some_time(30, 300));
      // Every third dies without an agent, and the next agent sends its last values.
      if (kill % 3 == 2) host_.kill_agent();
      counts.back()->kill();
      if (kill % 3 == 2) host_.start_agent(options(temporality));
    }
    ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
    const auto series = by_series(host_.arrived_points());
    for (const auto& count : counts) {
      SCOPED_TRACE(count->service());
      expect_counted(temporality == std::string("delta") ? sum_of_deltas(series, count->service())
                                                         : last_values(series, count->service()),
                     *count);
    }
    EXPECT_EQ(host_.stop_agent(), 0);
  }
  const std::vector<ArrivedPoint> all = host_.arrived_points();
  expect_ledger(all.size() - copies_of(by_series(all)));
}

TEST_F(MetricKillsTest, AFullHoldSkipsCollectionsAndTheNextDeltaCarriesThem) {
  host_.start_sink();
  host_.stop_sink();
  const std::vector<std::string> agent = options("delta", {"--hold-size", "1MiB"});
  host_.start_agent(agent);
  Count count(host_, "counting");
  const auto skipped = [this] {
    std::uint64_t sum = 0;
    for (const agent::ProcessStatus& process : host_.status().processes) {
      sum += process.words[static_cast<std::size_t>(agent::ProcessWord::metrics_skipped)];
    }
    return sum;
  };
  ASSERT_TRUE(wait_until([&] { return skipped() >= 3; }, seconds(60))) << "the hold did not fill";
  host_.kill_agent();
  expect_balanced(host_.status());
  host_.start_agent(agent);
  host_.start_sink();
  std::this_thread::sleep_for(some_time(200, 300));
  count.finish();
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  const std::vector<ArrivedPoint> all = host_.arrived_points();
  const auto series = by_series(all);
  expect_counted(sum_of_deltas(series, "counting"), count);
  expect_ledger(all.size() - copies_of(series));
}

TEST_F(MetricKillsTest, AnAgentThatIsStoppedCollectsWhatTheIntervalHasNotBroughtYet) {
  host_.start_sink();
  const std::vector<std::string> slow{"--metric-interval", "3600000", "--temporality", "delta"};
  host_.start_agent(slow);
  Count count(host_, "counting");
  ASSERT_TRUE(wait_until([&] { return count.returned(0) > 500; }, seconds(20)));
  ASSERT_TRUE(wait_until([&] { return host_.status().processes.size() == 1; }, seconds(20)));
  EXPECT_EQ(host_.stop_agent(), 0);
  auto sums = sum_of_deltas(by_series(host_.arrived_points()), "counting");
  EXPECT_GE((sums[{"adds", 0}]), 1.0);
  EXPECT_GE(host_.status().totals[2].delivered, 9u);
  host_.start_agent(slow);
  count.finish();
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  expect_counted(sum_of_deltas(by_series(host_.arrived_points()), "counting"), count);
}

TEST_F(MetricKillsTest, AProcessAsksForItsIntervalAndTemporalityAndIsObeyed) {
  host_.start_sink();
  host_.start_agent();  // a minute and cumulative, but for processes that ask
  Count asks(host_, "asks",
             {{"OTEL_METRIC_EXPORT_INTERVAL", "100"}, {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"}});
  Count silent(host_, "silent");
  EXPECT_TRUE(wait_until(
      [&] {
        const auto points = by_series(host_.arrived_points());
        const auto found = points.find({"asks", "adds", points.empty() ? "" : std::get<2>(points.begin()->first)});
        return found != points.end() && found->second.points.size() >= 5;
      },
      seconds(20)));
  asks.finish();
  silent.finish();
  ASSERT_TRUE(host_.wait_until_settled(seconds(30)));
  const auto series = by_series(host_.arrived_points());
  expect_counted(sum_of_deltas(series, "asks"), asks);
  expect_counted(last_values(series, "silent"), silent);
}

}  // namespace
}  // namespace tailrace::testing
