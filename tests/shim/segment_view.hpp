// SPDX-License-Identifier: Apache-2.0
// What a test sees of a segment: everything in it as plain values, read from the file by the same
// untrusted reader that the agent uses. The process may be alive, or dead.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <tailrace/shm/record.hpp>

#include "shm/reader/counters.hpp"

namespace tailrace::test {

struct Item {
  std::string key;
  std::uint32_t raw_key = 0;
  shm::ItemType type = shm::ItemType::empty;
  std::string value;  // true, 42, 2.5, "text", bytes(3), [1, 2], {"a": 1}
  std::vector<Item> inside;
  std::uint64_t time = 0;                // of an event
  std::uint32_t dropped_attributes = 0;  // of an event or link
  std::string linked_span;               // of a link
};

struct Span {
  std::string name, trace_id, span_id, parent_id;
  shm::SpanRecord record{};
  std::vector<Item> items;  // behind the record, the chain and the parts, in order
  std::uint32_t lane = 0;
  std::uint32_t parts = 0;
  bool open = false;       // never ended
  bool from_slot = false;  // open, or its process died between ending it and publishing the record

  std::string attribute(const std::string& key) const;  // the last one's value; "" = none
  std::vector<Item> of(shm::ItemType type) const;
  std::string reserved(std::uint32_t key) const;
  unsigned status() const { return record.kind_status >> 4; }
  unsigned kind() const { return record.kind_status & 15u; }
};

struct Log {
  std::string body, trace_id, span_id;
  shm::LogRecord record{};
  std::vector<Item> items;
  std::uint32_t lane = 0;

  std::string attribute(const std::string& key) const;
  std::vector<std::string> arguments() const;
  std::string reserved(std::uint32_t key) const;
};

// A series, all lanes and shards summed up.
struct Metric {
  std::string name, unit, description;
  shm::MetricDescriptor descriptor{};
  std::vector<Item> attributes;
  bool set = false;          // gauges, observables: ever
  std::int64_t integer = 0;  // value, or a histogram's sum
  double real = 0;           // the same, of floating point
  std::uint64_t count = 0;   // histograms, from here on; the zero bucket is in it
  std::uint64_t zero = 0;
  bool bounded = false;  // has a minimum and a maximum
  double least = 0, most = 0;
  std::vector<std::uint64_t> buckets, negative;
  std::vector<double> bounds;

  std::string attribute(const std::string& key) const;  // "" = none
};

struct Segment {
  std::string file;
  std::string problem;  // "" = everything in it made sense
  std::vector<Span> spans;
  std::vector<Log> logs;
  std::vector<Item> resource, hints;
  std::vector<std::vector<Item>> scopes;  // by id - 1
  std::vector<std::string> threads;       // THREAD records: "lane:name"
  std::vector<shm::LossRecord> losses;
  std::uint32_t announced = 0;  // SPAN_START records
  shm::CounterSums sums;
  shm::ProcessWords process;
  std::uint32_t lanes_in_use = 0;
  std::vector<Metric> metrics;  // by index
  std::uint64_t metrics_unrecorded = 0, metrics_invalid = 0, metrics_clamped = 0;

  // The only series of that name with that attribute (key empty: without any); null: none or several.
  const Metric* metric(const std::string& name, const std::string& key = "", const std::string& value = "") const;
  const Span* span(const std::string& name) const;
  const Log* log(const std::string& body) const;
  std::size_t count(const std::string& name) const;
  std::string of_resource(const std::string& key) const;
};

Segment read_segment(const std::string& path);

// A directory of segments on a tmpfs that lives as long as the object, in $TAILRACE_DIR.
class Directory {
 public:
  Directory();
  ~Directory();
  const std::string& path() const { return path_; }
  std::vector<std::string> files() const;
  std::vector<Segment> segments() const;
  Segment only() const;  // fails the test unless there is exactly one

 private:
  std::string path_;
};

// Runs `body` in a child of its own, so that each test has an init() of its own. The exit status: 0 when
// it returned; what it passed to _exit(); 128 + signal.
int in_child(const std::function<void()>& body);

// In a child: leaves with `code` unless the condition holds.
#define CHILD_EXPECT(condition, code)                                                                                  \
  do {                                                                                                                 \
    if (!(condition)) _exit(code);                                                                                     \
  } while (false)

}  // namespace tailrace::test
