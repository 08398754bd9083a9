// SPDX-License-Identifier: Apache-2.0
#include "agent/observe/dump.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <ctime>
#include <ostream>
#include <utility>
#include <vector>

#include <tailrace/shm/ring.hpp>

#include "agent/observe/metric_text.hpp"
#include "agent/observe/segment_text.hpp"
#include "shm/reader/counters.hpp"
#include "shm/reader/geometry.hpp"
#include "shm/reader/metrics.hpp"
#include "shm/reader/slots.hpp"

namespace tailrace::agent {
namespace {

using namespace shm;

// A pool beyond this is not looked at: it is a million spans open at once, or a lie.
constexpr std::uint64_t kPoolBytesRead = 64ull << 20;

const char* const kSignalNames[kSignals] = {"traces", "logs", "other"};
const char* const kRegionNames[kRegionKinds] = {
    "identity",     "control",    "process",   "lane_heads", "lane_tails", "strings",      "metric_descriptors",
    "metric_cells", "span_slots", "lane_data", "slot_pool",  "scopes",     "metric_shared"};
const char* const kClockNames[] = {"none", "tsc", "cntvct", "monotonic"};
const char* const kSettledSignals[] = {"traces", "logs", "metrics"};
const char* const kAgentStates[] = {"none", "attached", "rejected"};
const char* const kReasons[] = {"none", "abi_major", "features", "geometry", "quarantined", "budget"};

template <std::size_t N>
std::string name_of(const char* const (&names)[N], std::uint64_t index) {
  return index < N ? names[index] : fmt::format("{}?", index);
}

std::string utc(std::uint64_t realtime_ns) {
  const auto seconds = static_cast<std::time_t>(realtime_ns / 1000000000u);
  std::tm broken_down{};
  char text[32];
  if (::gmtime_r(&seconds, &broken_down) == nullptr ||
      std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &broken_down) == 0) {
    return fmt::format("{} ns", realtime_ns);
  }
  return fmt::format("{}.{:09}Z", text, realtime_ns % 1000000000u);
}

std::string uuid_text(const std::array<std::uint8_t, 16>& uuid) {
  std::string text = hex({uuid.data(), uuid.size()});
  for (const std::size_t at : {8u, 13u, 18u, 23u}) text.insert(at, "-");
  return text;
}

Bytes view(const std::vector<std::uint8_t>& bytes) { return {bytes.data(), bytes.size()}; }

class Dump {
 public:
  Dump(const SegmentSource& source, const DumpOptions& options, const Geometry& geometry, std::ostream& out)
      : source_(source),
        options_(options),
        geometry_(geometry),
        out_(out),
        strings_(static_cast<std::size_t>(geometry.region(RegionKind::strings).length)),
        text_(strings_) {}

  int run() {
    read_words();
    print_identity();
    print_regions();
    print_blob("resource", geometry_.resource_offset, geometry_.resource_length);
    print_blob("hints", geometry_.hints_offset, geometry_.hints_length);
    print_control();
    print_process();
    print_strings();
    print_scopes();
    print_metrics();
    print_lanes();
    for (std::uint32_t lane = 0; lane < geometry_.lane_count; ++lane) print_records(lane);
    print_slots();
    print_sums();
    if (damaged_ || text_.damaged()) {
      line("damage was found: see the lines with < >");
      return 1;
    }
    return 0;
  }

 private:
  template <class... Arguments>
  void line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    out_ << fmt::format(format, std::forward<Arguments>(arguments)...) << '\n';
  }
  template <class... Arguments>
  void damage(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    damaged_ = true;
    out_ << "  <" << fmt::format(format, std::forward<Arguments>(arguments)...) << ">\n";
  }

  std::vector<std::uint8_t> region_start(RegionKind kind, std::size_t bytes) const {
    return source_.read(geometry_.region(kind).offset, bytes);
  }

  // Heads before slots, heads before strings: what a head announces was published before it.
  void read_words() {
    lanes_.resize(geometry_.lane_count);
    tails_.resize(geometry_.lane_count);
    heads_.resize(geometry_.lane_count);
    for (std::uint32_t i = 0; i < geometry_.lane_count; ++i) {
      tails_[i] = parse_lane_tail(view(source_.read(geometry_.lane_tail(i), sizeof(LaneTail))));
      lanes_[i] = parse_lane_head(view(source_.read(geometry_.lane_head(i), sizeof(LaneHead))));
      heads_[i] = lanes_[i].head;
      sums_.add(lanes_[i]);
    }
    process_ = parse_process(view(region_start(RegionKind::process, sizeof(ProcessDynamic))));
    sums_.add(process_);
    const std::size_t wanted = strings_.missing(process_.strings_len);
    if (!strings_.extend(view(region_start(RegionKind::strings, wanted)))) damaged_ = true;
  }

  void print_identity() {
    const Geometry& g = geometry_;
    line("  abi           {}.{}{}", g.abi_major, g.abi_minor,
         g.abi_minor > kAbiMinor ? fmt::format(" (this program knows {}.{})", kAbiMajor, kAbiMinor) : "");
    line("  size          {} bytes, header {} bytes, optional features 0x{:x}", g.segment_size, g.header_size,
         g.features_optional);
    line("  life          {}", source_.life());
    line("  uuid          {}", uuid_text(g.uuid));
    line("  process       pid {} by its own word, started at tick {}, pid namespace {}", g.claimed_pid,
         g.start_time_ticks, g.pid_namespace);
    line("  created       {}, monotonic {} ns, counter {}", utc(g.created_realtime_ns), g.created_monotonic_ns,
         g.created_counter);
    line("  clock         {}, boot {:016x}", name_of(kClockNames, static_cast<std::uint64_t>(g.clock_kind)),
         g.boot_id_hash);
    line("  lanes         {}, {} of them shared; ring {} + slack {} bytes; records up to {} bytes", g.lane_count,
         g.shared_lanes, g.ring_bytes, g.slack_bytes, g.max_record);
    line("  slots         {} a lane and {} in the pool, of {} bytes", g.slots_per_lane, g.pool_slots, g.slot_bytes);
  }

  void print_regions() {
    line("regions");
    for (std::size_t kind = 0; kind < kRegionKinds; ++kind) {
      const RegionRange& region = geometry_.regions[kind];
      if (!region.present()) continue;
      line("  {:<18} offset {:>10} length {:>10} stride {:>8} count {:>6}", kRegionNames[kind], region.offset,
           region.length, region.stride, region.count);
    }
    if (geometry_.unknown_regions != 0) line("  and {} this program does not know", geometry_.unknown_regions);
  }

  void print_blob(const char* title, std::uint32_t offset, std::uint32_t length) {
    if (length == 0) {
      line("{}: none", title);
      return;
    }
    const Bytes blob = strings_.blob(offset, length);
    line("{}", title);
    if (blob.empty()) {
      damage("{} + {} lies outside the {} published bytes of the arena", offset, length, strings_.size());
      return;
    }
    line("  {}", text_.items(blob));
  }

  void print_control() {
    const ControlWords c = parse_control(view(region_start(RegionKind::control, sizeof(Control))));
    line("control, written by the agent");
    line(
        "  generation {}, disabled signals 0x{:x}, trace threshold 0x{:014x}, min severity {}, pressure {}, "
        "shed 0x{:x}, clock {}, long spans {} s",
        c.generation, c.disable_mask, c.trace_threshold, c.min_severity, c.pressure, c.shed_mask,
        name_of(kClockNames, c.clock_override), c.long_span_seconds);
    line(
        "  agent {}{}, epoch {:016x}, abi {}.{}, features 0x{:x}, heartbeat {} ns, {}, flush done {}, "
        "critical done {}",
        name_of(kAgentStates, c.agent_state),
        c.reason == 0 ? std::string() : " because of " + name_of(kReasons, c.reason), c.agent_epoch, c.abi_major,
        c.abi_minor, c.agent_features, c.heartbeat_monotonic_ns, c.agent_sleeping != 0 ? "sleeping" : "awake",
        c.flush_done, c.critical_done);
    for (std::size_t kind = 0; kind < kFlushKinds; ++kind) {
      for (std::size_t signal = 0; signal < kSignals; ++signal) {
        const SettledWords& row = c.settled[kind][signal];
        if (row.empty()) continue;
        line("  settled {}{}: produced {}, delivered {}, rejected {}, dropped {}", kind == 0 ? "" : "critical ",
             kSettledSignals[signal], row.produced, row.delivered, row.rejected, fmt::join(row.dropped, " "));
      }
    }
  }

  void print_process() {
    const ProcessWords& p = process_;
    line("process, written by the application");
    line(
        "  strings {} bytes, scopes {}, metrics {}, lanes used {}, pool used {}, doorbell {}, flush {}, "
        "critical flush {}, critical written {}",
        p.strings_len, p.scopes_count, p.metrics_count, p.lanes_used, p.pool_used, p.doorbell, p.flush_gen,
        p.critical_gen, fmt::join(p.critical_written, " "));
    if ((p.metrics_unrecorded | p.metrics_invalid | p.metrics_clamped) != 0) {
      line("  metrics: {} calls found no series, {} values were not valid, {} lie beyond a histogram's last bucket",
           p.metrics_unrecorded, p.metrics_invalid, p.metrics_clamped);
    }
    if (p.crash_signal != 0) {
      line("  crash: signal {} at address 0x{:x}, counter {}, lane {}", p.crash_signal, p.crash_address,
           p.crash_counter, p.crash_lane);
    }
    for (const AnchorWords& anchor : p.anchors) {
      if (!anchor.usable()) continue;
      line("  anchor {}: counter {} realtime {} monotonic {}", anchor.seq, anchor.counter, utc(anchor.realtime_ns),
           anchor.monotonic_ns);
    }
  }

  void print_strings() {
    if (process_.strings_len > geometry_.region(RegionKind::strings).length) {
      damage("{} bytes of strings are more than the arena has", process_.strings_len);
    }
    line("strings: {} bytes published of {}", strings_.size(), geometry_.region(RegionKind::strings).length);
    std::uint64_t offset = kArenaStart;
    for (std::uint64_t shown = 0; shown < options_.strings; ++shown) {
      offset = behind_blob(behind_blob(offset));
      const auto text = strings_.lookup(offset / 8);
      if (!text) break;
      line("  {} {}", offset / 8, quoted(*text));
      offset += (text->size() + 4 + 7) / 8 * 8;
    }
  }

  // The resource and the hints lie in the arena without being entries of it.
  std::uint64_t behind_blob(std::uint64_t offset) const {
    const Geometry& g = geometry_;
    if (offset == g.resource_offset) return offset + (std::uint64_t{g.resource_length} + 7) / 8 * 8;
    if (offset == g.hints_offset) return offset + (std::uint64_t{g.hints_length} + 7) / 8 * 8;
    return offset;
  }

  void print_scopes() {
    const std::uint32_t count = std::min(process_.scopes_count, geometry_.scopes_max);
    if (process_.scopes_count > geometry_.scopes_max) {
      damage("{} scopes are more than the table's {}", process_.scopes_count, geometry_.scopes_max);
    }
    line("scopes: {}", count);
    const RegionRange& region = geometry_.region(RegionKind::scopes);
    const auto table = source_.read(region.offset, std::size_t{region.stride} * count);
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto id = view(table).load_or_zero<std::uint32_t>(std::size_t{region.stride} * i);
      const auto blob = strings_.lookup(id);
      if (!blob) {
        damage("scope {}: no string {}", i + 1, id);
        continue;
      }
      line("  {} {}", i + 1, text_.items(bytes_of(*blob)));
    }
  }

  void print_metrics() {
    SeriesTable table(geometry_);
    const std::uint32_t count = table.limit(process_.metrics_count);
    if (process_.metrics_count > geometry_.metrics_max) {
      damage("{} series are more than the table's {}", process_.metrics_count, geometry_.metrics_max);
    }
    line("metrics: {} series of {}", count, geometry_.metrics_max);
    for (std::uint32_t i = 0; i < count && i < options_.series; ++i) {
      const auto words = source_.read(geometry_.metric_descriptor(i), sizeof(MetricDescriptor));
      table.add(view(words).load_or_zero<MetricDescriptor>(0), strings_);
      const Series* series = table.find(i);
      if (series == nullptr) {
        damage("series {}: {}", i, table.why_skipped());
        continue;
      }
      line("  {} {} {}", i, series_text(*series, text_, strings_), value_of(*series));
    }
    if (count > options_.series) line("  … {} more", count - options_.series);
  }

  std::string value_of(const Series& series) {
    if (series.in_lanes()) return number_text(series, lane_sum(series));
    const auto bytes = source_.read(geometry_.shared_cell(series.cell), 8 * series.shared_words());
    std::vector<std::uint64_t> words(series.shared_words());
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = view(bytes).load_or_zero<std::uint64_t>(8 * i);
    if (series.is_histogram()) return histogram_text(series, words);
    std::uint64_t value = 0;
    return unmask(words[0], value) ? number_text(series, value) : "never set";
  }

  std::uint64_t lane_sum(const Series& series) const {
    std::uint64_t integer = 0;
    double real = 0;
    for (std::uint32_t i = 0; i < geometry_.lane_count; ++i) {
      if (lanes_[i].cell_words <= series.cell) continue;
      const auto bytes = source_.read(geometry_.lane_cells(i) + std::uint64_t{8} * series.cell, 8);
      integer += view(bytes).load_or_zero<std::uint64_t>(0);
      real += view(bytes).load_or_zero<double>(0);
    }
    return series.real ? std::bit_cast<std::uint64_t>(real) : integer;
  }

  void print_lanes() {
    line("lanes, {} ever used", process_.lanes_used);
    for (std::uint32_t i = 0; i < geometry_.lane_count; ++i) {
      const LaneWords& lane = lanes_[i];
      if (!lane.touched()) continue;
      const std::string_view name(lane.name.data(), ::strnlen(lane.name.data(), lane.name.size()));
      line("  {:>4}{} {} tid {} {} since {}; head {} tail {} settled {}", i,
           i >= geometry_.ordinary_lanes() ? " shared" : "", lane.in_use ? "in use" : "free", lane.tid, quoted(name),
           lane.owner_from, lane.head, tails_[i].tail, tails_[i].settled);
      line(
          "       written {} spans {} logs {} other; dropped {} spans {} logs {} other; not sampled {}, "
          "refused {}, cut {}{}",
          lane.written[0], lane.written[1], lane.written[2], total(lane.dropped[0]), total(lane.dropped[1]),
          total(lane.dropped[2]), lane.not_sampled, lane.refused, lane.cut,
          lane.committed ? "" : "; ring not committed");
    }
  }

  static std::uint64_t total(const PrioritySums& sums) {
    std::uint64_t all = 0;
    for (const std::uint64_t one : sums) all = add_saturating(all, one);
    return all;
  }

  void print_records(std::uint32_t lane) {
    const std::uint64_t head = heads_[lane];
    const std::uint64_t tail = tails_[lane].tail;
    if (head == tail) return;
    const RingConsumer<std::uint64_t> consumer{tail, tail};
    line("lane {}: {} bytes not drained", lane, head - tail);
    if (tail % 8 != 0 || !consumer.believable(head, geometry_.ring_bytes)) {
      damage("head {} and tail {} make no sense for a ring of {} bytes", head, tail, geometry_.ring_bytes);
      return;
    }
    const RingRuns runs = RingConsumer<std::uint64_t>::runs(tail, head, geometry_.ring_bytes, geometry_.slack_bytes);
    const std::uint64_t ring = geometry_.lane_ring(lane);
    const auto first = source_.read(ring + runs.first.offset, runs.first.length);
    const auto second = source_.read(ring + runs.second.offset, runs.second.length);
    const auto now = source_.read(geometry_.lane_head(lane), sizeof(std::uint64_t));
    if (view(now).load_or_zero<std::uint64_t>(0) - tail > geometry_.ring_bytes) {
      line("  moved on while it was read");
      return;
    }
    if (first.size() != runs.first.length || second.size() != runs.second.length) {
      damage("the file ended inside the ring");
      return;
    }
    const RecordCursor start(view(first), view(second), runs.to_boundary, tail, geometry_.max_record);
    print_newest(start);
  }

  void print_newest(RecordCursor start) {
    RecordRef record;
    std::uint64_t whole = 0;
    for (RecordCursor cursor = start; cursor.next(record) == Next::found;) ++whole;
    const std::uint64_t skipped = whole > options_.records_per_lane ? whole - options_.records_per_lane : 0;
    if (skipped != 0) line("  … {} older records", skipped);
    std::uint64_t seen = 0;
    Next next = start.next(record);
    for (; next == Next::found; next = start.next(record)) {
      if (seen++ >= skipped) line("  @{} {}", record.position, text_.record(record));
    }
    if (next == Next::broken) {
      damage("@{} the chain of sizes is broken; {} bytes lost", start.position(), start.remaining());
    }
  }

  void print_slots() {
    if (geometry_.slot_bytes == 0) return;
    const std::uint64_t used = std::min<std::uint64_t>(process_.pool_used, geometry_.pool_slots);
    if (process_.pool_used > geometry_.pool_slots) {
      damage("{} pool slots are more than the pool's {}", process_.pool_used, geometry_.pool_slots);
    }
    const std::uint64_t pool_bytes = std::min(used * geometry_.slot_bytes, kPoolBytesRead);
    const auto pool = geometry_.pool_slots == 0
                          ? std::vector<std::uint8_t>()
                          : source_.read(geometry_.pool_slot(0), static_cast<std::size_t>(pool_bytes));
    const SlotContext context{view(pool), geometry_.slot_bytes, heads_.data(), geometry_.lane_count};
    line("open spans");
    for (std::uint32_t lane = 0; lane < geometry_.lane_count && geometry_.slots_per_lane != 0; ++lane) {
      if (!lanes_[lane].touched()) continue;
      const auto slots =
          source_.read(geometry_.lane_slots(lane), std::size_t{geometry_.slot_bytes} * geometry_.slots_per_lane);
      print_slots_of(fmt::format("lane {} slot", lane), view(slots), context);
    }
    print_slots_of("pool slot", view(pool), context);
    if (spans_ > options_.spans) line("  … {} more", spans_ - options_.spans);
  }

  void print_slots_of(const std::string& where, Bytes slots, const SlotContext& context) {
    for (std::size_t i = 0; i < slots.size / context.slot_bytes; ++i) {
      const SlotSpan span = read_slot(slots.part(i * context.slot_bytes, context.slot_bytes), context);
      if (span.verdict == SlotVerdict::nothing) continue;
      if (span.verdict == SlotVerdict::broken) {
        damage("{} {} makes no sense", where, i);
        continue;
      }
      if (++spans_ > options_.spans) continue;
      print_span(fmt::format("{} {}", where, i), span);
    }
  }

  void print_span(const std::string& where, const SlotSpan& span) {
    RecordRef clocks;
    clocks.flags = span.record.header.flags;
    std::string items;
    for (std::size_t i = 0; i < span.item_ranges; ++i) {
      items += (i == 0 ? "" : ", ") + text_.items(span.items[i]);
    }
    line("  {} {} {} {{{}}}", where,
         span.verdict == SlotVerdict::open ? std::string("open")
                                           : fmt::format("ended, not in the ring of lane {},", span.lane),
         text_.span(span.record, clocks.start_clock(), clocks.end_clock()), items);
    if (span.chain_broken) damage("{}: the chain of its pool slots is broken", where);
  }

  void print_sums() {
    line("sums, by the application's own count");
    for (std::size_t s = 0; s < kSignals; ++s) {
      const auto signal = static_cast<Signal>(s);
      line("  {:<7} written {} dropped lane_full {} no_lane {}", kSignalNames[s], sums_.written[s],
           sums_.dropped_of(signal), sums_.unlaned_of(signal));
    }
    line("  not sampled {}, refused {}, cut {}", sums_.not_sampled, sums_.refused, sums_.cut);
  }

  const SegmentSource& source_;
  const DumpOptions& options_;
  const Geometry& geometry_;
  std::ostream& out_;
  StringTable strings_;
  SegmentText text_;
  std::vector<LaneWords> lanes_;
  std::vector<LaneTailWords> tails_;
  std::vector<std::uint64_t> heads_;
  ProcessWords process_;
  CounterSums sums_;
  std::uint64_t spans_ = 0;
  bool damaged_ = false;
};

}  // namespace

int dump_source(const SegmentSource& source, const std::string& name, const DumpOptions& options, std::ostream& out) {
  const auto page = source.read(0, kIdentityBytes);
  const GeometryResult result = parse_identity(view(page), source.size());
  if (!result.ok()) {
    out << "segment " << name << ": " << result.sentence << '\n';
    return 1;
  }
  out << "segment " << name << '\n';
  return Dump(source, options, result.geometry, out).run();
}

int dump_segment(const std::string& path, const DumpOptions& options, std::ostream& out) {
  const auto source = FileSource::open(path);
  if (!source.ok()) {
    out << "segment " << source.error().sentence << '\n';
    return 1;
  }
  return dump_source(*source, path, options, out);
}

}  // namespace tailrace::agent
