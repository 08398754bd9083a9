// SPDX-License-Identifier: Apache-2.0
// The library in a process that does what processes do: forks, signals, longjmps, exits, cancels its
// threads, closes every descriptor, runs out of space.
#include <atomic>
#include <csetjmp>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"

// Every allocation of this program, for the test that wants none.
static std::atomic<std::uint64_t> allocations;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" void* __libc_malloc(std::size_t);
extern "C" void* malloc(std::size_t n) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(n);
}
#endif

namespace tailrace::test {
namespace {

using namespace tailrace::literals;

class Process : public ::testing::Test {
 protected:
  Segment after(const std::function<void()>& body) {
    EXPECT_EQ(in_child([&] {
                Config config;
                config.quiet = true;
                CHILD_EXPECT(init(config).ok(), 90);
                body();
              }),
              0);
    return directory_.only();
  }
  Directory directory_;
};

TEST_F(Process, CountsCallsBeforeInit) {
  EXPECT_EQ(in_child([] {
              auto a = span("a"_n);
              CHILD_EXPECT(!a.recording() && !a.context().valid(), 1);
              a.set("k"_n, 1);
              info("x {}", 1);
              Activate nothing{Context{}};
              CHILD_EXPECT(!attach_thread(), 2);
              CHILD_EXPECT(stats().before_init >= 3 && !stats().initialised, 3);
              CHILD_EXPECT(init().ok(), 4);
              auto b = span("b"_n);
              CHILD_EXPECT(b.recording(), 5);
            }),
            0);
}

struct AtThreadEnd {
  ~AtThreadEnd() {
    auto a = span("thread local destructor"_n);
    a.set("k"_n, 1);
  }
};
struct AtExit {
  ~AtExit() { auto a = span("static destructor"_n); }
};

TEST_F(Process, RecordsInDestructorsOfThreadsAndStaticsAndAtExit) {
  const Segment s = after([] {
    std::thread([] {
      thread_local AtThreadEnd last;
      static_cast<void>(&last);
      auto a = span("thread"_n);
    }).join();
    // A key's destructor that comes after the library's own finds the lane given back already.
    static pthread_key_t key;
    pthread_key_create(&key, [](void*) {
      error("key destructor {}"_n, 1);
      auto a = span("key destructor"_n);
      a.set("k"_n, 1);
    });
    std::thread([] {
      auto a = span("thread with key"_n);
      pthread_setspecific(key, &key);
    }).join();
    static AtExit last;
    std::atexit([] { info("atexit {}"_n, 1); });
    std::exit(0);
  });
  EXPECT_EQ(s.count("thread local destructor"), 1u);
  EXPECT_EQ(s.count("static destructor"), 1u);
  EXPECT_EQ(s.count("key destructor"), 1u);
  EXPECT_NE(s.log("key destructor {}"), nullptr);
  EXPECT_NE(s.log("atexit {}"), nullptr);
}

TEST_F(Process, RecyclesLanesOfThreadsThatEnded) {
  const Segment s = after([] {
    info("main {}"_n, 1);
    for (int i = 0; i < 100; ++i) {
      std::thread([i] {
        attach_thread("worker");
        info("thread {}"_n, i);
        auto a = span("in thread"_n);
      }).join();
    }
    CHILD_EXPECT(stats().lanes_in_use == 1, 1);
  });
  EXPECT_EQ(s.process.lanes_used, 2u);
  EXPECT_EQ(s.count("in thread"), 100u);
  EXPECT_EQ(s.logs.size(), 101u);
  EXPECT_EQ(s.threads.size(), 101u) << "each owner of a lane is announced";
}

TEST_F(Process, SharesLanesWhereThereAreMoreThreadsThanLanes) {
  Config config;
  config.lanes = shm::kSharedLanes + 2;
  EXPECT_EQ(in_child([&] {
              CHILD_EXPECT(init(config).ok(), 90);
              std::atomic<int> ready{0};
              std::vector<std::thread> threads;
              for (int i = 0; i < 8; ++i) {
                threads.emplace_back([&] {
                  auto outer = span("outer"_n);
                  ++ready;
                  while (ready < 8) std::this_thread::yield();
                  for (int k = 0; k < 50; ++k) {
                    auto inner = span("inner"_n);
                    inner.set("k"_n, k);
                    info("log {}"_n, k);
                  }
                });
              }
              for (auto& thread : threads) thread.join();
            }),
            0);
  const Segment s = directory_.only();
  EXPECT_EQ(s.spans.size() + s.sums.unlaned_of(shm::Signal::traces), 8u + 400u);
  EXPECT_EQ(s.logs.size() + s.sums.unlaned_of(shm::Signal::logs), 400u);
  for (const Span& span : s.spans) EXPECT_EQ(span.parent_id.empty(), span.name == "outer");
}

TEST_F(Process, RecordsFromASignalHandlerThatInterruptsItself) {
  const Segment s = after([] {
    static std::atomic<std::uint64_t> handled{0};
    static DetachedSpan shared = start_span("handler's span"_n);
    struct sigaction action {};
    action.sa_handler = [](int) {
      error("handler {}"_n, 1);
      handled.fetch_add(1);
    };
    info("handler {}"_n, 0);
    error("handler {}"_n, 0);
    shared.event("warm"_n);
    sigaction(SIGALRM, &action, nullptr);
    timer_t timer;
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGALRM;
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    const itimerspec every{{0, 50000}, {0, 50000}};
    timer_settime(timer, 0, &every, nullptr);
    std::uint64_t spans = 0;
    for (; handled < 300; ++spans) {
      auto a = span("interrupted"_n);
      a.set("k"_n, 1);
      a.set("l"_n, 2);
      if (spans % 500 == 499) usleep(100);
      if (spans > 900) break;
    }
    timer_delete(timer);
    CHILD_EXPECT(handled > 0, 1);
    LogRecord summary;
    const Attribute attributes[] = {{"handled", handled.load()}, {"spans", spans + (spans > 900 ? 1 : 0)}};
    summary.body = "summary";
    summary.attributes = Attributes(attributes, 2);
    summary.severity = Severity::error;
    log(summary);
  });
  std::size_t handled = 0;
  for (const Log& log : s.logs) handled += log.body == "handler {}" && log.arguments()[0] == "1" ? 1u : 0u;
  const Log* summary = s.log("summary");
  ASSERT_NE(summary, nullptr);
  EXPECT_EQ(handled + s.sums.unlaned_of(shm::Signal::logs), std::stoul(summary->attribute("handled")));
  EXPECT_EQ(s.count("interrupted"), std::stoul(summary->attribute("spans")));
  for (const Span& span : s.spans) {
    EXPECT_EQ(span.attribute("k") + span.attribute("l"), span.name == "interrupted" ? "12" : "");
  }
}

// ThreadSanitizer delivers signals at points of its own choosing and does not unwind a cancelled thread: neither of
// the two tests that need that is built with it.
#if !defined(__SANITIZE_THREAD__)
sigjmp_buf leave;

TEST_F(Process, GoesOnAfterALongjmpOutOfAnyCall) {
  const Segment s = after([] {
    struct sigaction action {};
    action.sa_handler = [](int) { siglongjmp(leave, 1); };
    action.sa_flags = SA_NODEFER;
    sigaction(SIGALRM, &action, nullptr);
    static volatile int jumps = 0;
    static volatile std::uint64_t calls = 0;
    while (jumps < 200) {
      if (sigsetjmp(leave, 1) == 0) {
        ualarm(300, 0);
        for (int i = 0; i < 200000; ++i) {
          debug("jump {}"_n, 1);
          calls = calls + 1;
        }
      }
      ualarm(0, 0);
      jumps = jumps + 1;
    }
    for (int i = 0; i < 10; ++i) error("after {}"_n, i);
    auto a = span("after"_n);
    CHILD_EXPECT(a.recording(), 1);
  });
  std::size_t afterwards = 0;
  for (const Log& log : s.logs) afterwards += log.body == "after {}" ? 1u : 0u;
  EXPECT_EQ(afterwards, 10u);
  EXPECT_EQ(s.count("after"), 1u);
}
#endif

TEST_F(Process, GivesAForkedChildASegmentOfItsOwn) {
  EXPECT_EQ(in_child([] {
              CHILD_EXPECT(init().ok(), 90);
              auto parent = span("parent"_n);
              parent.set("k"_n, 1);
              auto detached = start_span("detached"_n);
              const std::string mine = stats().segment;
              const pid_t pid = fork();
              if (pid == 0) {
                parent.set("child must not"_n, 1);
                parent.event("child must not"_n);
                CHILD_EXPECT(!current().valid(), 1);
                detached.end();
                {
                  auto child = span("child"_n);
                  child.set("k"_n, 1);
                  info("child {}"_n, 1);
                }
                parent.end();
                CHILD_EXPECT(stats().segment != mine, 2);
                const pid_t grandchild = fork();
                if (grandchild == 0) {
                  { auto a = span("grandchild"_n); }
                  _exit(0);
                }
                int status = 0;
                waitpid(grandchild, &status, 0);
                _exit(status == 0 ? 0 : 3);
              }
              int status = 0;
              waitpid(pid, &status, 0);
              CHILD_EXPECT(status == 0, 4);
              parent.set("k2"_n, 2);
            }),
            0);
  const auto all = directory_.segments();
  ASSERT_EQ(all.size(), 3u);
  std::set<std::string> instances, traces;
  for (const Segment& s : all) {
    EXPECT_EQ(s.problem, "");
    instances.insert(s.of_resource("service.instance.id"));
    if (s.count("parent") != 0) {
      EXPECT_EQ(s.spans.size(), 2u);
      EXPECT_EQ(s.span("parent")->attribute("child must not"), "");
      EXPECT_EQ(s.span("parent")->attribute("k2"), "2");
      EXPECT_FALSE(s.span("detached")->open);
    } else {
      ASSERT_EQ(s.spans.size(), 1u);
      EXPECT_EQ(s.spans[0].parent_id, "");
    }
    for (const Span& span : s.spans) traces.insert(span.trace_id);
  }
  EXPECT_EQ(instances.size(), 3u);
  EXPECT_EQ(traces.size(), 3u) << "new ids in every child";
}

TEST_F(Process, SurvivesAForkStormWhileOthersWrite) {
  EXPECT_EQ(in_child([] {
              CHILD_EXPECT(init().ok(), 90);
              std::atomic<bool> stop{false};
              std::vector<std::thread> writers;
              for (int i = 0; i < 2; ++i) {
                writers.emplace_back([&] {
                  for (int k = 0; !stop; ++k) {
                    auto a = span("writer"_n);
                    a.set("name " + std::to_string(k % 300), k);
                    if (k % 50 == 0) usleep(500);
                  }
                });
              }
              bool good = true;
              for (int i = 0; i < 25; ++i) {
                const pid_t pid = fork();
                if (pid == 0) {
                  auto a = span("child"_n);
                  a.set("name " + std::to_string(i), i);
                  _exit(0);
                }
                int status = 0;
                waitpid(pid, &status, 0);
                good = good && status == 0;
              }
              stop = true;
              for (auto& writer : writers) writer.join();
              CHILD_EXPECT(good, 1);
            }),
            0);
  const auto all = directory_.segments();
  EXPECT_EQ(all.size(), 26u);
  for (const Segment& s : all) {
    EXPECT_TRUE(s.problem.empty() || s.problem.find("went round") != std::string::npos) << s.problem;
  }
}

TEST_F(Process, IsLeftAloneByVforkSpawnAndRawClone) {
  const Segment s = after([] {
    auto a = span("a"_n);
    char* arguments[] = {const_cast<char*>("true"), nullptr};
    pid_t pid = 0;
    CHILD_EXPECT(posix_spawnp(&pid, "true", nullptr, nullptr, arguments, environ) == 0, 1);
    int status = 1;
    waitpid(pid, &status, 0);
    CHILD_EXPECT(status == 0, 2);
    // Without the C library: no handler runs, the wiped memory alone must do.
    pid = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
    if (pid == 0) {
      a.set("k"_n, 1);
      a.end();
      _exit(7);
    }
    waitpid(pid, &status, 0);
    CHILD_EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7, 3);
    a.set("mine"_n, 1);
  });
  EXPECT_EQ(s.span("a")->attribute("mine"), "1");
  EXPECT_EQ(s.span("a")->attribute("k"), "");
}

TEST_F(Process, HoldsNoDescriptorSoThatADaemonCanCloseThemAll) {
  EXPECT_EQ(in_child([] {
              CHILD_EXPECT(init().ok(), 90);
              const pid_t pid = fork();
              if (pid != 0) {
                int status = 0;
                waitpid(pid, &status, 0);
                _exit(WEXITSTATUS(status));
              }
              setsid();
              for (int fd = 0; fd < 64; ++fd) close(fd);
              open("/dev/null", O_RDWR);
              auto a = span("daemon"_n);
              CHILD_EXPECT(a.recording(), 1);
            }),
            0);
  std::size_t found = 0;
  for (const Segment& s : directory_.segments()) found += s.count("daemon");
  EXPECT_EQ(found, 1u);
}

// Cancelled between calls: an asynchronous cancellation inside one would unwind through a noexcept function, which
// the language answers by ending the process. Not built with the sanitizers, which unwind in their own way.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST_F(Process, SurvivesACancelledThread) {
  const Segment s = after([] {
    for (int i = 0; i < 20; ++i) {
      pthread_t thread;
      pthread_create(
          &thread, nullptr,
          [](void*) -> void* {
            for (;;) {
              debug("spin {}"_n, 1);
              pthread_testcancel();
            }
          },
          nullptr);
      usleep(300);
      pthread_cancel(thread);
      pthread_join(thread, nullptr);
    }
    std::thread([] { error("after {}"_n, 1); }).join();
  });
  EXPECT_NE(s.log("after {}"), nullptr);
  // Mostly one; on a busy machine up to four were seen.
  EXPECT_LT(s.process.lanes_used, 20u) << "lanes of cancelled threads are not taken over";
}

// Seen on a busy machine: glibc's getrandom() is a cancellation point, so a thread that was cancelled before its first
// record ended inside it, with a lane taken and nobody to give it back.
TEST_F(Process, IsNoPlaceToBeCancelledAt) {
  const Segment s = after([] {
    for (int i = 0; i < 20; ++i) {
      std::atomic<bool> cancelled{false};
      pthread_t thread;
      pthread_create(
          &thread, nullptr,
          [](void* flag) -> void* {
            while (!static_cast<std::atomic<bool>*>(flag)->load()) {}
            error("first {}"_n, 1);
            pthread_testcancel();
            return nullptr;
          },
          &cancelled);
      pthread_cancel(thread);
      cancelled.store(true);
      pthread_join(thread, nullptr);
    }
  });
  EXPECT_EQ(s.logs.size(), 20u);
  EXPECT_LT(s.process.lanes_used, 20u);
}

TEST_F(Process, IsInitialisedByAThreadThatWasCancelled) {
  EXPECT_EQ(in_child([] {
              std::atomic<bool> cancelled{false};
              pthread_t thread;
              pthread_create(
                  &thread, nullptr,
                  [](void* flag) -> void* {
                    while (!static_cast<std::atomic<bool>*>(flag)->load()) {}
                    Config config;
                    config.quiet = true;
                    init(config);
                    pthread_testcancel();
                    return nullptr;
                  },
                  &cancelled);
              pthread_cancel(thread);
              cancelled.store(true);
              void* end = nullptr;
              pthread_join(thread, &end);
              CHILD_EXPECT(end == PTHREAD_CANCELED, 1);
              CHILD_EXPECT(stats().initialised, 2);
              auto a = span("a"_n);
              CHILD_EXPECT(a.recording(), 3);
            }),
            0);
}
#endif

TEST_F(Process, AllocatesNothing) {
  const Segment s = after([] {
    const std::string text(40, 'x');
    const auto everything = [&text] {
      auto a = span("a"_n);
      a.set("k"_n, 1);
      a.set("text", text);
      a.set("list"_n, {1, 2, 3});
      a.event("e"_n, {{"x", 1}});
      for (int i = 0; i < 100; ++i) a.set("more"_n, i);
      info("log {} {}", text, 1);
      info("log", {{"k", 1}});
      auto b = start_span("b");
    };
    everything();
    const std::uint64_t before = allocations;
    for (int i = 0; i < 10; ++i) everything();
    CHILD_EXPECT(allocations == before, 1);
  });
  EXPECT_EQ(s.count("a"), 11u);
}

// ------------------------------------------------------------------------------------- directories

TEST(NoSegment, WithoutADirectoryEveryCallDoesNothingAndIsCounted) {
  setenv("TAILRACE_DIR", "/dev/shm/tailrace-test-that-is-not/there", 1);
  EXPECT_EQ(in_child([] {
              Config config;
              config.quiet = true;
              const Outcome outcome = init(config);
              CHILD_EXPECT(outcome.code == Code::no_directory, 1);
              CHILD_EXPECT(std::strstr(outcome.sentence, "there") != nullptr, 2);
              auto a = span("a"_n);
              a.set("k"_n, 1);
              info("log {}"_n, 1);
              CHILD_EXPECT(!a.recording() && stats().unrecorded >= 2, 3);
              CHILD_EXPECT(stats().mode == Code::no_directory && stats().why[0] != 0, 4);
            }),
            0);
  unsetenv("TAILRACE_DIR");
}

TEST(NoSegment, InADirectoryThatSomebodyElseMadeInAWorldWritablePlace) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make a directory of somebody else";
  const char* path = "/dev/shm/tailrace-test-trap";
  mkdir(path, 01777);
  ASSERT_EQ(chown(path, 4242, 4242), 0);
  setenv("TAILRACE_DIR", path, 1);
  // Root's own rule would trust it no more than anybody's: /dev/shm can be written by all.
  EXPECT_EQ(in_child([] {
              Config config;
              config.quiet = true;
              const Outcome outcome = init(config);
              CHILD_EXPECT(outcome.code == Code::no_directory, 1);
              CHILD_EXPECT(std::strstr(outcome.sentence, "not trusted") != nullptr, 2);
            }),
            0);
  unsetenv("TAILRACE_DIR");
  rmdir(path);
}

TEST(NoSegment, OutsideATmpfs) {
  setenv("TAILRACE_DIR", "/var/tmp", 1);
  EXPECT_EQ(in_child([] {
              Config config;
              config.quiet = true;
              CHILD_EXPECT(init(config).code == Code::no_directory, 1);
            }),
            0);
  unsetenv("TAILRACE_DIR");
}

TEST(NoSegment, WhereFilesMayNotBeLargeEnough) {
  Directory directory;
  EXPECT_EQ(in_child([] {
              const rlimit small{1 << 20, 1 << 20};
              setrlimit(RLIMIT_FSIZE, &small);
              Config config;
              config.quiet = true;
              CHILD_EXPECT(init(config).code == Code::no_segment, 1);
            }),
            0);
  EXPECT_TRUE(directory.files().empty());
}

TEST(NoSegment, OnAFullTmpfsAndOnOneThatFillsLater) {
  char path[] = "/tmp/tailrace-test-mount-XXXXXX";
  ASSERT_NE(mkdtemp(path), nullptr);
  if (mount("tmpfs", path, "tmpfs", 0, "size=1m,mode=0700") != 0) {
    rmdir(path);
    GTEST_SKIP() << "no right to mount a tmpfs";
  }
  setenv("TAILRACE_DIR", path, 1);
  const std::string filler = std::string(path) + "/filler";
  // Room for the tables and two lanes, and then no more.
  EXPECT_EQ(in_child([] {
              Config config;
              config.quiet = true;
              CHILD_EXPECT(init(config).ok(), 1);
              std::atomic<int> ready{0};
              std::vector<std::thread> threads;
              for (int i = 0; i < 6; ++i) {
                threads.emplace_back([&] {
                  auto a = span("a"_n);
                  ++ready;
                  while (ready < 6) std::this_thread::yield();
                  for (int k = 0; k < 100; ++k) info("log {}"_n, k);
                });
              }
              for (auto& thread : threads) thread.join();
              const Stats s = stats();
              std::uint64_t seen = 0;
              for (int p = 0; p < 4; ++p) seen += s.dropped[1][p] + s.unlaned_dropped[1][p];
              CHILD_EXPECT(s.written[1] + seen == 600, 2);
              CHILD_EXPECT(s.lanes_used < 6, 3);
            }),
            0);
  const int fd = open(filler.c_str(), O_CREAT | O_WRONLY, 0600);
  std::vector<char> zero(64 * 1024);
  while (write(fd, zero.data(), zero.size()) > 0) {}
  close(fd);
  EXPECT_EQ(in_child([] {
              Config config;
              config.quiet = true;
              CHILD_EXPECT(init(config).code == Code::no_segment, 1);
              auto a = span("a"_n);
              CHILD_EXPECT(!a.recording(), 2);
            }),
            0);
  umount(path);
  rmdir(path);
  unsetenv("TAILRACE_DIR");
}

}  // namespace
}  // namespace tailrace::test
