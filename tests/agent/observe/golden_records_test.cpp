// SPDX-License-Identifier: Apache-2.0
// What the decoder and the metrics collector make of a golden segment, record by record: the OTLP that an
// agent of any later version must still make of it. The text is frozen with the segment (golden_test.cpp).
#include <google/protobuf/text_format.h>

#include <cstring>
#include <utility>

#include <tailrace/shm/ring.hpp>

#include "agent/metrics/collector.hpp"
#include "opentelemetry/proto/metrics/v1/metrics.pb.h"
#include "shm/reader/slots.hpp"
#include "tests/agent/decode/decode_fixture.hpp"
#include "tests/agent/metrics/image_words.hpp"
#include "tests/agent/observe/golden.hpp"

namespace tailrace::agent {
namespace {

using test::ImageWords;
using test::show;

template <class Id>
std::string hex(const Id& id) {
  static const char* const kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : id.bytes) text.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return text;
}

class Reader {
 public:
  explicit Reader(std::vector<std::uint8_t> image)
      : image_(std::move(image)),
        all_{image_.data(), image_.size()},
        geometry_(shm::parse_identity(all_.part(0, shm::kIdentityBytes), image_.size()).geometry),
        decoder_(geometry_) {
    const auto& process = at<shm::ProcessDynamic>(geometry_.region(shm::RegionKind::process).offset);
    for (const shm::Anchor& anchor : process.anchors) {
      if (anchor.seq != 0) decoder_.timeline().add_claim({anchor.counter, anchor.realtime_ns, anchor.monotonic_ns});
    }
    decoder_.timeline().add({kLater, kRealtime + kLater, kLater});
    const std::uint64_t arena = geometry_.region(shm::RegionKind::strings).offset;
    StringCache& strings = decoder_.strings();
    EXPECT_TRUE(strings.extend(all_.part(arena + strings.length(), strings.wanted(process.strings_len))));
    std::vector<std::uint32_t> scopes(process.scopes_count);
    std::memcpy(scopes.data(), &at<std::uint32_t>(geometry_.region(shm::RegionKind::scopes).offset),
                scopes.size() * sizeof(std::uint32_t));
    decoder_.set_scopes(scopes);
    for (std::uint32_t i = 0; i < geometry_.lane_count; ++i) heads_.push_back(lane(i).head);
  }

  std::string text() {
    blob("resource", geometry_.resource_offset, geometry_.resource_length);
    blob("hints", geometry_.hints_offset, geometry_.hints_length);
    for (std::uint16_t i = 0; i <= decoder_.scopes(); ++i) {
      const otlp::ScopeView& scope = decoder_.scope(i);
      out_ << "scope " << i << " '" << scope.name << "' version '" << scope.version << "' {" << show(scope.attributes)
           << "}\n";
    }
    for (std::uint32_t i = 0; i < geometry_.lane_count; ++i) records(i);
    for (std::uint32_t i = 0; i < geometry_.lane_count; ++i) slots(geometry_.lane_slots(i), geometry_.slots_per_lane);
    slots(geometry_.pool_slot(0), geometry_.pool_slots);
    for (const auto preference : {TemporalityPreference::cumulative, TemporalityPreference::delta}) metrics(preference);
    return out_.str();
  }

 private:
  // The counter is CLOCK_MONOTONIC in this segment, and stood at 5 s when this was the time.
  static constexpr std::uint64_t kRealtime = 1'700'000'000'000'000'000ull - 5'000'000'000ull;
  static constexpr std::uint64_t kLater = 6'000'000'000ull;

  template <class T>
  const T& at(std::uint64_t offset) const {
    return *reinterpret_cast<const T*>(image_.data() + offset);
  }
  const shm::LaneHead& lane(std::uint32_t i) const { return at<shm::LaneHead>(geometry_.lane_head(i)); }

  void blob(const char* what, std::uint64_t offset, std::uint64_t length) {
    const auto blob = decoder_.decode_blob(decoder_.strings().blob_at(offset, length));
    EXPECT_TRUE(blob.sound) << what;
    out_ << what << " schema '" << blob.schema_url << "' {" << show(blob.attributes) << "}\n";
  }

  void records(std::uint32_t i) {
    const auto& tail = at<shm::LaneTail>(geometry_.lane_tail(i));
    const auto runs =
        shm::RingConsumer<std::uint64_t>::runs(tail.tail, heads_[i], geometry_.ring_bytes, geometry_.slack_bytes);
    const std::uint64_t ring = geometry_.lane_ring(i);
    shm::RecordCursor cursor(all_.part(ring + runs.first.offset, runs.first.length),
                             all_.part(ring + runs.second.offset, runs.second.length), runs.to_boundary, tail.tail,
                             geometry_.max_record);
    shm::RecordRef record;
    std::vector<shm::Bytes> parts;
    while (cursor.next(record) == shm::Next::found) {
      const Decoded decoded = decoder_.decode(record, kRealtime + kLater);
      if (decoded.kind == Decoded::Kind::part) parts.push_back(record.bytes);
      out_ << "lane " << i << " @" << record.position << ' ';
      print(decoded.parts == 0 ? decoded : decoder_.decode_with_parts(record.bytes, parts, kRealtime + kLater));
    }
    EXPECT_EQ(cursor.remaining(), 0u);
  }

  void slots(std::uint64_t offset, std::uint32_t count) {
    const shm::SlotContext context{
        all_.part(geometry_.pool_slot(0), std::size_t{geometry_.pool_slots} * geometry_.slot_bytes),
        geometry_.slot_bytes, heads_.data(), geometry_.lane_count};
    for (std::uint32_t i = 0; i < count; ++i) {
      const shm::SlotSpan slot =
          shm::read_slot(all_.part(offset + std::uint64_t{i} * geometry_.slot_bytes, geometry_.slot_bytes), context);
      EXPECT_NE(slot.verdict, shm::SlotVerdict::broken);
      if (slot.verdict == shm::SlotVerdict::nothing) continue;
      out_ << (slot.verdict == shm::SlotVerdict::open ? "open slot " : "ended slot ") << i << ' ';
      print(decoder_.decode_slot(slot, {}, kRealtime + kLater, {11, 0xDEAD0, 5000009500ull}));
    }
  }

  void print(const Decoded& decoded) {
    using Kind = Decoded::Kind;
    static const char* const kNames[] = {"span", "log", "part", "span-start", "other", "bad"};
    out_ << kNames[static_cast<int>(decoded.kind)] << " priority " << int{decoded.priority} << " scope "
         << decoded.scope << (decoded.truncated ? " truncated" : "") << (decoded.was_started ? " started" : "");
    if (decoded.kind == Kind::part) out_ << " of " << hex(decoded.span_id);
    if (decoded.kind == Kind::span || decoded.kind == Kind::span_start) print(*decoded.span);
    if (decoded.kind == Kind::log) print(*decoded.log);
    out_ << '\n';
  }
  void print(const otlp::SpanView& s) {
    out_ << " '" << s.name << "' " << hex(s.trace_id) << '/' << hex(s.span_id) << " parent " << hex(s.parent_span_id)
         << " state '" << s.trace_state << "' flags " << s.flags << " kind " << int{s.kind} << " status "
         << int{s.status_code} << " '" << s.status_message << "' " << s.start_ns << " to " << s.end_ns << " {"
         << show(s.attributes) << "} dropped " << s.dropped_attributes << ' ' << s.dropped_events << ' '
         << s.dropped_links;
    for (const otlp::EventView& e : s.events) {
      out_ << " event '" << e.name << "' " << e.time_ns << " {" << show(e.attributes) << "} dropped "
           << e.dropped_attributes;
    }
    for (const otlp::LinkView& l : s.links) {
      out_ << " link " << hex(l.trace_id) << '/' << hex(l.span_id) << " state '" << l.trace_state << "' flags "
           << l.flags << " {" << show(l.attributes) << "} dropped " << l.dropped_attributes;
    }
  }
  void print(const otlp::LogView& l) {
    out_ << ' ' << l.time_ns << " observed " << l.observed_ns << " severity " << int{l.severity} << " '"
         << l.severity_text << "' event '" << l.event_name << "' " << hex(l.trace_id) << '/' << hex(l.span_id)
         << " flags " << l.flags << " body " << show(l.body) << " {" << show(l.attributes) << "} dropped "
         << l.dropped_attributes;
  }

  void metrics(TemporalityPreference preference) {
    const ImageWords words(all_);
    MetricCollector collector(geometry_, decoder_);
    const auto& process = at<shm::ProcessDynamic>(geometry_.region(shm::RegionKind::process).offset);
    collector.take_up(words, process.metrics_count);
    CollectOptions options;
    options.preference = preference;
    options.time_ns = kRealtime + kLater;
    for (CollectCursor cursor; !cursor.done();) {
      const Collection part = collector.collect(words, Baseline(), options, cursor);
      ASSERT_TRUE(part.readable);
      for (const MetricGroup& group : part.groups) {
        for (const MetricPiece& piece : group.pieces) {
          opentelemetry::proto::metrics::v1::ScopeMetrics scope;
          ASSERT_TRUE(scope.ParseFromArray(piece.bytes.data(), static_cast<int>(piece.bytes.size())));
          std::string text;
          google::protobuf::TextFormat::Printer printer;
          printer.SetSingleLineMode(true);
          ASSERT_TRUE(printer.PrintToString(scope, &text));
          while (!text.empty() && text.back() == ' ') text.pop_back();
          out_ << (preference == TemporalityPreference::delta ? "delta" : "cumulative") << " scope " << group.scope
               << ' ' << text << '\n';
        }
      }
    }
  }

  std::vector<std::uint8_t> image_;
  shm::Bytes all_;
  shm::Geometry geometry_;
  SegmentDecoder decoder_;
  std::vector<std::uint64_t> heads_;
  std::ostringstream out_;
};

TEST(GoldenRecordsTest, ASegmentOfVersion1_0IsDecodedAndCollectedToTheSameRecords) {
  const std::string path = test::golden("segment-1.0.otlp");
  const std::string text = Reader(test::golden_image("1.0")).text();
  if (test::write_golden()) std::ofstream(path) << text;
  EXPECT_EQ(text, test::read_file(path));
}

}  // namespace
}  // namespace tailrace::agent
