// SPDX-License-Identifier: Apache-2.0
#include "segment_view.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/shm/ring.hpp>

#include "shm/reader/geometry.hpp"
#include "shm/reader/items.hpp"
#include "shm/reader/records.hpp"
#include "shm/reader/slots.hpp"
#include "shm/reader/strings.hpp"

namespace tailrace::test {
namespace {

using shm::Bytes;
using shm::ItemType;

std::string hex(const void* bytes, std::size_t n) {
  std::string out;
  char two[3];
  for (std::size_t i = 0; i < n; ++i) {
    std::snprintf(two, sizeof two, "%02x", static_cast<const unsigned char*>(bytes)[i]);
    out += two;
  }
  return out;
}

class Reader {
 public:
  explicit Reader(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) { segment_.file = path; }
  ~Reader() {
    if (fd_ >= 0) close(fd_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Segment read() {
    struct stat s {};
    if (fd_ < 0 || fstat(fd_, &s) != 0) return fail("cannot be opened");
    const auto page = at(0, shm::kIdentityBytes);
    const auto result = shm::parse_identity(view(page), static_cast<std::uint64_t>(s.st_size));
    if (!result.ok()) return fail(result.sentence);
    g_ = result.geometry;
    segment_.process = shm::parse_process(view(at(g_.region(shm::RegionKind::process).offset, 4096)));
    std::vector<std::uint64_t> heads;
    std::vector<shm::LaneWords> lanes;
    for (std::uint32_t lane = 0; lane < g_.lane_count; ++lane) {
      lanes.push_back(shm::parse_lane_head(view(at(g_.lane_head(lane), sizeof(shm::LaneHead)))));
      heads.push_back(lanes.back().head);
      segment_.sums.add(lanes.back());
      if (lanes.back().in_use && lane < g_.ordinary_lanes()) ++segment_.lanes_in_use;
    }
    segment_.sums.add(segment_.process);
    const auto arena = at(g_.region(shm::RegionKind::strings).offset, segment_.process.strings_len);
    if (!strings_.extend(view(arena))) return fail("the strings cannot be read");
    segment_.resource = items(strings_.blob(g_.resource_offset, g_.resource_length));
    if (g_.hints_length != 0) segment_.hints = items(strings_.blob(g_.hints_offset, g_.hints_length));
    const auto scopes = at(g_.region(shm::RegionKind::scopes).offset, std::uint64_t{4} * segment_.process.scopes_count);
    for (std::uint32_t i = 0; i < segment_.process.scopes_count; ++i) {
      std::uint32_t id = 0;
      std::memcpy(&id, scopes.data() + 4 * i, 4);
      const auto blob = strings_.lookup(id);
      segment_.scopes.push_back(blob ? items(shm::bytes_of(*blob)) : std::vector<Item>{});
    }
    for (std::uint32_t lane = 0; lane < g_.lane_count; ++lane) read_lane(lane, lanes[lane]);
    read_slots(lanes, heads);
    join_parts();
    read_metrics();
    return segment_;
  }

 private:
  static Bytes view(const std::vector<std::uint8_t>& v) { return {v.data(), v.size()}; }

  Segment fail(const std::string& why) {
    if (segment_.problem.empty()) segment_.problem = why;
    return segment_;
  }

  std::vector<std::uint8_t> at(std::uint64_t offset, std::uint64_t length) {
    std::vector<std::uint8_t> out(length);
    const ssize_t got = pread(fd_, out.data(), length, static_cast<off_t>(offset));
    out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return out;
  }

  std::string text(std::uint64_t id) {
    const auto found = strings_.lookup(id);
    if (!found) {
      fail("string id " + std::to_string(id) + " is not published");
      return "?";
    }
    return std::string(*found);
  }

  std::vector<Item> items(Bytes bytes) {
    std::vector<Item> out;
    shm::ItemCursor cursor(bytes);
    walk(cursor, out);
    return out;
  }
  void walk(shm::ItemCursor cursor, std::vector<Item>& out) {
    shm::ItemRef ref;
    for (;;) {
      const shm::Next next = cursor.next(ref);
      if (next == shm::Next::end) return;
      if (next == shm::Next::broken) {
        fail("an item is broken");
        return;
      }
      Item item;
      item.raw_key = ref.key;
      item.type = ref.type;
      if (ref.key == shm::kInlineKey)
        item.key = std::string(ref.inline_key.text());
      else if (ref.key >= shm::kFirstStringId)
        item.key = text(ref.key);
      item.value = value(ref, item);
      out.push_back(item);
    }
  }
  std::string value(const shm::ItemRef& ref, Item& item) {
    char number[64];
    switch (ref.type) {
      case ItemType::empty: return "empty";
      case ItemType::boolean: return ref.boolean() ? "true" : "false";
      case ItemType::integer: return std::to_string(ref.integer());
      case ItemType::real: std::snprintf(number, sizeof number, "%g", ref.real()); return number;
      case ItemType::string_id: return '"' + text(ref.string_id()) + '"';
      case ItemType::string: return '"' + std::string(ref.body.text()) + '"';
      case ItemType::bytes: return "bytes(" + std::to_string(ref.body.size) + ")";
      case ItemType::array:
      case ItemType::map: {
        walk(ref.inside(), item.inside);
        std::string out = ref.type == ItemType::map ? "{" : "[";
        for (std::size_t i = 0; i < item.inside.size(); ++i) {
          if (i != 0) out += ", ";
          if (ref.type == ItemType::map) out += '"' + item.inside[i].key + "\": ";
          out += item.inside[i].value;
        }
        return out + (ref.type == ItemType::map ? "}" : "]");
      }
      case ItemType::event:
        item.time = ref.event().time;
        item.dropped_attributes = ref.event().dropped_attributes;
        walk(ref.inside(), item.inside);
        return "event";
      case ItemType::link: {
        const auto link = ref.link();
        item.linked_span = hex(&link.span_id, 8);
        item.dropped_attributes = link.dropped_attributes;
        walk(ref.inside(), item.inside);
        return "link";
      }
    }
    return "?";
  }

  Span span(const shm::SpanRecord& record, std::vector<Item> with) {
    Span span;
    span.record = record;
    span.trace_id = hex(record.trace_id, 16);
    span.span_id = hex(&record.span_id, 8);
    span.parent_id = record.parent_id != 0 ? hex(&record.parent_id, 8) : "";
    if (record.name != 0) span.name = text(record.name);
    span.items = std::move(with);
    for (const Item& item : span.items) {
      if (item.raw_key == shm::kNameKey) span.name = item.value.substr(1, item.value.size() - 2);
      if (item.raw_key == shm::kPartCountKey) span.parts = static_cast<std::uint32_t>(std::stoul(item.value));
    }
    return span;
  }

  void read_lane(std::uint32_t lane, const shm::LaneWords& words) {
    if (words.head == 0) return;
    // A test's lanes are never drained past a ring, so everything since the start is still there.
    if (words.head > g_.ring_bytes + g_.slack_bytes) {
      fail("lane " + std::to_string(lane) + " went round");
      return;
    }
    const auto bytes = at(g_.lane_ring(lane), words.head);
    shm::RecordCursor cursor(view(bytes), {}, bytes.size(), 0, g_.max_record);
    shm::RecordRef ref;
    for (;;) {
      const shm::Next next = cursor.next(ref);
      if (next == shm::Next::end) return;
      if (next == shm::Next::broken) {
        fail("lane " + std::to_string(lane) + " breaks at " + std::to_string(cursor.position()));
        return;
      }
      take(lane, ref);
    }
  }
  void take(std::uint32_t lane, const shm::RecordRef& ref) {
    switch (ref.type) {
      case shm::RecordType::span: {
        shm::SpanRecord record;
        if (!ref.fixed(record)) fail("a SPAN is short");
        segment_.spans.push_back(span(record, items(ref.items<shm::SpanRecord>())));
        segment_.spans.back().lane = lane;
        break;
      }
      case shm::RecordType::log: {
        shm::LogRecord record;
        if (!ref.fixed(record)) fail("a LOG is short");
        Log log;
        log.record = record;
        log.lane = lane;
        log.trace_id = hex(record.trace_id, 16);
        log.span_id = record.span_id != 0 ? hex(&record.span_id, 8) : "";
        log.items = items(ref.items<shm::LogRecord>());
        if (record.body != 0) log.body = text(record.body);
        for (const Item& item : log.items) {
          if (item.raw_key == shm::kBodyKey) {
            log.body = item.type == ItemType::string ? item.value.substr(1, item.value.size() - 2) : item.value;
          }
        }
        segment_.logs.push_back(log);
        break;
      }
      case shm::RecordType::thread: {
        shm::ThreadRecord record;
        if (!ref.fixed(record)) fail("a THREAD is short");
        segment_.threads.push_back(std::to_string(lane) + ":" + std::string(record.name, strnlen(record.name, 16)));
        break;
      }
      case shm::RecordType::loss: {
        shm::LossRecord record;
        if (!ref.fixed(record)) fail("a LOSS is short");
        segment_.losses.push_back(record);
        break;
      }
      case shm::RecordType::span_start: ++segment_.announced; break;
      case shm::RecordType::span_part: {
        shm::SpanPartRecord record;
        if (!ref.fixed(record)) fail("a SPAN_PART is short");
        parts_[hex(&record.span_id, 8)][record.index] = items(ref.items<shm::SpanPartRecord>());
        break;
      }
      default: fail("a record of type " + std::to_string(static_cast<int>(ref.type)));
    }
  }

  void read_slots(const std::vector<shm::LaneWords>& lanes, const std::vector<std::uint64_t>& heads) {
    const auto pool =
        at(g_.region(shm::RegionKind::slot_pool).offset, std::uint64_t{segment_.process.pool_used} * g_.slot_bytes);
    shm::SlotContext context;
    context.pool = view(pool);
    context.slot_bytes = g_.slot_bytes;
    context.heads = heads.data();
    context.lane_count = g_.lane_count;
    const auto judge = [&](Bytes bytes) {
      const shm::SlotSpan slot = shm::read_slot(bytes, context);
      if (slot.verdict == shm::SlotVerdict::broken || slot.chain_broken) fail("a slot is broken");
      if (slot.verdict != shm::SlotVerdict::open && slot.verdict != shm::SlotVerdict::ended) return;
      std::vector<Item> all;
      for (std::size_t i = 0; i < slot.item_ranges; ++i) {
        for (Item& item : items(slot.items[i])) all.push_back(item);
      }
      segment_.spans.push_back(span(slot.record, std::move(all)));
      segment_.spans.back().from_slot = true;
      segment_.spans.back().open = slot.verdict == shm::SlotVerdict::open;
    };
    for (std::uint32_t lane = 0; lane < g_.ordinary_lanes(); ++lane) {
      if (!lanes[lane].committed) continue;
      const auto slots = at(g_.lane_slots(lane), std::uint64_t{g_.slots_per_lane} * g_.slot_bytes);
      for (std::uint32_t i = 0; i < g_.slots_per_lane; ++i)
        judge(view(slots).part(std::size_t{i} * g_.slot_bytes, g_.slot_bytes));
    }
    for (std::uint32_t i = 0; i < segment_.process.pool_used; ++i) {
      judge(view(pool).part(std::size_t{i} * g_.slot_bytes, g_.slot_bytes));
    }
  }

  void join_parts() {
    for (Span& span : segment_.spans) {
      const auto found = parts_.find(span.span_id);
      if (found == parts_.end()) continue;
      for (auto& [index, more] : found->second) span.items.insert(span.items.end(), more.begin(), more.end());
      // The number of parts is in the record alone.
      if (!span.from_slot && span.parts != found->second.size()) fail("parts of " + span.name + " do not add up");
    }
  }

  std::uint64_t word(std::uint64_t offset) {
    std::uint64_t word = 0;
    if (pread(fd_, &word, 8, static_cast<off_t>(offset)) != 8) fail("a cell cannot be read");
    return word;
  }
  static double real(std::uint64_t bits) {
    double value;
    std::memcpy(&value, &bits, 8);
    return value;
  }

  void read_metrics() {
    const std::uint64_t process = g_.region(shm::RegionKind::process).offset;
    segment_.metrics_unrecorded = word(process + offsetof(shm::ProcessDynamic, metrics_unrecorded));
    segment_.metrics_invalid = word(process + offsetof(shm::ProcessDynamic, metrics_invalid));
    segment_.metrics_clamped = word(process + offsetof(shm::ProcessDynamic, metrics_clamped));
    read_cells();
    const std::uint64_t table = g_.region(shm::RegionKind::metric_descriptors).offset;
    for (std::uint32_t i = 0; i < segment_.process.metrics_count; ++i) {
      Metric m;
      const auto bytes = at(table + std::uint64_t{i} * sizeof(shm::MetricDescriptor), sizeof(shm::MetricDescriptor));
      std::memcpy(&m.descriptor, bytes.data(), sizeof m.descriptor);
      const shm::MetricDescriptor& d = m.descriptor;
      m.name = text(d.name);
      if (d.unit != 0) m.unit = text(d.unit);
      if (d.description != 0) m.description = text(d.description);
      if (d.attributes != 0) m.attributes = items(shm::bytes_of(*strings_.lookup(d.attributes)));
      if (d.start == 0 || d.instrument > i) fail("descriptor " + std::to_string(i) + " is not whole");
      const auto kind = static_cast<shm::MetricKind>(d.kind);
      if (kind == shm::MetricKind::histogram || kind == shm::MetricKind::exponential_histogram)
        read_histogram(m);
      else if (kind == shm::MetricKind::gauge || (d.flags & shm::kMetricObservable) != 0)
        read_shared_word(m);
      else
        read_lane_words(m);
      segment_.metrics.push_back(m);
    }
  }
  // Only what the lanes say is committed.
  void read_cells() {
    const std::uint64_t cells = g_.region(shm::RegionKind::metric_cells).offset;
    for (std::uint32_t lane = 0; lane < g_.lane_count; ++lane) {
      const std::uint64_t words = word(g_.lane_head(lane) + offsetof(shm::LaneHead, cell_words));
      if (words == 0) continue;
      const auto bytes = at(cells + std::uint64_t{lane} * shm::kLaneCellBytes, 8 * words);
      cells_.emplace_back(bytes.size() / 8);
      std::memcpy(cells_.back().data(), bytes.data(), bytes.size());
    }
  }
  void read_lane_words(Metric& m) {
    for (const auto& lane : cells_) {
      if (m.descriptor.cell >= lane.size()) continue;
      const std::uint64_t bits = lane[m.descriptor.cell];
      m.integer = static_cast<std::int64_t>(static_cast<std::uint64_t>(m.integer) + bits);
      m.real += real(bits);
    }
  }
  void read_shared_word(Metric& m) {
    const std::uint64_t bits = word(g_.region(shm::RegionKind::metric_shared).offset + 8ull * m.descriptor.cell);
    m.set = bits != 0;
    if (!m.set) return;
    m.integer = static_cast<std::int64_t>(bits ^ shm::kNeverSet);
    m.real = real(bits ^ shm::kNeverSet);
  }
  void read_histogram(Metric& m) {
    const shm::MetricDescriptor& d = m.descriptor;
    const bool floating = (d.flags & shm::kMetricReal) != 0;
    m.buckets.resize(d.buckets);
    if ((d.flags & shm::kMetricNegative) != 0) m.negative.resize(d.buckets);
    if (d.bounds != 0) {
      const auto bounds = *strings_.lookup(d.bounds);
      m.bounds.resize(bounds.size() / 8);
      std::memcpy(m.bounds.data(), bounds.data(), bounds.size());
    }
    const std::uint64_t base = g_.region(shm::RegionKind::metric_shared).offset + 8ull * d.cell;
    for (std::uint32_t shard = 0; shard < shm::kHistogramShards; ++shard) {
      const std::uint64_t at = base + 8ull * d.shard_words * shard;
      m.integer = static_cast<std::int64_t>(static_cast<std::uint64_t>(m.integer) + word(at));
      m.real += real(word(at));
      m.zero += word(at + 24);
      for (std::size_t i = 0; i < m.buckets.size(); ++i) m.buckets[i] += word(at + 32 + 8 * i);
      for (std::size_t i = 0; i < m.negative.size(); ++i) m.negative[i] += word(at + 32 + 8 * (m.buckets.size() + i));
      if (word(at + 8) == 0) continue;
      const std::uint64_t low = word(at + 8) ^ shm::kNeverSet, high = word(at + 16) ^ shm::kNeverSet;
      const double least = floating ? real(low) : static_cast<double>(static_cast<std::int64_t>(low));
      const double most = floating ? real(high) : static_cast<double>(static_cast<std::int64_t>(high));
      m.least = m.bounded ? std::min(m.least, least) : least;
      m.most = m.bounded ? std::max(m.most, most) : most;
      m.bounded = true;
    }
    m.count = m.zero;
    for (const std::uint64_t n : m.buckets) m.count += n;
    for (const std::uint64_t n : m.negative) m.count += n;
  }

  int fd_;
  shm::Geometry g_;
  shm::StringTable strings_{shm::kArenaBytesMax};
  Segment segment_;
  std::vector<std::vector<std::uint64_t>> cells_;  // of the lanes that have any
  std::map<std::string, std::map<std::uint32_t, std::vector<Item>>> parts_;
};

template <class Items>
std::string last_of(const Items& items, const std::string& key) {
  for (auto it = items.rbegin(); it != items.rend(); ++it) {
    if (it->key == key && it->type != ItemType::event && it->type != ItemType::link) return it->value;
  }
  return "";
}
std::string last_reserved(const std::vector<Item>& items, std::uint32_t key) {
  for (auto it = items.rbegin(); it != items.rend(); ++it) {
    if (it->raw_key == key) return it->value;
  }
  return "";
}

}  // namespace

std::string Span::attribute(const std::string& key) const { return last_of(items, key); }
std::string Span::reserved(std::uint32_t key) const { return last_reserved(items, key); }
std::vector<Item> Span::of(ItemType type) const {
  std::vector<Item> out;
  std::copy_if(items.begin(), items.end(), std::back_inserter(out), [type](const Item& i) { return i.type == type; });
  return out;
}
std::string Log::attribute(const std::string& key) const { return last_of(items, key); }
std::string Log::reserved(std::uint32_t key) const { return last_reserved(items, key); }
std::vector<std::string> Log::arguments() const {
  std::vector<std::string> out;
  for (const Item& item : items) {
    if (item.raw_key == shm::kArgumentKey) out.push_back(item.value);
  }
  return out;
}
std::string Metric::attribute(const std::string& key) const { return last_of(attributes, key); }
const Metric* Segment::metric(const std::string& name, const std::string& key, const std::string& value) const {
  const Metric* found = nullptr;
  for (const Metric& m : metrics) {
    if (m.name != name || (key.empty() ? !m.attributes.empty() : m.attribute(key) != value)) continue;
    if (found != nullptr) return nullptr;
    found = &m;
  }
  return found;
}
const Span* Segment::span(const std::string& name) const {
  for (const Span& span : spans) {
    if (span.name == name) return &span;
  }
  return nullptr;
}
const Log* Segment::log(const std::string& body) const {
  for (const Log& log : logs) {
    if (log.body == body) return &log;
  }
  return nullptr;
}
std::size_t Segment::count(const std::string& name) const {
  return static_cast<std::size_t>(
      std::count_if(spans.begin(), spans.end(), [&](const Span& s) { return s.name == name; }));
}
std::string Segment::of_resource(const std::string& key) const { return last_of(resource, key); }

Segment read_segment(const std::string& path) { return Reader(path).read(); }

Directory::Directory() {
  char path[] = "/dev/shm/tailrace-test-XXXXXX";
  if (mkdtemp(path) == nullptr) std::abort();
  path_ = path;
  setenv("TAILRACE_DIR", path, 1);
}
Directory::~Directory() {
  for (const std::string& file : files()) unlink((path_ + "/" + file).c_str());
  rmdir(path_.c_str());
  unsetenv("TAILRACE_DIR");
}
std::vector<std::string> Directory::files() const {
  std::vector<std::string> out;
  if (DIR* directory = opendir(path_.c_str()); directory != nullptr) {
    while (const dirent* entry = readdir(directory)) {
      if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
    }
    closedir(directory);
  }
  std::sort(out.begin(), out.end());
  return out;
}
std::vector<Segment> Directory::segments() const {
  std::vector<Segment> out;
  for (const std::string& file : files()) out.push_back(read_segment(path_ + "/" + file));
  return out;
}
Segment Directory::only() const {
  const std::vector<Segment> all = segments();
  EXPECT_EQ(all.size(), 1u);
  if (all.empty()) return {};
  EXPECT_EQ(all.front().problem, "");
  return all.front();
}

int in_child(const std::function<void()>& body) {
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace tailrace::test
