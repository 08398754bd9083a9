// SPDX-License-Identifier: Apache-2.0
// What is measured: one function an operation, n times in a loop, and the states it is measured in. Shared by the
// benchmark, which takes their time, and by the count of their instructions.
//
// Threads: one. Memory: globals of the program that includes it.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include <tailrace/tailrace.h>
#include <tailrace/tailrace.hpp>

#include "floor.hpp"
#include "metric_operations.hpp"
#include "protocol.hpp"
#include "stand_in.hpp"

namespace tailrace::bench {

using namespace tailrace::literals;

inline StandIn* agent;
inline Floor* floor_ring;
inline Protocol* protocol;
inline volatile int sink_int = 42;
inline volatile double sink_double = 2.5;
inline const char* text = "GET /index";
inline std::string key_a = "http.request.size", key_b = "duration", key_c = "cached", span_name = "handle request";

inline void floor_span(int n) {
  for (int i = 0; i < n; ++i) floor_ring->span(static_cast<std::uint64_t>(sink_int), sink_double, true);
}
inline void protocol_span(int n) {
  for (int i = 0; i < n; ++i) protocol->span(static_cast<std::uint64_t>(sink_int), sink_double, true);
}
inline void span(int n) {
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span("handle request"_n);
    s.set("http.request.size"_n, int{sink_int});
    s.set("duration"_n, double{sink_double});
    s.set("cached"_n, true);
  }
}
inline void span_literals(int n) {
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span("handle request");
    s.set("http.request.size", int{sink_int});
    s.set("duration", double{sink_double});
    s.set("cached", true);
  }
}
inline void span_strings(int n) {
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span(span_name);
    s.set(key_a, int{sink_int});
    s.set(key_b, double{sink_double});
    s.set(key_c, true);
  }
}
inline void span_four(int n) {
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span("handle request"_n);
    s.set("http.request.size"_n, int{sink_int});
    s.set("duration"_n, double{sink_double});
    s.set("cached"_n, true);
    s.set("status"_n, int{sink_int});
  }
}
inline void span_string32(int n) {
  static const std::string value(32, 'x');
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span("handle request"_n);
    s.set("http.request.size"_n, int{sink_int});
    s.set("duration"_n, double{sink_double});
    s.set("cached"_n, true);
    s.set("path"_n, value);
  }
}
// The same span by the C interface, with names interned once.
struct CNames {
  tailrace_name_t span = tailrace_name_intern("handle request", 14);
  tailrace_name_t size = tailrace_name_intern("http.request.size", 17);
  tailrace_name_t duration = tailrace_name_intern("duration", 8);
  tailrace_name_t cached = tailrace_name_intern("cached", 6);
};
inline void c_finished(int n) {
  static const CNames names;
  for (int i = 0; i < n; ++i) {
    const tailrace_time_t start = tailrace_cpu_time();
    const tailrace_attribute_t attributes[] = {
        tailrace_attribute_of(names.size, tailrace_value_int(sink_int)),
        tailrace_attribute_of(names.duration, tailrace_value_double(sink_double)),
        tailrace_attribute_of(names.cached, tailrace_value_bool(true)),
    };
    tailrace_span_record(names.span, start, attributes, 3, nullptr);
  }
}
inline void c_steps(int n) {
  static const CNames names;
  for (int i = 0; i < n; ++i) {
    tailrace_span_t s;
    tailrace_span_begin(&s, names.span, nullptr);
    tailrace_span_set_int(&s, names.size, sink_int);
    tailrace_span_set_double(&s, names.duration, sink_double);
    tailrace_span_set_bool(&s, names.cached, true);
    tailrace_span_finish(&s);
  }
}
inline void floor_log(int n) {
  const char* t = text;
  const std::size_t length = std::strlen(t);
  for (int i = 0; i < n; ++i) {
    asm volatile("" : "+r"(t));
    floor_ring->log(t, length, static_cast<std::uint64_t>(sink_int), sink_double);
  }
}
inline void log(int n) {
  std::string_view t(text);
  for (int i = 0; i < n; ++i) {
    asm volatile("" : "+m"(t));
    tailrace::info("request {} took {} for {}"_n, t, int{sink_int}, double{sink_double});
  }
}
inline void counter(int n) {
  std::uint64_t x = 0;
  for (int i = 0; i < n; ++i) x += shm::cpu_counter();
  asm volatile("" : : "r"(x));
}

inline void nothing() {}
inline void drop_everything() { agent->control->hot.trace_threshold.store(1ull << 56); }
inline void switch_off() { agent->control->hot.disable_mask.store(7); }
inline void normal() {
  agent->control->hot.trace_threshold.store(0);
  agent->control->hot.disable_mask.store(0);
  own_shard();
  agent->give_back();
}
inline void fill() {
  normal();
  for (int i = 0; i < 6000; ++i) log(1);
  for (int i = 0; i < 6000; ++i) span(1);
}

struct Operation {
  const char* name;
  const char* floor;  // name of the operation it is measured against
  void (*burst)(int n);
  void (*before)();
  int n;
  double target;  // ratio, or nanoseconds where there is no floor
};

inline const Operation operations[] = {
    {"counter read", nullptr, counter, nothing, 1000, 0},
    {"floor: span", nullptr, floor_span, nothing, 1000, 0},
    {"protocol alone: span", "floor: span", protocol_span, nothing, 1000, 0},
    {"span, 3 attributes", "floor: span", span, normal, 1000, 1.15},
    {"span, plain literals", "floor: span", span_literals, normal, 1000, 1.2},
    {"span, run-time strings", "floor: span", span_strings, normal, 1000, 1.4},
    {"span, 4 attributes", "floor: span", span_four, normal, 900, 0},
    {"finished span by one C call", "floor: span", c_finished, normal, 1000, 1.1},
    {"span by five C calls", "floor: span", c_steps, normal, 1000, 1.5},
    {"span, 3 and a 32-byte string", "floor: span", span_string32, normal, 800, 0},
    {"floor: log", nullptr, floor_log, nothing, 1000, 0},
    {"log, 3 arguments", "floor: log", log, normal, 1000, 1.05},
    {"span not sampled", nullptr, span, drop_everything, 1000, 3.0},
    {"span switched off", nullptr, span, switch_off, 1000, 0.8},
    {"log switched off", nullptr, log, switch_off, 1000, 0.8},
    {"floor: add in memory", nullptr, floor_add, nothing, 4000, 0},
    {"counter, bound", "floor: add in memory", counter_bound, normal, 4000, 2.7},
    {"counter, no attributes", nullptr, counter_bare, normal, 4000, 0},
    {"floor: two atomic adds", nullptr, floor_atomic, nothing, 1000, 0},
    {"counter, 1 attribute", nullptr, counter_one, normal, 1000, 12.0},
    {"counter, 3 attributes", nullptr, counter_three, normal, 1000, 20.0},
    {"counter, 3, plain literals", nullptr, counter_literals, normal, 1000, 0},
    {"gauge, bound", nullptr, gauge_bound, normal, 4000, 1.5},
    {"histogram explicit, own", nullptr, histogram_explicit, normal, 1000, 4.0},
    {"histogram explicit, shared", "floor: two atomic adds", histogram_explicit, share_shard, 1000, 1.4},
    {"histogram exponential, own", nullptr, histogram_exponential, normal, 1000, 4.0},
    {"histogram exponential, shared", "floor: two atomic adds", histogram_exponential, share_shard, 1000, 1.4},
    {"counter switched off", nullptr, counter_bound, switch_off, 4000, 0.8},
    {"span, lane full", nullptr, span, fill, 1000, 0},
    {"log, lane full", nullptr, log, fill, 1000, 5.0},
};

}  // namespace tailrace::bench
