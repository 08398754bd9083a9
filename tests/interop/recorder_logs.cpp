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
  api::trace("level trace");
  api::debug("level debug");
  api::info("level info");
  api::warn("level warn");
  api::error("level error");
  api::fatal("level fatal");
  api::info("literal {} {}"_n, 1, 2);
  api::info("ints {} {} {} {}", 0, -1, std::numeric_limits<std::int64_t>::min(), std::uint64_t{18446744073709551615U});
  api::info("doubles {} {} {} {}", 0.1, 1e100, std::numeric_limits<double>::infinity(), 0.5F);
  api::info("bools {} {}", true, false);
  api::info("strings {} {} {} {}", "array", std::string("string"), "view"sv, "literal"_n);
  api::info("text {}|{}|{}", "", "grüß 🦜", std::string(100, 'x'));
  api::info("bytes {} and nothing {}", Bytes{"\xde\xad\x00", 3}, nullptr);
  api::info("lists {} {}", Value{1, "two", {3.5, true}}, Value::map({{"a", 1}, {"b", {2}}}));
  api::info("braces {{}} {}", 1);
  api::info("specs {:>6}|{:<6}|{:^6}|{:06.2f}|{:#x}|{:+d}|{:.3}", 42, "ab", "cd", 3.14159, 255, 7, "abcdef");
  api::info("numbered {1} {0} {1}", "a", "b");
  api::info("width {:{}}|", 5, 4);
  api::info("not utf8 {}", "\xff");
  const std::string wrong = "wrong {} {}";
  api::info(wrong, 1);
}

void record_records() {
  for (int severity = 1; severity <= 24; ++severity) {
    const std::string body = "severity " + std::to_string(severity);
    api::log({.body = body, .severity = static_cast<Severity>(severity)});
  }
  api::info("attributes", {{"bool", true},
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
  api::warn("literal body"_n, {{"k"_n, 1}});
  api::log({.body = "everything",
            .severity = static_cast<Severity>(10),
            .attributes = {{"k", "v"}},
            .event_name = "shop.order.paid",
            .severity_text = "NOTICE",
            .time = Time::unix_ns(kMoment),
            .observed = Time::unix_ns(kMoment + 5)});
  api::log({.body = nullptr, .event_name = "event.without_body"});
  api::log({.body = true, .event_name = "body.bool"});
  api::log({.body = std::numeric_limits<std::int64_t>::min(), .event_name = "body.int"});
  api::log({.body = 0.1, .event_name = "body.double"});
  api::log({.body = "", .event_name = "body.string_empty"});
  api::log({.body = "lit {}"_n, .event_name = "body.literal"});
  api::log({.body = Bytes{"\x00\xfe", 2}, .event_name = "body.bytes"});
  api::log({.body = {1, "x", {nullptr, false}}, .event_name = "body.array"});
  api::log({.body = Value::map({{"k", 1}, {"m", Value::map({{"n", "o"}})}}), .event_name = "body.map"});
  const auto priorities = {Priority::critical, Priority::normal, Priority::low, Priority::background};
  for (const Priority priority : priorities) {
    const std::string body = "log priority " + std::to_string(static_cast<int>(priority));
    api::log({.body = body, .priority = priority});
  }
}

}  // namespace

void record_logs() {
  record_templates();
  record_records();
  auto span = api::span("logs.span"_n);
  tell("logs.span", span.context());
  api::info("in a span {}", 1);
  api::warn("in a span", {{"k", 1}});
  api::error("in a span, critical");
  api::log({.body = "in a span, as a record"});
  const Context remote = remote_context();
  api::log({.body = "of another context", .context = &remote});
}

}  // namespace tailrace::interop
