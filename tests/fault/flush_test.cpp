// SPDX-License-Identifier: Apache-2.0
//
// What flush() says, and what is true: a program that records and waits, a real agent, a destination that takes,
// refuses, answers late or is not there. The program's figures are held against the ledger's.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <tailrace/tailrace.hpp>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/host.hpp"

namespace tailrace::testing {
namespace {

using namespace std::chrono_literals;
using namespace tailrace::literals;
using Clock = std::chrono::steady_clock;

// One flush of the program, as it told it.
struct Told {
  FlushResult result;
  double ms = 0;
};

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// A program of its own (init() is once a process) that tells each flush through a pipe.
class Program {
 public:
  Program(const Host& host, const std::function<void(Program&)>& body) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      out_ = ends[1];
      ::setenv("TAILRACE_DIR", host.segments().c_str(), 1);
      Config config;
      config.service = "flusher";
      config.ring_bytes = 1 << 20;
      if (!init(config).ok()) ::_exit(90);
      body(*this);
      ::_exit(0);
    }
    ::close(ends[1]);
    in_ = ends[0];
  }
  ~Program() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      wait();
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // In the program.
  FlushResult tell(std::chrono::milliseconds deadline, Priority lowest = Priority::background) {
    Told told;
    const auto start = Clock::now();
    told.result = flush(deadline, lowest);
    told.ms = ms_since(start);
    if (::write(out_, &told, sizeof told) != static_cast<ssize_t>(sizeof told)) ::_exit(91);
    return told.result;
  }

  // In the test: the next flush it told. A program that ended without says so by `ms` < 0.
  Told next() {
    Told told;
    if (::read(in_, &told, sizeof told) != static_cast<ssize_t>(sizeof told)) {
      ADD_FAILURE() << "the program told nothing more";
      told.ms = -1;
    }
    return told;
  }
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    ::close(in_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  int in_ = -1;
};

void record(int spans, Priority priority = Priority::normal) {
  for (int i = 0; i < spans; ++i) {
    SpanOptions options;
    options.priority = priority;
    auto span = tailrace::span("work"_n, options);
    span.set("number"_n, i);
  }
}

std::uint64_t dropped(const FlushResult& result, DropCause cause) {
  return result.total.dropped[static_cast<std::size_t>(cause)];
}

class FlushTest : public ::testing::Test {
 protected:
  void expect_ledger(std::uint64_t delivered, std::uint64_t rejected, std::uint64_t refused) {
    ASSERT_TRUE(host_.wait_until_settled(60s));
    const agent::HoldStatus status = host_.status();
    expect_balanced(status);
    std::uint64_t sums[3] = {};
    for (const agent::SignalLedger& row : status.totals) {
      sums[0] += row.delivered;
      sums[1] += row.rejected;
      sums[2] += row.dropped[static_cast<std::size_t>(agent::DropReason::non_retryable)];
      EXPECT_EQ(row.pending(), 0u);
    }
    EXPECT_EQ(sums[0], delivered);
    EXPECT_EQ(sums[1], rejected);
    EXPECT_EQ(sums[2], refused);
  }
  Host host_;
  // The kernel's figures of a process would be in every flush of everything.
  const std::vector<std::string> quiet_{"--no-process-metrics"};
  // Nothing leaves by itself: what is answered was closed by the flush.
  const std::vector<std::string> patient_{"--no-process-metrics", "--linger", "60000", "--background-linger", "60000"};
};

TEST_F(FlushTest, DeliversWhatWasRecordedBeforeItAndCountsItExactly) {
  host_.start_sink();
  host_.start_agent(patient_);
  Program program(host_, [](Program& self) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        record(250);
        record(10, Priority::background);
        for (int i = 0; i < 25; ++i) info("log {}"_n, i);
      });
    }
    for (std::thread& thread : threads) thread.join();
    self.tell(20s);
    self.tell(20s);
    record(1);
    self.tell(20s);
  });
  const Told first = program.next();
  EXPECT_EQ(first.result.code, FlushCode::done) << first.result.sentence;
  EXPECT_EQ(first.result.signals[0].delivered, 1040u);
  EXPECT_EQ(first.result.signals[1].delivered, 100u);
  EXPECT_EQ(first.result.total.delivered, 1140u);
  EXPECT_EQ(first.result.total.pending, 0u);
  EXPECT_EQ(first.result.total.rejected + first.result.total.dropped_total(), 0u);
  const Told second = program.next();
  EXPECT_TRUE(second.result.done());
  EXPECT_EQ(second.result.total.delivered, 0u);
  EXPECT_EQ(program.next().result.total.delivered, 1u);
  EXPECT_EQ(program.wait(), 0);
  expect_ledger(1141, 0, 0);
  EXPECT_EQ(host_.arrived().size(), 1141u);
}

TEST_F(FlushTest, CollectsMetricsAndWaitsForTheirPoints) {
  host_.start_sink();
  host_.start_agent(patient_);  // whose own interval is a minute
  Program program(host_, [](Program& self) {
    counter<std::uint64_t>("payments").add(5);
    counter<std::uint64_t>("refunds").add(1);
    record(1, Priority::critical);
    self.tell(20s, Priority::critical);
    self.tell(20s);
  });
  const Told critical = program.next();
  EXPECT_TRUE(critical.result.done()) << critical.result.sentence;
  EXPECT_EQ(critical.result.signals[2].delivered, 0u);
  const Told all = program.next();
  EXPECT_TRUE(all.result.done()) << all.result.sentence;
  EXPECT_EQ(all.result.signals[2].delivered, 2u);
  EXPECT_EQ(all.result.signals[2].pending, 0u);
  EXPECT_EQ(all.result.total.delivered, 3u);
  EXPECT_EQ(program.wait(), 0);
}

TEST_F(FlushTest, OfCriticalRecordsLeavesTheOthersWhereTheyAre) {
  host_.start_sink();
  host_.start_agent(patient_);
  Program program(host_, [](Program& self) {
    record(5);
    record(3, Priority::background);
    record(2, Priority::critical);
    error("critical by severity {}"_n, 1);
    self.tell(20s, Priority::critical);
    self.tell(20s);
    self.tell(20s, Priority::critical);
  });
  const Told critical = program.next();
  EXPECT_TRUE(critical.result.done()) << critical.result.sentence;
  EXPECT_EQ(critical.result.signals[0].delivered, 2u);
  EXPECT_EQ(critical.result.signals[1].delivered, 1u);
  EXPECT_EQ(critical.result.total.pending, 0u);
  const Told all = program.next();
  EXPECT_TRUE(all.result.done());
  EXPECT_EQ(all.result.total.delivered, 11u) << "since the last flush of everything, of which there was none";
  EXPECT_EQ(program.next().result.total.delivered, 0u);
  EXPECT_EQ(program.wait(), 0);
  expect_ledger(11, 0, 0);
}

TEST_F(FlushTest, SaysInAnOutageWhatIsPendingAndEndsInTime) {
  host_.start_sink();  // for its port
  host_.stop_sink();
  host_.start_agent(quiet_);
  Program program(host_, [](Program& self) {
    record(10);
    record(1, Priority::critical);
    self.tell(300ms);
    self.tell(100ms, Priority::critical);
    self.tell(30s);
    self.tell(10s, Priority::critical);
  });
  const Told outage = program.next();
  EXPECT_EQ(outage.result.code, FlushCode::timed_out);
  EXPECT_TRUE(outage.result.timed_out);
  EXPECT_EQ(outage.result.total.pending, 11u) << outage.result.sentence;
  EXPECT_EQ(outage.result.total.delivered, 0u);
  EXPECT_GE(outage.ms, 299);
  EXPECT_LT(outage.ms, 2300);
  const Told critical = program.next();
  EXPECT_EQ(critical.result.code, FlushCode::timed_out);
  EXPECT_EQ(critical.result.total.pending, 1u);
  host_.start_sink();
  const Told after = program.next();
  EXPECT_TRUE(after.result.done()) << after.result.sentence;
  EXPECT_EQ(after.result.total.delivered, 11u);
  EXPECT_EQ(after.result.total.pending, 0u);
  EXPECT_EQ(program.next().result.total.delivered, 1u);
  EXPECT_EQ(program.wait(), 0);
  expect_ledger(11, 0, 0);
}

TEST_F(FlushTest, IsAnsweredByTheNextAgentWhenTheFirstIsKilledMeanwhile) {
  host_.start_sink();
  host_.stop_sink();
  host_.start_agent(quiet_);
  Program program(host_, [](Program& self) {
    record(7);
    record(2, Priority::critical);
    std::thread critical([&self] { self.tell(60s, Priority::critical); });
    critical.join();
    self.tell(60s);
  });
  // It waits: its records are with the agent and cannot go.
  ASSERT_TRUE(wait_until([&] { return host_.status().totals[0].seen == 9; }, 20s));
  std::this_thread::sleep_for(50ms);
  host_.kill_agent();
  host_.start_sink();
  host_.start_agent(quiet_);
  const Told critical = program.next();
  EXPECT_TRUE(critical.result.done()) << critical.result.sentence;
  EXPECT_EQ(critical.result.total.delivered, 2u);
  const Told all = program.next();
  EXPECT_TRUE(all.result.done()) << all.result.sentence;
  EXPECT_EQ(all.result.total.delivered, 9u);
  EXPECT_EQ(program.wait(), 0);
  expect_ledger(9, 0, 0);
}

TEST_F(FlushTest, IsExactWhereverTheAgentIsKilled) {
  host_.start_sink();
  host_.start_agent(quiet_);
  Program program(host_, [](Program& self) {
    std::uint64_t recorded = 0;
    std::uint64_t delivered = 0;
    const auto start = Clock::now();
    while (ms_since(start) < 4000) {
      record(3);
      record(1, Priority::critical);
      recorded += 4;
      const FlushResult result = flush(60s);
      delivered += result.total.delivered;
      // Everything before it is delivered once it is answered, whoever answered.
      if (!result.done() || delivered != recorded || result.total.pending != 0) break;
    }
    if (delivered != recorded) ::_exit(1);
    self.tell(60s);
  });
  std::mt19937 random(7);
  for (int kill = 0; kill < 12; ++kill) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution<int>(20, 250)(random)));
    host_.kill_agent();
    host_.start_agent(quiet_);
  }
  EXPECT_TRUE(program.next().result.done());
  EXPECT_EQ(program.wait(), 0) << "1: an answer did not hold what was recorded before it";
  ASSERT_TRUE(host_.wait_until_settled(60s));
  expect_balanced(host_.status());
}

TEST_F(FlushTest, TellsWhatTheDestinationRejectedOrRefused) {
  host_.start_sink({"--partial", "3", "--first", "1"});
  host_.start_agent(patient_);
  Program program(host_, [](Program& self) {
    record(10);
    self.tell(20s);
  });
  const Told partial = program.next();
  EXPECT_TRUE(partial.result.done()) << partial.result.sentence;
  EXPECT_EQ(partial.result.total.rejected, 3u);
  EXPECT_EQ(partial.result.total.delivered, 7u);
  EXPECT_EQ(program.wait(), 0);
  expect_ledger(7, 3, 0);

  host_.stop_sink();
  host_.start_sink({"--status", "3", "--message", "not like this", "--first", "1000"});
  Program refused(host_, [](Program& self) {
    record(4);
    record(1, Priority::critical);
    self.tell(20s, Priority::critical);
    self.tell(20s);
  });
  const Told critical = refused.next();
  EXPECT_TRUE(critical.result.done()) << critical.result.sentence;
  EXPECT_EQ(dropped(critical.result, DropCause::refused), 1u);
  const Told all = refused.next();
  EXPECT_TRUE(all.result.done()) << all.result.sentence;
  EXPECT_EQ(dropped(all.result, DropCause::refused), 5u);
  EXPECT_EQ(all.result.total.delivered, 0u);
  EXPECT_EQ(refused.wait(), 0);
  expect_ledger(7, 3, 5);
}

// Parts of a span that is still open lie in the hold until it ends: nobody waits for them.
TEST_F(FlushTest, WaitsForSpansInSeveralRecordsAndNotForOpenOnes) {
  host_.start_sink();
  host_.start_agent(patient_);
  Program program(host_, [](Program& self) {
    const auto widen = [](auto& span) {
      for (int i = 0; i < 40; ++i) span.set("wide." + std::to_string(i), std::string(600, 'w'));
    };
    auto open = start_span("open"_n);
    widen(open);
    for (int i = 0; i < 20; ++i) {
      SpanOptions options;
      options.priority = i % 2 == 0 ? Priority::critical : Priority::normal;
      auto span = tailrace::span("wide"_n, options);
      widen(span);
    }
    self.tell(20s, Priority::critical);
    self.tell(20s);
    open.end();
    self.tell(20s);
  });
  const Told critical = program.next();
  EXPECT_TRUE(critical.result.done()) << critical.result.sentence;
  EXPECT_EQ(critical.result.total.delivered, 10u);
  const Told all = program.next();
  EXPECT_TRUE(all.result.done()) << all.result.sentence;
  EXPECT_EQ(all.result.total.delivered, 20u);
  EXPECT_EQ(all.result.total.pending, 0u);
  EXPECT_EQ(program.next().result.total.delivered, 1u);
  EXPECT_EQ(program.wait(), 0);
  expect_ledger(21, 0, 0);
}

TEST_F(FlushTest, OfManyThreadsEachHasItsOwnRecordsInItsAnswer) {
  host_.start_sink();
  host_.start_agent(patient_);
  Program program(host_, [](Program& self) {
    std::atomic<int> missing{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&missing, t] {
        const bool critical = t % 2 == 0;
        for (int i = 0; i < 30; ++i) {
          record(2, critical ? Priority::critical : Priority::normal);
          const FlushResult result = flush(30s, critical ? Priority::critical : Priority::background);
          if (!result.done() || result.total.delivered < 2) ++missing;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    self.tell(30s);
    ::_exit(missing.load());
  });
  EXPECT_EQ(program.next().result.total.pending, 0u);
  EXPECT_EQ(program.wait(), 0) << "so many answers lacked what their caller had recorded";
  expect_ledger(360, 0, 0);
}

TEST_F(FlushTest, OfCriticalRecordsIsQuickBesideAFloodOfOthers) {
  host_.start_sink();
  host_.start_agent(quiet_);
  constexpr int kRounds = 100;
  Program program(host_, [](Program& self) {
    std::atomic<bool> over{false};
    std::thread flood([&over] {
      while (!over) record(1000, Priority::background);
    });
    std::this_thread::sleep_for(200ms);
    for (int i = 0; i < kRounds; ++i) {
      record(1, Priority::critical);
      self.tell(30s, Priority::critical);
    }
    over = true;
    flood.join();
    const Stats stats = tailrace::stats();
    ::_exit(stats.dropped[0][0] == 0 && stats.dropped[0][3] != 0 ? 0 : 1);
  });
  std::vector<double> times;
  for (int i = 0; i < kRounds; ++i) {
    const Told told = program.next();
    EXPECT_TRUE(told.result.done()) << told.result.sentence;
    EXPECT_EQ(told.result.total.delivered, 1u);
    times.push_back(told.ms);
  }
  std::sort(times.begin(), times.end());
  RecordProperty("p50_ms", std::to_string(times[kRounds / 2]));
  std::printf("critical record to answer beside a flood: p50 %.2f ms, p99 %.2f ms\n", times[kRounds / 2],
              times[kRounds * 99 / 100]);
  // The target is 10 ms on an idle machine (bench/flush_bench.cpp); here the flood, the agent and whoever else
  // share two cores. Behind the flood it would be seconds.
  EXPECT_LT(times[kRounds / 2], 100);
  EXPECT_EQ(program.wait(), 0) << "1: the flood filled no lane, or a critical record was dropped";
}

// Four requests wait for their answers; a critical one does not wait for theirs.
TEST_F(FlushTest, OfCriticalRecordsDoesNotWaitForTheAnswersToOthers) {
  host_.start_sink({"--delay", "3000", "--first", "4"});
  host_.start_agent({"--no-process-metrics", "--linger", "0", "--background-linger", "0"});
  Program program(host_, [](Program& self) {
    // More than four requests' worth of batches, one after the other.
    for (int i = 0; i < 40; ++i) {
      record(1, Priority::background);
      std::this_thread::sleep_for(10ms);
    }
    record(1, Priority::critical);
    self.tell(30s, Priority::critical);
  });
  const Told told = program.next();
  EXPECT_TRUE(told.result.done()) << told.result.sentence;
  EXPECT_EQ(told.result.total.delivered, 1u);
  EXPECT_LT(told.ms, 1500) << "it waited for the answers to background records";
  EXPECT_EQ(program.wait(), 0);
  ASSERT_TRUE(host_.wait_until_settled(60s));
}

TEST_F(FlushTest, OfAnAgentThatStopsInOrderIsAnsweredWithItsLastRequests) {
  host_.start_sink({"--delay", "700"});
  host_.start_agent(patient_);
  Program program(host_, [](Program& self) {
    record(3);
    self.tell(30s);
  });
  ASSERT_TRUE(wait_until([&] { return host_.status().totals[0].seen == 3; }, 20s));
  EXPECT_EQ(host_.stop_agent(), 0);
  const Told told = program.next();
  EXPECT_TRUE(told.result.done()) << told.result.sentence;
  EXPECT_EQ(told.result.total.delivered, 3u);
  EXPECT_EQ(program.wait(), 0);
  host_.start_agent(quiet_);
  expect_ledger(3, 0, 0);
}

}  // namespace
}  // namespace tailrace::testing
