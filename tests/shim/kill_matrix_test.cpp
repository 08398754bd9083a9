// SPDX-License-Identifier: Apache-2.0
// The kill matrix: a process that uses everything is ended by SIGKILL at every named point of the
// library, and what it leaves behind is read back.
//
// What must hold, whatever the point: the segment reads as a whole (nothing torn); every call that had
// returned is there exactly once; a call that was under way is there once or not at all; a span that was
// open is listed as open with all that had been set.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <thread>

#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"

namespace tailrace::test {
namespace {

using namespace tailrace::literals;

constexpr std::uint32_t kCalls = 512;
constexpr std::uint32_t kPoints = 96;

// Survives the victim: what it had done when it died.
struct Report {
  struct Call {
    std::atomic<std::uint8_t> begun, set, ending, done;
  };
  Call spans[kCalls];
  Call logs[kCalls];
  std::atomic<std::uint32_t> next_span, next_log;
  std::atomic<std::uint32_t> adds_begun, adds_done, records_begun, records_done;
  char names[kPoints][40];
  std::atomic<std::uint32_t> hits[kPoints];
  std::atomic<std::uint32_t> point_count;
  std::atomic<bool> finished;
};
Report* report;
const char* kill_at;
std::atomic<std::uint32_t> hits_left;

extern "C" void tailrace_test_point(const char* name) {
  if (kill_at == nullptr) {
    // The first run finds out which points there are.
    for (std::uint32_t i = 0; i < kPoints; ++i) {
      if (report->names[i][0] == 0) {
        std::strncpy(report->names[i], name, sizeof report->names[i] - 1);
        report->point_count.store(i + 1);
      }
      if (std::strcmp(report->names[i], name) == 0) {
        report->hits[i].fetch_add(1);
        return;
      }
    }
    return;
  }
  if (std::strcmp(name, kill_at) == 0 && hits_left.fetch_sub(1) == 1) raise(SIGKILL);
}

std::uint32_t begin_span() {
  const std::uint32_t n = report->next_span.fetch_add(1);
  report->spans[n].begun = 1;
  return n;
}
template <class S>
void describe(S& span, std::uint32_t n) {
  span.set("seq"_n, n);
  report->spans[n].set = 1;
}
template <class S>
void end(S& span, std::uint32_t n) {
  span.set("twice"_n, 2 * n);
  report->spans[n].ending = 1;
  span.end();
  report->spans[n].done = 1;
}
template <class F>
void write_log(F&& call) {
  const std::uint32_t n = report->next_log.fetch_add(1);
  report->logs[n].begun = 1;
  call(n);
  report->logs[n].done = 1;
}

// Series that are new, and some that are not.
void count(int round) {
  const auto adds = counter<int>("adds");
  const auto times = histogram<double>("times", HistogramOptions{"s", "", {1, 10}});
  for (int i = 0; i < 4; ++i) {
    ++report->adds_begun;
    adds.add(1, {{"round", round % 2}, {"i", i}, {"new", i == 0 ? static_cast<int>(report->adds_begun.load()) : 0}});
    ++report->adds_done;
  }
  const auto bound = adds.bind();
  ++report->adds_begun;
  bound.add(1);
  ++report->adds_done;
  ++report->records_begun;
  times.record(5, {{"round", round}});
  ++report->records_done;
  counter<int>("adds." + std::to_string(report->adds_begun.load())).add(0);
}

// One call of the C API for a span that is over.
void record_finished() {
  const tailrace_name_t seq = tailrace_name_intern("seq", 3), twice = tailrace_name_intern("twice", 5);
  const std::uint32_t n = begin_span();
  const tailrace_attribute_t attributes[] = {tailrace_attribute_of(seq, tailrace_value_int(n)),
                                             tailrace_attribute_of(twice, tailrace_value_int(2 * n))};
  tailrace_span_record(tailrace_name_intern("finished", 8), tailrace_cpu_time(), attributes, 2, nullptr);
  report->spans[n].done = 1;
}

void work(int rounds) {
  for (int round = 0; round < rounds; ++round) {
    count(round);
    const std::uint32_t outer_n = begin_span();
    auto outer = span("outer"_n);
    describe(outer, outer_n);
    write_log([](std::uint32_t n) { info("log {}"_n, n); });
    {
      const std::uint32_t n = begin_span();
      auto inner = span("inner"_n);
      describe(inner, n);
      inner.event("event"_n, {{"k"_n, 1}});
      inner.link(inner.context());
      end(inner, n);
    }
    {
      // Beyond its slot: a chain, then a part; with names that are interned on the way.
      const std::uint32_t n = begin_span();
      auto wide = span("wide"_n);
      describe(wide, n);
      for (int i = 0; i < 70; ++i) wide.set("wide " + std::to_string(i), i);
      wide.set("part"_n, std::string(3000, 'p'));
      end(wide, n);
    }
    record_finished();
    write_log([](std::uint32_t n) { error("log {}"_n, n); });
    write_log([](std::uint32_t n) { warn("slow", {{"seq", n}}); });
    static_cast<void>(flush(0));
    static_cast<void>(flush(0, Priority::critical));
    Scope scope("scope " + std::to_string(round));
    const std::uint32_t moved_n = begin_span();
    auto moved = start_span("moved"_n);
    describe(moved, moved_n);
    std::thread([s = std::move(moved), moved_n]() mutable { end(s, moved_n); }).join();
    end(outer, outer_n);
  }
}

void victim() {
  Config config;
  config.quiet = true;
  config.span_link_count_limit = 0;
  if (!init(config).ok()) _exit(90);
  write_log([](std::uint32_t n) { info("log {}"_n, n); });
  const std::uint32_t open_n = begin_span();
  auto open = span("open"_n);
  describe(open, open_n);
  // More than a lane's slots at once: the pool.
  std::vector<DetachedSpan> many;
  std::vector<std::uint32_t> numbers;
  for (int i = 0; i < 34; ++i) {
    numbers.push_back(begin_span());
    many.push_back(start_span("many"_n));
    describe(many.back(), numbers.back());
  }
  for (std::size_t i = 0; i < many.size(); ++i) end(many[i], numbers[i]);
  std::thread other([] { work(2); });
  other.join();
  work(3);
  report->finished = true;
  raise(SIGKILL);
}

void check_metrics(const Segment& s, const std::string& where) {
  std::int64_t adds = 0;
  std::uint64_t records = 0;
  std::set<std::string> sets;
  for (const Metric& m : s.metrics) {
    std::string set = m.name;
    for (const Item& item : m.attributes) set += "," + item.key + "=" + item.value;
    EXPECT_TRUE(sets.insert(set).second) << where << ": two series " << set;
    if (m.name == "adds") adds += m.integer;
    if (m.name != "times") continue;
    records += m.count;
    EXPECT_EQ(m.bounds.size(), 2u) << where;
    EXPECT_EQ(m.buckets, (std::vector<std::uint64_t>{0, m.count, 0})) << where;
  }
  EXPECT_GE(adds, report->adds_done.load()) << where;
  EXPECT_LE(adds, report->adds_begun.load()) << where;
  EXPECT_GE(records, report->records_done.load()) << where;
  EXPECT_LE(records, report->records_begun.load()) << where;
  EXPECT_EQ(s.metrics_unrecorded, 0u) << where;
}

void check(const std::vector<Segment>& segments, const std::string& where) {
  if (segments.empty()) {
    // Died before the segment had its name: then nothing can have been recorded.
    EXPECT_EQ(report->next_span.load() + report->next_log.load(), 0u) << where;
    return;
  }
  ASSERT_EQ(segments.size(), 1u) << where;
  const Segment& s = segments.front();
  EXPECT_EQ(s.problem, "") << where;
  check_metrics(s, where);
  std::map<std::uint32_t, std::uint32_t> ended, open, logs;
  std::uint64_t in_rings = 0;
  std::set<std::string> ids;
  for (const Span& span : s.spans) {
    EXPECT_TRUE(ids.insert(span.span_id).second) << where << ": span " << span.span_id << " is there twice";
    const std::string seq = span.attribute("seq");
    if (seq.empty()) {
      EXPECT_TRUE(span.open) << where << ": " << span.name << " ended without what was set";
      continue;
    }
    const auto n = static_cast<std::uint32_t>(std::stoul(seq));
    ++(span.open ? open : ended)[n];
    if (!span.open) {
      ++in_rings;
      EXPECT_EQ(span.attribute("twice"), std::to_string(2 * n)) << where;
      EXPECT_LE(span.record.start, span.record.end) << where;
      if (span.name == "wide") {
        for (int i = 0; i < 70; ++i) EXPECT_EQ(span.attribute("wide " + std::to_string(i)), std::to_string(i)) << where;
        EXPECT_EQ(span.attribute("part").size(), 3002u) << where;
        EXPECT_EQ(span.reserved(shm::kPartCountKey), "2") << where;
      }
      EXPECT_EQ(span.reserved(shm::kDroppedLinksKey), span.name == "inner" ? "1" : "") << where;
      EXPECT_EQ(span.of(shm::ItemType::event).size(), span.name == "inner" ? 1u : 0u) << where;
    }
  }
  for (std::uint32_t n = 0; n < report->next_span.load(); ++n) {
    const auto& call = report->spans[n];
    const std::uint32_t total = ended[n] + open[n];
    if (call.done) {
      EXPECT_EQ(ended[n], 1u) << where << ": span " << n << " had ended";
      EXPECT_EQ(open[n], 0u) << where;
    } else if (call.set) {
      EXPECT_EQ(total, 1u) << where << ": span " << n << " was open";
      EXPECT_TRUE(call.ending || open[n] == 1) << where << ": span " << n;
    } else {
      EXPECT_LE(total, 1u) << where;
    }
  }
  for (const Log& log : s.logs) {
    const std::string n = log.body == "slow" ? log.attribute("seq") : log.arguments().at(0);
    ++logs[static_cast<std::uint32_t>(std::stoul(n))];
  }
  for (std::uint32_t n = 0; n < report->next_log.load(); ++n) {
    EXPECT_LE(logs[n], 1u) << where << ": log " << n;
    EXPECT_TRUE(logs[n] == 1 || !report->logs[n].done) << where << ": log " << n;
  }
  EXPECT_LE(s.sums.written[0], in_rings) << where;
  EXPECT_GE(s.sums.written[0] + 2, in_rings) << where << ": the count may be one behind, a lane";
  EXPECT_LE(s.sums.written[1], s.logs.size()) << where;
  EXPECT_GE(s.sums.written[1] + 1, s.logs.size()) << where;
}

class KillMatrix : public ::testing::Test {
 protected:
  void SetUp() override {
    report =
        static_cast<Report*>(mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  }
  void TearDown() override { munmap(report, sizeof(Report)); }
  void run(const char* point, std::uint32_t hit) {
    std::memset(static_cast<void*>(report->spans), 0, sizeof report->spans);
    std::memset(static_cast<void*>(report->logs), 0, sizeof report->logs);
    report->next_span = report->next_log = 0;
    report->adds_begun = report->adds_done = report->records_begun = report->records_done = 0;
    kill_at = point;
    hits_left = hit;
    Directory directory;
    const int status = in_child(victim);
    const std::string where = std::string(point != nullptr ? point : "the end") + ", hit " + std::to_string(hit);
    EXPECT_EQ(status, 128 + SIGKILL) << where;
    check(directory.segments(), where);
  }
};

TEST_F(KillMatrix, LosesNothingThatHadReturnedAtAnyPoint) {
  run(nullptr, 0);
  ASSERT_TRUE(report->finished.load());
  const std::uint32_t points = report->point_count.load();
  EXPECT_GE(points, 44u) << "each store of write, start, item, end, lane, intern, birth, scope and series has a point";
  std::uint32_t kills = 0;
  for (std::uint32_t i = 0; i < points; ++i) {
    const std::uint32_t hits = report->hits[i].load();
    std::set<std::uint32_t> at = {1, 2, 3, hits / 3, hits / 2, 2 * hits / 3, hits - 1, hits};
    for (const std::uint32_t hit : at) {
      if (hit == 0 || hit > hits) continue;
      run(report->names[i], hit);
      ++kills;
      if (HasFailure()) return;
    }
  }
  RecordProperty("kills", static_cast<int>(kills));
  std::printf("%u points, %u kills\n", points, kills);
}

}  // namespace
}  // namespace tailrace::test
