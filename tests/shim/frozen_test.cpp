// SPDX-License-Identifier: Apache-2.0
// What applications have inlined, frozen: a program that was compiled against an older header runs with this
// library as long as nothing here changes. Every structure that the header and the library share, field by field,
// and every symbol that the library exports, compared with tests/shim/golden. A changed or missing line is a new
// soname; a new symbol is a new line (TAILRACE_WRITE_GOLDEN=1 writes the files).
//
// What an inline call does with these structures is not seen here: change it only so that either side's older
// code still works beside it.
#include "tests/shim/frozen.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include <tailrace/tailrace.hpp>

namespace tailrace {
namespace {

using shim::test::compared;
using shim::test::Layout;

void thread_block(Layout& layout) {
  using detail::ContextEntry;
  using detail::NameEntry;
  using detail::SpanLimits;
  using detail::ThreadBlock;
  using RingProducer = shm::RingProducer<std::uint64_t>;
  layout.add("kInlineVersion", detail::kInlineVersion);
  SIZE(ThreadBlock);
  FIELD(ThreadBlock, control);
  FIELD(ThreadBlock, ring);
  FIELD(ThreadBlock, lane_head);
  FIELD(ThreadBlock, busy);
  FIELD(ThreadBlock, top);
  FIELD(ThreadBlock, id_state);
  FIELD(ThreadBlock, id_key);
  FIELD(ThreadBlock, ending);
  FIELD(ThreadBlock, slots_free);
  FIELD(ThreadBlock, room);
  FIELD(ThreadBlock, slots);
  FIELD(ThreadBlock, threshold);
  FIELD(ThreadBlock, depth_limit);
  FIELD(ThreadBlock, log_fast);
  FIELD(ThreadBlock, log_floor);
  FIELD(ThreadBlock, lane);
  FIELD(ThreadBlock, mirror);
  FIELD(ThreadBlock, limits);
  FIELD(ThreadBlock, next_low);
  FIELD(ThreadBlock, next_span);
  FIELD(ThreadBlock, cache);
  FIELD(ThreadBlock, cells);
  FIELD(ThreadBlock, shared_cells);
  FIELD(ThreadBlock, cells_committed);
  FIELD(ThreadBlock, shared_cells_bytes);
  FIELD(ThreadBlock, shard);
  FIELD(ThreadBlock, cells_refused);
  FIELD(ThreadBlock, size);
  FIELD(ThreadBlock, version);
  FIELD(ThreadBlock, tid);
  FIELD(ThreadBlock, thread_pending);
  FIELD(ThreadBlock, loss_pending);
  FIELD(ThreadBlock, held_lane);
  FIELD(ThreadBlock, lost);
  FIELD(ThreadBlock, lost_first);
  FIELD(ThreadBlock, lost_last);
  FIELD(ThreadBlock, freed_remote);
  FIELD(ThreadBlock, taken);
  FIELD(ThreadBlock, serial);
  FIELD(ThreadBlock, name);
  FIELD(ThreadBlock, stack);
  FIELD(ThreadBlock, names);
  SIZE(RingProducer);
  FIELD(RingProducer, head);
  FIELD(RingProducer, limit);
  FIELD(RingProducer, mask);
  FIELD(RingProducer, data);
  FIELD(RingProducer, tail);
  FIELD(RingProducer, capacity);
  FIELD(RingProducer, reserve);
  FIELD(RingProducer, overrun);
  FIELD(RingProducer, bell_rung);
  SIZE(ContextEntry);
  FIELD(ContextEntry, tflags);
  FIELD(ContextEntry, dead);
  FIELD(ContextEntry, trace_id);
  FIELD(ContextEntry, span_id);
  SIZE(NameEntry);
  FIELD(NameEntry, first);
  FIELD(NameEntry, last);
  FIELD(NameEntry, length);
  FIELD(NameEntry, id);
  SIZE(SpanLimits);
  FIELD(SpanLimits, attributes);
  FIELD(SpanLimits, events);
  FIELD(SpanLimits, links);
  FIELD(SpanLimits, nested);
}

void spans_and_logs(Layout& layout) {
  using detail::LogData;
  using detail::Name;
  using detail::NameCell;
  using detail::ScopeData;
  using detail::SpanStart;
  using detail::SpanState;
  SIZE(NameCell);
  FIELD(NameCell, id);
  FIELD(NameCell, length);
  FIELD(NameCell, text);
  SIZE(Name);
  FIELD(Name, text);
  FIELD(Name, length);
  FIELD(Name, id);
  SIZE(SpanState);
  FIELD(SpanState, block);
  FIELD(SpanState, slot);
  FIELD(SpanState, word);
  FIELD(SpanState, top);
  FIELD(SpanState, bits);
  SIZE(SpanStart);
  FIELD(SpanStart, name);
  FIELD(SpanStart, options);
  FIELD(SpanStart, ids);
  SIZE(SpanOptions);
  FIELD(SpanOptions, kind);
  FIELD(SpanOptions, parent);
  FIELD(SpanOptions, links);
  FIELD(SpanOptions, start);
  FIELD(SpanOptions, priority);
  FIELD(SpanOptions, scope);
  FIELD(SpanOptions, trace_state);
  SIZE(Link);
  FIELD(Link, context);
  FIELD(Link, attributes);
  SIZE(Context);
  FIELD(Context, trace_id);
  FIELD(Context, span_id);
  FIELD(Context, sampled);
  FIELD(Context, random);
  FIELD(Context, remote);
  FIELD(Context, trace_state);
  SIZE(Time);
  FIELD(Time, value);
  FIELD(Time, clock);
  FIELD(Time, given);
  SIZE(ScopeData);
  FIELD(ScopeData, name);
  FIELD(ScopeData, name_length);
  FIELD(ScopeData, version);
  FIELD(ScopeData, version_length);
  FIELD(ScopeData, schema_url);
  FIELD(ScopeData, schema_url_length);
  FIELD(ScopeData, attributes);
  FIELD(ScopeData, attributes_size);
  SIZE(LogData);
  FIELD(LogData, name);
  FIELD(LogData, body);
  FIELD(LogData, arguments);
  FIELD(LogData, arguments_size);
  FIELD(LogData, attributes);
  FIELD(LogData, attributes_size);
  FIELD(LogData, event_name);
  FIELD(LogData, severity_text);
  FIELD(LogData, time);
  FIELD(LogData, observed);
  FIELD(LogData, context);
  FIELD(LogData, scope);
  FIELD(LogData, severity);
  FIELD(LogData, priority);
  FIELD(LogData, is_template);
  SIZE(Value);
  SIZE(Attribute);
  FIELD(Attribute, key);
  FIELD(Attribute, value);
  SIZE(Attributes);
  SIZE(Parent);
  SIZE(Baggage);
}

void metrics(Layout& layout) {
  using detail::Buckets;
  using detail::Instrument;
  using detail::InstrumentData;
  SIZE(Instrument);
  FIELD(Instrument, bare);
  FIELD(Instrument, index);
  FIELD(Instrument, kind);
  FIELD(Instrument, flags);
  FIELD(Instrument, scope);
  FIELD(Instrument, buckets);
  SIZE(Buckets);
  FIELD(Buckets, shard_bytes);
  FIELD(Buckets, count);
  FIELD(Buckets, bounds);
  FIELD(Buckets, bounds_padded);
  FIELD(Buckets, first_index);
  FIELD(Buckets, thresholds);
  FIELD(Buckets, guess);
  FIELD(Buckets, guess_shift);
  FIELD(Buckets, up);
  FIELD(Buckets, down);
  FIELD(Buckets, negatives);
  SIZE(InstrumentData);
  FIELD(InstrumentData, name);
  FIELD(InstrumentData, name_length);
  FIELD(InstrumentData, unit);
  FIELD(InstrumentData, unit_length);
  FIELD(InstrumentData, description);
  FIELD(InstrumentData, description_length);
  FIELD(InstrumentData, bounds);
  FIELD(InstrumentData, bounds_size);
  FIELD(InstrumentData, smallest);
  FIELD(InstrumentData, greatest);
  FIELD(InstrumentData, cardinality_limit);
  FIELD(InstrumentData, scope);
  FIELD(InstrumentData, kind);
  FIELD(InstrumentData, flags);
  FIELD(InstrumentData, scale);
  FIELD(InstrumentData, aggregation);
  FIELD(InstrumentData, bounds_given);
}

// The caller says how large it knows Config, Stats and FlushResult to be, so that these may grow.
void setup(Layout& layout) {
  FIELD(Config, service);
  FIELD(Config, service_version);
  FIELD(Config, service_namespace);
  FIELD(Config, resource);
  FIELD(Config, directory);
  FIELD(Config, sampler);
  FIELD(Config, sampler_ratio);
  FIELD(Config, min_severity);
  FIELD(Config, disabled);
  FIELD(Config, traces);
  FIELD(Config, logs);
  FIELD(Config, metrics);
  FIELD(Config, exponential_histograms);
  FIELD(Config, observe_interval_ms);
  FIELD(Config, quiet);
  FIELD(Config, attribute_count_limit);
  FIELD(Config, attribute_value_length_limit);
  FIELD(Config, span_attribute_count_limit);
  FIELD(Config, span_attribute_value_length_limit);
  FIELD(Config, log_attribute_count_limit);
  FIELD(Config, log_attribute_value_length_limit);
  FIELD(Config, span_event_count_limit);
  FIELD(Config, span_link_count_limit);
  FIELD(Config, event_attribute_count_limit);
  FIELD(Config, link_attribute_count_limit);
  FIELD(Config, depth_limit);
  FIELD(Config, lanes);
  FIELD(Config, ring_bytes);
  FIELD(Config, propagators);
  SIZE(Outcome);
  FIELD(Outcome, code);
  FIELD(Outcome, sentence);
  FIELD(Stats, written);
  FIELD(Stats, dropped);
  FIELD(Stats, unlaned_dropped);
  FIELD(Stats, not_sampled);
  FIELD(Stats, refused);
  FIELD(Stats, cut);
  FIELD(Stats, before_init);
  FIELD(Stats, unrecorded);
  FIELD(Stats, series);
  FIELD(Stats, metrics_unrecorded);
  FIELD(Stats, metrics_invalid);
  FIELD(Stats, metrics_clamped);
  FIELD(Stats, callbacks_failed);
  FIELD(Stats, lanes_in_use);
  FIELD(Stats, lanes_used);
  FIELD(Stats, mode);
  FIELD(Stats, initialised);
  FIELD(Stats, why);
  FIELD(Stats, segment);
  SIZE(FlushCounts);
  FIELD(FlushCounts, delivered);
  FIELD(FlushCounts, rejected);
  FIELD(FlushCounts, dropped);
  FIELD(FlushCounts, pending);
  FIELD(FlushResult, code);
  FIELD(FlushResult, timed_out);
  FIELD(FlushResult, total);
  FIELD(FlushResult, signals);
  FIELD(FlushResult, sentence);
}

// Private to its class: what its four words hold.
void values(Layout& layout) {
  const auto words = [&layout](const char* name, const Value& value) {
    std::uint64_t word[4];
    std::memcpy(word, static_cast<const void*>(&value), sizeof word);
    char text[64];
    std::snprintf(text, sizeof text, "%s kind %u size %u word 0x%llx element %s", name,
                  static_cast<unsigned>(word[0] & 0xff), static_cast<unsigned>(word[1]),
                  static_cast<unsigned long long>(word[2]), word[3] != 0 ? "yes" : "no");
    layout.add(text, sizeof(Value));
  };
  words("Value(true)", Value(true));
  words("Value(-1)", Value(-1));
  words("Value(2u)", Value(2u));
  words("Value(0.5)", Value(0.5));
}

std::string output_of(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string text;
  char line[512];
  while (std::fgets(line, sizeof line, pipe) != nullptr) text += line;
  return ::pclose(pipe) == 0 ? text : std::string();
}

TEST(FrozenTest, WhatProgramsHaveInlinedIsWhereItWas) {
  Layout layout;
  thread_block(layout);
  spans_and_logs(layout);
  metrics(layout);
  setup(layout);
  values(layout);
  EXPECT_EQ(layout.text(), compared("inline-1.txt", layout.text())) << "a change of these is a new soname";
}

TEST(FrozenTest, TheLibraryExportsTheSymbolsItExported) {
  // "0000… T name" or, with a symbol version, "name@@VERSION": the whole last word is what a program asks for.
  std::istringstream lines(output_of("nm -D --defined-only --with-symbol-versions " TAILRACE_LIBRARY));
  std::vector<std::string> symbols;
  std::string address, type, name;
  while (lines >> address >> type >> name) symbols.push_back(name);
  std::sort(symbols.begin(), symbols.end());
  std::string text;
  for (const std::string& symbol : symbols) text += symbol + '\n';
  EXPECT_EQ(text, compared("symbols-1.txt", text)) << "one that is missing is a new soname; a new one is added here";
}

TEST(FrozenTest, TheSonameIsTheOneOfTheseFiles) {
  const std::string dynamic = output_of("readelf -d " TAILRACE_LIBRARY);
  EXPECT_NE(dynamic.find("Library soname: [libtailrace.so.1]"), std::string::npos) << dynamic;
}

}  // namespace
}  // namespace tailrace
