// SPDX-License-Identifier: Apache-2.0
// docs/abi.md is the specification: its tables must say what the structures are, and its example what a
// segment holds, byte for byte.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/shm/segment_builder.hpp"

namespace tailrace::shm {
namespace {

std::vector<std::string> document() {
  std::ifstream file(TAILRACE_SOURCE_DIR "/docs/abi.md");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  EXPECT_GT(lines.size(), 100u) << "docs/abi.md cannot be read";
  return lines;
}

// The table whose third column is headed by `name`: "offset size field" of each row.
std::vector<std::string> table_of(const std::string& name) {
  std::vector<std::string> rows;
  bool inside = false;
  for (const std::string& line : document()) {
    if (line.rfind("| offset | size | `" + name + "`", 0) == 0) {
      inside = true;
      continue;
    }
    if (!inside) continue;
    if (line.empty() || line[0] != '|') break;
    if (line.rfind("|---", 0) == 0) continue;
    std::istringstream words(line);
    std::string bar, offset, size, field;
    words >> bar >> offset >> bar >> size >> bar >> field;
    rows.push_back(offset + " " + size + " " + field);
  }
  EXPECT_FALSE(rows.empty()) << "docs/abi.md has no table of " << name;
  return rows;
}

template <class Structure>
class Rows {
 public:
  template <class Field>
  Rows& add(std::size_t offset, Field Structure::*, const char* name) {
    std::ostringstream row;
    row << offset << " " << sizeof(Field) << " `" << name << "`";
    rows_.push_back(row.str());
    return *this;
  }
  const std::vector<std::string>& rows() const { return rows_; }

 private:
  std::vector<std::string> rows_;
};
#define TAILRACE_FIELD(structure, field) .add(offsetof(structure, field), &structure::field, #field)

TEST(AbiDocumentTest, IdentityIsAsTheTableSays) {
  EXPECT_EQ(
      table_of("Identity"),
      Rows<Identity>() TAILRACE_FIELD(Identity, magic) TAILRACE_FIELD(Identity, abi_major) TAILRACE_FIELD(
          Identity, abi_minor) TAILRACE_FIELD(Identity, header_size) TAILRACE_FIELD(Identity, features_required)
          TAILRACE_FIELD(Identity, features_optional) TAILRACE_FIELD(Identity, segment_size)
              TAILRACE_FIELD(Identity, uuid) TAILRACE_FIELD(Identity, pid) TAILRACE_FIELD(Identity, reserved0)
                  TAILRACE_FIELD(Identity, start_time_ticks) TAILRACE_FIELD(Identity, pid_namespace)
                      TAILRACE_FIELD(Identity, created_realtime_ns) TAILRACE_FIELD(Identity, created_monotonic_ns)
                          TAILRACE_FIELD(Identity, created_counter) TAILRACE_FIELD(Identity, clock_kind)
                              TAILRACE_FIELD(Identity, max_record) TAILRACE_FIELD(Identity, boot_id_hash)
                                  TAILRACE_FIELD(Identity, resource_offset) TAILRACE_FIELD(Identity, resource_length)
                                      TAILRACE_FIELD(Identity, region_count) TAILRACE_FIELD(Identity, lane_count)
                                          TAILRACE_FIELD(Identity, hints_offset) TAILRACE_FIELD(Identity, hints_length)
                                              TAILRACE_FIELD(Identity, ring_bytes) TAILRACE_FIELD(Identity, slack_bytes)
                                                  TAILRACE_FIELD(Identity, slots_per_lane) TAILRACE_FIELD(
                                                      Identity, shared_lanes) TAILRACE_FIELD(Identity, reserved1)
                                                      TAILRACE_FIELD(Identity, regions)
                                                          .rows());
  EXPECT_EQ(table_of("Region"), Rows<Region>() TAILRACE_FIELD(Region, kind) TAILRACE_FIELD(Region, flags)
                                    TAILRACE_FIELD(Region, offset) TAILRACE_FIELD(Region, length)
                                        TAILRACE_FIELD(Region, stride) TAILRACE_FIELD(Region, count)
                                            .rows());
}

TEST(AbiDocumentTest, ControlIsAsTheTablesSay) {
  EXPECT_EQ(table_of("ControlHot"),
            Rows<ControlHot>() TAILRACE_FIELD(ControlHot, generation) TAILRACE_FIELD(ControlHot, disable_mask)
                TAILRACE_FIELD(ControlHot, trace_threshold) TAILRACE_FIELD(ControlHot, min_severity)
                    TAILRACE_FIELD(ControlHot, pressure) TAILRACE_FIELD(ControlHot, clock_override)
                        TAILRACE_FIELD(ControlHot, shed_mask) TAILRACE_FIELD(ControlHot, long_span_seconds)
                            .rows());
  EXPECT_EQ(table_of("ControlAgent"),
            Rows<ControlAgent>() TAILRACE_FIELD(ControlAgent, heartbeat_monotonic_ns)
                TAILRACE_FIELD(ControlAgent, agent_epoch) TAILRACE_FIELD(ControlAgent, agent_state)
                    TAILRACE_FIELD(ControlAgent, reason) TAILRACE_FIELD(ControlAgent, abi_major)
                        TAILRACE_FIELD(ControlAgent, abi_minor) TAILRACE_FIELD(ControlAgent, reserved)
                            TAILRACE_FIELD(ControlAgent, agent_features)
                                .rows());
  EXPECT_EQ(table_of("ControlFlush"),
            Rows<ControlFlush>() TAILRACE_FIELD(ControlFlush, flush_done) TAILRACE_FIELD(ControlFlush, agent_sleeping)
                TAILRACE_FIELD(ControlFlush, critical_done) TAILRACE_FIELD(ControlFlush, reserved)
                    TAILRACE_FIELD(ControlFlush, settled_seq)
                        .rows());
  EXPECT_EQ(table_of("SettledRow"), Rows<SettledRow>() TAILRACE_FIELD(SettledRow, produced)
                                        TAILRACE_FIELD(SettledRow, delivered) TAILRACE_FIELD(SettledRow, rejected)
                                            TAILRACE_FIELD(SettledRow, dropped)
                                                .rows());
}

TEST(AbiDocumentTest, ProcessIsAsTheTablesSay) {
  EXPECT_EQ(
      table_of("ProcessDynamic"),
      Rows<ProcessDynamic>() TAILRACE_FIELD(ProcessDynamic, strings_len) TAILRACE_FIELD(ProcessDynamic, metrics_count)
          TAILRACE_FIELD(ProcessDynamic, lanes_used) TAILRACE_FIELD(ProcessDynamic, doorbell)
              TAILRACE_FIELD(ProcessDynamic, flush_gen) TAILRACE_FIELD(ProcessDynamic, scopes_count) TAILRACE_FIELD(
                  ProcessDynamic, pool_used) TAILRACE_FIELD(ProcessDynamic, unlaned_dropped)
                  TAILRACE_FIELD(ProcessDynamic, crash) TAILRACE_FIELD(ProcessDynamic, metrics_unrecorded)
                      TAILRACE_FIELD(ProcessDynamic, metrics_invalid) TAILRACE_FIELD(ProcessDynamic, metrics_clamped)
                          TAILRACE_FIELD(ProcessDynamic, critical_gen) TAILRACE_FIELD(ProcessDynamic, reserved0)
                              TAILRACE_FIELD(ProcessDynamic, reserved1) TAILRACE_FIELD(ProcessDynamic, anchors)
                                  TAILRACE_FIELD(ProcessDynamic, critical_written)
                                      .rows());
  EXPECT_EQ(table_of("Crash"), Rows<Crash>() TAILRACE_FIELD(Crash, signal) TAILRACE_FIELD(Crash, lane)
                                   TAILRACE_FIELD(Crash, address) TAILRACE_FIELD(Crash, counter)
                                       .rows());
  EXPECT_EQ(table_of("Anchor"), Rows<Anchor>() TAILRACE_FIELD(Anchor, seq) TAILRACE_FIELD(Anchor, counter)
                                    TAILRACE_FIELD(Anchor, realtime_ns) TAILRACE_FIELD(Anchor, monotonic_ns)
                                        .rows());
}

TEST(AbiDocumentTest, LanesAndSlotsAreAsTheTablesSay) {
  EXPECT_EQ(table_of("LaneHead"),
            Rows<LaneHead>() TAILRACE_FIELD(LaneHead, head) TAILRACE_FIELD(LaneHead, written)
                TAILRACE_FIELD(LaneHead, in_use) TAILRACE_FIELD(LaneHead, tid) TAILRACE_FIELD(LaneHead, owner_from)
                    TAILRACE_FIELD(LaneHead, not_sampled) TAILRACE_FIELD(LaneHead, refused)
                        TAILRACE_FIELD(LaneHead, dropped) TAILRACE_FIELD(LaneHead, cut)
                            TAILRACE_FIELD(LaneHead, reserved0) TAILRACE_FIELD(LaneHead, shard)
                                TAILRACE_FIELD(LaneHead, committed) TAILRACE_FIELD(LaneHead, name)
                                    TAILRACE_FIELD(LaneHead, cell_words) TAILRACE_FIELD(LaneHead, reserved1)
                                        .rows());
  EXPECT_EQ(table_of("LaneTail"),
            Rows<LaneTail>() TAILRACE_FIELD(LaneTail, tail) TAILRACE_FIELD(LaneTail, settled).rows());
  EXPECT_EQ(table_of("SpanSlot"), Rows<SpanSlot>() TAILRACE_FIELD(SpanSlot, state) TAILRACE_FIELD(SpanSlot, next)
                                      TAILRACE_FIELD(SpanSlot, bytes)
                                          .rows());
}

TEST(AbiDocumentTest, MetricsAreAsTheTablesSay) {
  EXPECT_EQ(table_of("MetricDescriptor"),
            Rows<MetricDescriptor>() TAILRACE_FIELD(MetricDescriptor, name) TAILRACE_FIELD(MetricDescriptor, unit)
                TAILRACE_FIELD(MetricDescriptor, description) TAILRACE_FIELD(MetricDescriptor, attributes)
                    TAILRACE_FIELD(MetricDescriptor, scope) TAILRACE_FIELD(MetricDescriptor, kind) TAILRACE_FIELD(
                        MetricDescriptor, flags) TAILRACE_FIELD(MetricDescriptor, instrument)
                        TAILRACE_FIELD(MetricDescriptor, cell) TAILRACE_FIELD(MetricDescriptor, shard_words)
                            TAILRACE_FIELD(MetricDescriptor, start) TAILRACE_FIELD(MetricDescriptor, bounds)
                                TAILRACE_FIELD(MetricDescriptor, buckets) TAILRACE_FIELD(MetricDescriptor, first_index)
                                    TAILRACE_FIELD(MetricDescriptor, scale) TAILRACE_FIELD(MetricDescriptor, reserved0)
                                        TAILRACE_FIELD(MetricDescriptor, reserved1)
                                            .rows());
  EXPECT_EQ(table_of("HistogramShard"), Rows<HistogramShard>() TAILRACE_FIELD(HistogramShard, sum)
                                            TAILRACE_FIELD(HistogramShard, min) TAILRACE_FIELD(HistogramShard, max)
                                                TAILRACE_FIELD(HistogramShard, zero)
                                                    .rows());
}

TEST(AbiDocumentTest, RecordsAreAsTheTablesSay) {
  EXPECT_EQ(table_of("SpanRecord"), Rows<SpanRecord>() TAILRACE_FIELD(SpanRecord, end) TAILRACE_FIELD(SpanRecord, start)
                                        TAILRACE_FIELD(SpanRecord, trace_id) TAILRACE_FIELD(SpanRecord, span_id)
                                            TAILRACE_FIELD(SpanRecord, parent_id) TAILRACE_FIELD(SpanRecord, name)
                                                TAILRACE_FIELD(SpanRecord, kind_status)
                                                    TAILRACE_FIELD(SpanRecord, tflags) TAILRACE_FIELD(SpanRecord, scope)
                                                        .rows());
  EXPECT_EQ(table_of("LogRecord"), Rows<LogRecord>() TAILRACE_FIELD(LogRecord, time) TAILRACE_FIELD(LogRecord, body)
                                       TAILRACE_FIELD(LogRecord, severity) TAILRACE_FIELD(LogRecord, tflags)
                                           TAILRACE_FIELD(LogRecord, scope) TAILRACE_FIELD(LogRecord, trace_id)
                                               TAILRACE_FIELD(LogRecord, span_id)
                                                   .rows());
}

// The lines of a fenced block that starts with ```hex NAME.
std::string example(const std::string& name) {
  std::string text;
  bool inside = false;
  for (const std::string& line : document()) {
    if (line == "```hex " + name) {
      inside = true;
    } else if (inside && line == "```") {
      return text;
    } else if (inside) {
      text += line + "\n";
    }
  }
  ADD_FAILURE() << "docs/abi.md has no example " << name;
  return text;
}

std::string hex_lines(const std::uint8_t* from, std::size_t address, std::size_t size) {
  std::string text;
  char piece[16];
  for (std::size_t i = 0; i < size; ++i) {
    if (i % 16 == 0) {
      std::snprintf(piece, sizeof piece, "%04zx:", address + i);
      text += piece;
    }
    std::snprintf(piece, sizeof piece, "%s%02x", i % 16 == 8 ? "  " : " ", from[i]);
    text += piece;
    if (i % 16 == 15 || i + 1 == size) text += "\n";
  }
  return text;
}

TEST(AbiDocumentTest, ExampleIsWhatASegmentHolds) {
  test::SegmentBuilder segment;
  const std::uint32_t pay = segment.intern("pay");
  const std::uint32_t amount = segment.intern("amount");
  segment.put(0, test::make_span({.name = pay, .span_id = 0x21, .start = 1000, .end = 1500},
                                 test::Items().integer(amount, 42).boolean("ok", true)));
  EXPECT_EQ(segment.process().strings_len.load(), 0x218u);
  EXPECT_EQ(segment.lane(0).head.load(), 0x70u);
  EXPECT_EQ(example("arena"), hex_lines(segment.at(RegionKind::strings) + kArenaStart, kArenaStart, 0x18));
  EXPECT_EQ(example("record"), hex_lines(segment.ring(0), 0, 0x70));
}

}  // namespace
}  // namespace tailrace::shm
