// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "tests/interop/recorder.hpp"

namespace tailrace::interop {
namespace {

using namespace std::string_view_literals;

constexpr std::uint64_t kMoment = 1'700'000'000'123'456'789;

void record_templates() {
  tailrace::trace("level trace");
  tailrace::debug("level debug");
  tailrace::info("level info");
  tailrace::warn("level warn");
  tailrace::error("level error");
  tailrace::fatal("level fatal");
  tailrace::info("literal {} {}"_n, 1, 2);
  tailrace::info("ints {} {} {} {}", 0, -1, std::numeric_limits<std::int64_t>::min(), std::uint64_t{18446744073709551615U});
  tailrace::info("doubles {} {} {} {}", 0.1, 1e100, std::numeric_limits<double>::infinity(), 0.5F);
  tailrace::info("bools {} {}", true, false);
  tailrace::info("strings {} {} {} {}", "array", std::string("string"), "view"sv, "literal"_n);
  tailrace::info("text {}|{}|{}", "", "grüß 🦜", std::string(100, 'x'));
  tailrace::info("bytes {} and nothing {}", Bytes{"\xde\xad\x00", 3}, nullptr);
  tailrace::info("lists {} {}", Value{1, "two", {3.5, true}}, Value::map({{"a", 1}, {"b", {2}}}));
  tailrace::info("braces {{}} {}", 1);
  tailrace::info("specs {:>6}|{:<6}|{:^6}|{:06.2f}|{:#x}|{:+d}|{:.3}", 42, "ab", "cd", 3.14159, 255, 7, "abcdef");
  tailrace::info("numbered {1} {0} {1}", "a", "b");
  tailrace::info("width {:{}}|", 5, 4);
  tailrace::info("not utf8 {}", "\xff");
  const std::string wrong = "wrong {} {}";
  tailrace::info(wrong, 1);
}

void record_records() {
  for (int severity = 1; severity <= 24; ++severity) {
    const std::string body = "severity " + std::to_string(severity);
    tailrace::log({.body = body, .severity = static_cast<Severity>(severity)});
  }
  tailrace::info("attributes", {{"bool", true},
                                {"int", -9},
                                {"double", -0.0},
                                {"string", "s"},
                                {"literal"_n, "l"_n},
                                {"bytes", Bytes{"\x00", 1}},
                                {"empty", nullptr},
                                {"array", {1, {"x"}}},
                                {"map", Value::map({{"k", Value::map({{"l", 2}})}})},
                                {"twice", 1},
                                {"twice", "last"}});
  tailrace::warn("literal body"_n, {{"k"_n, 1}});
  tailrace::log({.body = "everything",
                 .severity = static_cast<Severity>(10),
                 .attributes = {{"k", "v"}},
                 .event_name = "shop.order.paid",
                 .severity_text = "NOTICE",
                 .time = Time::unix_ns(kMoment),
                 .observed = Time::unix_ns(kMoment + 5)});
  tailrace::log({.body = nullptr, .event_name = "event.without_body"});
  tailrace::log({.body = true, .event_name = "body.bool"});
  tailrace::log({.body = std::numeric_limits<std::int64_t>::min(), .event_name = "body.int"});
  tailrace::log({.body = 0.1, .event_name = "body.double"});
  tailrace::log({.body = "", .event_name = "body.string_empty"});
  tailrace::log({.body = "lit {}"_n, .event_name = "body.literal"});
  tailrace::log({.body = Bytes{"\x00\xfe", 2}, .event_name = "body.bytes"});
  tailrace::log({.body = {1, "x", {nullptr, false}}, .event_name = "body.array"});
  tailrace::log({.body = Value::map({{"k", 1}, {"m", Value::map({{"n", "o"}})}}), .event_name = "body.map"});
  const auto priorities = {Priority::critical, Priority::normal, Priority::low, Priority::background};
  for (const Priority priority : priorities) {
    const std::string body = "log priority " + std::to_string(static_cast<int>(priority));
    tailrace::log({.body = body, .priority = priority});
  }
}

}  // namespace

void record_logs() {
  record_templates();
  record_records();
  auto span = tailrace::span("logs.span"_n);
  tell("logs.span", span.context());
  tailrace::info("in a span {}", 1);
  tailrace::warn("in a span", {{"k", 1}});
  tailrace::error("in a span, critical");
  tailrace::log({.body = "in a span, as a record"});
  const Context remote = remote_context();
  tailrace::log({.body = "of another context", .context = &remote});
}

}  // namespace tailrace::interop
