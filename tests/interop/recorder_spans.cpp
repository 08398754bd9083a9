// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/interop/recorder.hpp"

namespace tailrace::interop {
namespace {

using namespace std::string_view_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

enum class Fruit { apple = 7 };

constexpr std::uint64_t kMoment = 1'700'000'000'123'456'789;

void record_scalars() {
  auto span = api::span("attributes.scalar"_n);
  tell("scalar", span.context());
  span.set("bool.true"_n, true);
  span.set("bool.false"_n, false);
  span.set("int.zero"_n, 0);
  span.set("int.min"_n, std::numeric_limits<std::int64_t>::min());
  span.set("int.max"_n, std::numeric_limits<std::int64_t>::max());
  span.set("int.i8"_n, std::int8_t{-128});
  span.set("int.u32"_n, std::uint32_t{4294967295});
  span.set("int.u64"_n, std::uint64_t{42});
  span.set("int.u64.max"_n, std::numeric_limits<std::uint64_t>::max());
  span.set("int.enum"_n, Fruit::apple);
  span.set("double.third"_n, 1.0 / 3.0);
  span.set("double.float"_n, 0.5F);
  span.set("double.nan"_n, std::numeric_limits<double>::quiet_NaN());
  span.set("double.inf"_n, std::numeric_limits<double>::infinity());
  span.set("double.minus.inf"_n, -std::numeric_limits<double>::infinity());
  span.set("double.minus.zero"_n, -0.0);
  span.set("double.zero"_n, 0.0);
  span.set("double.max"_n, std::numeric_limits<double>::max());
  span.set("double.denormal"_n, std::numeric_limits<double>::denorm_min());
  span.set("empty"_n, nullptr);
  // The other ways to write a key.
  span.set("key.plain", 1);
  span.set("key.plain.of.more.than.sixteen.bytes", 2);
  span.set(std::string("key.string"), 3);
  span.set("key.view"sv, 4);
  span.set(TAILRACE_NAME("key.macro"), 5);
  span.set("", "an attribute without a key is none");
  span.set({{"key.list.1", 6}, {"key.list.2"_n, "seven"}});
}

void record_texts() {
  auto span = api::span("attributes.text"_n);
  tell("text", span.context());
  span.set("literal"_n, "a value of the program"_n);
  span.set("array"_n, "characters");
  span.set("string"_n, std::string("a string"));
  span.set("view"_n, "a view"sv);
  span.set("empty"_n, "");
  span.set("empty.string"_n, std::string());
  span.set("one"_n, "1");
  span.set("utf8"_n, "grüß 世界 🦜");
  span.set("nul"_n, "a\0b"sv);
  span.set("not.utf8"_n, "bad \xff byte");
  span.set("long"_n, std::string(600, 'l'));
  span.set("bytes"_n, Bytes{"\x00\x01\x7f\x80\xff", 5});
  span.set("bytes.empty"_n, Bytes{nullptr, 0});
  // The last value of a key counts, whatever its type was.
  span.set("string"_n, 5);
  span.set("one"_n, "one");
}

void record_arrays() {
  auto span = api::span("attributes.array"_n);
  tell("array", span.context());
  span.set("bools"_n, {true, false, true});
  span.set("ints"_n, std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min(), -1, 0, 1});
  span.set("doubles"_n, std::array<double, 3>{0.5, -0.0, std::numeric_limits<double>::infinity()});
  span.set("strings"_n, std::vector<std::string>{"a", "", "ä"});
  span.set("literals"_n, {"x"_n, "y"_n});
  span.set("bytes"_n, {Bytes{"\x00\xff", 2}, Bytes{"", 0}});
  span.set("empties"_n, {nullptr, nullptr});
  span.set("none"_n, std::vector<int>{});
  span.set("mixed"_n, {1, "two", 3.5, true, nullptr, Bytes{"\x06", 1}});
  span.set("nested"_n, {{1, 2}, {"a"}, {{true}, std::vector<int>{}}, Value::map({{"in", "side"}})});
  static const int kPrimes[] = {2, 3, 5};
  span.set("pointer"_n, Value(kPrimes, 3));
}

void record_maps() {
  auto span = api::span("attributes.map"_n);
  tell("map", span.context());
  span.set("map"_n, Value::map({{"bool", true},
                                {"int", -1},
                                {"double", 0.25},
                                {"string", "text"},
                                {"literal"_n, "value"_n},
                                {"bytes", Bytes{"\xde\xad", 2}},
                                {"empty", nullptr},
                                {"array", {1, "x", {2, 3}}},
                                {"map", Value::map({{"deeper", Value::map({{"deepest", 3}})}})}}));
  span.set("map.empty"_n, Value::map({}));
  // Sixteen lists inside each other are kept; what is deeper becomes an empty value.
  static const int kInnermost[] = {1};
  Value levels[20];
  levels[0] = Value(kInnermost, 1);
  for (int i = 1; i < 20; ++i) levels[i] = Value(&levels[i - 1], 1);
  span.set("deep.16"_n, levels[15]);
  span.set("deep.20"_n, levels[19]);
}

void record_times() {
  {
    auto span = api::span("time.given", {.start = Time::unix_ns(kMoment)});
    tell("time.given", span.context());
    span.event("time.event", {}, Time::unix_ns(kMoment + 1));
    span.end(Time::unix_ns(kMoment + 1'000'000'007));
  }
  {
    auto span = api::span("time.system_clock", {.start = system_clock::time_point(nanoseconds(kMoment))});
    tell("time.system_clock", span.context());
    span.end(system_clock::time_point(nanoseconds(kMoment)) + std::chrono::hours(1));
  }
  {
    auto span = api::span("time.backward", {.start = Time::unix_ns(kMoment)});
    tell("time.backward", span.context());
    span.end(Time::unix_ns(kMoment - 1));
  }
  {
    const auto start = steady_clock::now();
    tell_time("steady.start", static_cast<std::uint64_t>(nanoseconds(system_clock::now().time_since_epoch()).count()));
    auto span = api::span("time.steady_clock", {.start = start});
    tell("time.steady_clock", span.context());
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    const auto end = steady_clock::now();
    tell_time("steady.end", static_cast<std::uint64_t>(nanoseconds(system_clock::now().time_since_epoch()).count()));
    span.event("time.steady_event", {}, end);
    span.end(end);
  }
}

}  // namespace

void record_attributes() {
  record_scalars();
  record_texts();
  record_arrays();
  record_maps();
  record_times();
}

void record_parents() {
  const Context remote = remote_context();
  {
    auto outer = api::span("parent.root"_n);
    tell("root", outer.context());
    {
      auto child = api::span("parent.implicit"_n);
      tell("implicit", child.context());
      auto grandchild = api::span("parent.implicit.twice"_n, {.kind = SpanKind::client});
      tell("implicit.twice", grandchild.context());
    }
    auto none = api::span("parent.none", {.parent = Parent::none()});
    tell("none", none.context());
    none.end();
    auto given = api::span("parent.remote", {.kind = SpanKind::server, .parent = remote});
    tell("remote", given.context());
    auto below = api::span("parent.below_remote");
    tell("below_remote", below.context());
    below.end();
    given.end();
    const Context random = Context::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03");
    auto drawn = api::span("parent.remote_random", {.parent = random, .trace_state = "vendor=opaque,other=value"});
    tell("remote_random", drawn.context());
    auto below_drawn = api::span("parent.below_remote_random");  // it carries on what came in
    tell("below_remote_random", below_drawn.context());
    below_drawn.end();
    drawn.end();
    const std::vector<std::pair<std::string_view, std::string_view>> headers = {
        {"TraceParent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"tracestate", " congo=t61rcWkgMzE , "},
        {"tracestate", "ot=th:4;rv:80000000000000"}};
    auto extracted = api::start_span("parent.extracted", {.parent = api::extract(headers)});
    tell("extracted", extracted.context());
    {
      Activate here(extracted.context());
      auto child = api::span("parent.below_extracted");
      tell("below_extracted", child.context());
    }
    extracted.end();
    Context dropped = remote;
    dropped.sampled = false;
    auto unsampled = api::span("parent.not_sampled", {.parent = dropped});
    auto unsampled_child = api::span("parent.below_not_sampled");
    unsampled_child.end();
    unsampled.end();
  }
  std::optional<Context> explicit_parent;
  {
    auto detached = api::start_span("parent.detached");
    tell("detached", detached.context());
    explicit_parent = detached.context();
    auto beside = api::span("parent.not_current");
    tell("not_current", beside.context());
    beside.end();
    {
      Activate here(detached.context());
      auto child = api::span("parent.activated");
      tell("activated", child.context());
      api::info("a log in an activated context");
    }
    {
      Activate here(remote);
      auto child = api::span("parent.activated_remote");
      tell("activated_remote", child.context());
    }
    std::thread elsewhere([moved = std::move(detached)]() mutable {
      moved.set("thread", "another");
      moved.event("there");
      moved.end();
    });
    elsewhere.join();
  }
  auto late = api::span("parent.explicit", {.parent = *explicit_parent});
  tell("explicit", late.context());
  late.end();
  {
    std::optional<Span> first(std::in_place, "order.first");
    tell("order.first", first->context());
    auto second = api::span("order.second");
    tell("order.second", second.context());
    first.reset();  // before its child
    auto third = api::span("order.third");
    tell("order.third", third.context());
    third.end();
    second.end();
    second.end();  // nothing happens
    second.set("too", "late");
    auto fourth = api::span("order.fourth");
    tell("order.fourth", fourth.context());
  }
  const auto kinds = {SpanKind::unspecified, SpanKind::internal, SpanKind::server,
                      SpanKind::client,      SpanKind::producer, SpanKind::consumer};
  for (const SpanKind kind : kinds) {
    const std::string name = "kind." + std::to_string(static_cast<int>(kind));
    auto span = api::span(name, {.kind = kind});
    tell(name.c_str(), span.context());
  }
  const auto priorities = {Priority::critical, Priority::normal, Priority::low, Priority::background};
  for (const Priority priority : priorities) {
    const std::string name = "priority." + std::to_string(static_cast<int>(priority));
    auto span = api::span(name, {.priority = priority});
    tell(name.c_str(), span.context());
  }
  std::vector<DetachedSpan> many;  // more than a lane has slots
  for (int i = 0; i < 40; ++i) {
    const std::string name = "many." + std::to_string(i);
    many.push_back(api::start_span(name));
    tell(name.c_str(), many.back().context());
  }
  for (int i = 0; i < 40; ++i) many[static_cast<std::size_t>(i)].set("i", i);
}

namespace {

struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void record_states() {
  const auto record = [](const char* name, auto&& change) {
    auto span = api::span(name);
    tell(name, span.context());
    change(span);
  };
  record("status.unset", [](Span& span) { span.status(StatusCode::unset, "nothing"); });
  record("status.ok", [](Span& span) { span.status(StatusCode::ok, "no message belongs here"); });
  record("status.error", [](Span& span) { span.status(StatusCode::error, "it broke: ä"); });
  record("status.error_without_message", [](Span& span) { span.status(StatusCode::error); });
  record("status.error_then_ok", [](Span& span) {
    span.status(StatusCode::error, "gone");
    span.status(StatusCode::ok);
  });
  record("status.error_twice", [](Span& span) {
    span.status(StatusCode::error, "first");
    span.status(StatusCode::error, "second");
  });
  record("status.ok_is_final", [](Span& span) {
    span.status(StatusCode::ok);
    span.status(StatusCode::error, "too late");
  });
  record("renamed from", [](Span& span) { span.rename("rename.literal"_n); });
  record("renamed twice", [](Span& span) {
    span.rename("between"_n);
    span.rename(std::string("rename.string of run time"));
  });
  record("exception.standard", [](Span& span) {
    const std::runtime_error error("boom");
    span.exception(error);
  });
  record("exception.own", [](Span& span) {
    span.exception(Refusal("refused"), {{"exception.escaped", true}, {"attempt", 2}});
    span.status(StatusCode::error, "refused");
  });
}

void record_events() {
  auto span = api::span("events"_n);
  tell("events", span.context());
  span.event("plain"_n);
  span.event("of run time: " + std::to_string(1));
  span.event("timed", {}, Time::unix_ns(kMoment));
  span.event("described",
             {{"bool", true},
              {"int", -5},
              {"double", 1e300},
              {"string", "s"},
              {"literal"_n, "l"_n},
              {"bytes", Bytes{"\x80", 1}},
              {"empty", nullptr},
              {"array", {1, {2.5, "x"}}},
              {"map", Value::map({{"k", {true}}})}},
             Time::unix_ns(kMoment + 2));
  span.event("twice", {{"k", 1}, {"other", 2}, {"k", 3}});
  span.event("");
}

void record_links() {
  const Context remote = remote_context();
  auto target = api::start_span("links.target");
  tell("links.target", target.context());
  const Context with_state = api::with_trace_state(remote, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  auto span = api::span("links", {.links = {{remote, {{"at", "start"}}}, {target.context()}}});
  tell("links", span.context());
  span.link(target.context(), {{"bool", true}, {"array", {1, 2}}, {"map", Value::map({{"k", "v"}})}});
  span.link(remote);
  Context unsampled = remote;
  unsampled.sampled = false;
  unsampled.random = true;
  unsampled.remote = false;
  span.link(unsampled);
  span.link(Context{});  // points at nothing and says nothing
  span.link(with_state, {{"carries", "a tracestate"}});
  span.link(Context{}, {{"says", "something"}});
}

void record_scopes() {
  static const Scope kLibrary("library", "2.0.1", "https://opentelemetry.io/schemas/1.44.0",
                              {{"scope.bool", false},
                               {"scope.int", 9007199254740993},
                               {"scope.text", "ß"},
                               {"scope.list", {"a", 1}},
                               {"scope.map", Value::map({{"k", Bytes{"\x01", 1}}})}});
  static const Scope kSame("library", "2.0.1", "https://opentelemetry.io/schemas/1.44.0",
                           {{"scope.bool", false},
                            {"scope.int", 9007199254740993},
                            {"scope.text", "ß"},
                            {"scope.list", {"a", 1}},
                            {"scope.map", Value::map({{"k", Bytes{"\x01", 1}}})}});
  static const Scope kOther("library", "2.0.2");
  auto span = api::span("scope.whole", {.scope = &kLibrary});
  tell("scope.whole", span.context());
  auto same = api::start_span("scope.same", {.scope = &kSame});
  tell("scope.same", same.context());
  auto other = api::span("scope.other", {.scope = &kOther});
  tell("scope.other", other.context());
  api::log({.body = "of a library", .scope = &kLibrary});
}

}  // namespace

void record_items() {
  record_states();
  record_events();
  record_links();
  record_scopes();
}

void record_wide() {
  {
    auto span = api::span("wide.chain"_n);  // beyond its slot of 1 KiB
    tell("wide.chain", span.context());
    for (int i = 0; i < 60; ++i)
      span.set("chain." + std::to_string(i), std::string(32, static_cast<char>('a' + i % 26)));
    span.event("wide.event", {{"k", 1}});
    span.link(remote_context(), {{"k", 2}});
    span.set("chain.3", "changed");
    span.set("chain.50", 50);
    span.status(StatusCode::error, "far behind");
  }
  {
    auto span = api::span("to be renamed"_n);  // beyond a record of 16 KiB
    tell("wide.parts", span.context());
    span.set("first"_n, 1);
    for (int i = 0; i < 120; ++i)
      span.set("part." + std::to_string(i), std::string(300, static_cast<char>('a' + i % 26)));
    span.event("wide.event", {{"k", 1}}, Time::unix_ns(kMoment));
    span.link(remote_context(), {{"k", 2}});
    span.set("first"_n, "changed");
    span.set("part.119", 119);
    span.status(StatusCode::error, "in a part");
    span.rename("wide.parts"_n);
  }
  {
    auto span = api::span("wide.value"_n);
    tell("wide.value", span.context());
    span.set("fits"_n, std::string(15000, 'f'));
    span.set("cut"_n, std::string(40000, 'c'));
    span.set("behind"_n, true);
  }
  {
    auto span = api::span("wide.counts"_n);  // beyond the default limits
    tell("wide.counts", span.context());
    for (int i = 0; i < 130; ++i) {
      span.set("count." + std::to_string(i), i);
      span.event("e" + std::to_string(i));
      Context context = remote_context();
      context.span_id[7] = static_cast<std::uint8_t>(i + 1);
      span.link(context);
    }
    span.set("count.0", "changed");  // no new attribute
  }
  {
    auto span = api::span("wide.event"_n);  // an event and a link of more than one record can hold
    tell("wide.event", span.context());
    std::vector<std::string> keys;
    for (int i = 0; i < 60; ++i) keys.push_back("key." + std::to_string(i));
    const std::string value(500, 'v');
    std::vector<Attribute> attributes;
    for (const std::string& key : keys) attributes.push_back({key, value});
    span.event("large", {attributes.data(), attributes.size()});
    span.link(remote_context(), {attributes.data(), attributes.size()});
    api::info("large", {attributes.data(), attributes.size()});
  }
}

}  // namespace tailrace::interop
