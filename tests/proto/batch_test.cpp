// SPDX-License-Identifier: Apache-2.0
//
// Batches: a head, records behind it, lengths at the end; found again and
// checked after a restart, from bytes that may have been damaged.

#include "proto/encode/batch.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "proto/encode/encode.hpp"
#include "tests/proto/expected.hpp"
#include "tests/proto/random_views.hpp"

namespace tailrace::otlp::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

Piece piece_of(const std::string& bytes) { return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}; }

const std::array kService{KeyValue{"service.name", Value::string("checkout")}};
const ResourceView kResource{kService, 0, "https://example.com/r"};
const ScopeView kScope{"shop", "1.0", "https://example.com/s", {}, 0};

// A batch as the agent grows one, kept in one block.
class Batch {
 public:
  Batch(Signal signal, const ResourceView& resource, const ScopeView& scope)
      : head_(make_batch_head(signal, resource, scope)), bytes_(head_.bytes) {}

  void append(const SpanView& span) { append_with(encode_span, span); }
  void append(const LogView& log) { append_with(encode_log, log); }

  void close() {
    const auto lengths = batch_lengths(head_.layout(), bytes_.size());
    ASSERT_TRUE(lengths.has_value());
    fill_length(bytes_.data() + head_.outer_length_pos, lengths->outer);
    fill_length(bytes_.data() + head_.inner_length_pos, lengths->inner);
  }

  [[nodiscard]] const BatchHead& head() const { return head_; }
  [[nodiscard]] Bytes& bytes() { return bytes_; }
  [[nodiscard]] std::string text() const { return {bytes_.begin(), bytes_.end()}; }

 private:
  template <typename View>
  void append_with(bool (*encode)(BackwardWriter&, const View&), const View& view) {
    static Bytes scratch(std::size_t{32} << 20);
    BackwardWriter writer(scratch.data(), scratch.size());
    ASSERT_TRUE(encode(writer, view));
    bytes_.insert(bytes_.end(), writer.bytes().begin(), writer.bytes().end());
  }

  BatchHead head_;
  Bytes bytes_;
};

SpanView span_named(std::string_view name) {
  SpanView span;
  span.name = name;
  span.start_ns = 1;
  span.end_ns = 2;
  return span;
}

Batch batch_of(std::initializer_list<std::string_view> names) {
  Batch batch(Signal::traces, kResource, kScope);
  for (const auto name : names) batch.append(span_named(name));
  return batch;
}

Batch closed_batch_of(std::initializer_list<std::string_view> names) {
  Batch batch = batch_of(names);
  batch.close();
  return batch;
}

TEST(BatchHeads, HaveTheBytesOfTheDrawing) {
  const std::array attributes{KeyValue{"k", Value::string("v")}};
  const BatchHead head = make_batch_head(Signal::traces, {attributes, 0, "r"}, {"s", "", "u", {}, 0});
  const Bytes drawing{0x0a, 0x80, 0x80, 0x80, 0x00,  // request
                      0x0a, 0x0a, 0x0a, 0x08, 0x0a, 0x01, 'k',  0x12, 0x03, 0x0a, 0x01, 'v', 0x1a, 0x01, 'r',  // schema
                      0x12, 0x80, 0x80, 0x80, 0x00,  // scope_spans
                      0x0a, 0x03, 0x0a, 0x01, 's',  0x1a, 0x01, 'u'};
  EXPECT_EQ(head.bytes, drawing);
  EXPECT_EQ(head.outer_length_pos, 1U);
  EXPECT_EQ(head.inner_length_pos, 21U);
}

TEST(BatchHeads, AreTheSameForEverySignal) {
  const auto traces = make_batch_head(Signal::traces, kResource, kScope);
  EXPECT_EQ(make_batch_head(Signal::logs, kResource, kScope).bytes, traces.bytes);
  EXPECT_EQ(make_batch_head(Signal::metrics, kResource, kScope).bytes, traces.bytes);
}

// otlp-D11: a batch is one resource with one scope.
TEST(ClosedBatches, D11HoldOneResourceAndOneScope) {
  Batch batch = closed_batch_of({"one", "two", "three"});
  otel::collector::trace::v1::ExportTraceServiceRequest request;
  ASSERT_TRUE(request.ParseFromString(batch.text()));
  ASSERT_EQ(request.resource_spans_size(), 1);
  const auto& resource = request.resource_spans(0);
  EXPECT_EQ(difference(resource.resource(), expected(kResource)), "");
  EXPECT_EQ(resource.schema_url(), kResource.schema_url);
  ASSERT_EQ(resource.scope_spans_size(), 1);
  const auto& scope = resource.scope_spans(0);
  EXPECT_EQ(difference(scope.scope(), expected(kScope)), "");
  EXPECT_EQ(scope.schema_url(), kScope.schema_url);
  ASSERT_EQ(scope.spans_size(), 3);
  EXPECT_EQ(scope.spans(0).name(), "one");
  EXPECT_EQ(scope.spans(2).name(), "three");
}

TEST(ClosedBatches, OfLogsAndMetricsParseAsTheirRequests) {
  Batch logs(Signal::logs, kResource, kScope);
  LogView log;
  log.body = Value::string("hello");
  logs.append(log);
  logs.close();
  otel::collector::logs::v1::ExportLogsServiceRequest log_request;
  ASSERT_TRUE(log_request.ParseFromString(logs.text()));
  EXPECT_EQ(log_request.resource_logs(0).scope_logs(0).log_records(0).body().string_value(), "hello");
  EXPECT_EQ(log_request.resource_logs(0).scope_logs(0).scope().name(), "shop");

  Batch metrics(Signal::metrics, kResource, kScope);
  otel::metrics::v1::ScopeMetrics one_metric;
  one_metric.add_metrics()->set_name("requests");
  const std::string record = one_metric.SerializeAsString();
  metrics.bytes().insert(metrics.bytes().end(), record.begin(), record.end());
  metrics.close();
  otel::collector::metrics::v1::ExportMetricsServiceRequest metric_request;
  ASSERT_TRUE(metric_request.ParseFromString(metrics.text()));
  EXPECT_EQ(metric_request.resource_metrics(0).scope_metrics(0).metrics(0).name(), "requests");
  EXPECT_EQ(metric_request.resource_metrics(0).scope_metrics(0).schema_url(), kScope.schema_url);
}

TEST(ClosedBatches, ConcatenateToOneRequest) {
  RandomViews views(7);
  otel::collector::trace::v1::ExportTraceServiceRequest wanted;
  std::string request_bytes;
  for (int batch_index = 0; batch_index < 20; ++batch_index) {
    views.clear();
    const ResourceView resource = views.resource();
    const ScopeView scope = views.scope();
    Batch batch(Signal::traces, resource, scope);
    auto* resource_spans = wanted.add_resource_spans();
    *resource_spans->mutable_resource() = expected(resource);
    resource_spans->set_schema_url(std::string(resource.schema_url));
    auto* scope_spans = resource_spans->add_scope_spans();
    *scope_spans->mutable_scope() = expected(scope);
    scope_spans->set_schema_url(std::string(scope.schema_url));
    for (int index = 0; index < 10; ++index) {
      const SpanView span = views.span();
      batch.append(span);
      *scope_spans->add_spans() = expected(span);
    }
    batch.close();
    const BatchCheck check = check_batch(batch.bytes(), BatchState::closed);
    EXPECT_EQ(check.fault, BatchFault::none) << describe(check.fault) << " at " << check.position;
    EXPECT_EQ(check.records, 10U);
    request_bytes += batch.text();
  }
  otel::collector::trace::v1::ExportTraceServiceRequest request;
  ASSERT_TRUE(request.ParseFromString(request_bytes));
  EXPECT_EQ(difference(request, wanted), "");
}

TEST(BatchHeads, HoldAnHonestlyLargeResourceAndRefuseABeyondAllMeasureOne) {
  const std::string large(std::size_t{100} << 10, 'x');
  const std::array attributes{KeyValue{"k", Value::string(large)}};
  Batch batch(Signal::traces, {attributes, 0, ""}, {"s", "", "", attributes, 0});
  batch.append(span_named("one"));
  batch.close();
  otel::collector::trace::v1::ExportTraceServiceRequest request;
  ASSERT_TRUE(request.ParseFromString(batch.text()));
  EXPECT_EQ(request.resource_spans(0).resource().attributes(0).value().string_value(), large);
  EXPECT_EQ(check_batch(batch.bytes(), BatchState::closed).records, 1U);

  const std::string endless(kMaxBatchHeadBytes, 'x');
  const std::array too_much{KeyValue{"k", Value::string(endless)}};
  EXPECT_TRUE(make_batch_head(Signal::traces, {too_much, 0, ""}, {}).bytes.empty());
}

TEST(Lengths, TakeFourBytesWhateverTheirValue) {
  EXPECT_EQ(length_bytes(0), (std::array<std::uint8_t, 4>{0x80, 0x80, 0x80, 0x00}));
  EXPECT_EQ(length_bytes(300), (std::array<std::uint8_t, 4>{0xac, 0x82, 0x80, 0x00}));
  EXPECT_EQ(length_bytes(kMaxBatchBytes), (std::array<std::uint8_t, 4>{0xff, 0xff, 0xff, 0x7f}));
}

TEST(Lengths, ReachFromBehindThemselvesToTheEnd) {
  const BatchLayout layout{1, 21, 30};
  const auto lengths = batch_lengths(layout, 100);
  ASSERT_TRUE(lengths.has_value());
  EXPECT_EQ(lengths->outer, 95U);
  EXPECT_EQ(lengths->inner, 75U);
  EXPECT_FALSE(batch_lengths(layout, 29).has_value());
  EXPECT_TRUE(batch_lengths(layout, kMaxBatchBytes).has_value());
  EXPECT_FALSE(batch_lengths(layout, std::uint64_t{kMaxBatchBytes} + 1).has_value());
}

void expect_layout(const FoundBatchHead& found, const BatchHead& head) {
  ASSERT_EQ(found.fault, BatchFault::none) << describe(found.fault);
  EXPECT_EQ(found.layout.outer_length_pos, head.outer_length_pos);
  EXPECT_EQ(found.layout.inner_length_pos, head.inner_length_pos);
  EXPECT_EQ(found.layout.head_bytes, head.bytes.size());
}

TEST(FoundHeads, HaveThePositionsTheyWereMadeWith) {
  RandomViews views(3);
  for (int index = 0; index < 300; ++index) {
    views.clear();
    Batch batch(Signal::traces, views.resource(), views.scope());
    expect_layout(find_batch_head(batch.bytes()), batch.head());  // no record yet
    batch.append(span_named("one"));
    expect_layout(find_batch_head(batch.bytes()), batch.head());
    batch.close();
    expect_layout(find_batch_head(batch.bytes()), batch.head());
  }
}

TEST(FoundHeads, AreTheSameInPiecesCutAnywhere) {
  const Batch made = batch_of({"one", "two"});
  const std::string bytes = made.text();
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const std::array pieces{piece_of(bytes).first(cut), Piece{}, piece_of(bytes).subspan(cut)};
    expect_layout(find_batch_head(pieces), made.head());
    EXPECT_EQ(check_batch(pieces, BatchState::open).records, 2U);
  }
  std::vector<Piece> single_bytes;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    single_bytes.push_back(piece_of(bytes).subspan(at, 1));
  }
  expect_layout(find_batch_head(single_bytes), made.head());
  EXPECT_EQ(check_batch(single_bytes, BatchState::open).records, 2U);
}

TEST(FoundHeads, ThatAreCutShortSaySo) {
  const Batch made = batch_of({});
  const std::string bytes = made.text();
  const std::size_t without_scope_url = bytes.size() - kScope.schema_url.size() - 2;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string exact = bytes.substr(0, size);
    const auto found = find_batch_head(piece_of(exact));
    if (size == without_scope_url) continue;  // whole as it stands: the URL is optional
    EXPECT_EQ(found.fault, BatchFault::cut_short) << size;
  }
}

// The agent may die between any two stores of closing, and close again.
TEST(FoundHeads, AreFoundWhateverPartOfTheLengthsWasWritten) {
  Batch open = batch_of({"one", "two", "three"});
  Batch closed = closed_batch_of({"one", "two", "three"});
  const std::size_t outer = open.head().outer_length_pos;
  const std::size_t inner = open.head().inner_length_pos;
  for (unsigned written = 0; written < 256; ++written) {
    Batch torn = batch_of({"one", "two", "three"});
    for (unsigned bit = 0; bit < 8; ++bit) {
      const std::size_t at = bit < 4 ? outer + bit : inner + bit - 4;
      if ((written >> bit & 1) != 0) torn.bytes()[at] = closed.bytes()[at];
    }
    expect_layout(find_batch_head(torn.bytes()), open.head());
    EXPECT_EQ(check_batch(torn.bytes(), BatchState::open).records, 3U);
    torn.close();
    EXPECT_EQ(torn.bytes(), closed.bytes());
  }
}

TEST(CheckedBatches, CountTheirRecordsOpenAndClosed) {
  Batch batch = batch_of({"one", "two", "three"});
  EXPECT_EQ(check_batch(batch.bytes(), BatchState::open).records, 3U);
  EXPECT_EQ(check_batch(batch.bytes(), BatchState::closed).fault, BatchFault::wrong_length);
  batch.close();
  const BatchCheck check = check_batch(batch.bytes(), BatchState::closed);
  EXPECT_EQ(check.fault, BatchFault::none);
  EXPECT_EQ(check.records, 3U);
  EXPECT_EQ(check.position, batch.bytes().size());
  EXPECT_EQ(check_batch(batch.bytes(), BatchState::open).records, 3U);
}

TEST(CheckedBatches, WithoutARecordAreSoundAndCountNone) {
  Batch batch = closed_batch_of({});
  const BatchCheck check = check_batch(batch.bytes(), BatchState::closed);
  EXPECT_EQ(check.fault, BatchFault::none);
  EXPECT_EQ(check.records, 0U);
}

TEST(CheckedBatches, CutAnywhereAreFoundOut) {
  Batch batch = closed_batch_of({"one", "two"});
  const std::string bytes = batch.text();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string exact = bytes.substr(0, size);
    EXPECT_NE(check_batch(piece_of(exact), BatchState::closed).fault, BatchFault::none) << size;
  }
}

TEST(CheckedBatches, WithBytesBehindTheEndAreFoundOut) {
  Batch batch = closed_batch_of({"one", "two"});
  batch.bytes().push_back(0);
  EXPECT_EQ(check_batch(batch.bytes(), BatchState::closed).fault, BatchFault::wrong_length);
  EXPECT_EQ(check_batch(batch.bytes(), BatchState::open).fault, BatchFault::bad_record);
}

TEST(CheckedBatches, ClosedWithEitherLengthWrongAreFoundOut) {
  const Batch sound = closed_batch_of({"one", "two"});
  for (const std::size_t at : {sound.head().outer_length_pos, sound.head().inner_length_pos}) {
    Batch batch = sound;
    batch.bytes()[at] ^= 1;
    EXPECT_EQ(check_batch(batch.bytes(), BatchState::closed).fault, BatchFault::wrong_length);
    EXPECT_EQ(check_batch(batch.bytes(), BatchState::open).records, 2U);
  }
}

TEST(CheckedBatches, WithAWrongTagOrLengthSayWhatAndWhere) {
  const Batch sound = batch_of({"one", "two"});
  const std::size_t first_record = sound.head().bytes.size();
  Batch batch = sound;
  batch.bytes()[0] = 0x12;
  EXPECT_EQ(check_batch(batch.bytes(), BatchState::open).fault, BatchFault::bad_head);

  batch = sound;
  batch.bytes()[sound.head().outer_length_pos + 3] |= 0x80;
  EXPECT_EQ(check_batch(batch.bytes(), BatchState::open).fault, BatchFault::bad_head);

  batch = sound;
  batch.bytes()[sound.head().inner_length_pos - 1] = 0x1a;
  EXPECT_NE(check_batch(batch.bytes(), BatchState::open).fault, BatchFault::none);

  batch = sound;
  batch.bytes()[first_record] = 0x0a;
  BatchCheck check = check_batch(batch.bytes(), BatchState::open);
  EXPECT_EQ(check.fault, BatchFault::bad_record);
  EXPECT_EQ(check.position, first_record);
  EXPECT_EQ(check.records, 0U);

  batch = sound;
  batch.bytes()[first_record + 1] = 0x7f;  // the first record swallows the second and more
  check = check_batch(batch.bytes(), BatchState::open);
  EXPECT_EQ(check.fault, BatchFault::cut_short);
  EXPECT_EQ(check.position, first_record);
}

TEST(CheckedBatches, RefuseALengthThatIsNotTheShortestOrBeyond32Bits) {
  const BatchHead head = make_batch_head(Signal::traces, {}, {});
  const auto with = [&](const std::string& record) {
    return std::string(head.bytes.begin(), head.bytes.end()) + record;
  };
  const auto fault = [&](const std::string& record) {
    const std::string bytes = with(record);
    return check_batch(piece_of(bytes), BatchState::open).fault;
  };
  using namespace std::string_literals;
  EXPECT_EQ(fault("\x12\x00"s), BatchFault::none);
  EXPECT_EQ(fault("\x12\x01\x00"s), BatchFault::none);
  EXPECT_EQ(fault("\x12\x80\x00\x12\x00"s), BatchFault::bad_record);
  EXPECT_EQ(fault("\x12\xff\xff\xff\xff\x1f\x00"s), BatchFault::bad_record);
  EXPECT_EQ(fault("\x12\xff\xff\xff\xff\xff\xff\x00"s), BatchFault::bad_record);
  EXPECT_EQ(fault("\x12\xff\xff\xff\xff\x0f"s), BatchFault::cut_short);
  EXPECT_EQ(fault("\x12\x80"s), BatchFault::cut_short);
  EXPECT_EQ(fault("\x12"s), BatchFault::cut_short);
}

// Each piece is a heap block of its own size: a sanitizer sees a read beyond it.
TEST(CheckedBatches, AreNeverReadOutOfBoundsHoweverDamaged) {
  std::mt19937_64 random(11);
  RandomViews views(11);
  for (int round = 0; round < 2000; ++round) {
    views.clear();
    Batch batch(Signal::traces, views.resource(), views.scope());
    for (int index = 0; index < 3; ++index) batch.append(span_named("some span"));
    if (random() % 2 == 0) batch.close();
    Bytes bytes = batch.bytes();
    for (std::uint64_t damage = random() % 4; damage > 0; --damage) {
      bytes[random() % std::min<std::size_t>(bytes.size(), 400)] = static_cast<std::uint8_t>(random());
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    std::vector<Bytes> blocks;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t size = std::min<std::size_t>(bytes.size() - at, 1 + random() % 64);
      blocks.emplace_back(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                          bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
      at += size;
    }
    const std::vector<Piece> pieces(blocks.begin(), blocks.end());
    for (const auto state : {BatchState::open, BatchState::closed}) {
      const BatchCheck check = check_batch(pieces, state);
      const BatchCheck whole = check_batch(bytes, state);
      ASSERT_EQ(check.fault, whole.fault);
      ASSERT_EQ(check.records, whole.records);
      ASSERT_EQ(check.position, whole.position);
      ASSERT_LE(check.position, bytes.size());
    }
    ASSERT_EQ(find_batch_head(pieces).fault, find_batch_head(bytes).fault);
  }
}

}  // namespace
}  // namespace tailrace::otlp::test
