// SPDX-License-Identifier: Apache-2.0
// Baggage: the rules of the W3C text, row by row, and what is current on a thread.
#include <memory>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"

namespace tailrace::test {
namespace {

using namespace tailrace::literals;
using Headers = std::vector<std::pair<std::string, std::string>>;
using Map = std::map<std::string, std::string>;

std::string value_of(const Baggage& baggage, std::string_view key) {
  static char room[Baggage::kBytes];
  return std::string(baggage.get(key, room));
}
Baggage baggage_of(std::string_view header) {
  Baggage baggage;
  baggage.add(header);
  return baggage;
}

struct HeaderRow {
  const char* what;
  std::vector<std::string> headers;
  std::string sent;
};

TEST(BaggageHeader, IsReadAndSentByTheRules) {
  std::string octets;
  for (char c = 0x21; c <= 0x7e; ++c) {
    if (c != '"' && c != ',' && c != ';' && c != '\\') octets += c;
  }
  const std::string token = "!#$%&'*+-.^_`|~09azAZ";
  const HeaderRow rows[] = {
      {"none", {}, ""},
      {"empty", {""}, ""},
      {"the text's example",
       {"key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue"},
       "key1=value1;property1;property2,key2=value2,key3=value3;propertyKey=propertyValue"},
      {"several headers are joined in order",
       {"userId=alice", "serverNode=DF%2028,isProduction=false"},
       "userId=alice,serverNode=DF%2028,isProduction=false"},
      {"white space", {" \tuserId =   alice\t, b\t=\t2 ;\tp = 1 ; q "}, "userId=alice,b=2;p=1;q"},
      {"equals signs in a value", {"a=b=c==,d=e"}, "a=b=c==,d=e"},
      {"an empty value", {"a=,b=1"}, "a=,b=1"},
      {"every character of a value", {"a=" + octets}, "a=" + octets},
      {"every kind of character of a key", {token + "=1"}, token + "=1"},
      {"keys are told apart by case", {"a=1,A=2"}, "a=1,A=2"},
      {"of a key twice the later one stays", {"a=1,b=2,a=3"}, "b=2,a=3"},
      {"empty members say nothing", {",,a=1,,b=2,"}, "a=1,b=2"},
      {"empty properties say nothing", {"a=1;,b=2;;p"}, "a=1,b=2;p"},
      {"no equals sign", {"a,b=2"}, "b=2"},
      {"no key", {"=1,b=2"}, "b=2"},
      {"a key that is no token", {"a b=1,c@=2,d\"=3,b=2"}, "b=2"},
      {"a value with a space", {"a=1 2,b=2"}, "b=2"},
      {"a value with a quote or a backslash", {"a=\"1\",c=\\,b=2"}, "b=2"},
      {"a value that is not ASCII", {"a=\xc3\xa4,b=2"}, "b=2"},
      {"a property that is none", {"a=1;p q,b=2"}, "b=2"},
      {"a percent sign without digits stays as it is", {"a=100%,b=%zz"}, "a=100%,b=%zz"},
  };
  for (const HeaderRow& row : rows) {
    Headers in;
    for (const std::string& header : row.headers) in.emplace_back("Baggage", header);
    Baggage baggage;
    extract(in, &baggage);
    EXPECT_EQ(std::string(baggage.header()), row.sent) << row.what;
    Map out;
    inject(out, Context(), baggage);
    EXPECT_EQ(out, row.sent.empty() ? Map{} : (Map{{"baggage", row.sent}})) << row.what;
  }
}

struct ValueRow {
  const char* what;
  std::string decoded;
  std::string encoded;
};

TEST(BaggageValues, ArePercentEncodedAndDecoded) {
  const ValueRow rows[] = {
      {"plain", "alice", "alice"},
      {"a space", "DF 28", "DF%2028"},
      {"separators", "a,b;c\\d\"e", "a%2Cb%3Bc%5Cd%22e"},
      {"a percent sign", "100%", "100%25"},
      {"UTF-8", "Amélie 世界 🦜", "Am%C3%A9lie%20%E4%B8%96%E7%95%8C%20%F0%9F%A6%9C"},
      {"control characters", std::string("\0\n\x7f", 3), "%00%0A%7F"},
      {"empty", "", ""},
  };
  for (const ValueRow& row : rows) {
    Baggage baggage;
    ASSERT_TRUE(baggage.set("k", row.decoded)) << row.what;
    EXPECT_EQ(std::string(baggage.header()), "k=" + row.encoded) << row.what;
    EXPECT_EQ(value_of(baggage, "k"), row.decoded) << row.what;
    EXPECT_TRUE(baggage.has("k"));
  }
}

TEST(BaggageValues, ThatAreNoUtf8HaveAReplacementCharacterForEachByte) {
  const ValueRow rows[] = {
      {"a byte alone", "x\xef\xbf\xbdy", "x%FFy"},
      {"a character cut short", "\xef\xbf\xbd\xef\xbf\xbd", "%E4%B8"},
      {"an overlong form", "\xef\xbf\xbd\xef\xbf\xbd", "%C0%80"},
      {"a surrogate", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "%ED%A0%80"},
      {"small digits", "ä", "%c3%a4"},
      {"no digits", "%zz%", "%zz%"},
      {"one digit at the end", "a%4", "a%4"},
  };
  for (const ValueRow& row : rows) EXPECT_EQ(value_of(baggage_of("k=" + row.encoded), "k"), row.decoded) << row.what;
  char little[4];
  EXPECT_EQ(baggage_of("k=abc%E4%B8%96").get("k", little), "abc") << "cut at a character";
}

TEST(BaggageMembers, AreSetReplacedAndRemoved) {
  Baggage baggage;
  EXPECT_TRUE(baggage.set("a", "1"));
  EXPECT_TRUE(baggage.set("b", "2", " p ; q = 3 "));
  EXPECT_TRUE(baggage.set("c", "3"));
  EXPECT_TRUE(baggage.set("a", "4"));
  EXPECT_EQ(std::string(baggage.header()), "b=2;p;q=3,c=3,a=4");
  EXPECT_EQ(baggage.size(), 3u);
  EXPECT_EQ(std::string(baggage.properties("b")), "p;q=3");
  EXPECT_TRUE(baggage.remove("c"));
  EXPECT_FALSE(baggage.remove("c"));
  EXPECT_TRUE(baggage.remove("a"));
  EXPECT_EQ(std::string(baggage.header()), "b=2;p;q=3");
  EXPECT_FALSE(baggage.set("no token", "x"));
  EXPECT_FALSE(baggage.set("", "x"));
  EXPECT_FALSE(baggage.set("b", "x", "no property"));
  EXPECT_EQ(std::string(baggage.header()), "b=2;p;q=3") << "nothing changed";
  EXPECT_FALSE(baggage.has("a"));
  EXPECT_EQ(value_of(baggage, "a"), "");
  EXPECT_TRUE(baggage.remove("b"));
  EXPECT_TRUE(baggage.empty());
}

// W3C Baggage "Limits": at least 64 members and at least 8192 bytes.
TEST(BaggageLimits, Are180MembersAnd8192Bytes) {
  std::string header;
  for (int i = 0; i < 200; ++i) header += "k" + std::to_string(i) + "=v,";
  Baggage many;
  EXPECT_FALSE(many.add(header)) << "it says that something was left out";
  EXPECT_EQ(many.size(), 180u);
  EXPECT_TRUE(many.has("k179"));
  EXPECT_FALSE(many.has("k180"));
  EXPECT_TRUE(many.set("k5", "again")) << "one that is there may change";

  Baggage full;
  EXPECT_TRUE(full.add("a=" + std::string(8190, 'x')));
  EXPECT_EQ(full.header().size(), 8192u);
  EXPECT_FALSE(full.set("b", ""));
  EXPECT_TRUE(full.set("a", std::string(8190, 'y')));
  Map out;
  inject(out, Context(), full);
  EXPECT_EQ(out["baggage"], "a=" + std::string(8190, 'y'));
  EXPECT_FALSE(baggage_of("a=" + std::string(8191, 'x')).has("a"));
  Baggage later;
  EXPECT_FALSE(later.add("big=" + std::string(9000, 'x') + ",small=1"));
  EXPECT_EQ(std::string(later.header()), "small=1");
  EXPECT_FALSE(later.add(std::string(70000, ' ')));
}

TEST(BaggageExtraction, LeavesWhatIsThereWhereNothingValidCame) {
  Baggage baggage = baggage_of("mine=1");
  extract(Map{}, &baggage);
  extract(Map{{"baggage", ""}}, &baggage);
  extract(Map{{"baggage", "no member, none either"}}, &baggage);
  EXPECT_EQ(std::string(baggage.header()), "mine=1");
  extract(Map{{"baggage", "bad,theirs=2"}}, &baggage);
  EXPECT_EQ(std::string(baggage.header()), "theirs=2");
}

TEST(CurrentBaggage, IsTheInnermostOfItsThread) {
  EXPECT_TRUE(current_baggage().empty());
  {
    ActivateBaggage outer(baggage_of("a=1"));
    {
      Baggage changing = baggage_of("b=2");
      ActivateBaggage inner(changing);
      changing.clear();  // it is a copy that is current
      EXPECT_EQ(std::string(current_baggage().header()), "b=2");
      std::thread([] { EXPECT_TRUE(current_baggage().empty()); }).join();
      Map out;
      inject(out);
      EXPECT_EQ(out, (Map{{"baggage", "b=2"}}));
    }
    EXPECT_EQ(std::string(current_baggage().header()), "a=1");
    ActivateBaggage none((Baggage()));
    Map out;
    inject(out);
    EXPECT_TRUE(out.empty());
  }
  EXPECT_TRUE(current_baggage().empty());
}

TEST(CurrentBaggage, LeftOutOfOrderIsTheNearestThatIsStillOpen) {
  auto outer = std::make_unique<ActivateBaggage>(baggage_of("a=1"));
  auto inner = std::make_unique<ActivateBaggage>(baggage_of("b=2"));
  outer.reset();
  EXPECT_EQ(std::string(current_baggage().header()), "b=2");
  inner.reset();
  EXPECT_TRUE(current_baggage().empty());
  for (int i = 0; i < 5000; ++i) ActivateBaggage again(baggage_of("c=3"));
  EXPECT_TRUE(current_baggage().empty());
}

TEST(CurrentBaggage, PastItsBoundIsCountedAndHarmless) {
  EXPECT_EQ(in_child([] {
              std::vector<std::unique_ptr<ActivateBaggage>> many;
              const std::uint64_t before = stats().cut;
              for (int i = 0; i < 1100; ++i)
                many.push_back(std::make_unique<ActivateBaggage>(baggage_of("n=" + std::to_string(i))));
              CHILD_EXPECT(stats().cut - before == 76, 1);
              CHILD_EXPECT(current_baggage().header() == "n=1023", 2);
              while (!many.empty()) many.pop_back();
              CHILD_EXPECT(current_baggage().empty(), 3);
              ActivateBaggage again(baggage_of("again=1"));
              CHILD_EXPECT(current_baggage().header() == "again=1", 4);
            }),
            0);
}

TEST(CurrentBaggage, GoesWithAFork) {
  EXPECT_EQ(in_child([] {
              Directory directory;
              Config config;
              config.quiet = true;
              CHILD_EXPECT(init(config).ok(), 1);
              ActivateBaggage here(baggage_of("a=1"));
              std::thread other([] {
                ActivateBaggage theirs(baggage_of("b=2"));
                const std::uint64_t before = stats().cut;
                const pid_t pid = fork();
                if (pid == 0) {
                  if (current_baggage().header() != "b=2") _exit(1);
                  for (int i = 0; i < 1022; ++i) new ActivateBaggage(baggage_of("c=3"));
                  _exit(current_baggage().header() == "c=3" && stats().cut == before ? 0 : 2);
                }
                int status = 0;
                waitpid(pid, &status, 0);
                CHILD_EXPECT(status == 0, 2);
              });
              other.join();
              CHILD_EXPECT(current_baggage().header() == "a=1", 3);
            }),
            0);
}

TEST(RecordedBaggage, IsWhatWasChosen) {
  Directory directory;
  EXPECT_EQ(in_child([] {
              Config config;
              config.quiet = true;
              CHILD_EXPECT(init(config).ok(), 1);
              const Baggage baggage = baggage_of("user.id=Am%C3%A9lie,secret=1");
              ActivateBaggage here(baggage);
              auto asked = span("asked"_n);
              current_baggage().record(asked, {"user.id", "not.there"});
              auto not_asked = span("not asked"_n);
            }),
            0);
  const Segment s = directory.only();
  EXPECT_EQ(s.span("asked")->attribute("user.id"), "\"Amélie\"");
  EXPECT_EQ(s.span("asked")->attribute("secret"), "");
  EXPECT_TRUE(s.span("not asked")->items.empty());
}

}  // namespace
}  // namespace tailrace::test
