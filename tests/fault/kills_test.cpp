// SPDX-License-Identifier: Apache-2.0
//
// The promise that everything else rests on: kill -9 of either side, at any moment, under load.
// An application's killing loses nothing that a call had returned from and delivers it once; the agent's
// loses nothing at all, and doubles only requests whose answer was not booked.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>

#include "tests/fault/host.hpp"

namespace tailrace::testing {
namespace {

using agent::Captured;
using agent::ChildProcess;
using std::chrono::seconds;

constexpr int kKills = 20;
// Under ThreadSanitizer an agent needs a second to start: less is recorded meanwhile, or lanes would fill.
#if defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kShare = 10;
#else
constexpr std::uint64_t kShare = 1;
#endif

// What the victim said: the calls that had returned.
struct Calls {
  std::set<std::pair<int, std::uint64_t>> started;
  std::set<std::pair<int, std::uint64_t>> ended;
  std::set<std::pair<int, std::uint64_t>> logged;
};

// The victim's pipe, read as bytes by a thread so that it never fills.
class Listener {
 public:
  Listener(Host& host, const std::vector<std::string>& arguments) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    read_ = ends[0];
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::setenv("TAILRACE_DIR", host.segments().c_str(), 1);
      std::vector<std::string> words{TAILRACE_VICTIM};
      words.insert(words.end(), arguments.begin(), arguments.end());
      std::vector<char*> pointers;
      for (std::string& word : words) pointers.push_back(word.data());
      pointers.push_back(nullptr);
      ::execv(TAILRACE_VICTIM, pointers.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    thread_ = std::thread([this] { listen(); });
  }
  ~Listener() {
    if (pid_ > 0) kill();
  }

  void kill() {
    ::kill(pid_, SIGKILL);
    wait();
  }
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    thread_.join();
    ::close(read_);
    return status;
  }
  const Calls& calls() const { return calls_; }

 private:
  void listen() {
    unsigned char bytes[16 * 1024];
    std::size_t have = 0;
    for (;;) {
      const ssize_t got = ::read(read_, bytes + have, sizeof bytes - have);
      if (got <= 0) return;
      have += static_cast<std::size_t>(got);
      std::size_t at = 0;
      for (; at + 16 <= have; at += 16) {
        std::uint64_t number;
        std::memcpy(&number, bytes + at + 8, 8);
        auto& set = bytes[at] == 1 ? calls_.started : bytes[at] == 2 ? calls_.ended : calls_.logged;
        set.emplace(bytes[at + 1], number);
      }
      std::memmove(bytes, bytes + at, have - at);
      have -= at;
    }
  }

  int read_ = -1;
  pid_t pid_ = -1;
  Calls calls_;
  std::thread thread_;
};

using Key = std::tuple<std::string, bool, std::int64_t, std::int64_t>;  // service, is log, thread, number

std::map<Key, std::vector<const Arrived*>> by_key(const std::vector<Arrived>& arrived) {
  std::map<Key, std::vector<const Arrived*>> keyed;
  for (const Arrived& one : arrived) keyed[{one.service, one.is_log, one.thread, one.number}].push_back(&one);
  return keyed;
}

class KillsTest : public ::testing::Test {
 protected:
  // How long each round lasts before the kill.
  milliseconds some_time(int least_ms, int most_ms) {
    return milliseconds(std::uniform_int_distribution<int>(least_ms, most_ms)(random_));
  }
  std::mt19937 random_{20260101};
  Host host_;
};

TEST_F(KillsTest, AnApplicationKilledUnderLoadLosesNothingThatACallHadReturnedFrom) {
  host_.start_sink();
  host_.start_agent();
  std::map<std::string, Calls> said;
  for (int kill = 0; kill < kKills; ++kill) {
    const std::string service = "victim-" + std::to_string(kill);
    Listener victim(host_, {service, "3", "0", "50", "1000"});
    std::this_thread::sleep_for(some_time(20, 250));
    victim.kill();
    said[service] = victim.calls();
  }
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  expect_balanced(host_.status());

  const std::vector<Arrived> all = host_.arrived();
  const auto keyed = by_key(all);
  std::size_t recorded = 0;
  for (const auto& [service, calls] : said) {
    for (const auto& [thread, number] : calls.ended) {
      const auto found = keyed.find({service, false, thread, static_cast<std::int64_t>(number)});
      ASSERT_NE(found, keyed.end()) << service << ": span " << number << " of thread " << thread << " is lost";
      EXPECT_EQ(found->second.size(), 1u) << service << ": span " << number << " arrived more than once";
      EXPECT_FALSE(found->second.front()->incomplete);
      ++recorded;
    }
    for (const auto& [thread, number] : calls.logged) {
      const auto found = keyed.find({service, true, thread, static_cast<std::int64_t>(number)});
      ASSERT_NE(found, keyed.end()) << service << ": log " << number << " of thread " << thread << " is lost";
      EXPECT_EQ(found->second.size(), 1u);
    }
    for (const auto& [thread, number] : calls.started) {
      if (calls.ended.contains({thread, number})) continue;
      // Its end() may have taken effect without having returned: then it is complete, else unfinished.
      const auto found = keyed.find({service, false, thread, static_cast<std::int64_t>(number)});
      ASSERT_NE(found, keyed.end()) << service << ": open span " << number << " is not reported";
      EXPECT_EQ(found->second.size(), 1u);
    }
  }
  for (const auto& [key, copies] : keyed) EXPECT_EQ(copies.size(), 1u) << std::get<0>(key) << " " << std::get<3>(key);
  EXPECT_GT(recorded, 1000u) << "too little load to show anything";
  const agent::HoldStatus status = host_.status();
  EXPECT_EQ(status.totals[0].delivered + status.totals[1].delivered, all.size());
  EXPECT_EQ(status.totals[0].dropped_total(), 0u);
}

TEST_F(KillsTest, SpansInSeveralRecordsSurviveBothKills) {
  host_.start_sink();
  host_.start_agent();
  ::setenv("VICTIM_WIDE", "1", 1);
  std::map<std::string, Calls> said;
  for (int kill = 0; kill < 6; ++kill) {
    const std::string service = "wide-" + std::to_string(kill);
    Listener victim(host_, {service, "2", "0", "1", "3000"});
    std::this_thread::sleep_for(some_time(50, 200));
    if (kill % 2 == 1) host_.kill_agent();
    std::this_thread::sleep_for(some_time(10, 50));
    victim.kill();
    if (kill % 2 == 1) host_.start_agent();
    said[service] = victim.calls();
  }
  ::unsetenv("VICTIM_WIDE");
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  expect_balanced(host_.status());
  const std::vector<Arrived> all = host_.arrived();
  const auto keyed = by_key(all);
  std::size_t recorded = 0;
  for (const auto& [service, calls] : said) {
    for (const auto& [thread, number] : calls.ended) {
      const auto found = keyed.find({service, false, thread, static_cast<std::int64_t>(number)});
      ASSERT_NE(found, keyed.end()) << service << ": span " << number << " of thread " << thread << " is lost";
      EXPECT_EQ(found->second.front()->attributes, 43);
      EXPECT_EQ(found->second.front()->dropped_attributes, 0u);
      ++recorded;
    }
  }
  EXPECT_GT(recorded, 50u) << "too little load to show anything";
}

#if defined(TAILRACE_TEST_POINTS) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST_F(KillsTest, ARecordThatEndsEveryAgentIsSkippedAndBookedAndItsNeighboursArrive) {
  host_.start_sink();
  Listener victim(host_, {"poisonous", "1", "40", "0", "0"});
  EXPECT_EQ(victim.wait(), 0);
  // The first dies in a pass of many records, and says no more than that. The next one reads them one by one and dies
  // over the second one, which is the first span (a lane begins with its thread); and so do two more.
  for (const int hit : {1, 2, 1, 1}) {
    ASSERT_TRUE(host_.run_agent_that_dies("hold.drain.begun", hit));
    expect_balanced(host_.status());
  }
  host_.start_agent();
  ASSERT_TRUE(host_.wait_until_settled(seconds(30)));
  const agent::HoldStatus status = host_.status();
  expect_balanced(status);
  EXPECT_EQ(status.totals[0].dropped[static_cast<std::size_t>(agent::DropReason::poison)], 1u);
  EXPECT_EQ(status.totals[0].delivered, 39u);
  EXPECT_EQ(status.totals[1].delivered, 10u);
  const auto keyed = by_key(host_.arrived());
  EXPECT_EQ(keyed.size(), 49u);
  EXPECT_FALSE(keyed.contains({"poisonous", false, 0, 0})) << "another one was skipped";
}
#endif

// Counts what came more than once, and expects whole requests to be the reason: those sent by an agent that
// died before it could book the answer.
std::size_t doubled_requests(const std::vector<Arrived>& all) {
  std::map<std::string, std::size_t> doubled;  // request → records of it that came in another one, too
  for (const auto& [key, copies] : by_key(all)) {
    for (std::size_t i = 1; i < copies.size(); ++i) ++doubled[copies[i]->request];
  }
  return doubled.size();
}

TEST_F(KillsTest, AnAgentKilledUnderLoadLosesNothingAndDoublesOnlyUnansweredRequests) {
  host_.start_sink();
  host_.start_agent();
  const std::uint64_t spans = 30'000 / kShare;  // of each of three threads, and a log to every fourth
  Listener victim(host_, {"survivor", "3", std::to_string(spans), "20", std::to_string(2000 * kShare)});
  for (int kill = 0; kill < kKills; ++kill) {
    std::this_thread::sleep_for(some_time(30, 200));
    host_.kill_agent();
    expect_balanced(host_.status());
    host_.start_agent();
  }
  EXPECT_EQ(victim.wait(), 0);
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  const agent::HoldStatus status = host_.status();
  expect_balanced(status);
  EXPECT_EQ(status.totals[0].written(), 3 * spans);
  EXPECT_EQ(status.totals[0].delivered, 3 * spans);
  EXPECT_EQ(status.totals[1].delivered, 3 * spans / 4);
  const std::vector<Arrived> all = host_.arrived();
  EXPECT_EQ(by_key(all).size(), 3 * spans + 3 * spans / 4);
  EXPECT_LE(doubled_requests(all), static_cast<std::size_t>(kKills) * 8);
}

TEST_F(KillsTest, AnAgentKilledInAnOutageWithItsHoldHalfFullDeliversEverythingOnce) {
  host_.start_sink();  // for its port
  host_.stop_sink();
  const std::vector<std::string> small{"--hold-size", kShare == 1 ? "16MiB" : "2MiB"};
  host_.start_agent(small);
  const std::uint64_t spans = 20'000 / kShare;
  Listener victim(host_, {"survivor", "3", std::to_string(spans), "20", std::to_string(1500 * kShare)});
  for (int kill = 0; kill < kKills; ++kill) {
    std::this_thread::sleep_for(some_time(30, 150));
    host_.kill_agent();
    expect_balanced(host_.status());
    host_.start_agent(small);
  }
  EXPECT_EQ(victim.wait(), 0);
  EXPECT_TRUE(wait_until([&] { return host_.status().totals[0].seen == 3 * spans; }, seconds(30)));
  const agent::HoldStatus outage = host_.status();
  EXPECT_EQ(outage.totals[0].delivered, 0u);
  EXPECT_EQ(outage.totals[0].written(), 3 * spans);
  EXPECT_GT(outage.page_bytes_used, outage.page_bytes / 4) << "the hold is too empty to show anything";
  host_.start_sink();
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  const agent::HoldStatus status = host_.status();
  expect_balanced(status);
  EXPECT_EQ(status.totals[0].delivered, 3 * spans);
  EXPECT_EQ(status.totals[1].delivered, 3 * spans / 4);
  const std::vector<Arrived> all = host_.arrived();
  EXPECT_EQ(all.size(), 3 * spans + 3 * spans / 4) << "lost or doubled";
  EXPECT_EQ(by_key(all).size(), all.size());
}

}  // namespace
}  // namespace tailrace::testing
