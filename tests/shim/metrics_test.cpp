// SPDX-License-Identifier: Apache-2.0
// Metrics of the shim: what is in the segment afterwards, exactly.
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"

namespace tailrace::test {
namespace {

using namespace tailrace::literals;

Config config() {
  Config c;
  c.service = "test";
  return c;
}

// What `body` records, started by init() in a process of its own that ends by SIGKILL.
Segment recorded(const std::function<void()>& body) {
  Directory directory;
  EXPECT_EQ(in_child([&] {
              CHILD_EXPECT(init(config()).ok(), 90);
              body();
              raise(SIGKILL);
            }),
            128 + SIGKILL);
  return directory.only();
}

TEST(Metrics, ACounterCountsUnderItsNameUnitAndDescription) {
  const Segment s = recorded([] {
    auto c = counter<std::uint64_t>("payments", {"{payment}", "paid orders"});
    c.add(2);
    c.add(3u);
    c.bind().add(4);
  });
  ASSERT_EQ(s.metrics.size(), 1u);
  const Metric& m = s.metrics[0];
  EXPECT_EQ(m.name, "payments");
  EXPECT_EQ(m.unit, "{payment}");
  EXPECT_EQ(m.description, "paid orders");
  EXPECT_EQ(m.descriptor.kind, static_cast<std::uint8_t>(shm::MetricKind::counter));
  EXPECT_EQ(m.descriptor.flags, 0);
  EXPECT_EQ(m.integer, 9);
}

TEST(Metrics, EveryKindAndTypeHoldsItsValue) {
  const Segment s = recorded([] {
    counter<double>("c").add(1.5);
    counter<double>("c").add(0.25);
    up_down_counter<int>("u").add(10);
    up_down_counter<int>("u").add(-13);
    up_down_counter<double>("ud").add(-0.5);
    gauge<int>("g").set(-7);
    gauge<double>("gd").set(2.5);
    gauge<int>("never");
    gauge<std::uint64_t>("top").set(~std::uint64_t{0});
    gauge<std::uint64_t>("hidden").set(shm::kNeverSet);
    gauge<int>("zero").set(0);
  });
  EXPECT_EQ(s.metric("c")->real, 1.75);
  EXPECT_EQ(s.metric("c")->descriptor.flags, shm::kMetricReal);
  EXPECT_EQ(s.metric("u")->integer, -3);
  EXPECT_EQ(s.metric("ud")->real, -0.5);
  EXPECT_TRUE(s.metric("g")->set);
  EXPECT_EQ(s.metric("g")->integer, -7);
  EXPECT_EQ(s.metric("gd")->real, 2.5);
  EXPECT_EQ(s.metric("never"), nullptr) << "an instrument alone is no series";
  EXPECT_EQ(s.metric("top")->integer, std::numeric_limits<std::int64_t>::max());
  EXPECT_TRUE(s.metric("hidden")->set);
  EXPECT_NEAR(static_cast<double>(s.metric("hidden")->integer), static_cast<double>(shm::kNeverSet), 2.0);
  EXPECT_TRUE(s.metric("zero")->set);
  EXPECT_EQ(s.metric("zero")->integer, 0);
}

TEST(Metrics, AttributesAreASetWhateverTheirOrderAndHoweverTheyAreWritten) {
  const Segment s = recorded([] {
    auto c = counter<int>("requests");
    std::string method = "GET", key = "method";
    for (int i = 0; i < 3; ++i) {
      c.add(1, {{"method", "GET"}, {"status", 200}, {"cached", true}});
      c.add(1, {{"cached"_n, true}, {"status"_n, 200}, {"method"_n, "GET"_n}});
      c.add(1, {{"status", 200u}, {key, method}, {"cached", true}});
      c.add(1, {{"status", 500},
                {"method", "PUT"},
                {"method", "GET"},
                {"cached", true},
                {"status", 200}});  // the last one wins
    }
    c.bind({{"cached", true}, {"method", "GET"}, {"status", 200}}).add(1);
    c.add(5, {{"method", "GET"}, {"status", 200}, {"cached", false}});
    c.add(7, {{"method", "GET"}, {"status", "200"}, {"cached", true}});
    c.add(9, {{"method", "GET"}, {"status", 200.0}, {"cached", true}});
    c.add(11, {});
    c.add(11);
  });
  ASSERT_EQ(s.metrics.size(), 5u);
  EXPECT_EQ(s.metrics[0].integer, 13);
  EXPECT_EQ(s.metrics[0].attributes.size(), 3u);
  EXPECT_EQ(s.metrics[0].attribute("method"), "\"GET\"");
  EXPECT_EQ(s.metrics[0].attribute("status"), "200");
  EXPECT_EQ(s.metrics[0].attribute("cached"), "true");
  EXPECT_EQ(s.metrics[1].integer, 5);
  EXPECT_EQ(s.metrics[2].integer, 7);
  EXPECT_EQ(s.metrics[3].integer, 9);
  EXPECT_EQ(s.metric("requests")->integer, 22);
  for (const Metric& m : s.metrics) EXPECT_EQ(m.descriptor.instrument, 0u);
}

TEST(Metrics, ManySetsLookedUpInTurnsAreEachCountedOnce) {
  const Segment s = recorded([] {
    auto c = counter<int>("c");
    for (int round = 0; round < 5; ++round) {
      for (int i = 0; i < 700; ++i) {
        c.add(i, {{"id", i}, {"text", std::string(static_cast<std::size_t>(i % 90), 'x')}});
      }
    }
  });
  ASSERT_EQ(s.metrics.size(), 700u);
  for (int i = 0; i < 700; ++i) {
    EXPECT_EQ(s.metrics[static_cast<std::size_t>(i)].attribute("id"), std::to_string(i));
    EXPECT_EQ(s.metrics[static_cast<std::size_t>(i)].integer, 5 * i);
  }
}

TEST(Metrics, ArraysMapsAndLongStringsMayBeAttributes) {
  const Segment s = recorded([] {
    auto c = counter<int>("c");
    const std::string longer(1000, 'x');
    for (int i = 0; i < 3; ++i) {
      c.add(1, {{"list", {1, 2, 3}}});
      c.add(1, {{"map", Value::map({{"inner", 1}})}});
      c.add(1, {{"long", longer}});
      c.add(1, {{"k0", 0},
                {"k1", 1},
                {"k2", 2},
                {"k3", 3},
                {"k4", 4},
                {"k5", 5},
                {"k6", 6},
                {"k7", 7},
                {"k8", 8},
                {"k9", 9},
                {"k10", 10},
                {"k11", 11},
                {"k12", 12}});
    }
  });
  ASSERT_EQ(s.metrics.size(), 4u);
  for (const Metric& m : s.metrics) EXPECT_EQ(m.integer, 3);
  EXPECT_EQ(s.metrics[0].attribute("list"), "[1, 2, 3]");
  EXPECT_EQ(s.metrics[1].attribute("map"), "{\"inner\": 1}");
  EXPECT_EQ(s.metrics[2].attribute("long").size(), 1002u);
  EXPECT_EQ(s.metrics[3].attributes.size(), 13u);
}

TEST(Metrics, WhatCannotBeIsNotRecordedAndCounted) {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const Segment s = recorded([&] {
    auto integers = counter<int>("integers");
    integers.add(-1);
    integers.bind().add(-1);
    integers.add(-1, {{"k", 1}});
    auto reals = counter<double>("reals");
    reals.add(5.0);
    for (const double bad : {-1.0, nan, inf, -inf}) {
      reals.add(bad);
      reals.bind().add(bad);
      reals.add(bad, {{"k", 1}});
    }
    up_down_counter<double>("ud").add(nan);
    gauge<double>("g").set(inf);
    histogram<double>("h").record(nan);
    histogram<double>("h").record(-inf);
  });
  EXPECT_EQ(s.metrics_invalid, 3u + 12u + 4u);
  EXPECT_EQ(s.metric("reals")->real, 5.0);
  for (const Metric& m : s.metrics) {
    EXPECT_TRUE(m.name == "reals" || m.name == "integers") << m.name << " has a series without a value";
    EXPECT_TRUE(m.attributes.empty());
  }
}

TEST(Metrics, TheSameNameInAnotherCaseIsTheSameInstrumentAndAnotherScopeIsAnother) {
  const Segment s = recorded([] {
    static const Scope scope("library", "1");
    counter<int>("Requests").add(1);
    counter<int>("requests").add(2);
    counter<unsigned>("REQUESTS").add(4u);
    counter<int>("requests", {"", "", &scope}).add(8);
  });
  ASSERT_EQ(s.metrics.size(), 2u);
  EXPECT_EQ(s.metrics[0].integer, 7);
  EXPECT_EQ(s.metrics[1].integer, 8);
  EXPECT_EQ(s.metrics[0].descriptor.scope, 0);
  EXPECT_EQ(s.metrics[1].descriptor.scope, 1);
}

std::string said_by(const std::function<void()>& body) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  EXPECT_EQ(in_child([&] {
              dup2(ends[1], STDERR_FILENO);
              body();
            }),
            0);
  close(ends[1]);
  char text[4096];
  std::string all;
  for (ssize_t n; (n = read(ends[0], text, sizeof text)) > 0;) all.append(text, static_cast<std::size_t>(n));
  close(ends[0]);
  return all;
}

TEST(Metrics, AnotherKindTypeOrUnitUnderANameIsRefusedNamingBothOnce) {
  Directory directory;
  const std::string said = said_by([] {
    CHILD_EXPECT(init(config()).ok(), 90);
    auto good = counter<int>("requests", {"{request}"});
    good.add(1);
    gauge<int>("Requests", {"{request}"}).set(5);
    counter<double>("requests", {"{request}"}).add(5.0);
    counter<int>("requests", {"1"}).bind().add(5);
    up_down_counter<int>("requests", {"{request}"}).add(5, {{"k", 1}});
    good.add(1);
    CHILD_EXPECT(stats().metrics_unrecorded == 4, 91);
    CHILD_EXPECT(stats().series == 1, 92);
  });
  EXPECT_EQ(said,
            "tailrace: metric 'requests' is a counter of integers in '{request}'; 'Requests', a gauge of integers in "
            "'{request}', is not recorded: give it another name\n");
  const Segment s = directory.only();
  ASSERT_EQ(s.metrics.size(), 1u);
  EXPECT_EQ(s.metrics[0].integer, 2);
  EXPECT_EQ(s.metrics_unrecorded, 4u);
}

// API specification, "Instrument name syntax".
TEST(Metrics, NamesOutsideTheSyntaxAreRefusedWithASentence) {
  Directory directory;
  const std::string said = said_by([] {
    CHILD_EXPECT(init(config()).ok(), 90);
    counter<int>("").add(1);
    counter<int>("1st").add(1);
    counter<int>("with space").add(1);
    counter<int>("\xc3\xa4").add(1);
    counter<int>(std::string(256, 'x')).add(1);
    counter<int>(std::string(255, 'x')).add(1);
    counter<int>("a.b_c-d/e9").add(1);
    CHILD_EXPECT(stats().metrics_unrecorded == 5, 91);
    CHILD_EXPECT(stats().series == 2, 92);
  });
  EXPECT_NE(said.find("'with space' is no name for a metric"), std::string::npos) << said;
}

TEST(Metrics, WhatTheLimitTurnsAwayIsSummedUpAndNothingIsLostOrDoubled) {
  const Segment s = recorded([] {
    auto c = counter<int>("c", {"", "", nullptr, 10});
    auto h = histogram<int>("h", HistogramOptions{"", "", {}, HistogramKind::standard, 3, false, 0, 0, nullptr, 10});
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 50; ++i) {
        c.add(1, {{"id", i}});
        h.record(i, {{"id", i}});
      }
    }
    auto bound = c.bind({{"id", 49}});
    bound.add(100);
    c.add(1);  // the set without attributes is one more
    c.add(1000, {{"otel.metric.overflow", true}});
  });
  std::int64_t sum = 0;
  std::uint64_t count = 0;
  std::size_t counters = 0, histograms = 0, overflows = 0;
  for (const Metric& m : s.metrics) {
    if (m.name == "c") {
      sum += m.integer;
      ++counters;
    } else {
      count += m.count;
      ++histograms;
    }
    if ((m.descriptor.flags & shm::kMetricOverflow) != 0) {
      ++overflows;
      ASSERT_EQ(m.attributes.size(), 1u);
      EXPECT_EQ(m.attributes[0].type, shm::ItemType::boolean);
      EXPECT_EQ(m.attribute("otel.metric.overflow"), "true");
      if (m.name == "c")
        EXPECT_EQ(m.integer, 3 * 40 + 100 + 1 + 1000);
      else
        EXPECT_EQ(m.count, 120u);
    } else {
      EXPECT_EQ(m.name == "c" ? m.integer : static_cast<std::int64_t>(m.count), 3)
          << "sets known before the limit stay";
    }
  }
  EXPECT_EQ(sum, 150 + 100 + 1 + 1000);
  EXPECT_EQ(count, 150u);
  EXPECT_EQ(counters, 11u);
  EXPECT_EQ(histograms, 11u);
  EXPECT_EQ(overflows, 2u);
  EXPECT_EQ(s.metrics_unrecorded, 0u);
}

TEST(Metrics, AFullTableOfSeriesSinksAndCounts) {
  const Segment s = recorded([] {
    auto c = counter<int>("c", {"", "", nullptr, 0xffffffff});
    for (int i = 0; i < 20000; ++i) c.add(1, {{"id", i}});
    counter<int>("later").add(1);
  });
  std::int64_t sum = 0;
  for (const Metric& m : s.metrics) sum += m.integer;
  EXPECT_EQ(sum + static_cast<std::int64_t>(s.metrics_unrecorded), 20001);
  EXPECT_LE(s.metrics.size(), shm::kMetricDescriptorsMax);
  EXPECT_GT(s.metrics.size(), 10000u);
}

TEST(Metrics, HandlesMadeBeforeInitCountFromInitOn) {
  Directory directory;
  EXPECT_EQ(in_child([] {
              // As a library's statics are.
              const Counter<int> global_counter = counter<int>("before");
              const Counter<int>::Bound global_bound = global_counter.bind({{"k", "v"}});
              const Histogram<double>::Bound global_histogram = histogram<double>("before.histogram").bind();
              global_bound.add(100);
              global_counter.add(100);
              global_counter.add(100, {{"k", "v"}});
              global_histogram.record(1.0);
              CHILD_EXPECT(stats().before_init == 4, 89);
              CHILD_EXPECT(init(config()).ok(), 90);
              global_bound.add(1);
              global_counter.add(2);
              global_counter.add(4, {{"k", "v"}});
              global_histogram.record(3.0);
              raise(SIGKILL);
            }),
            128 + SIGKILL);
  const Segment after = directory.only();
  EXPECT_EQ(after.metric("before", "k", "\"v\"")->integer, 5);
  EXPECT_EQ(after.metric("before")->integer, 2);
  EXPECT_EQ(after.metric("before.histogram")->count, 1u);
}

TEST(Metrics, AConflictBeforeInitIsSaidByInitUnlessItIsQuiet) {
  for (const bool quiet : {false, true}) {
    Directory directory;
    const std::string said = said_by([quiet] {
      counter<int>("x").add(1);
      gauge<int>("x").set(1);
      Config c = config();
      c.quiet = quiet;
      CHILD_EXPECT(init(c).ok(), 90);
    });
    EXPECT_EQ(said.find("metric 'x' is a counter") == std::string::npos, quiet) << said;
  }
}

TEST(Metrics, ThreadsThatStartAndEndLoseNoAdd) {
  constexpr int kThreads = 600, kAdds = 500;
  const Segment s = recorded([] {
    static const auto c = counter<std::uint64_t>("c");
    static const auto bound = c.bind({{"how", "bound"}});
    static const auto real = counter<double>("real");
    static const auto fixed = histogram<int>("explicit");
    HistogramOptions options;
    options.kind = HistogramKind::exponential;
    static const auto exponential = histogram<double>("exponential", options);
    std::vector<std::thread> running;
    for (int i = 0; i < kThreads; ++i) {
      running.emplace_back([i] {
        for (int n = 0; n < kAdds; ++n) {
          c.add(1u);
          bound.add(2u);
          c.add(3u, {{"thread", i % 50}});
          real.add(0.5);
          fixed.record(n);
          exponential.record(1.0);
        }
      });
      if (running.size() == 20) {  // more than four at once: owned shards and the shared one
        for (std::thread& t : running) t.join();
        running.clear();
      }
    }
    for (std::thread& t : running) t.join();
  });
  constexpr std::int64_t kAll = std::int64_t{kThreads} * kAdds;
  EXPECT_EQ(s.metric("c")->integer, kAll);
  EXPECT_EQ(s.metric("c", "how", "\"bound\"")->integer, 2 * kAll);
  std::int64_t by_thread = 0;
  for (const Metric& m : s.metrics) {
    if (!m.attribute("thread").empty()) by_thread += m.integer;
  }
  EXPECT_EQ(by_thread, 3 * kAll);
  EXPECT_EQ(s.metric("real")->real, 0.5 * kAll);
  EXPECT_EQ(s.metric("explicit")->count, static_cast<std::uint64_t>(kAll));
  EXPECT_EQ(s.metric("explicit")->integer, std::int64_t{kThreads} * kAdds * (kAdds - 1) / 2);
  EXPECT_EQ(s.metric("exponential")->count, static_cast<std::uint64_t>(kAll));
  EXPECT_EQ(s.metric("exponential")->real, static_cast<double>(kAll));
}

TEST(Metrics, MoreThreadsThanLanesCountInTheSharedLane) {
  Directory directory;
  EXPECT_EQ(in_child([] {
              Config c = config();
              c.lanes = 6;  // two of them ordinary
              CHILD_EXPECT(init(c).ok(), 90);
              static const auto n = counter<int>("n");
              static const auto real = up_down_counter<double>("real");
              static const auto h = histogram<double>("h");
              std::atomic<int> started{0};
              std::vector<std::thread> all;
              for (int i = 0; i < 12; ++i) {
                all.emplace_back([&] {
                  for (int k = 0; k < 2000; ++k) {
                    n.add(1);
                    real.add(0.25);
                    h.record(7.0);
                    if (k == 0) {
                      ++started;
                      while (started < 12) std::this_thread::yield();
                    }
                  }
                });
              }
              for (std::thread& t : all) t.join();
              raise(SIGKILL);
            }),
            128 + SIGKILL);
  const Segment s = directory.only();
  EXPECT_EQ(s.metric("n")->integer, 24000);
  EXPECT_EQ(s.metric("real")->real, 6000.0);
  EXPECT_EQ(s.metric("h")->count, 24000u);
  EXPECT_EQ(s.metric("h")->real, 168000.0);
}

TEST(Metrics, FullStringsSendNewSetsToTheOverflowSeries) {
  const Segment s = recorded([] {
    auto c = counter<int>("c", {"", "", nullptr, 0xffffffff});
    for (int i = 0; i < 4000; ++i) c.add(1, {{"text", std::to_string(i) + std::string(400, 'x')}});
    c.add(1, {{"text", std::string(5000, 'y')}});  // larger than any set may be
  });
  const Metric* overflow = s.metric("c", "otel.metric.overflow", "true");
  ASSERT_NE(overflow, nullptr);
  EXPECT_EQ(overflow->integer + static_cast<std::int64_t>(s.metrics.size()) - 1, 4001);
  EXPECT_GT(s.metrics.size(), 1000u);
  EXPECT_EQ(s.metrics_unrecorded, 0u);
}

TEST(Metrics, AFullTmpfsSinksAndCountsAndKeepsWhatThereIs) {
  char path[] = "/tmp/tailrace-test-mount-XXXXXX";
  ASSERT_NE(mkdtemp(path), nullptr);
  if (mount("tmpfs", path, "tmpfs", 0, "size=3m,mode=0700") != 0) {
    rmdir(path);
    GTEST_SKIP() << "no right to mount a tmpfs";
  }
  setenv("TAILRACE_DIR", path, 1);
  const std::string directory = path;
  EXPECT_EQ(in_child([] {
              CHILD_EXPECT(init(config()).ok(), 90);
              HistogramOptions options;
              options.kind = HistogramKind::exponential;
              const auto first = counter<int>("first").bind();
              const auto h = histogram<double>("h", options);
              for (int i = 0; i < 500; ++i) {
                first.add(1);
                h.record(1.0, {{"i", i}});
              }
              // Threads whose lanes find no room count in the shared one.
              for (int t = 0; t < 8; ++t) std::thread([&] { first.add(1); }).join();
              const Stats all = stats();
              CHILD_EXPECT(all.series > 10 && all.series < 500, 91);
              raise(SIGKILL);
            }),
            128 + SIGKILL);
  const std::string file = [&] {
    const std::string command = "ls " + directory;
    std::string name;
    if (FILE* f = popen(command.c_str(), "r"); f != nullptr) {
      char line[256] = {};
      if (std::fgets(line, sizeof line, f) != nullptr) name = std::string(line, std::strcspn(line, "\n"));
      pclose(f);
    }
    return name;
  }();
  const Segment s = read_segment(directory + "/" + file);
  EXPECT_EQ(s.problem, "");
  EXPECT_EQ(s.metric("first")->integer, 508);
  std::uint64_t records = 0;
  for (const Metric& m : s.metrics) records += m.name == "h" ? m.count : 0;
  EXPECT_EQ(records + s.metrics_unrecorded, 500u);
  unlink((directory + "/" + file).c_str());
  umount(path);
  rmdir(path);
  unsetenv("TAILRACE_DIR");
}

// What was seen: the page of a new counter was committed by the first add, in handlers too.
TEST(Metrics, CellsOfThreadsThatRunAreCommittedWhenASeriesIsMade) {
  recorded([] {
    CHILD_EXPECT(attach_thread(), 91);
    std::atomic<int> step{0};
    std::thread other([&] {
      CHILD_EXPECT(attach_thread(), 92);
      step = 1;
      while (step != 2) std::this_thread::yield();
      CHILD_EXPECT(tailrace_thread->cells_committed >= 3 * 4096, 93);
    });
    while (step != 1) std::this_thread::yield();
    CHILD_EXPECT(tailrace_thread->cells_committed == 0, 94);
    const auto c = counter<int>("c");
    for (int i = 0; i < 1025; ++i) c.bind({{"i", i}});
    CHILD_EXPECT(tailrace_thread->cells_committed == 3 * 4096, 95);
    step = 2;
    other.join();
    std::thread([] {
      CHILD_EXPECT(attach_thread(), 96);
      CHILD_EXPECT(tailrace_thread->cells_committed >= 3 * 4096, 97);
    }).join();
  });
}

// A signal handler interrupts adds, double adds and records of the same cells.
TEST(Metrics, SignalHandlersThatAddLoseNothing) {
  struct Shared {
    std::atomic<std::uint64_t> handled;
  };
  auto* shared = static_cast<Shared*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  constexpr int kAdds = 3000000;
  static Shared* handled;
  handled = shared;
  const Segment s = recorded([] {
    static const auto bound = counter<int>("bound").bind();
    static const auto real = counter<double>("real").bind();
    static const auto h = histogram<double>("h").bind();
    struct sigaction action {};
    action.sa_handler = [](int) {
      bound.add(1);
      real.add(1.0);
      h.record(3.0);
      handled->handled.fetch_add(1);
    };
    sigaction(SIGALRM, &action, nullptr);
    const itimerval every{{0, 50}, {0, 50}};
    setitimer(ITIMER_REAL, &every, nullptr);
    for (int i = 0; i < kAdds; ++i) {
      bound.add(1);
      real.add(1.0);
      h.record(3.0);
    }
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
  });
  const std::uint64_t all = kAdds + shared->handled.load();
  EXPECT_GT(shared->handled.load(), 100u);
  EXPECT_EQ(static_cast<std::uint64_t>(s.metric("bound")->integer), all);
  EXPECT_EQ(s.metric("real")->real, static_cast<double>(all));
  EXPECT_EQ(s.metric("h")->count, all);
  EXPECT_EQ(s.metric("h")->real, 3.0 * static_cast<double>(all));
  munmap(shared, 4096);
}

TEST(Metrics, AChildCountsFromZeroInTheSameCells) {
  Directory directory;
  EXPECT_EQ(in_child([] {
              CHILD_EXPECT(init(config()).ok(), 90);
              const auto c = counter<int>("c");
              const auto bound = c.bind({{"k", "v"}});
              const auto g = gauge<double>("g").bind();
              const auto h = histogram<int>("h").bind();
              bound.add(1000);
              g.set(1000);
              h.record(1000);
              c.add(1000, {{"k", "w"}});
              for (int generation = 0; generation < 2; ++generation) {
                const pid_t pid = fork();
                if (pid != 0) {
                  int status = 0;
                  waitpid(pid, &status, 0);
                  CHILD_EXPECT(status == 0, 91);
                  bound.add(1);
                  _exit(0);
                }
                bound.add(1 + generation);
                h.record(5);
                c.add(7, {{"k", "w"}});
                counter<int>("new.in." + std::to_string(generation)).add(1);
              }
            }),
            0);
  const auto all = directory.segments();
  ASSERT_EQ(all.size(), 3u);
  std::map<std::int64_t, const Segment*> by_bound;
  for (const Segment& s : all) {
    EXPECT_EQ(s.problem, "");
    by_bound[s.metrics.at(0).integer] = &s;
    EXPECT_EQ(s.metrics.at(0).descriptor.cell, all[0].metrics[0].descriptor.cell);
  }
  ASSERT_EQ(by_bound.count(1001), 1u) << "the first process";
  ASSERT_EQ(by_bound.count(2), 1u) << "the child: one, and one after its own child ended";
  const Segment& first = *by_bound[1001];
  const Segment& child = *by_bound[2];
  EXPECT_EQ(first.metrics.size(), 4u);
  EXPECT_GE(child.metrics.size(), 5u);
  EXPECT_FALSE(child.metric("g")->set);
  EXPECT_EQ(child.metric("h")->count, 1u);
  EXPECT_EQ(child.metric("c", "k", "\"w\"")->integer, 7);
  EXPECT_GT(child.metrics[0].descriptor.start, first.metrics[0].descriptor.start);
}

TEST(Metrics, MetricsThatAreSwitchedOffCostNothingAndBreakNothing) {
  const std::vector<std::pair<const char*, const char*>> ways = {{"OTEL_METRICS_EXPORTER", "none"},
                                                                 {"OTEL_SDK_DISABLED", "true"},
                                                                 {"TAILRACE_DISABLED", "true"},
                                                                 {nullptr, nullptr}};
  for (const auto& [name, value] : ways) {
    Directory directory;
    if (name != nullptr) setenv(name, value, 1);
    const char* variable = name;
    EXPECT_EQ(in_child([variable] {
                Config c = config();
                c.metrics = variable != nullptr;
                (void)init(c);
                const auto n = counter<int>("n");
                const auto bound = n.bind({{"k", 1}});
                n.add(1);
                bound.add(1);
                n.add(1, {{"k", 2}});
                gauge<double>("g").set(1);
                histogram<double>("h").record(1);
                const Observation o =
                    observe_gauge<int>("o", [](const Observer<int>& observer) { observer.observe(1); });
                CHILD_EXPECT(tick() == 0, 91);
              }),
              0);
    if (name != nullptr) unsetenv(name);
    for (const Segment& s : directory.segments()) EXPECT_TRUE(s.metrics.empty());
  }
}

TEST(Metrics, WithoutASegmentEveryCallIsCounted) {
  setenv("TAILRACE_DIR", "/nonexistent", 1);
  EXPECT_EQ(in_child([] {
              Config c = config();
              c.quiet = true;
              CHILD_EXPECT(!init(c).ok(), 90);
              const auto bound = counter<int>("n").bind();
              bound.add(1);
              counter<int>("n").add(1, {{"k", 1}});
              histogram<int>("h").record(1);
              CHILD_EXPECT(stats().unrecorded == 3, 91);
            }),
            0);
  unsetenv("TAILRACE_DIR");
}

TEST(Metrics, DestructorsOfThreadsAndOfTheProcessMayStillAdd) {
  Directory directory;
  static pthread_key_t key;
  EXPECT_EQ(in_child([] {
              CHILD_EXPECT(init(config()).ok(), 90);
              static const auto c = counter<int>("c").bind();
              static const auto h = histogram<double>("h").bind();
              static const auto real = counter<double>("real").bind();
              // A key made later is destroyed later, and sets itself again: after the library's own.
              pthread_key_create(&key, [](void* round) {
                c.add(1);
                real.add(1.0);
                h.record(1.0);
                if (reinterpret_cast<std::uintptr_t>(round) < 3) {
                  pthread_setspecific(key, reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(round) + 1));
                }
              });
              std::thread([] {
                c.add(1);
                pthread_setspecific(key, reinterpret_cast<void*>(1));
              }).join();
              std::atexit([] { c.add(10); });
              std::exit(0);
            }),
            0);
  const Segment s = directory.only();
  EXPECT_EQ(s.metric("c")->integer, 14);
  EXPECT_EQ(s.metric("real")->real, 3.0);
  EXPECT_EQ(s.metric("h")->count, 3u);
}

TEST(Metrics, AnAgentMaySwitchThemOffWhileTheyRun) {
  Directory directory;
  EXPECT_EQ(in_child([&] {
              CHILD_EXPECT(init(config()).ok(), 90);
              const auto c = counter<int>("c").bind();
              const auto g = gauge<int>("g").bind();
              const auto h = histogram<int>("h").bind();
              c.add(1);
              g.set(1);
              h.record(1);
              const int fd = open((directory.path() + "/" + stats().segment).c_str(), O_RDWR);
              const std::uint32_t off = 4, on = 0;
              // R1 is the second region, 64 KiB in.
              CHILD_EXPECT(pwrite(fd, &off, 4, 65536 + offsetof(shm::ControlHot, disable_mask)) == 4, 91);
              c.add(10);
              g.set(10);
              h.record(10);
              counter<int>("c").add(10, {{"k", 1}});
              CHILD_EXPECT(pwrite(fd, &on, 4, 65536 + offsetof(shm::ControlHot, disable_mask)) == 4, 91);
              c.add(1);
            }),
            0);
  const Segment s = directory.only();
  EXPECT_EQ(s.metric("c")->integer, 2);
  EXPECT_EQ(s.metric("g")->integer, 1);
  EXPECT_EQ(s.metric("h")->count, 1u);
  EXPECT_EQ(s.metrics_unrecorded, 0u);
}

TEST(Observables, SayTheirValuesAtATick) {
  const Segment s = recorded([] {
    int calls = 0;
    const Observation total =
        observe_counter<std::uint64_t>("total",
                                       [&](const Observer<std::uint64_t>& o) {
                                         o.observe(100u * static_cast<unsigned>(++calls), {{"k", "v"}});
                                       },
                                       {"By", "all of it"});
    const Observation depth = observe_up_down_counter<int>("depth", [](const Observer<int>& o) { o.observe(-5); });
    const Observation heat = observe_gauge<double>("heat", [](const auto& o) { o.observe(36.6, {{"where", 1}}); });
    CHILD_EXPECT(total.registered(), 91);
    CHILD_EXPECT(tick() == 3, 92);
    CHILD_EXPECT(tick() == 3, 93);
  });
  const Metric* total = s.metric("total", "k", "\"v\"");
  EXPECT_EQ(total->integer, 200) << "the last total, not the sum of what was said";
  EXPECT_EQ(total->unit, "By");
  EXPECT_EQ(total->descriptor.flags, shm::kMetricObservable);
  EXPECT_EQ(s.metric("depth")->integer, -5);
  EXPECT_EQ(s.metric("heat", "where", "1")->real, 36.6);
}

TEST(Observables, ASetThatIsNotObservedAnyMoreHasNoValue) {
  const Segment s = recorded([] {
    int round = 0;
    const Observation o = observe_gauge<int>("g", [&](const auto& observer) {
      observer.observe(1, {{"id", "always"}});
      if (round++ == 0) observer.observe(1, {{"id", "once"}});
    });
    tick();
    tick();
  });
  EXPECT_TRUE(s.metric("g", "id", "\"always\"")->set);
  EXPECT_FALSE(s.metric("g", "id", "\"once\"")->set);
}

TEST(Observables, ThatThrowAreCountedAndTheOthersRun) {
  const Segment s = recorded([] {
    const Observation bad = observe_gauge<int>("bad", [](const Observer<int>&) { throw 42; });
    const Observation good = observe_gauge<int>("good", [](const Observer<int>& o) { o.observe(7); });
    CHILD_EXPECT(tick() == 2, 91);
    CHILD_EXPECT(stats().callbacks_failed == 1, 92);
  });
  EXPECT_EQ(s.metric("good")->integer, 7);
}

TEST(Observables, MayEndTheirOwnRegistrationAndTakeTheirStateWithThem) {
  recorded([] {
    static std::atomic<int> alive{0};
    struct Token {
      Token() { ++alive; }
      Token(const Token&) { ++alive; }
      ~Token() { --alive; }
    };
    static Observation self;
    int calls = 0;
    self = observe_gauge<int>("g", [&calls, token = Token()](const Observer<int>& o) {
      ++calls;
      self.end();
      o.observe(1);
      CHILD_EXPECT(alive == 1, 91);
    });
    CHILD_EXPECT(alive == 1, 92);
    CHILD_EXPECT(tick() == 1, 93);
    CHILD_EXPECT(alive == 0, 94);
    CHILD_EXPECT(tick() == 0 && calls == 1, 95);
    {
      const Observation other = observe_gauge<int>("g", [token = Token()](const Observer<int>&) {});
    }
    CHILD_EXPECT(alive == 0, 96);
  });
}

TEST(Observables, DoNotRunAnyMoreOnceTheirRegistrationHasEnded) {
  recorded([] {
    std::atomic<bool> stop{false};
    std::thread ticking([&] {
      while (!stop) tick();
    });
    for (int i = 0; i < 2000; ++i) {
      std::atomic<bool> valid{true};
      {
        const Observation o = observe_gauge<int>("g", [&valid](const Observer<int>& observer) {
          CHILD_EXPECT(valid, 91);
          observer.observe(1);
        });
      }
      valid = false;
    }
    stop = true;
    ticking.join();
  });
}

TEST(Observables, RunOnAThreadOfTheirOwnWhereAskedFor) {
  Directory directory;
  EXPECT_EQ(in_child([] {
              Config c = config();
              c.observe_interval_ms = 5;
              CHILD_EXPECT(init(c).ok(), 90);
              std::atomic<int> calls{0};
              const Observation o =
                  observe_counter<int>("calls", [&](const Observer<int>& observer) { observer.observe(++calls); });
              for (int i = 0; i < 20000 && calls < 3; ++i) usleep(1000);
              CHILD_EXPECT(calls >= 3, 91);
              _exit(0);  // a tick after its end would take the value away
            }),
            0);
  EXPECT_GE(directory.only().metric("calls")->integer, 2) << "the third may have been under way";
}

TEST(Observables, OverTheLimitAreSummedUpOnceATick) {
  const Segment s = recorded([] {
    const Observation o = observe_counter<int>("c",
                                               [](const Observer<int>& observer) {
                                                 for (int i = 0; i < 10; ++i) observer.observe(1 + i, {{"id", i}});
                                               },
                                               {"", "", nullptr, 4});
    tick();
    tick();
  });
  EXPECT_EQ(s.metrics.size(), 5u);
  EXPECT_EQ(s.metric("c", "otel.metric.overflow", "true")->integer, 5 + 6 + 7 + 8 + 9 + 10);
}

TEST(Observables, RunInAChildToo) {
  Directory directory;
  EXPECT_EQ(in_child([] {
              CHILD_EXPECT(init(config()).ok(), 90);
              const Observation o =
                  observe_gauge<int>("pid", [](const Observer<int>& observer) { observer.observe(getpid()); });
              tick();
              const pid_t pid = fork();
              if (pid == 0) {
                CHILD_EXPECT(tick() == 1, 91);
                _exit(0);
              }
              int status = 0;
              waitpid(pid, &status, 0);
              CHILD_EXPECT(status == 0, 92);
            }),
            0);
  const auto all = directory.segments();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_NE(all[0].metric("pid")->integer, all[1].metric("pid")->integer);
}

}  // namespace
}  // namespace tailrace::test
