// SPDX-License-Identifier: Apache-2.0
// dump: every part of a segment is in its text, and whatever is wrong is said and makes the answer 1.
#include "agent/observe/dump.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/observe/segment_text.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::agent {
namespace {

using shm::test::Items;
using shm::test::make_log;
using shm::test::make_span;
using shm::test::SegmentBuilder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class DumpTest : public testing::Test {
 protected:
  std::string dump(int wanted_code = 0) {
    std::ostringstream out;
    EXPECT_EQ(dump_source(MemorySource(segment.image()), "test", options, out), wanted_code) << out.str();
    return out.str();
  }

  SegmentBuilder segment;
  DumpOptions options;
};

TEST_F(DumpTest, EmptySegmentIsPrinted) {
  EXPECT_THAT(dump(), AllOf(HasSubstr("abi           1.0\n"), HasSubstr("resource: none"), HasSubstr("scopes: 0"),
                            HasSubstr("pid 4242 by its own word"), HasSubstr("2023-11-14T22:13:20.000000000Z"),
                            HasSubstr("agent none"), HasSubstr("traces  written 0")));
}

TEST_F(DumpTest, EverySeriesIsPrintedWithWhatItsCellsSay) {
  shm::test::fill_with_metrics(segment, 0);
  const std::string text = dump();
  for (const char* wanted : {
           "metrics: 12 series of 16\n",
           "0 counter integer \"http.server.requests\" unit \"{request}\" {\"http.route\"=\"/pay\"} = 12\n",
           "1 counter integer \"http.server.requests\" unit \"{request}\" {\"http.route\"=\"/basket\"} = 1\n",
           "2 counter integer \"http.server.requests\" unit \"{request}\" overflow "
           "{\"otel.metric.overflow\"=true} = 2\n",
           "3 up-down counter real \"baskets.open\" = -2.5\n",
           "4 gauge integer \"heap\" = 4096\n",
           "5 gauge real \"temperature\" never set\n",
           "6 observable counter integer \"page.faults\" = 77\n",
           "7 histogram real \"latency\" unit \"ms\" count 3 sum 19.5 min 0.5 max 12, (0, 5]: 1, (5, 10]: 1, "
           "(10, inf]: 1\n",
           "8 exponential histogram integer \"size\" scale 1 count 3 sum 1 min -2 max 3 zero 1, "
           "(2.82843, 4]: 1, [-2, -1.41421): 1\n",
       }) {
    EXPECT_THAT(text, HasSubstr(wanted));
  }
}

TEST_F(DumpTest, ASeriesThatMakesNoSenseIsSaidAndTheOthersArePrinted) {
  shm::test::fill_with_metrics(segment, 0);
  segment.descriptor(4).kind = 9;
  const std::string text = dump(1);
  EXPECT_THAT(text, AllOf(HasSubstr("<series 4: its kind is unknown>"), HasSubstr("\"page.faults\" = 77")));
}

TEST_F(DumpTest, EverythingIsPrinted) {
  shm::test::fill_with_everything(segment);
  options.strings = 10;
  const std::string text = dump();
  for (const char* wanted : {
           "\"service.name\"=\"checkout\"",
           "<schema url>=\"https://opentelemetry.io/schemas/1.30.0\"",
           "\"OTEL_BSP_SCHEDULE_DELAY\"=\"2000\"",
           "1 <name>=\"checkout.http\", <version>=\"2.0\"",
           "\"pay\"\n",
           "in use tid 4243 \"worker\"",
           "3 shared free",
           "@0 THREAD critical tid 4243 \"worker\"",
           "ANCHOR critical counter 5000001000",
           "SPAN normal \"pay\" trace 101112131415161718191a1b1c1d1e1f span 2100000000000000",
           "{\"amount\"=42, \"currency\"=\"EUR\", \"ok\"=true, \"ratio\"=0.5, \"nothing\"=empty, \"raw\"=0x000102",
           "\"broken\"=\"\xEF\xBF\xBD\xEF\xBF\xBD\"",
           "\"list\"=[1, \"two\"], \"tree\"={\"leaf\"={\"n\"=-1}}",
           "parent 2100000000000000",
           "status 2",
           "\"retry\"=event at 5000002500 {\"attempt\"=2}",
           "event at 1700000000000002600(realtime) dropped 3",
           "link to 101112131415161718191a1b1c1d1e1f/9900000000000000 flags 0x1 {<trace state>=\"a=b\"",
           "SPAN_START",
           "SPAN_PART critical 0 of trace",
           "has-parts",
           "severity 9 at 5000002200",
           "<argument>=42, <argument>=\"EUR\"",
           "<event name>=\"payment.failed\"",
           "LOSS critical lost 0 critical, 0 normal, 5 low, 9 background",
           "TYPE_77 critical 40 bytes",
           "lane 0 slot 0 open \"pay\"",
           "\"more\"=\"chained\", \"more\"=\"twice\"",
           "lane 1 slot 0 ended, not in the ring of lane 1",
           "pool slot 2 open \"\"",
           "<name>=\"in the pool\"",
           "traces  written 12 dropped lane_full 0 no_lane 2",
           "not sampled 3, refused 2, cut 1",
           "agent attached",
       }) {
    EXPECT_THAT(text, HasSubstr(wanted));
  }
  EXPECT_THAT(text, Not(HasSubstr("span 4200000000000000"))) << "it is in the ring already";
}

TEST_F(DumpTest, NewerMinorVersionIsPrinted) {
  shm::test::fill_with_everything(segment);
  segment.identity().abi_minor = 9;
  segment.identity().header_size = 1024;
  segment.identity().regions[segment.identity().region_count - 1].kind = 50;
  segment.process().metrics_count.store(0);  // their cells lay there
  EXPECT_THAT(dump(), AllOf(HasSubstr("1.9 (this program knows 1.0)"), HasSubstr("and 1 this program does not know"),
                            HasSubstr("SPAN normal \"pay\"")));
}

TEST_F(DumpTest, OnlyTheNewestRecordsAreListed) {
  for (std::uint64_t i = 1; i <= 10; ++i) segment.put(0, make_log({.time = i}));
  options.records_per_lane = 3;
  EXPECT_THAT(dump(),
              AllOf(HasSubstr("… 7 older records"), HasSubstr("at 8 "), HasSubstr("at 10 "), Not(HasSubstr("at 7 "))));
}

TEST_F(DumpTest, OpenSpansAreListedUpToTheLimit) {
  for (std::uint32_t i = 0; i < 4; ++i) segment.open_slot(segment.slot(0, i), make_span({.span_id = i + 1}));
  segment.take_lane(0);
  options.spans = 3;
  EXPECT_THAT(dump(), AllOf(HasSubstr("slot 2 open"), Not(HasSubstr("slot 3 open")), HasSubstr("… 1 more")));
}

TEST_F(DumpTest, OtherMajorVersionIsASentence) {
  segment.identity().abi_major = 2;
  EXPECT_EQ(dump(1), "segment test: ABI version 2.0; this program reads 1.x\n");
}

TEST_F(DumpTest, BrokenChainIsDamage) {
  segment.put(0, make_log({.time = 1}));
  segment.put(0, make_log({.time = 2}));
  segment.ring(0)[48] = 7;
  EXPECT_THAT(dump(1),
              AllOf(HasSubstr("@48 the chain of sizes is broken; 48 bytes lost"), HasSubstr("damage was found")));
}

TEST_F(DumpTest, PositionsThatMakeNoSenseAreDamage) {
  segment.take_lane(0);
  segment.lane(0).head.store(100000);
  EXPECT_THAT(dump(1), HasSubstr("head 100000 and tail 0 make no sense for a ring of 4096 bytes"));
}

TEST_F(DumpTest, StringThatIsNotThereIsDamage) {
  segment.put(0, make_log({.body = 99999}));
  EXPECT_THAT(dump(1), HasSubstr("<no string 99999>"));
}

TEST_F(DumpTest, BrokenItemsAreDamage) {
  segment.put(0, make_span({.name = 0}, Items().raw(70, 2, 0, 3, "12345678")));
  EXPECT_THAT(dump(1), HasSubstr("<broken items>"));
}

TEST_F(DumpTest, EndlessCountsAreDamageAndEnd) {
  segment.process().strings_len.store(~std::uint64_t{0});
  segment.process().scopes_count.store(0xFFFFFFFF);
  segment.process().pool_used.store(0xFFFFFFFF);
  EXPECT_THAT(dump(1), AllOf(HasSubstr("more than the arena has"), HasSubstr("more than the table's 16"),
                             HasSubstr("more than the pool's 8")));
}

TEST_F(DumpTest, BlobOutsideTheArenaIsDamage) {
  segment.identity().resource_offset = 512;
  segment.identity().resource_length = 4096;
  EXPECT_THAT(dump(1), HasSubstr("512 + 4096 lies outside"));
}

TEST(QuotedTest, NothingThatATerminalObeysIsLeft) {
  EXPECT_EQ(quoted("a\x1b[31m\n\t\x7f\"\\"), R"("a\x1b[31m\n\t\x7f\"\\")");
  EXPECT_EQ(quoted("\xC2\x9b"), R"("\u009b")");
  EXPECT_EQ(quoted(std::string_view("\0", 1)), R"("\x00")");
  EXPECT_EQ(quoted("\xC2\xA0"), "\"\xC2\xA0\"");
}
TEST(QuotedTest, LongTextIsCutBetweenCharacters) {
  EXPECT_EQ(quoted("abc\xC3\xA9", 4), "\"abc\"…(5 bytes)");
  EXPECT_EQ(quoted("abc\xC3\xA9", 5), "\"abc\xC3\xA9\"");
}

class DumpFileTest : public testing::Test {
 protected:
  DumpFileTest() {
    char name[] = "/tmp/tailrace-dump-XXXXXX";
    directory = ::mkdtemp(name);
    path = directory + "/one.seg";
  }
  ~DumpFileTest() override { std::filesystem::remove_all(directory); }
  void write(shm::Bytes bytes) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data), static_cast<std::streamsize>(bytes.size));
  }
  std::string dump(int wanted_code) {
    std::ostringstream out;
    EXPECT_EQ(dump_segment(path, {}, out), wanted_code) << out.str();
    return out.str();
  }

  std::string directory;
  std::string path;
};

TEST_F(DumpFileTest, DeadAndLiveSegmentsAreToldApart) {
  SegmentBuilder segment;
  shm::test::fill_with_everything(segment);
  write(segment.image());
  EXPECT_THAT(dump(0), HasSubstr("dead: nobody holds its lock"));
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  EXPECT_THAT(dump(0), HasSubstr("alive: pid " + std::to_string(::getpid()) + " holds its lock"));
  ::close(fd);
}

TEST_F(DumpFileTest, FileCutAnywhereIsASentenceAndNoSignal) {
  SegmentBuilder segment;
  shm::test::fill_with_everything(segment);
  for (std::size_t size = 0; size < segment.size(); size += 40960) {
    write(segment.bytes(0, size));
    EXPECT_THAT(dump(1), HasSubstr("size"));
  }
}

TEST_F(DumpFileTest, WhatIsNoFileIsNotWaitedFor) {
  EXPECT_THAT(dump(1), HasSubstr("No such file"));
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(dump(1), HasSubstr("not a regular file"));
  path = directory;
  EXPECT_THAT(dump(1), HasSubstr("not a regular file"));
}

TEST_F(DumpFileTest, ASparseTerabyteIsRefusedAtOnce) {
  SegmentBuilder segment;
  segment.identity().segment_size = 1ull << 40;
  write(segment.image());
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(1ull << 40)), 0);
  EXPECT_THAT(dump(1), HasSubstr("size 1099511627776 >"));
}

}  // namespace
}  // namespace tailrace::agent
