// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/store.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace tailrace::agent::viewer {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TraceId trace_id(std::uint64_t number) {
  TraceId id{};
  std::memcpy(id.data(), &number, sizeof(number));
  id[15] = 1;
  return id;
}

SpanId span_id(std::uint64_t number) {
  SpanId id{};
  std::memcpy(id.data(), &number, sizeof(number));
  id[7] |= 0x80;
  return id;
}

NewSpan span_of(std::uint64_t trace, std::uint64_t number, std::string_view name = "work") {
  NewSpan span;
  span.trace_id = trace_id(trace);
  span.span_id = span_id(number);
  span.start_ns = 1'000 + number;
  span.end_ns = 2'000 + number;
  span.service = "shop";
  span.name = name;
  return span;
}

NewLog log_of(std::uint64_t number, std::string_view body) {
  NewLog log;
  log.time_ns = number;
  log.severity = 9;
  log.service = "shop";
  log.body = body;
  return log;
}

void expect_balanced(const StoreCounters& counters) {
  EXPECT_EQ(counters.spans.received, counters.spans.rejected + counters.spans.kept + counters.spans.dropped);
  EXPECT_EQ(counters.logs.received, counters.logs.rejected + counters.logs.kept + counters.logs.dropped);
  EXPECT_LE(counters.used_bytes, counters.budget_bytes);
}

TEST(ViewerStore, ATraceIsNamedByItsRootAlsoWhenTheRootArrivesLast) {
  Store store(kMiB);
  NewSpan child = span_of(1, 2, "child");
  child.parent_id = span_id(1);
  child.start_ns = 500;
  child.status = StatusCode::kError;
  NewSpan root = span_of(1, 1, "root");
  root.end_ns = 9'000;
  root.start_ns = 600;
  store.add(child);
  EXPECT_FALSE(store.recent_traces(10).at(0).has_root);
  store.add(root);

  const std::vector<TraceRow> rows = store.recent_traces(10);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].name, "root");
  EXPECT_EQ(rows[0].service, "shop");
  EXPECT_TRUE(rows[0].has_root);
  EXPECT_EQ(rows[0].spans, 2u);
  EXPECT_EQ(rows[0].errors, 1u);
  EXPECT_EQ(rows[0].start_ns, 500u);
  EXPECT_EQ(rows[0].end_ns, 9'000u);
}

TEST(ViewerStore, ATraceWithoutRootIsNamedByItsEarliestSpan) {
  Store store(kMiB);
  for (const std::uint64_t start : {50u, 20u, 30u}) {
    NewSpan span = span_of(1, start, start == 20 ? "earliest" : "later");
    span.parent_id = span_id(99);
    span.start_ns = start;
    store.add(span);
  }
  EXPECT_EQ(store.recent_traces(1).at(0).name, "earliest");
}

TEST(ViewerStore, TheTracesThatReceivedASpanLastComeFirst) {
  Store store(kMiB);
  for (std::uint64_t trace = 1; trace <= 5; ++trace) {
    store.add(span_of(trace, trace));
  }
  NewSpan late = span_of(1, 100);
  late.parent_id = span_id(1);
  store.add(late);

  const std::vector<TraceRow> rows = store.recent_traces(2);
  ASSERT_EQ(rows.size(), 2u);  // 5 and 1, in the order of their start
  EXPECT_EQ(rows[0].trace_id, trace_id(5));
  EXPECT_EQ(rows[1].trace_id, trace_id(1));
}

TEST(ViewerStore, SpansOfATraceComeBackWhole) {
  Store store(kMiB);
  NewSpan span = span_of(7, 1, "pay");
  span.kind = 2;
  span.status = StatusCode::kOk;
  span.unfinished = true;
  span.left_out = 3;
  span.parent_id = span_id(9);
  span.detail = "detail bytes";
  store.add(span);
  store.add(span_of(8, 2));

  const TraceSpans trace = store.spans_of(trace_id(7), 10, kMiB);
  ASSERT_EQ(trace.spans.size(), 1u);
  const SpanRow& row = trace.spans[0];
  EXPECT_EQ(row.span_id, span_id(1));
  EXPECT_EQ(row.parent_id, span_id(9));
  EXPECT_EQ(row.name, "pay");
  EXPECT_EQ(row.service, "shop");
  EXPECT_EQ(row.detail, "detail bytes");
  EXPECT_EQ(row.kind, 2);
  EXPECT_EQ(row.status, StatusCode::kOk);
  EXPECT_TRUE(row.unfinished);
  EXPECT_EQ(row.left_out, 3u);
  EXPECT_FALSE(trace.more);
  EXPECT_TRUE(store.spans_of(trace_id(6), 10, kMiB).spans.empty());
}

TEST(ViewerStore, AnswersStopAtTheirLimits) {
  Store store(4 * kMiB);
  const std::string detail(10'000, 'd');
  for (std::uint64_t i = 0; i < 100; ++i) {
    NewSpan span = span_of(1, i);
    span.detail = detail;
    store.add(span);
    store.add(log_of(i, detail));
  }
  EXPECT_EQ(store.spans_of(trace_id(1), 10, kMiB).spans.size(), 10u);
  EXPECT_TRUE(store.spans_of(trace_id(1), 10, kMiB).more);
  EXPECT_LE(store.spans_of(trace_id(1), 1000, 50'000).spans.size(), 5u);
  EXPECT_LE(store.latest_logs(1000, 50'000).size(), 5u);
}

TEST(ViewerStore, LogsComeNewestFirstAndByTrace) {
  Store store(kMiB);
  for (std::uint64_t i = 0; i < 5'000; ++i) {  // several chunks
    NewLog log = log_of(i, "line");
    log.trace_id = trace_id(i % 10);
    log.span_id = span_id(i);
    log.severity_text = "Info";
    log.event_name = "event";
    log.detail = "detail";
    store.add(log);
  }
  const std::vector<LogRow> latest = store.latest_logs(3, kMiB);
  ASSERT_EQ(latest.size(), 3u);
  EXPECT_EQ(latest[0].time_ns, 4'999u);
  EXPECT_EQ(latest[2].time_ns, 4'997u);
  EXPECT_EQ(latest[0].body, "line");
  EXPECT_EQ(latest[0].service, "shop");
  EXPECT_EQ(latest[0].severity_text, "Info");
  EXPECT_EQ(latest[0].event_name, "event");
  EXPECT_EQ(latest[0].detail, "detail");
  EXPECT_EQ(latest[0].severity, 9);

  const TraceId wanted = trace_id(4);
  for (const LogRow& row : store.latest_logs(10, kMiB, &wanted)) {
    EXPECT_EQ(row.time_ns % 10, 4u);
  }
}

TEST(ViewerStore, TheOldestAreDroppedFirstAndCounted) {
  Store store(kMiB);
  constexpr std::uint64_t kTraces = 20'000;
  for (std::uint64_t i = 0; i < kTraces; ++i) {
    store.add(span_of(i, i));
  }
  const StoreCounters counters = store.counters();
  expect_balanced(counters);
  EXPECT_GT(counters.spans.dropped, 0u);
  EXPECT_EQ(counters.traces_kept + counters.traces_dropped, kTraces);
  // What is left is the newest, without a gap.
  const std::vector<TraceRow> rows = store.recent_traces(kTraces);
  ASSERT_EQ(rows.size(), counters.traces_kept);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].trace_id, trace_id(kTraces - 1 - i));
  }
}

TEST(ViewerStore, OneTraceLargerThanTheBudgetKeepsItsNewestSpans) {
  Store store(kMiB);
  for (std::uint64_t i = 0; i < 30'000; ++i) {
    NewSpan span = span_of(1, i);
    span.status = i % 2 == 0 ? StatusCode::kError : StatusCode::kOk;
    span.unfinished = true;
    store.add(span);
  }
  expect_balanced(store.counters());
  const TraceRow row = store.recent_traces(1).at(0);
  EXPECT_EQ(row.spans + row.spans_dropped, 30'000u);
  EXPECT_EQ(row.unfinished, row.spans);
  EXPECT_NEAR(row.errors, row.spans / 2, 1);
  const TraceSpans trace = store.spans_of(trace_id(1), 100'000, 100 * kMiB);
  EXPECT_EQ(trace.spans.size(), row.spans);
  EXPECT_EQ(trace.spans[0].start_ns, 1'000u + 29'999u);
}

TEST(ViewerStore, AFloodOfLogsLeavesHalfOfTheRoomToTraces) {
  Store store(8 * kMiB);
  const std::string detail(1'000, 'd');
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    NewSpan span = span_of(i, i);
    span.detail = detail;
    store.add(span);
  }
  const std::uint64_t before = store.counters().spans.kept;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    store.add(log_of(i, detail));
  }
  const StoreCounters counters = store.counters();
  expect_balanced(counters);
  EXPECT_GE(counters.spans.kept, before * 2 / 5);
  EXPECT_GT(counters.logs.kept, 0u);
}

TEST(ViewerStore, ASingleSignalMayUseTheWholeBudget) {
  Store store(8 * kMiB);
  const std::string body(1'000, 'b');
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    store.add(log_of(i, body));
  }
  EXPECT_GT(store.counters().used_bytes, 7 * kMiB);  // the eighth is the trace table's
}

TEST(ViewerStore, HugeTextsAreCutAtACharacterAndHugeDetailsLeftOut) {
  Store store(kMiB);
  std::string name;
  while (name.size() < 5 * kMiB) {
    name += "ä€";
  }
  const std::string detail(kMaxDetailBytes + 1, 'd');
  NewSpan span = span_of(1, 1, name);
  span.service = name;
  span.detail = detail;
  store.add(span);
  NewLog log = log_of(1, name);
  log.severity_text = name;
  log.event_name = name;
  log.service = name;
  store.add(log);

  const SpanRow row = store.spans_of(trace_id(1), 1, kMiB).spans.at(0);
  EXPECT_LE(row.name.size(), kMaxNameBytes);
  EXPECT_GT(row.name.size(), kMaxNameBytes - 4);
  EXPECT_EQ(row.name, name.substr(0, row.name.size()));
  EXPECT_NE(static_cast<unsigned char>(name[row.name.size()]) & 0xC0u, 0x80u);
  EXPECT_TRUE(row.detail.empty());
  EXPECT_EQ(row.left_out, 1u);
  const LogRow log_row = store.latest_logs(1, kMiB).at(0);
  EXPECT_LE(log_row.body.size(), kMaxBodyBytes);
  EXPECT_EQ(log_row.left_out, 1u);
  expect_balanced(store.counters());
}

// Random sizes, few and many traces, both signals: after every thousand records the bound and the
// balance hold and every answer can be made.
TEST(ViewerStore, TheBoundHoldsUnderAnyInput) {
  std::mt19937_64 random(20261122);
  for (const std::uint64_t traces : {1u, 50u, 1'000'000u}) {
    for (const std::size_t largest : {std::size_t{0}, std::size_t{300}, 2 * kMaxDetailBytes}) {
      Store store(2 * kMiB);
      const std::string bytes(2 * kMaxDetailBytes, 'x');
      const auto any_text = [&] {
        return std::string_view(bytes).substr(0, largest == 0 ? 0 : random() % (largest + 1));
      };
      const int records = largest > 1'000 ? 4'000 : 40'000;
      for (int i = 0; i < records; ++i) {
        if (random() % 3 == 0) {
          NewLog log = log_of(random(), any_text());
          log.service = any_text();
          log.severity_text = any_text();
          log.event_name = any_text();
          log.detail = any_text();
          log.trace_id = trace_id(random() % traces);
          store.add(log);
        } else {
          NewSpan span = span_of(random() % traces, random(), any_text());
          span.service = any_text();
          span.detail = any_text();
          span.start_ns = random();
          span.end_ns = random();
          span.status = static_cast<StatusCode>(random() % 3);
          span.unfinished = random() % 2 == 0;
          if (random() % 2 == 0) {
            span.parent_id = span_id(random());
          }
          store.add(span);
        }
        if (i % 1'000 == 999) {
          expect_balanced(store.counters());
          std::uint64_t spans = 0;
          for (const TraceRow& row : store.recent_traces(~std::size_t{0})) {
            spans += row.spans;
            EXPECT_LE(row.errors, row.spans);
            EXPECT_LE(row.unfinished, row.spans);
          }
          EXPECT_EQ(spans, store.counters().spans.kept);
          const TraceId some = trace_id(random() % traces);
          EXPECT_LE(store.spans_of(some, 1'000, kMiB).spans.size(), 1'000u);
          EXPECT_EQ(store.latest_logs(~std::size_t{0}, ~std::size_t{0}).size(), store.counters().logs.kept);
        }
      }
    }
  }
}

TEST(ViewerStore, MillionsOfTracesStayInTheBudget) {
  Store store(4 * kMiB);
  for (std::uint64_t i = 0; i < 3'000'000; ++i) {
    NewSpan span = span_of(i, i, "");
    span.service = {};
    store.add(span);
  }
  const StoreCounters counters = store.counters();
  expect_balanced(counters);
  EXPECT_EQ(counters.spans.received, 3'000'000u);
  EXPECT_EQ(counters.traces_kept + counters.traces_dropped, 3'000'000u);
}

// A trace whose entry was given to another must not be joined by spans that lie in the log still.
TEST(ViewerStore, ADroppedTraceThatComesBackBeginsAnew) {
  Store store(kMiB);
  store.add(span_of(0, 0));
  std::uint64_t number = 1;
  while (store.counters().traces_dropped == 0) {
    store.add(span_of(number, number, ""));
    ++number;
  }
  store.add(span_of(0, number));
  EXPECT_EQ(store.spans_of(trace_id(0), 10, kMiB).spans.size(), 1u);
  expect_balanced(store.counters());
  for (std::uint64_t i = 0; i < 50'000; ++i) {
    store.add(span_of(i % 3'000, i, ""));
  }
  expect_balanced(store.counters());
}

TEST(ViewerStore, RejectedSpansAreReceivedButNotKept) {
  Store store(kMiB);
  store.count_rejected_spans(5);
  EXPECT_EQ(store.counters().spans.received, 5u);
  EXPECT_EQ(store.counters().spans.rejected, 5u);
  expect_balanced(store.counters());
}

TEST(ViewerTraceTable, FindsWhatIsThereThroughAnyOrderOfTakeAndRemove) {
  TraceTable table(16 * 1024);
  std::vector<std::pair<std::uint64_t, TraceTable::Slot>> there;
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    if (there.size() < table.capacity() && random() % 2 == 0) {
      const std::uint64_t number = static_cast<std::uint64_t>(i);
      const auto slot = table.take(trace_id(number));
      ASSERT_NE(slot, TraceTable::kNoSlot);
      there.emplace_back(number, slot);
    } else if (!there.empty()) {
      const std::size_t which = random() % there.size();
      table.remove(there[which].second);
      EXPECT_EQ(table.find(trace_id(there[which].first)), TraceTable::kNoSlot);
      there[which] = there.back();
      there.pop_back();
    }
    if (i % 100 == 0) {
      for (const auto& [number, slot] : there) {
        ASSERT_EQ(table.find(trace_id(number)), slot);
      }
      ASSERT_EQ(table.size(), there.size());
    }
  }
  while (table.size() < table.capacity()) {
    static_cast<void>(table.take(trace_id(1'000'000 + table.size())));
  }
  EXPECT_EQ(table.take(trace_id(5)), TraceTable::kNoSlot);
}

}  // namespace
}  // namespace tailrace::agent::viewer
