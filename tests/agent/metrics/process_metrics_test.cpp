// SPDX-License-Identifier: Apache-2.0
//
// process.*: what is read of /proc, and which points it becomes.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "agent/metrics/process_points.hpp"
#include "agent/metrics/process_sample.hpp"
#include "opentelemetry/proto/metrics/v1/metrics.pb.h"

namespace tailrace::agent {
namespace {

namespace fs = std::filesystem;
namespace pb = opentelemetry::proto::metrics::v1;

// A /proc of its own.
class ProcessSampleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char made[] = "/tmp/tailrace-proc-XXXXXX";
    ASSERT_NE(::mkdtemp(made), nullptr);
    root_ = made;
    fs::create_directories(root_ + "/proc/42");
  }
  void TearDown() override { fs::remove_all(root_); }
  void file(const std::string& name, const std::string& text) {
    std::ofstream(root_ + "/proc/42/" + name, std::ios::binary) << text;
  }
  static std::string stat_line(const std::string& name, char state) {
    return "42 (" + name + ") " + state +
           " 1 2 3 4 5 6 700 8 9 10 1100 1200 13 14 15 16 17 18 123456 20480 30 18446744073709551615 1\n";
  }
  std::optional<ProcessSample> read() { return read_process_sample(42, root_); }

  std::string root_;
};

TEST_F(ProcessSampleTest, FieldsAreCountedBehindANameOfBracketsAndSpaces) {
  file("stat", stat_line("a) S (b 1 2", 'S'));
  file("status", "Name:\ta) S\nnonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t99\n");
  const auto sample = read();
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->minor_faults, 700u);
  EXPECT_EQ(sample->major_faults, 9u);
  EXPECT_EQ(sample->user_ticks, 1100u);
  EXPECT_EQ(sample->system_ticks, 1200u);
  EXPECT_EQ(sample->threads, 17u);
  EXPECT_EQ(sample->start_ticks, 123456u);
  EXPECT_EQ(sample->virtual_bytes, 20480u);
  EXPECT_EQ(sample->resident_bytes, 30u * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(sample->voluntary_switches, 99u);
  EXPECT_EQ(sample->involuntary_switches, 7u);
  EXPECT_EQ(sample->descriptors, std::nullopt) << "there is no folder fd";
}

TEST_F(ProcessSampleTest, WhatMayNotBeReadIsLeftOut) {
  file("stat", stat_line("name", 'R'));
  const auto sample = read();
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->voluntary_switches, std::nullopt);
  // Cut in the middle of a number, as a long line of groups may leave it.
  file("status", "voluntary_ctxt_switches:\t12");
  EXPECT_EQ(read()->voluntary_switches, std::nullopt);
  file("status", "Groups:\t" + std::string(100'000, '1') + "\nvoluntary_ctxt_switches:\t12\n");
  EXPECT_EQ(read()->voluntary_switches, std::nullopt);
}

TEST_F(ProcessSampleTest, ZombiesGarbageAndStrangersGiveNothing) {
  EXPECT_FALSE(read());
  for (const std::string& text :
       {stat_line("name", 'Z'), stat_line("name", 'X'), std::string(), std::string("42 (name"),
        std::string("42 (name)"), std::string("42 (name) S 1 2 3\n"), std::string(9000, ')'),
        std::string("42 (n) S") + std::string(90, ' '),
        std::string("42 (n) S 1 2 3 4 5 6 -7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22\n")}) {
    file("stat", text);
    EXPECT_FALSE(read()) << text;
  }
  EXPECT_FALSE(read_process_sample(0, root_));
  EXPECT_FALSE(read_process_sample(-1, root_));
}

TEST(ProcessSample, ThisProcessIsReadFromTheRealProc) {
  const auto sample = read_process_sample(::getpid());
  ASSERT_TRUE(sample);
  EXPECT_GE(sample->threads, 1u);
  EXPECT_GT(sample->resident_bytes, 100'000u);
  EXPECT_GE(sample->virtual_bytes, sample->resident_bytes);
  EXPECT_TRUE(sample->voluntary_switches && sample->involuntary_switches);
  const std::uint64_t age = age_ns_of(sample->start_ticks);
  EXPECT_GE(age, 0u);
  EXPECT_LT(age, 600'000'000'000u) << "this test is younger than ten minutes";
}

TEST(ProcessSample, AProcessThatHasEndedAndIsNotWaitedForGivesNothing) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(read_process_sample(child));
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(read_process_sample(child));
}

// --- points

ProcessSample a_sample() {
  ProcessSample sample;
  sample.start_ticks = 100;
  sample.user_ticks = 250;
  sample.system_ticks = 50;
  sample.minor_faults = 1000;
  sample.major_faults = 3;
  sample.threads = 5;
  sample.virtual_bytes = 1 << 30;
  sample.resident_bytes = 1 << 20;
  sample.voluntary_switches = 70;
  sample.involuntary_switches = 7;
  sample.descriptors = 12;
  return sample;
}

// Metric by name, from the bytes of a batch's records.
std::map<std::string, pb::Metric> metrics_of(std::span<const std::uint8_t> bytes) {
  pb::ScopeMetrics scope;
  EXPECT_TRUE(scope.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  std::map<std::string, pb::Metric> metrics;
  for (const pb::Metric& metric : scope.metrics()) metrics[metric.name()] = metric;
  EXPECT_EQ(static_cast<int>(metrics.size()), scope.metrics_size());
  return metrics;
}

double value_of(const pb::Metric& metric, const std::string& type) {
  for (const pb::NumberDataPoint& point : metric.sum().data_points()) {
    if (point.attributes_size() == 1 && point.attributes(0).value().string_value() == type) {
      return point.has_as_int() ? static_cast<double>(point.as_int()) : point.as_double();
    }
  }
  return -1;
}

class ProcessPointsTest : public ::testing::Test {
 protected:
  ProcessPoints encode(const ProcessSample& sample, const ProcessBaseline& last, TemporalityPreference preference,
                       std::uint64_t time_ns, std::size_t room = 64 * 1024) {
    otlp::BackwardWriter writer(buffer_.data(), room);
    return encode_process_points(writer, sample, last, preference, time_ns);
  }
  static constexpr std::uint64_t kNow = 1'790'000'000'000'000'000;
  std::array<std::uint8_t, 64 * 1024> buffer_{};
};

TEST_F(ProcessPointsTest, CumulativeCountsFromTheStartOfTheProcess) {
  const ProcessPoints first = encode(a_sample(), {}, TemporalityPreference::cumulative, kNow);
  EXPECT_EQ(first.points, 11u);
  const auto metrics = metrics_of(first.bytes);
  const pb::Metric& cpu = metrics.at("process.cpu.time");
  EXPECT_EQ(cpu.unit(), "s");
  EXPECT_TRUE(cpu.sum().is_monotonic());
  EXPECT_EQ(cpu.sum().aggregation_temporality(), pb::AGGREGATION_TEMPORALITY_CUMULATIVE);
  const auto rate = static_cast<double>(ticks_per_second());
  EXPECT_DOUBLE_EQ(value_of(cpu, "user"), 250 / rate);
  EXPECT_DOUBLE_EQ(value_of(cpu, "system"), 50 / rate);
  EXPECT_EQ(cpu.sum().data_points(0).attributes(0).key(), "cpu.mode");
  EXPECT_EQ(cpu.sum().data_points(0).start_time_unix_nano(), first.next.start_ns);
  EXPECT_EQ(cpu.sum().data_points(0).time_unix_nano(), kNow);
  EXPECT_EQ(value_of(metrics.at("process.context_switches"), "voluntary"), 70);
  EXPECT_EQ(value_of(metrics.at("process.paging.faults"), "major"), 3);
  const pb::Metric& memory = metrics.at("process.memory.usage");
  EXPECT_FALSE(memory.sum().is_monotonic());
  EXPECT_EQ(memory.sum().data_points(0).as_int(), 1 << 20);
  EXPECT_EQ(metrics.at("process.memory.virtual").sum().data_points(0).as_int(), 1 << 30);
  EXPECT_EQ(metrics.at("process.thread.count").sum().data_points(0).as_int(), 5);
  EXPECT_EQ(metrics.at("process.unix.file_descriptor.count").sum().data_points(0).as_int(), 12);
  EXPECT_GT(metrics.at("process.uptime").gauge().data_points(0).as_double(), 0);

  // The next one has the same start, though the clock was set meanwhile.
  ProcessSample later = a_sample();
  later.user_ticks += 10;
  const ProcessPoints second = encode(later, first.next, TemporalityPreference::cumulative, kNow + 77'000'000'000);
  const pb::Metric again = metrics_of(second.bytes).at("process.cpu.time");
  EXPECT_EQ(again.sum().data_points(0).start_time_unix_nano(), first.next.start_ns);
  EXPECT_DOUBLE_EQ(value_of(again, "user"), 260 / rate);
}

TEST_F(ProcessPointsTest, DeltaCountsFromTheLastCollectionAndLeavesOutWhatDidNotMove) {
  const ProcessPoints first = encode(a_sample(), {}, TemporalityPreference::delta, kNow);
  EXPECT_EQ(value_of(metrics_of(first.bytes).at("process.context_switches"), "voluntary"), 70)
      << "the first one counts from the start of the process";
  ProcessSample later = a_sample();
  later.voluntary_switches = 75;
  later.minor_faults = 900;  // cannot be; it is left out and never negative
  const ProcessPoints second = encode(later, first.next, TemporalityPreference::delta, kNow + 5);
  const auto metrics = metrics_of(second.bytes);
  const pb::Metric& switches = metrics.at("process.context_switches");
  EXPECT_EQ(switches.sum().aggregation_temporality(), pb::AGGREGATION_TEMPORALITY_DELTA);
  ASSERT_EQ(switches.sum().data_points_size(), 1);
  EXPECT_EQ(value_of(switches, "voluntary"), 5);
  EXPECT_EQ(switches.sum().data_points(0).start_time_unix_nano(), kNow);
  EXPECT_EQ(switches.sum().data_points(0).time_unix_nano(), kNow + 5);
  EXPECT_EQ(metrics.count("process.cpu.time"), 0u);
  EXPECT_EQ(metrics.count("process.paging.faults"), 0u);
  EXPECT_EQ(metrics.at("process.thread.count").sum().aggregation_temporality(), pb::AGGREGATION_TEMPORALITY_CUMULATIVE)
      << "up-down values are cumulative under every preference";
  EXPECT_EQ(second.next.minor_faults, 1000u);
}

TEST_F(ProcessPointsTest, LowMemoryLeavesObservedCountersCumulative) {
  const ProcessPoints first = encode(a_sample(), {}, TemporalityPreference::lowmemory, kNow);
  const ProcessPoints second = encode(a_sample(), first.next, TemporalityPreference::lowmemory, kNow + 5);
  const pb::Metric cpu = metrics_of(second.bytes).at("process.cpu.time");
  EXPECT_EQ(cpu.sum().aggregation_temporality(), pb::AGGREGATION_TEMPORALITY_CUMULATIVE);
  EXPECT_EQ(cpu.sum().data_points_size(), 2);
}

TEST_F(ProcessPointsTest, AnotherProcessUnderThePidGivesNothing) {
  const ProcessPoints first = encode(a_sample(), {}, TemporalityPreference::cumulative, kNow);
  ProcessSample stranger = a_sample();
  stranger.start_ticks = 101;
  const ProcessPoints none = encode(stranger, first.next, TemporalityPreference::cumulative, kNow + 1);
  EXPECT_EQ(none.points, 0u);
  EXPECT_EQ(none.next, first.next);
}

TEST_F(ProcessPointsTest, ABufferThatIsTooSmallGivesNothing) {
  const ProcessPoints none = encode(a_sample(), {}, TemporalityPreference::cumulative, kNow, 300);
  EXPECT_EQ(none.points, 0u);
  EXPECT_EQ(none.next, ProcessBaseline{});
}

TEST_F(ProcessPointsTest, TheBaselineIsReadBackAsItWasWritten) {
  const ProcessBaseline made = encode(a_sample(), {}, TemporalityPreference::delta, kNow).next;
  std::vector<std::uint8_t> bytes;
  made.encode(bytes);
  bytes.push_back(9);
  EXPECT_EQ(ProcessBaseline::decode(bytes), made);
  EXPECT_EQ(ProcessBaseline::decode(std::span(bytes).first(ProcessBaseline::kBytes - 1)), std::nullopt);
  bytes[0] ^= 1;
  EXPECT_EQ(ProcessBaseline::decode(bytes), std::nullopt);
}

}  // namespace
}  // namespace tailrace::agent
