// SPDX-License-Identifier: Apache-2.0
// Records and items: what a lane, a span slot, the resource, a scope and the hints are made of.
// Specified in docs/abi.md, "Records" and "Items".
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::shm {

enum class RecordType : std::uint16_t {
  none = 0,
  span = 1,
  log = 2,
  thread = 3,  // who owns the lane from here on
  loss = 4,    // what was dropped before the next record; explains, is never counted from
  anchor = 5,
  span_start = 6,  // a span that found no slot; flags and fields as span, end = 0
  span_part = 7,   // items that found no room in their span's slots
  exemplar = 8,
  process_note = 9,
  more = 10,  // only in a pool slot: items that continue a draft; never in a lane
};

// The clock of a time, in two bits.
enum class TimeClock : std::uint8_t { counter = 0, monotonic = 1, realtime = 2 };

inline constexpr std::uint8_t kFlagPriorityMask = 0x03;
inline constexpr std::uint8_t kFlagTruncated = 0x04;
inline constexpr std::uint8_t kFlagHasParts = 0x08;  // items of this span stand in SPAN_PARTs
inline constexpr unsigned kFlagStartClockShift = 4;  // also the only time of a LOG
inline constexpr unsigned kFlagEndClockShift = 6;

struct RecordHeader {
  std::uint32_t size;  // of the whole record, header included; a multiple of 8, at least 16 (MORE: 8)
  std::uint16_t type;
  std::uint8_t flags;
  std::uint8_t count;  // items behind the fixed part; 255 = 255 or more
};
static_assert(sizeof(RecordHeader) == 8);

// The header as one word, for a single store.
constexpr std::uint64_t header_word(std::uint32_t size, RecordType type, std::uint8_t flags, std::uint8_t count) {
  return std::uint64_t{size} | std::uint64_t{static_cast<std::uint16_t>(type)} << 32 | std::uint64_t{flags} << 48 |
         std::uint64_t{count} << 56;
}

// Bits of `tflags`.
inline constexpr std::uint8_t kSampled = 0x01;
inline constexpr std::uint8_t kRandom = 0x02;
inline constexpr std::uint8_t kRemoteKnown = 0x04;  // whether the parent is remote is known
inline constexpr std::uint8_t kRemote = 0x08;
inline constexpr std::uint8_t kTemplate = 0x10;  // LOG: the body is a template for its arguments
inline constexpr std::uint8_t kStarted = 0x20;   // SPAN: a SPAN_START was written for it

// kind_status: OTLP's Span.SpanKind in the low, Status.StatusCode in the high half.
struct SpanRecord {
  RecordHeader header;
  std::uint64_t end;
  std::uint64_t start;
  std::uint8_t trace_id[16];
  std::uint64_t span_id;    // the id's eight bytes in memory order
  std::uint64_t parent_id;  // 0 = root
  std::uint32_t name;       // string id; 0 = in a kNameKey item
  std::uint8_t kind_status;
  std::uint8_t tflags;
  std::uint16_t scope;  // 0 = the service's own
};
static_assert(sizeof(SpanRecord) == 64 && offsetof(SpanRecord, trace_id) == 24);
static_assert(offsetof(SpanRecord, span_id) == 40 && offsetof(SpanRecord, name) == 56);

struct LogRecord {
  RecordHeader header;
  std::uint64_t time;
  std::uint32_t body;     // string id of the body or template; 0 = in a kBodyKey item, or none
  std::uint8_t severity;  // OTLP SeverityNumber
  std::uint8_t tflags;
  std::uint16_t scope;
  std::uint8_t trace_id[16];
  std::uint64_t span_id;
};
static_assert(sizeof(LogRecord) == 48 && offsetof(LogRecord, trace_id) == 24);

struct ThreadRecord {
  RecordHeader header;
  std::uint32_t tid;
  std::uint32_t reserved;
  char name[16];  // zero-padded
};
static_assert(sizeof(ThreadRecord) == 32);

struct LossRecord {
  RecordHeader header;
  std::uint64_t first;  // times of the first and last loss, counter clock
  std::uint64_t last;
  std::uint64_t lost[4];  // by priority
};
static_assert(sizeof(LossRecord) == 56);

struct AnchorRecord {
  RecordHeader header;
  std::uint64_t counter;
  std::uint64_t realtime_ns;
  std::uint64_t monotonic_ns;
};
static_assert(sizeof(AnchorRecord) == 32);

// Followed by items that belong to the span. Parts may stand in several lanes, where nothing else
// orders them, and of two items with one key the last one counts.
struct SpanPartRecord {
  RecordHeader header;
  std::uint8_t trace_id[16];
  std::uint64_t span_id;
  std::uint32_t index;  // 0, 1, … in the order written
  std::uint32_t reserved;
};
static_assert(sizeof(SpanPartRecord) == 40 && offsetof(SpanPartRecord, index) == 32);

// In a pool slot behind the first draft; followed by items.
struct MoreRecord {
  RecordHeader header;
};

// Items. Each is a header of 8 bytes and `length` bytes of body, padded to 8.
enum class ItemType : std::uint8_t {
  empty = 0,      // length 0
  boolean = 1,    // u64 0 or 1
  integer = 2,    // i64
  real = 3,       // IEEE 754 binary64
  string_id = 4,  // u64: string id
  string = 5,     // UTF-8 bytes
  bytes = 6,
  array = 7,  // items with key 0
  map = 8,    // items with keys
  event = 9,  // EventBody, then items; the item's key is the event's name
  link = 10,  // LinkBody, then items; key 0
};

struct ItemHeader {
  std::uint32_t key;  // string id or reserved key
  std::uint8_t type;
  std::uint8_t flags;    // event: TimeClock of its time in the low two bits
  std::uint16_t length;  // bytes of body, without the padding
};
static_assert(sizeof(ItemHeader) == 8);

constexpr std::uint64_t item_word(std::uint32_t key, ItemType type, std::uint8_t flags, std::uint16_t length) {
  return std::uint64_t{key} | std::uint64_t{static_cast<std::uint8_t>(type)} << 32 | std::uint64_t{flags} << 40 |
         std::uint64_t{length} << 48;
}
constexpr std::uint32_t padded(std::uint32_t bytes) { return (bytes + 7u) & ~7u; }

// Reserved keys: ids below kFirstStringId.
enum ReservedKey : std::uint32_t {
  kNoKey = 0,
  kInlineKey = 1,  // the body starts with InlineKeyBody and the key's bytes
  kStatusMessageKey = 2,
  kTraceStateKey = 3,
  kEventNameKey = 4,
  kSeverityTextKey = 5,
  kDroppedAttributesKey = 6,  // integer: adds to what the reader counted
  kDroppedEventsKey = 7,
  kDroppedLinksKey = 8,
  kBodyKey = 9,
  kNameKey = 10,          // replaces the name; the last one counts
  kStatusCodeKey = 11,    // integer: replaces the status code; the last one counts
  kObservedTimeKey = 12,  // integer: REALTIME nanoseconds
  kArgumentKey = 13,      // the template's next argument
  kSchemaUrlKey = 14,     // of a scope or resource
  kVersionKey = 15,       // of a scope
  kPartCountKey = 16,     // integer: how many SPAN_PARTs belong to this span
};

struct InlineKeyBody {
  std::uint16_t key_length;
  std::uint16_t value_length;  // bytes of the value, which starts behind the padded key
  std::uint32_t reserved;
};
static_assert(sizeof(InlineKeyBody) == 8);

struct EventBody {
  std::uint64_t time;
  std::uint32_t dropped_attributes;
  std::uint32_t reserved;
};
static_assert(sizeof(EventBody) == 16);

struct LinkBody {
  std::uint8_t trace_id[16];
  std::uint64_t span_id;
  std::uint32_t flags;  // OTLP Link.flags
  std::uint32_t dropped_attributes;
};
static_assert(sizeof(LinkBody) == 32);

// Arrays and maps inside each other; a deeper value is cut by the shim and refused by a reader.
inline constexpr unsigned kMaxItemDepth = 16;

}  // namespace tailrace::shm
