// SPDX-License-Identifier: Apache-2.0
// A whole segment image, as hostile as can be, through every part of the untrusted reader and through
// dump. What must hold whatever the bytes are: nothing outside the copies is read, every loop ends, a
// cursor's positions only grow, and what dump prints is text that a terminal does not obey.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include <tailrace/shm/ring.hpp>

#include "agent/observe/dump.hpp"
#include "shm/reader/counters.hpp"
#include "shm/reader/geometry.hpp"
#include "shm/reader/items.hpp"
#include "shm/reader/records.hpp"
#include "shm/reader/slots.hpp"
#include "shm/reader/strings.hpp"
#include "shm/reader/utf8.hpp"
#include "tests/shm/sparse_image.hpp"

namespace tailrace::shm {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "segment_fuzzer: %s\n", what);
  std::abort();
}

Bytes view(const std::vector<std::uint8_t>& bytes) { return {bytes.data(), bytes.size()}; }

// Copies of exact size, so that AddressSanitizer sees every byte too far.
class Image {
 public:
  explicit Image(const std::vector<std::uint8_t>& bytes) : bytes_(bytes) {}
  std::vector<std::uint8_t> copy(std::uint64_t offset, std::size_t length) const {
    const Bytes part = view(bytes_).part(static_cast<std::size_t>(offset), length);
    require(part.size == length, "a checked geometry leads out of the file");
    return {part.data, part.data + part.size};
  }

 private:
  const std::vector<std::uint8_t>& bytes_;
};

class Reader {
 public:
  Reader(const Image& image, const Geometry& geometry)
      : image_(image), g_(geometry), strings_(geometry.region(RegionKind::strings).length / 2) {}

  void read() {
    for (std::uint32_t lane = 0; lane < g_.lane_count; ++lane) {
      const LaneWords words = parse_lane_head(view(image_.copy(g_.lane_head(lane), sizeof(LaneHead))));
      sums_.add(words);
      heads_.push_back(words.head);
    }
    process_ = parse_process(view(image_.copy(g_.region(RegionKind::process).offset, sizeof(ProcessDynamic))));
    sums_.add(process_);
    read_strings();
    walk(strings_.blob(g_.resource_offset, g_.resource_length));
    walk(strings_.blob(g_.hints_offset, g_.hints_length));
    read_scopes();
    for (std::uint32_t lane = 0; lane < g_.lane_count; ++lane) read_lane(lane);
    read_slots();
    for (const Signal signal : {Signal::traces, Signal::logs, Signal::other}) {
      require(sums_.called(signal) >= sums_.dropped_of(signal), "a sum wrapped around");
    }
  }

 private:
  // In two steps, as a growing arena is read.
  void read_strings() {
    const std::uint64_t at = g_.region(RegionKind::strings).offset;
    for (const std::uint64_t length : {process_.strings_len / 2, process_.strings_len}) {
      const std::size_t missing = strings_.missing(length);
      require(strings_.extend(view(image_.copy(at + strings_.size(), missing))), "the budget was passed");
    }
    require(strings_.size() <= strings_.budget(), "the budget was passed");
  }

  void read_scopes() {
    const RegionRange& scopes = g_.region(RegionKind::scopes);
    const std::uint32_t count = process_.scopes_count < g_.scopes_max ? process_.scopes_count : g_.scopes_max;
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto id = view(image_.copy(scopes.entry(i), 4)).load_or_zero<std::uint32_t>(0);
      if (const auto blob = strings_.lookup(id)) walk(bytes_of(*blob));
    }
  }

  void read_lane(std::uint32_t lane) {
    const LaneTailWords tail = parse_lane_tail(view(image_.copy(g_.lane_tail(lane), sizeof(LaneTail))));
    const RingConsumer<std::uint64_t> consumer{tail.tail, tail.tail};
    if (tail.tail % 8 != 0 || !consumer.believable(heads_[lane], g_.ring_bytes)) return;
    const RingRuns runs = RingConsumer<std::uint64_t>::runs(tail.tail, heads_[lane], g_.ring_bytes, g_.slack_bytes);
    const auto first = image_.copy(g_.lane_ring(lane) + runs.first.offset, runs.first.length);
    const auto second = image_.copy(g_.lane_ring(lane) + runs.second.offset, runs.second.length);
    RecordCursor cursor(view(first), view(second), runs.to_boundary, tail.tail, g_.max_record);
    RecordRef record;
    std::uint64_t position = tail.tail;
    Next next = cursor.next(record);
    for (; next == Next::found; next = cursor.next(record)) {
      require(record.position == position, "a record does not start where the last one ended");
      require(record.next_position - position == record.bytes.size, "a size is not the distance to the next");
      require(record.bytes.size >= kMinRecord && record.bytes.size <= g_.max_record, "a size is out of bounds");
      position = record.next_position;
      read_record(record);
    }
    require(next == Next::broken || position == heads_[lane], "the chain ended before the head");
  }

  template <class Fixed>
  void read_fixed(const RecordRef& record) {
    Fixed fixed;
    if (record.fixed(fixed)) walk(record.items<Fixed>());
  }

  void read_record(const RecordRef& record) {
    switch (record.type) {
      case RecordType::span:
      case RecordType::span_start: return read_fixed<SpanRecord>(record);
      case RecordType::log: return read_fixed<LogRecord>(record);
      case RecordType::span_part: return read_fixed<SpanPartRecord>(record);
      case RecordType::thread: return read_fixed<ThreadRecord>(record);
      case RecordType::loss: return read_fixed<LossRecord>(record);
      case RecordType::anchor: return read_fixed<AnchorRecord>(record);
      default: return;
    }
  }

  void read_slots() {
    if (g_.slot_bytes == 0) return;
    const std::size_t used = process_.pool_used < g_.pool_slots ? process_.pool_used : g_.pool_slots;
    const auto pool = used == 0 ? std::vector<std::uint8_t>() : image_.copy(g_.pool_slot(0), used * g_.slot_bytes);
    const SlotContext context{view(pool), g_.slot_bytes, heads_.data(), g_.lane_count};
    for (std::uint32_t lane = 0; lane < g_.lane_count; ++lane) {
      for (std::uint32_t i = 0; i < g_.slots_per_lane; ++i) {
        const auto slot = image_.copy(g_.slot(lane, i), g_.slot_bytes);
        read_one_slot(view(slot), context);
      }
    }
    for (std::size_t i = 0; i < used; ++i) {
      read_one_slot(view(pool).part(i * g_.slot_bytes, g_.slot_bytes), context);
    }
  }

  void read_one_slot(Bytes slot, const SlotContext& context) {
    const SlotSpan span = read_slot(slot, context);
    if (span.verdict != SlotVerdict::open && span.verdict != SlotVerdict::ended) {
      require(span.item_ranges == 0, "items of a span that is none");
      return;
    }
    for (std::size_t i = 0; i < span.item_ranges; ++i) walk(span.items[i]);
  }

  void walk(Bytes items) {
    const bool whole = items_are_whole(items);
    require(walk(ItemCursor(items)) == whole, "items_are_whole() and the cursors disagree");
  }
  bool walk(ItemCursor cursor) {
    ItemRef item;
    for (;;) {
      switch (cursor.next(item)) {
        case Next::end: return true;
        case Next::broken: return false;
        case Next::found: break;
      }
      text(item.inline_key.text());
      if (item.key >= kFirstStringId) text(strings_.lookup(item.key).value_or(""));
      if (item.type == ItemType::string_id) text(strings_.lookup(item.string_id()).value_or(""));
      if (item.type == ItemType::string) text(item.body.text());
      if (!walk(item.inside())) return false;
    }
  }
  void text(std::string_view text) {
    std::string scratch;
    const std::string_view repaired = repair_utf8(text, scratch);
    require(valid_utf8(repaired), "repaired text is not valid");
    require(repaired.size() <= 3 * text.size(), "repaired text grew more than it can");
  }

  const Image& image_;
  const Geometry& g_;
  StringTable strings_;
  ProcessWords process_;
  CounterSums sums_;
  std::vector<std::uint64_t> heads_;
};

void check_text(const std::string& text) {
  require(!text.empty() && text.back() == '\n', "dump printed no line");
  require(valid_utf8(text), "dump printed broken text");
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    require(c == '\n' || (c >= 0x20 && c != 0x7F), "dump printed a control character");
    require(c != 0xC2 || static_cast<unsigned char>(text[i + 1]) >= 0xA0, "dump printed a C1 control character");
  }
}

}  // namespace
}  // namespace tailrace::shm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tailrace::shm;
  static std::vector<std::uint8_t> bytes;
  test::unpack_image({data, size}, bytes);
  const Bytes image{bytes.data(), bytes.size()};
  const GeometryResult result =
      parse_identity({image.data, image.size < kIdentityBytes ? image.size : kIdentityBytes}, image.size);
  if (result.ok()) Reader(Image(bytes), result.geometry).read();

  tailrace::agent::DumpOptions options;
  options.strings = 50;
  std::ostringstream out;
  const int code = tailrace::agent::dump_source(tailrace::agent::MemorySource(image), "fuzzed", options, out);
  require(code == 0 || code == 1, "an exit code nobody knows");
  require(result.ok() || code == 1, "dump believed what the reader refused");
  check_text(out.str());
  return 0;
}
