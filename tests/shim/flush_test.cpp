// SPDX-License-Identifier: Apache-2.0
// flush() as its caller sees it. The agent's side is played by the test itself, which maps the segment and
// answers, or does not. With a real agent and a destination: tests/fault/flush_test.cpp.
#include <atomic>
#include <cerrno>
#include <climits>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/shm/clock.hpp>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"

namespace tailrace::test {
namespace {

using namespace std::chrono_literals;
using namespace tailrace::literals;
using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Whatever an agent writes into the segment of this process.
class PlayedAgent {
 public:
  PlayedAgent() {
    const std::string path = std::string(std::getenv("TAILRACE_DIR")) + "/" + stats().segment;
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct stat facts {};
    CHILD_EXPECT(fd >= 0 && ::fstat(fd, &facts) == 0, 80);
    base_ = static_cast<unsigned char*>(
        ::mmap(nullptr, static_cast<std::size_t>(facts.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    CHILD_EXPECT(base_ != MAP_FAILED, 81);
    ::close(fd);
  }
  shm::Control& control() { return *region<shm::Control>(shm::RegionKind::control); }
  shm::ProcessDynamic& process() { return *region<shm::ProcessDynamic>(shm::RegionKind::process); }
  void attach(std::uint64_t beat_age_ns = 0) {
    control().agent.heartbeat_monotonic_ns = shm::monotonic_ns() - beat_age_ns;
    control().agent.agent_state = static_cast<std::uint32_t>(shm::AgentState::attached);
  }
  // Both kinds, whatever is asked, until the object goes.
  void answer_everything() {
    answering_ = std::thread([this] {
      while (!over_) {
        answer(control().flush.flush_done, process().flush_gen);
        answer(control().flush.critical_done, process().critical_gen);
        std::this_thread::sleep_for(1ms);
      }
    });
  }
  ~PlayedAgent() {
    over_ = true;
    if (answering_.joinable()) answering_.join();
  }

 private:
  static void answer(std::atomic<std::uint32_t>& done, const std::atomic<std::uint32_t>& asked) {
    if (done.exchange(asked.load()) == asked.load()) return;
    ::syscall(SYS_futex, &done, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
  template <class T>
  T* region(shm::RegionKind kind) {
    const auto& identity = *reinterpret_cast<const shm::Identity*>(base_);
    for (const shm::Region& region : identity.regions) {
      if (region.kind == static_cast<std::uint32_t>(kind) && region.length != 0) {
        return reinterpret_cast<T*>(base_ + region.offset);
      }
    }
    _exit(82);
  }
  unsigned char* base_ = nullptr;
  std::atomic<bool> over_{false};
  std::thread answering_;
};

void record(int spans, int logs) {
  for (int i = 0; i < spans; ++i) auto span = tailrace::span("a"_n);
  for (int i = 0; i < logs; ++i) info("log {}"_n, i);
}

void record_critical(int spans) {
  for (int i = 0; i < spans; ++i) {
    SpanOptions options;
    options.priority = Priority::critical;
    auto span = tailrace::span("c"_n, options);
  }
}

class Flush : public ::testing::Test {
 protected:
  template <class F>
  void expect_in_child(F&& body) {
    EXPECT_EQ(in_child([&] {
                Config config;
                config.quiet = true;
                CHILD_EXPECT(init(config).ok(), 90);
                body();
              }),
              0);
  }
  Directory directory_;
};

TEST_F(Flush, ReturnsAtOnceWhereNothingIsRecorded) {
  EXPECT_EQ(in_child([] {
              const auto start = Clock::now();
              FlushResult before = flush(10s);
              CHILD_EXPECT(before.code == FlushCode::not_recording && !before.timed_out, 1);
              CHILD_EXPECT(std::strstr(before.sentence, "init()") != nullptr, 2);
              Config config;
              config.quiet = true;
              config.disabled = true;
              static_cast<void>(init(config));
              record(1, 1);
              const FlushResult off = flush(10s, Priority::critical);
              CHILD_EXPECT(off.code == FlushCode::not_recording && off.sentence[0] != 0, 3);
              CHILD_EXPECT(ms_since(start) < 2000, 4);
            }),
            0);
  EXPECT_TRUE(directory_.files().empty());
}

TEST_F(Flush, SaysThatNoAgentIsThereAndWhatWaitsInTheLanes) {
  expect_in_child([] {
    record(3, 2);
    record_critical(1);
    auto start = Clock::now();
    const FlushResult soon = flush(30ms);
    CHILD_EXPECT(soon.code == FlushCode::no_agent && !soon.done(), 1);
    CHILD_EXPECT(ms_since(start) < 900, 2);
    CHILD_EXPECT(soon.signals[0].pending == 4 && soon.signals[1].pending == 2 && soon.total.pending == 6, 3);
    CHILD_EXPECT(std::strstr(soon.sentence, "no agent") != nullptr, 4);
    const FlushResult critical = flush(0, Priority::critical);
    CHILD_EXPECT(critical.code == FlushCode::no_agent && critical.total.pending == 1, 5);
    // A process of a second's age would have been found: nobody waits a minute for nobody.
    start = Clock::now();
    CHILD_EXPECT(flush(60s).code == FlushCode::no_agent, 6);
    CHILD_EXPECT(ms_since(start) < 10000, 7);
    // Nor for an agent that was killed long ago.
    PlayedAgent agent;
    agent.attach(60'000'000'000);
    start = Clock::now();
    const FlushResult stale = flush(60s);
    CHILD_EXPECT(stale.code == FlushCode::no_agent && std::strstr(stale.sentence, "last sign") != nullptr, 8);
    CHILD_EXPECT(ms_since(start) < 10000, 9);
  });
}

TEST_F(Flush, EndsAtItsDeadlineWhenItIsNotAnswered) {
  expect_in_child([] {
    record(5, 0);
    PlayedAgent agent;
    agent.attach();
    errno = 77;
    const auto start = Clock::now();
    const FlushResult result = flush(150ms);
    const double took = ms_since(start);
    CHILD_EXPECT(errno == 77, 1);
    CHILD_EXPECT(result.code == FlushCode::timed_out && result.timed_out, 2);
    CHILD_EXPECT(took >= 149 && took < 3000, 3);
    CHILD_EXPECT(result.total.pending == 5 && result.total.delivered == 0, 4);
    CHILD_EXPECT(flush(0).timed_out, 5);
    // Parts of milliseconds count as one.
    CHILD_EXPECT(flush(std::chrono::microseconds(1)).timed_out && flush(-5s).timed_out, 6);
    agent.control().agent.agent_state = static_cast<std::uint32_t>(shm::AgentState::rejected);
    CHILD_EXPECT(flush(60s).code == FlushCode::rejected, 7);
  });
}

TEST_F(Flush, TellsWhatIsNewSinceTheLastOne) {
  expect_in_child([] {
    PlayedAgent agent;
    agent.attach();
    agent.answer_everything();
    shm::SettledRow& spans = agent.control().settled[0][0];
    record(10, 0);
    spans.delivered = 6;
    spans.rejected = 1;
    spans.dropped[static_cast<std::size_t>(shm::DropGroup::refused)] = 2;
    agent.control().settled[0][2].produced = 4;
    agent.control().settled[0][2].delivered = 4;
    const FlushResult first = flush(10s);
    CHILD_EXPECT(first.done() && first.signals[0].delivered == 6 && first.signals[0].rejected == 1, 1);
    CHILD_EXPECT(first.signals[0].dropped[static_cast<std::size_t>(DropCause::refused)] == 2, 2);
    CHILD_EXPECT(first.total.dropped_total() == 2 && first.signals[0].pending == 1, 3);
    CHILD_EXPECT(first.signals[2].delivered == 4 && first.signals[2].pending == 0 && first.total.delivered == 10, 4);
    spans.delivered = 7;
    const FlushResult second = flush(10s);
    CHILD_EXPECT(second.done() && second.total.delivered == 1 && second.total.rejected == 0, 5);
    CHILD_EXPECT(second.total.dropped_total() == 0 && second.total.pending == 0, 6);
    // Rows that fall, by a hold that was lost, are no negative counts.
    spans.delivered = 1;
    CHILD_EXPECT(flush(10s).total.delivered == 0, 7);
  });
}

TEST_F(Flush, OfCriticalRecordsCountsThemAloneAndWaitsForThemAlone) {
  expect_in_child([] {
    PlayedAgent agent;
    agent.attach();
    record(100, 10);
    record_critical(3);
    error("critical by its severity {}"_n, 1);
    CHILD_EXPECT(agent.process().critical_written[0] == 3 && agent.process().critical_written[1] == 1, 1);
    agent.control().settled[1][0].delivered = 3;
    std::thread answer([&agent] {
      while (agent.process().critical_gen != 1) std::this_thread::sleep_for(1ms);
      agent.control().flush.critical_done = 1;
    });
    const FlushResult result = flush(20s, Priority::critical);
    answer.join();
    CHILD_EXPECT(result.done() && agent.process().flush_gen == 0, 2);
    CHILD_EXPECT(result.total.delivered == 3 && result.signals[1].pending == 1 && result.total.pending == 1, 3);
  });
}

TEST_F(Flush, CountsWhatThisProcessDroppedItself) {
  EXPECT_EQ(in_child([] {
              Config config;
              config.quiet = true;
              config.ring_bytes = 65536;
              CHILD_EXPECT(init(config).ok(), 90);
              PlayedAgent agent;
              agent.attach();
              agent.answer_everything();
              record(5000, 0);
              const FlushResult result = flush(10s);
              const std::uint64_t full = result.signals[0].dropped[static_cast<std::size_t>(DropCause::lane_full)];
              CHILD_EXPECT(result.done() && full > 0 && full + result.signals[0].pending == 5000, 1);
              CHILD_EXPECT(flush(10s).total.dropped_total() == 0, 2);
            }),
            0);
}

TEST_F(Flush, IsForManyThreadsAtOnce) {
  expect_in_child([] {
    PlayedAgent agent;
    agent.attach();
    agent.answer_everything();
    std::atomic<int> answered{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&answered, t] {
        for (int i = 0; i < 50; ++i) {
          record(1, 0);
          answered += flush(20s, t % 2 == 0 ? Priority::critical : Priority::background).done() ? 1 : 0;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHILD_EXPECT(answered == 400, 1);
    CHILD_EXPECT(agent.process().flush_gen == 200 && agent.process().critical_gen == 200, 2);
  });
}

TEST_F(Flush, GenerationsMayPassTheirLargestNumber) {
  expect_in_child([] {
    PlayedAgent agent;
    agent.attach();
    agent.process().flush_gen = 0xffffffffu;
    agent.control().flush.flush_done = 0xffffffffu;
    CHILD_EXPECT(flush(20ms).timed_out, 1);
    agent.control().flush.flush_done = 1;
    CHILD_EXPECT(flush(20ms).done(), 2);
  });
}

TEST_F(Flush, IsAnsweredByTheRowsOfAnAgentThatDiedWritingThem) {
  expect_in_child([] {
    PlayedAgent agent;
    agent.attach();
    agent.answer_everything();
    agent.control().flush.settled_seq = 7;  // odd for ever
    agent.control().settled[0][0].delivered = 2;
    record(2, 0);
    const FlushResult result = flush(20s);
    CHILD_EXPECT(result.done() && result.total.delivered == 2, 1);
  });
}

TEST_F(Flush, OfAChildConcernsTheChild) {
  expect_in_child([] {
    record(4, 0);
    PlayedAgent agent;
    agent.attach();
    agent.answer_everything();
    const pid_t child = fork();
    if (child == 0) {
      // Nothing recorded: nothing to wait for, and no segment is made for it.
      const FlushResult none = flush(20s);
      if (none.code != FlushCode::not_recording) _exit(1);
      record(2, 0);
      const FlushResult own = flush(20ms);  // nobody reads the child's own segment
      _exit(own.code == FlushCode::no_agent && own.total.pending == 2 ? 0 : 2);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHILD_EXPECT(WIFEXITED(status), 1);
    CHILD_EXPECT(WEXITSTATUS(status) == 0, 10 + WEXITSTATUS(status));
    CHILD_EXPECT(flush(20s).done(), 2);
  });
  EXPECT_EQ(directory_.files().size(), 2u);
}

struct AtThreadEnd {
  bool* done;
  ~AtThreadEnd() { *done = flush(20s).done(); }
};

TEST_F(Flush, WorksWhileThreadsAndTheProcessEnd) {
  expect_in_child([] {
    static PlayedAgent agent;
    agent.attach();
    agent.answer_everything();
    bool done = false;
    std::thread([&done] {
      thread_local AtThreadEnd last{&done};
      record(1, 0);
      static_cast<void>(&last);
    }).join();
    CHILD_EXPECT(done, 1);
    static struct Last {
      ~Last() {
        record(1, 0);
        if (!flush(20s).done()) _exit(2);
      }
    } last;
    std::exit(0);
  });
}

TEST_F(Flush, ACriticalRecordAndAFatalOneRingTheBell) {
  expect_in_child([] {
    PlayedAgent agent;
    const auto rings = [&agent] { return agent.process().doorbell.load(); };
    record(1, 1);
    std::uint32_t before = rings();
    record(20, 20);
    CHILD_EXPECT(rings() == before, 1);
    record_critical(3);
    CHILD_EXPECT(rings() == before + 3, 2);
    before = rings();
    fatal("the end {}"_n, 1);
    CHILD_EXPECT(rings() == before + 1, 3);
    LogRecord last;
    last.body = "the end, of low priority";
    last.severity = Severity::fatal;
    last.priority = Priority::low;
    log(last);
    CHILD_EXPECT(rings() == before + 2, 4);
    SpanOptions options;
    options.priority = Priority::critical;
    auto span = start_span("ended elsewhere"_n, options);
    std::thread([moved = std::move(span)]() mutable { moved.end(); }).join();
    CHILD_EXPECT(rings() == before + 3, 5);
    CHILD_EXPECT(agent.process().critical_written[0] == 4 && agent.process().critical_written[1] == 1, 6);
  });
}

}  // namespace
}  // namespace tailrace::test
