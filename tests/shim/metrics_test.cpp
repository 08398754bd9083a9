// SPDX-License-Identifier: Apache-2.0
// Metrics of the shim: what is in the segment afterwards, exactly.
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
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
  }), 128 + SIGKILL);
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
      c.add(1, {{"status", 500}, {"method", "PUT"}, {"method", "GET"}, {"cached", true}, {"status", 200}});  // the last one wins
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
      c.add(1, {{"k0", 0}, {"k1", 1}, {"k2", 2}, {"k3", 3}, {"k4", 4}, {"k5", 5}, {"k6", 6}, {"k7", 7}, {"k8", 8},
                {"k9", 9}, {"k10", 10}, {"k11", 11}, {"k12", 12}});
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
  }), 0);
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
  EXPECT_EQ(said, "tailrace: metric 'requests' is a counter of integers in '{request}'; 'Requests', a gauge of integers in "
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
      if (m.name == "c") EXPECT_EQ(m.integer, 3 * 40 + 100 + 1 + 1000);
      else EXPECT_EQ(m.count, 120u);
    } else {
      EXPECT_EQ(m.name == "c" ? m.integer : static_cast<std::int64_t>(m.count), 3) << "sets known before the limit stay";
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


}  // namespace
}  // namespace tailrace::test
