// SPDX-License-Identifier: Apache-2.0
// traceparent and tracestate between carriers and contexts: the rules of W3C Trace Context level 2 (otlp/rules 1.8),
// row by row, then how a tracestate follows spans.
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"
#include "shim/src/trace_state.hpp"

namespace tailrace::test {
namespace {

using namespace tailrace::literals;

using Headers = std::vector<std::pair<std::string, std::string>>;
using Map = std::map<std::string, std::string>;

constexpr const char* kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

std::string traceparent_of(const Context& context) {
  char text[56];
  context.traceparent(text);
  return text;
}
std::string state_of(const Context& context) { return std::string(TraceState(context).text()); }
// What a service that records nothing of its own sends on.
std::string state_through(const std::vector<std::string>& headers) {
  Headers in{{"traceparent", kParent}};
  for (const std::string& header : headers) in.emplace_back("tracestate", header);
  Map out;
  inject(out, extract(in));
  EXPECT_EQ(out["traceparent"], kParent);
  return out["tracestate"];
}
std::string times(char c, std::size_t n) { return std::string(n, c); }

// ------------------------------------------------------------------------------------- traceparent

struct ParentRow {
  const char* what;
  Headers headers;
  const char* sent;  // "" = nothing valid came
};

TEST(Traceparent, IsReadByTheRules) {
  const std::string id = "-12345678901234567890123456789012-1234567890123456";
  const ParentRow rows[] = {
      {"none", {}, ""},
      {"sampled", {{"traceparent", "00" + id + "-01"}}, "01"},
      {"not sampled", {{"traceparent", "00" + id + "-00"}}, "00"},
      {"random", {{"traceparent", "00" + id + "-02"}}, "02"},
      {"sampled and random", {{"traceparent", "00" + id + "-03"}}, "03"},
      {"unknown flags are sent as 0", {{"traceparent", "00" + id + "-ff"}}, "03"},
      {"another unknown flag", {{"traceparent", "00" + id + "-09"}}, "01"},
      {"name in mixed case", {{"TrAcEpArEnT", "00" + id + "-01"}}, "01"},
      {"name in capitals", {{"TRACEPARENT", "00" + id + "-01"}}, "01"},
      {"another name", {{"trace-parent", "00" + id + "-01"}}, ""},
      {"a third name", {{"trace.parent", "00" + id + "-01"}}, ""},
      {"white space around it", {{"traceparent", "\t 00" + id + "-01 \t"}}, "01"},
      {"twice", {{"traceparent", "00" + id + "-01"}, {"traceparent", kParent}}, ""},
      {"empty", {{"traceparent", ""}}, ""},
      {"version 00 with something behind", {{"traceparent", "00" + id + "-01."}}, ""},
      {"version 00 with a dash behind", {{"traceparent", "00" + id + "-01-what-the-future-will-be-like"}}, ""},
      {"a higher version", {{"traceparent", "cc" + id + "-01"}}, "01"},
      {"a higher version with more fields", {{"traceparent", "cc" + id + "-01-what-the-future-will-be-like"}}, "01"},
      {"a higher version, a dash alone", {{"traceparent", "01" + id + "-01-"}}, "01"},
      {"a higher version, no dash behind the flags", {{"traceparent", "cc" + id + "-01.what"}}, ""},
      {"a higher version, short", {{"traceparent", "cc" + id + "-0"}}, ""},
      {"version ff", {{"traceparent", "ff" + id + "-01"}}, ""},
      {"version in capitals", {{"traceparent", "CC" + id + "-01"}}, ""},
      {"version of other characters", {{"traceparent", ".0" + id + "-01"}}, ""},
      {"version of other characters behind", {{"traceparent", "0." + id + "-01"}}, ""},
      {"version too long", {{"traceparent", "000" + id + "-01"}}, ""},
      {"version too short", {{"traceparent", "0" + id + "-01"}}, ""},
      {"trace id of zeros", {{"traceparent", "00-00000000000000000000000000000000-1234567890123456-01"}}, ""},
      {"trace id in capitals", {{"traceparent", "00-1234567890123456789012345678901A-1234567890123456-01"}}, ""},
      {"trace id of other characters",
       {{"traceparent", "00-.2345678901234567890123456789012-1234567890123456-01"}},
       ""},
      {"trace id too long", {{"traceparent", "00-123456789012345678901234567890123-1234567890123456-01"}}, ""},
      {"trace id too short", {{"traceparent", "00-1234567890123456789012345678901-1234567890123456-01"}}, ""},
      {"parent id of zeros", {{"traceparent", "00-12345678901234567890123456789012-0000000000000000-01"}}, ""},
      {"parent id of other characters",
       {{"traceparent", "00-12345678901234567890123456789012-123456789012345.-01"}},
       ""},
      {"parent id too long", {{"traceparent", "00-12345678901234567890123456789012-12345678901234567-01"}}, ""},
      {"parent id too short", {{"traceparent", "00-12345678901234567890123456789012-123456789012345-01"}}, ""},
      {"flags of other characters", {{"traceparent", "00" + id + "-.0"}}, ""},
      {"flags of other characters behind", {{"traceparent", "00" + id + "-0."}}, ""},
      {"flags too long", {{"traceparent", "00" + id + "-001"}}, ""},
      {"flags too short", {{"traceparent", "00" + id + "-1"}}, ""},
      {"no dashes", {{"traceparent", std::string(55, '1')}}, ""},
  };
  for (const ParentRow& row : rows) {
    const Context context = extract(row.headers);
    const std::string sent = row.sent;
    EXPECT_EQ(context.valid(), !sent.empty()) << row.what;
    Map out;
    inject(out, context);
    EXPECT_EQ(out.count("traceparent"), sent.empty() ? 0u : 1u) << row.what;
    if (sent.empty()) continue;
    EXPECT_EQ(out["traceparent"], "00" + id + "-" + sent) << row.what << ": sent on as version 00";
    EXPECT_TRUE(context.remote) << row.what;
  }
}

TEST(Traceparent, ThatIsInvalidLeavesTheExistingContextAndTheTracestateIsNotRead) {
  const Context existing = Context::from_traceparent(kParent);
  const Context after = extract(Headers{{"traceparent", "ff-1"}, {"tracestate", "a=1"}}, existing);
  EXPECT_EQ(traceparent_of(after), kParent);
  EXPECT_EQ(after.trace_state, 0u);
  EXPECT_EQ(extract(Headers{{"tracestate", "a=1"}}).trace_state, 0u);
}

// -------------------------------------------------------------------------------------- tracestate

struct StateRow {
  const char* what;
  std::vector<std::string> headers;
  std::string sent;
};

TEST(Tracestate, IsReadAndSentByTheRules) {
  std::string all_values;
  for (char c = 0x21; c <= 0x7e; ++c) {
    if (c != ',' && c != '=') all_values += c;
  }
  const std::string all_keys = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@vendor";
  std::string thirty_two, thirty_three;
  for (int i = 1; i <= 33; ++i) {
    const std::string member = "b" + std::to_string(i) + "=" + std::to_string(i);
    if (i <= 32) thirty_two += (i > 1 ? "," : "") + member;
    thirty_three += (i > 1 ? "," : "") + member;
  }
  const StateRow rows[] = {
      {"none", {}, ""},
      {"empty", {""}, ""},
      {"one", {"foo=1"}, "foo=1"},
      {"order is kept", {"foo=1,bar=2"}, "foo=1,bar=2"},
      {"several headers are joined in order",
       {"foo=1,bar=2", "rojo=1,congo=2", "baz=3"},
       "foo=1,bar=2,rojo=1,congo=2,baz=3"},
      {"an empty header before", {"", "foo=1"}, "foo=1"},
      {"an empty header behind", {"foo=1", ""}, "foo=1"},
      {"white space and empty members", {" \t foo=1 \t , \t bar=2, ,,\t \tbaz=3\t"}, "foo=1,bar=2,baz=3"},
      {"leading spaces belong to the value", {"foo=  1"}, "foo=  1"},
      {"spaces inside a value", {"foo=1 2"}, "foo=1 2"},
      {"every character of a value", {"foo=" + all_values}, "foo=" + all_values},
      {"every character of a key", {all_keys + "=1"}, all_keys + "=1"},
      {"a key may begin with a digit", {"0foo=1"}, "0foo=1"},
      {"32 members", {thirty_two}, thirty_two},
      {"33 members", {thirty_three}, ""},
      {"a key twice", {"foo=1,foo=1"}, ""},
      {"a key twice, with other values", {"foo=1,bar=2,foo=2"}, ""},
      {"a key in two headers", {"foo=1", "foo=2"}, ""},
      {"a space behind the key", {"foo =1"}, ""},
      {"a key in capitals", {"FOO=1"}, ""},
      {"a key with a dot", {"foo.bar=1"}, ""},
      {"a key that begins with @", {"@foo=1,bar=2"}, ""},
      {"a key that begins with _", {"_foo=1"}, ""},
      {"no key", {"=1,bar=2"}, ""},
      {"no value", {"foo=,bar=3"}, ""},
      {"no equals sign", {"foo,bar=3"}, ""},
      {"two equals signs", {"foo=bar=baz"}, ""},
      {"a tab in a value", {"foo=1\t2"}, ""},
      {"not ASCII", {"foo=\xc3\xa4"}, ""},
      {"a key of 256 characters", {times('z', 256) + "=1"}, times('z', 256) + "=1"},
      {"a key of 257 characters", {times('z', 257) + "=1"}, ""},
      {"a value of 256 characters", {"foo=" + times('v', 256)}, "foo=" + times('v', 256)},
      {"a value of 257 characters", {"foo=" + times('v', 257)}, ""},
      {"headers beyond all measure", {times(' ', 70000) + "foo=1"}, ""},
  };
  for (const StateRow& row : rows) EXPECT_EQ(state_through(row.headers), row.sent) << row.what;
}

TEST(Tracestate, IsCarriedOnUpTo512CharactersAndLosesWholeEntriesBeyond) {
  const std::string small = "s=" + times('s', 100);              // 102
  const std::string large = "l=" + times('l', 200);              // 202
  const std::string larger = "m=" + times('m', 256);             // 258
  const std::string exactly = "x=" + times('x', 512 - 258 - 3);  // with `larger` and the comma 512
  const StateRow rows[] = {
      {"exactly 512", {larger + "," + exactly}, larger + "," + exactly},
      {"one more", {larger + "," + exactly + "x"}, larger},
      {"those over 128 first", {large + "," + larger + "," + small}, large + "," + small},
      {"all of those over 128",
       {"a=1," + larger + "," + small + ",t=" + times('t', 100) + ",u=" + times('u', 100) + ",v=" + times('v', 100)},
       "a=1," + small + ",t=" + times('t', 100) + ",u=" + times('u', 100) + ",v=" + times('v', 100)},
      {"then from the right",
       {small + ",t=" + times('t', 120) + ",u=" + times('u', 120) + ",v=" + times('v', 120) + ",w=" + times('w', 120) +
        ",y=1"},
       small + ",t=" + times('t', 120) + ",u=" + times('u', 120) + ",v=" + times('v', 120)},
      {"an entry of 128 characters is none of those",
       {"n=" + times('n', 126) + "," + larger + "," + "o=" + times('o', 126)},
       "n=" + times('n', 126) + ",o=" + times('o', 126)},
  };
  for (const StateRow& row : rows) {
    EXPECT_EQ(state_through(row.headers), row.sent) << row.what;
    EXPECT_LE(row.sent.size(), 512u);
  }
}

// ------------------------------------------------------------------------------------- own member

struct OwnRow {
  const char* what;
  std::string before;
  std::uint64_t threshold;
  bool erase;
  std::string after;
};

TEST(OwnMember, IsTheOnlyOneModifiedAndMovesFirst) {
  constexpr std::uint64_t kHalf = 1ull << 55;
  std::string full;
  for (int i = 1; i <= 32; ++i) full += (i > 1 ? ",k" : "k") + std::to_string(i) + "=1";
  const OwnRow rows[] = {
      {"into nothing", "", kHalf, false, "ot=th:8"},
      {"trailing zeros are not written", "", 0xfd70a400000000, false, "ot=th:fd70a4"},
      {"all digits", "", 0x123456789abcdf, false, "ot=th:123456789abcdf"},
      {"leading zeros are", "", 0x00000000000001, false, "ot=th:00000000000001"},
      {"everything is kept", "", 0, false, "ot=th:0"},
      {"before others", "a=1,b=2", kHalf, false, "ot=th:8,a=1,b=2"},
      {"replaced and moved first", "a=1,ot=th:c,b=2", kHalf, false, "ot=th:8,a=1,b=2"},
      {"unchanged stays where it is", "a=1,ot=th:8,b=2", kHalf, false, "a=1,ot=th:8,b=2"},
      {"the rest of it is kept", "a=1,ot=rv:01234567890123;th:c;x:y", kHalf, false,
       "ot=th:8;rv:01234567890123;x:y,a=1"},
      {"erased with its member", "a=1,ot=th:c,b=2", 0, true, "a=1,b=2"},
      {"erased from its member", "a=1,ot=th:c;x:y,b=2", 0, true, "ot=x:y,a=1,b=2"},
      {"nothing to erase", "a=1,ot=x:y", 0, true, "a=1,ot=x:y"},
      {"a 33rd member pushes the last one out", full, kHalf, false, "ot=th:8," + full.substr(0, full.rfind(','))},
      {"its value stays within 256 characters", "ot=a:" + times('a', 200) + ";b:" + times('b', 40), 0x123456789abcdf,
       false, "ot=th:123456789abcdf;a:" + times('a', 200)},
      {"another key that begins with it", "ot2=th:c", kHalf, false, "ot=th:8,ot2=th:c"},
  };
  for (const OwnRow& row : rows) {
    shim::TraceStateText text;
    row.before.copy(text.bytes, row.before.size());
    text.size = static_cast<std::uint32_t>(row.before.size());
    const bool changed = shim::set_threshold(text, row.erase ? nullptr : &row.threshold);
    EXPECT_EQ(std::string(text.view()), row.after) << row.what;
    EXPECT_EQ(changed, row.before != row.after) << row.what;
  }
}

TEST(OwnMember, IsReadAsThresholdAndRandomness) {
  const auto read = [](const char* text) { return shim::own_member(text); };
  EXPECT_EQ(read("a=1,ot=th:c").threshold, 0xc0000000000000u);
  EXPECT_TRUE(read("ot=th:0").has_threshold);
  EXPECT_EQ(read("ot=rv:0123456789abcd;th:fd70a4").randomness, 0x0123456789abcdu);
  for (const char* bad : {"ot=th:", "ot=th:123456789012345", "ot=th:xyz", "ot=th:C", "ot=rv:123",
                          "ot=rv:012345678901234", "ot=rv:0123456789abcG", "th=ot:c", "xot=th:c", "ot=p:8;r:62", ""}) {
    EXPECT_FALSE(read(bad).has_threshold || read(bad).has_randomness) << bad;
  }
}

// ---------------------------------------------------------------------------------------- carriers

struct NamedHeader {
  std::string_view name;
  std::string_view value;
};

TEST(Carriers, AreMapsMultimapsArraysAndFunctions) {
  const std::string state = "foo=1,bar=2";
  EXPECT_EQ(state_of(extract(Map{{"Traceparent", kParent}, {"tracestate", state}})), state);
  EXPECT_EQ(
      state_of(extract(std::unordered_map<std::string, std::string>{{"traceparent", kParent}, {"TRACESTATE", state}})),
      state);
  EXPECT_EQ(state_of(extract(std::multimap<std::string, std::string>{
                {"traceparent", kParent}, {"tracestate", "foo=1"}, {"tracestate", "bar=2"}})),
            state);
  EXPECT_EQ(state_of(extract(std::array<NamedHeader, 2>{{{"Tracestate", state}, {"TraceParent", kParent}}})), state);
  const NamedHeader array[] = {{"x", "y"}, {"traceparent", kParent}, {"tracestate", state}};
  EXPECT_EQ(state_of(extract(array)), state);

  const auto one = carrier([&](std::string_view name) -> std::string_view {
    return name == "traceparent"  ? std::string_view(kParent)
           : name == "tracestate" ? std::string_view(state)
                                  : std::string_view();
  });
  EXPECT_EQ(state_of(extract(one)), state);
  const auto many = carrier([&](std::string_view name, const auto& visit) {
    if (name == "traceparent") visit(std::string_view(kParent));
    if (name == "tracestate") {
      std::string passing = "foo=1";
      visit(std::string_view(passing));
      passing = "bar=2";  // a value need not outlive the visit
      visit(std::string_view(passing));
    }
  });
  EXPECT_EQ(state_of(extract(many)), state);

  const Context context = extract(many);
  std::string seen;
  inject(
      carrier([](std::string_view) { return std::string_view(); },
              [&](std::string_view name, std::string_view value) { (seen += name) += "=" + std::string(value) + ";"; }),
      context);
  EXPECT_EQ(seen, "traceparent=" + kParent + ";tracestate=" + state + ";");
}

TEST(Carriers, HaveOneHeaderOfANameAfterAnInjection) {
  const Context context = with_trace_state(Context::from_traceparent(kParent), "a=1");
  Map map{{"Traceparent", "old"}, {"TRACESTATE", "old=1"}, {"other", "stays"}};
  inject(map, context);
  EXPECT_EQ(map, (Map{{"traceparent", kParent}, {"tracestate", "a=1"}, {"other", "stays"}}));
  std::multimap<std::string, std::string> multimap{{"tracestate", "x=1"}, {"tracestate", "y=1"}};
  inject(multimap, context);
  EXPECT_EQ(multimap.count("tracestate"), 1u);
  Headers headers{{"TraceState", "x=1"}, {"a", "b"}, {"tracestate", "y=1"}};
  inject(headers, context);
  EXPECT_EQ(headers, (Headers{{"TraceState", "a=1"}, {"a", "b"}, {"traceparent", kParent}}));
  std::vector<NamedHeader> named;
  inject(named, Context());
  EXPECT_TRUE(named.empty()) << "no context, no header";
}

TEST(Carriers, ThatThrowAreAsIfTheyWereEmpty) {
  const auto throwing = carrier([](std::string_view) -> std::string_view { throw std::runtime_error("no"); },
                                [](std::string_view, std::string_view) { throw std::runtime_error("no"); });
  const Context existing = Context::from_traceparent(kParent);
  EXPECT_EQ(traceparent_of(extract(throwing, existing)), kParent);
  auto out = throwing;
  inject(out, existing);
}

// ------------------------------------------------------------------------------------------ spans

class Propagation : public ::testing::Test {
 protected:
  Segment after(const std::function<void()>& body, const Config& config = {}) {
    EXPECT_EQ(in_child([&] {
                Config quiet = config;
                quiet.quiet = true;
                CHILD_EXPECT(init(quiet).ok(), 90);
                body();
              }),
              0);
    return directory_.only();
  }
  static std::string recorded(const Segment& s, const char* name) {
    const Span* span = s.span(name);
    return span != nullptr ? span->reserved(shm::kTraceStateKey) : "no such span";
  }
  Directory directory_;
};

Context remote(const char* state, const std::string& parent = kParent) {
  return extract(Map{{"traceparent", parent}, {"tracestate", state}});
}

TEST_F(Propagation, GivesAParentsTracestateToItsChildrenWhereverTheyStart) {
  const Segment s = after([] {
    const Context parent = remote("vendor=opaque,other=value");
    SpanOptions options;
    options.parent = parent;
    std::optional<DetachedSpan> detached;
    std::optional<Context> of_detached;
    {
      auto server = span("server"_n, options);
      auto child = span("child"_n);
      auto grandchild = span("grandchild"_n);
      CHILD_EXPECT(state_of(grandchild.context()) == "vendor=opaque,other=value", 1);
      CHILD_EXPECT(state_of(current()) == "vendor=opaque,other=value", 2);
      SpanOptions none;
      none.parent = Parent::none();
      auto root = span("root"_n, none);
      CHILD_EXPECT(state_of(root.context()).empty(), 3);
      auto below_root = span("below root"_n);
      below_root.end();
      root.end();
      Map out;
      inject(out);
      CHILD_EXPECT(out["tracestate"] == "vendor=opaque,other=value" &&
                       out["traceparent"] == traceparent_of(grandchild.context()),
                   4);
      detached.emplace(start_span("detached"_n));
    }
    CHILD_EXPECT(!current().valid(), 5);
    of_detached = detached->context();
    CHILD_EXPECT(state_of(*of_detached) == "vendor=opaque,other=value", 6);
    {
      Activate here(*of_detached);
      CHILD_EXPECT(state_of(current()) == "vendor=opaque,other=value", 7);
      auto activated = span("activated"_n);
    }
    std::thread([moved = std::move(*detached)]() mutable {
      Activate here(moved.context());
      auto elsewhere = span("elsewhere"_n);
      elsewhere.end();
      moved.end();
    }).join();
    {
      Activate here(parent);
      auto activated = span("activated remote"_n);
    }
    SpanOptions own;
    own.parent = parent;
    own.trace_state = "own=1";
    auto instead = span("instead"_n, own);
    auto below = span("below instead"_n);
    instead.end();  // out of order: the child keeps what it has
    CHILD_EXPECT(state_of(below.context()) == "own=1", 8);
  });
  for (const char* name : {"server", "child", "grandchild", "detached", "activated", "elsewhere", "activated remote"}) {
    EXPECT_EQ(recorded(s, name), "\"vendor=opaque,other=value\"") << name;
  }
  for (const char* name : {"root", "below root"}) EXPECT_EQ(recorded(s, name), "") << name;
  for (const char* name : {"instead", "below instead"}) EXPECT_EQ(recorded(s, name), "\"own=1\"") << name;
  EXPECT_EQ(s.sums.cut, 0u);
}

TEST_F(Propagation, PassesOnTheTracestateOfASpanThatIsNotSampled) {
  after([] {
    SpanOptions options;
    const Context parent = remote("a=1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
    options.parent = parent;
    auto server = span("server"_n, options);
    auto child = span("child"_n);
    CHILD_EXPECT(!child.recording() && state_of(child.context()) == "a=1" && state_of(current()) == "a=1", 1);
    options.parent = Parent();
    auto detached = start_span("detached"_n);
    auto moved = std::move(detached);
    CHILD_EXPECT(!moved.recording() && state_of(moved.context()) == "a=1", 2);
    Map out;
    inject(out);
    CHILD_EXPECT(out["tracestate"] == "a=1" && out["traceparent"].substr(53) == "00", 3);
    child.end();
    server.end();
    CHILD_EXPECT(!current().valid(), 4);
  });
}

TEST_F(Propagation, RecordsTheTracestateOfALink) {
  const Segment s = after([] {
    const Context with = remote("vendor=1");
    auto at_start = span("at start"_n,
                         SpanOptions{SpanKind::internal, {}, {{with, {{"k", 1}}}}, {}, Priority::normal, nullptr, {}});
    auto later = span("later"_n);
    later.link(with, {{"k", 2}});
    later.link(Context::from_traceparent(kParent));
  });
  for (const char* name : {"at start", "later"}) {
    const std::vector<Item> links = s.span(name)->of(shm::ItemType::link);
    ASSERT_FALSE(links.empty()) << name;
    ASSERT_EQ(links[0].inside.size(), 2u) << name;
    EXPECT_EQ(links[0].inside[0].raw_key, static_cast<std::uint32_t>(shm::kTraceStateKey));
    EXPECT_EQ(links[0].inside[0].value, "\"vendor=1\"");
    EXPECT_EQ(links[0].inside[1].key, "k");
  }
  EXPECT_TRUE(s.span("later")->of(shm::ItemType::link)[1].inside.empty());
}

TEST_F(Propagation, LeavesSpansWithoutATracestateOnTheirInlinedPath) {
  const Segment s = after([] {
    SpanOptions options;
    const Context parent = Context::from_traceparent(kParent);
    options.parent = parent;
    auto server = span("server"_n, options);
    const detail::ThreadBlock* block = tailrace_thread;
    CHILD_EXPECT((block->stack[detail::depth_of(block->top)].tflags >> 8) == 0 && block->depth_limit != 0, 1);
    auto child = span("child"_n);
  });
  EXPECT_EQ(recorded(s, "child"), "");
}

// A table of places of which each is pinned by a span drops what comes then, and counts it; when they end there is
// room again. Contexts that nobody holds last for thousands of others.
TEST_F(Propagation, HoldsThousandsOfTracestatesAndCountsWhatItCannot) {
  after([] {
    std::vector<Context> contexts;
    for (int i = 0; i < 2000; ++i) contexts.push_back(remote(("n=" + std::to_string(i)).c_str()));
    for (int i = 0; i < 2000; ++i) {
      CHILD_EXPECT(state_of(contexts[static_cast<std::size_t>(i)]) == "n=" + std::to_string(i), 1);
    }
    const std::uint64_t before = stats().cut;
    std::vector<DetachedSpan> held;
    int with = 0;
    SpanOptions options;
    for (int i = 0; i < 6000; ++i) {
      const std::string own = "held=" + std::to_string(i);
      options.trace_state = own;
      held.push_back(start_span("held"_n, options));
      with += state_of(held.back().context()) == own ? 1 : 0;
    }
    CHILD_EXPECT(with > 3500 && with <= 4096, 2);
    CHILD_EXPECT(stats().cut - before >= static_cast<std::uint64_t>(6000 - with), 3);
    for (int i = 0; i < 3500; ++i) {
      const std::string now = state_of(held[static_cast<std::size_t>(i)].context());
      CHILD_EXPECT(now.empty() || now == "held=" + std::to_string(i), 4);
    }
    // What was extracted before had to give way: gone, and nothing else in its place.
    int gone = 0;
    for (int i = 0; i < 2000; ++i) {
      const std::string now = state_of(contexts[static_cast<std::size_t>(i)]);
      CHILD_EXPECT(now.empty() || now == "n=" + std::to_string(i), 5);
      gone += now.empty() ? 1 : 0;
    }
    CHILD_EXPECT(gone > 1000, 6);
    held.clear();
    for (int i = 0; i < 1000; ++i) {
      const std::string own = "again=" + std::to_string(i);
      options.trace_state = own;
      auto again = span("again"_n, options);
      CHILD_EXPECT(state_of(again.context()) == own, 7);
    }
  });
}

TEST_F(Propagation, IsWholeWhenThreadsShareTheTable) {
  after([] {
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t, &wrong] {
        for (int i = 0; i < 4000; ++i) {
          const std::string text = "t=" + std::to_string(t * (i % 3)) +
                                   ",i=" + std::string(1 + static_cast<std::size_t>(i % 90), 'x') +
                                   std::to_string(i % 3000);
          const Context context = remote(text.c_str());
          SpanOptions options;
          options.parent = context;
          auto server = span("server"_n, options);
          auto child = span("child"_n);
          const std::string now = state_of(child.context());
          if (now != text && !now.empty()) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHILD_EXPECT(wrong == 0, 1);
  });
}

TEST_F(Propagation, KeepsContextsOfTheParentProcessInAForkedChild) {
  EXPECT_EQ(in_child([] {
              Config config;
              config.quiet = true;
              CHILD_EXPECT(init(config).ok(), 90);
              const Context context = remote("a=1");
              SpanOptions options;
              options.parent = context;
              auto server = span("server"_n, options);
              const pid_t pid = fork();
              if (pid == 0) {
                auto child = span("child"_n, options);
                if (state_of(child.context()) != "a=1") _exit(1);
                child.end();
                _exit(0);
              }
              int status = 0;
              waitpid(pid, &status, 0);
              CHILD_EXPECT(status == 0, 1);
              CHILD_EXPECT(state_of(server.context()) == "a=1", 2);
            }),
            0);
}

// --------------------------------------------------------------------------------------- sampling

Config by_ratio(double ratio, Sampler sampler = Sampler::parent_based_ratio) {
  Config config;
  config.sampler = sampler;
  config.sampler_ratio = ratio;
  return config;
}

// otlp rules 1.8 "Sampling direction": ot=th without trailing zeros; children of the trace carry it on.
TEST_F(Propagation, WritesTheThresholdOfARootSampledByRatio) {
  const Segment s = after(
      [] {
        int kept = 0;
        for (int i = 0; i < 200; ++i) {
          auto root = span("root"_n);
          auto child = span("child"_n);
          Map out;
          inject(out);
          CHILD_EXPECT(child.recording() == root.recording(), 1);
          CHILD_EXPECT(out["tracestate"] == (root.recording() ? "ot=th:8" : ""), 2);
          std::uint8_t seventh = child.context().trace_id[9];
          CHILD_EXPECT(root.recording() == (seventh >= 0x80), 3);
          kept += root.recording() ? 1 : 0;
        }
        CHILD_EXPECT(kept > 50 && kept < 150, 4);
      },
      by_ratio(0.5));
  ASSERT_GT(s.count("child"), 0u);
  for (const Span& span : s.spans) EXPECT_EQ(span.reserved(shm::kTraceStateKey), "\"ot=th:8\"");
}

TEST_F(Propagation, UsesExplicitRandomnessInsteadOfTheTraceId) {
  after(
      [] {
        const auto keeps = [](const char* state, const char* flags) {
          SpanOptions options;
          const Context parent =
              remote(state, std::string("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-") + flags);
          options.parent = parent;
          auto one = span("one"_n, options);
          return one.recording() ? "kept " + state_of(one.context()) : "left out " + state_of(one.context());
        };
        // The trace id's own randomness is 48eb211c80319c: below one half.
        CHILD_EXPECT(keeps("a=1", "01") == "left out a=1", 1);
        CHILD_EXPECT(keeps("a=1,ot=rv:80000000000000", "00") == "kept ot=th:8;rv:80000000000000,a=1", 2);
        CHILD_EXPECT(keeps("a=1,ot=rv:7fffffffffffff", "01") == "left out a=1,ot=rv:7fffffffffffff", 3);
        CHILD_EXPECT(keeps("ot=rv:7fffffffffffff;th:4", "01") == "left out ot=rv:7fffffffffffff", 4);
        CHILD_EXPECT(keeps("ot=th:c;rv:ffffffffffffff", "01") == "kept ot=th:8;rv:ffffffffffffff", 5);
        SpanOptions root;
        root.parent = Parent::none();
        root.trace_state = "ot=rv:ffffffffffffff";
        auto given = span("root"_n, root);
        CHILD_EXPECT(given.recording() && state_of(given.context()) == "ot=th:8;rv:ffffffffffffff", 6);
      },
      by_ratio(0.5, Sampler::ratio));
}

TEST_F(Propagation, FollowsTheParentsThresholdUnlessItContradictsItsFlag) {
  after([] {
    const auto state = [](const char* before, const char* flags) {
      SpanOptions options;
      const Context parent =
          remote(before, std::string("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-") + flags);
      options.parent = parent;
      auto one = span("one"_n, options);
      return state_of(one.context());
    };
    CHILD_EXPECT(state("a=1", "03") == "a=1", 1);
    CHILD_EXPECT(state("a=1,ot=th:4", "03") == "a=1,ot=th:4", 2);  // 48eb… is above it
    CHILD_EXPECT(state("a=1,ot=th:8", "03") == "a=1", 3);          // and below this one
    CHILD_EXPECT(state("a=1,ot=th:8;rv:90000000000000", "03") == "a=1,ot=th:8;rv:90000000000000", 4);
    CHILD_EXPECT(state("a=1,ot=th:4;x:y", "02") == "ot=x:y,a=1", 5);  // it would have been kept
  });
}

TEST_F(Propagation, WritesNoThresholdWhereEverythingIsKept) {
  const Segment s = after([] { auto root = span("root"_n); }, by_ratio(1.0));
  EXPECT_EQ(recorded(s, "root"), "");
}

// --------------------------------------------------------------------------- switches, rules.md 1.7

int with_variables(const std::vector<std::pair<const char*, const char*>>& variables,
                   const std::function<void()>& body) {
  return in_child([&] {
    for (const auto& [name, value] : variables) setenv(name, value, 1);
    body();
  });
}

struct SwitchRow {
  const char* value;
  const char* names;    // of the headers sent
  const char* warning;  // part of init()'s sentence
};

TEST_F(Propagation, FollowsOtelPropagators) {
  const SwitchRow rows[] = {
      {"", "baggage tracestate traceparent ", ""},
      {"tracecontext,baggage", "baggage tracestate traceparent ", ""},
      {"tracecontext", "tracestate traceparent ", ""},
      {" Baggage ,baggage,, BAGGAGE", "baggage ", ""},
      {"none", "", ""},
      {"none,baggage", "baggage ", ""},
      {"tracecontext,b3,b3multi", "tracestate traceparent ", "'b3multi', which is not supported"},
      {"tracecontext,jaeger", "tracestate traceparent ", "'jaeger', which is not supported"},
      {"tracecontext,xray", "tracestate traceparent ", "'xray', which is not supported"},
      {"tracecontext,ottrace", "tracestate traceparent ", "'ottrace', which is not supported"},
      {"b3", "baggage tracestate traceparent ", "'b3', which is not supported"},
      {"something-else-of-a-long-name", "baggage tracestate traceparent ", "no propagator known here"},
  };
  for (const SwitchRow& row : rows) {
    EXPECT_EQ(
        with_variables(
            {{"OTEL_PROPAGATORS", row.value}},
            [&] {
              Config config;
              config.quiet = true;
              const Outcome outcome = init(config);
              CHILD_EXPECT(outcome.ok(), 1);
              const std::string_view sentence = outcome.sentence;
              CHILD_EXPECT(sentence.find(row.warning) != std::string_view::npos, 2);
              CHILD_EXPECT((sentence.find("OTEL_PROPAGATORS") != std::string_view::npos) == (row.warning[0] != 0), 3);
              Context context;
              context.trace_id[0] = context.span_id[0] = 1;
              Baggage baggage;
              baggage.set("k", "v");
              std::map<std::string, std::string, std::greater<>> sent;
              inject(sent, with_trace_state(context, "a=1"), baggage);
              std::string names;
              for (auto at = sent.rbegin(); at != sent.rend(); ++at) names += at->first + " ";
              CHILD_EXPECT(names == (std::string(row.names) == "baggage tracestate traceparent "
                                         ? "baggage traceparent tracestate "
                                     : std::string(row.names) == "tracestate traceparent " ? "traceparent tracestate "
                                                                                           : row.names),
                           4);
              Baggage back;
              const Context read = extract(Map{{"traceparent", kParent}, {"baggage", "k=v"}}, &back);
              CHILD_EXPECT(read.valid() == (names.find("traceparent") != std::string::npos), 5);
              CHILD_EXPECT(back.empty() == (names.find("baggage") == std::string::npos), 6);
            }),
        0)
        << row.value;
  }
}

TEST_F(Propagation, StillWorksWhereTheSdkIsDisabled) {
  EXPECT_EQ(
      with_variables(
          {{"OTEL_SDK_DISABLED", "true"}, {"OTEL_PROPAGATORS", "tracecontext,baggage"}},
          [] {
            CHILD_EXPECT(init().code == Code::disabled, 1);
            const auto pass_on = [] {
              Baggage baggage;
              const Context context =
                  extract(Map{{"traceparent", kParent}, {"tracestate", "a=1"}, {"baggage", "k=v"}}, &baggage);
              Activate here(context);
              ActivateBaggage with(baggage);
              auto nothing = span("nothing"_n);
              {
                Activate inner(Context::from_traceparent("00-11111111111111111111111111111111-2222222222222222-00"));
                CHILD_EXPECT(current().trace_id[0] == 0x11, 2);
              }
              Map out;
              inject(out);
              CHILD_EXPECT(out == (Map{{"traceparent", kParent}, {"tracestate", "a=1"}, {"baggage", "k=v"}}), 3);
            };
            pass_on();
            std::thread(pass_on).join();
            CHILD_EXPECT(!current().valid() && current_baggage().empty(), 4);
            for (int i = 0; i < 3000; ++i) Activate here(Context::from_traceparent(kParent));
            Map out;
            inject(out);
            CHILD_EXPECT(out.empty(), 5);
          }),
      0);
}

TEST(Traceparent, OfAnUnknownTraceIsTheSameAfterARoundTrip) {
  const Context context = extract(Map{{"traceparent", kParent}});
  EXPECT_EQ(traceparent_of(context), kParent);
  EXPECT_EQ(traceparent_of(context).substr(3, 32), kTrace);
}

}  // namespace
}  // namespace tailrace::test
