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
  std::uint64_t time = 0;               // of an event
  std::uint32_t dropped_attributes = 0;  // of an event or link
  std::string linked_span;              // of a link
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

struct Segment {
  std::string file;
  std::string problem;  // "" = everything in it made sense
  std::vector<Span> spans;
  std::vector<Log> logs;
  std::vector<Item> resource, hints;
  std::vector<std::vector<Item>> scopes;  // by id - 1
  std::vector<std::string> threads;       // THREAD records: "lane:name"
  std::vector<shm::LossRecord> losses;
  std::uint32_t announced = 0;            // SPAN_START records
  shm::CounterSums sums;
  shm::ProcessWords process;
  std::uint32_t lanes_in_use = 0;

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
#define CHILD_EXPECT(condition, code) \
  do {                                \
    if (!(condition)) _exit(code);    \
  } while (false)

}  // namespace tailrace::test
