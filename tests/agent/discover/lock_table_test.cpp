// SPDX-License-Identifier: Apache-2.0
#include "agent/discover/lock_table.hpp"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include "tests/agent/discover/segment_file.hpp"

namespace tailrace::agent {
namespace {

TEST(LockTableTest, FindsTheHolderByDeviceAndInode) {
  const LockTable table = LockTable::parse(
      "1: FLOCK  ADVISORY  WRITE 4711 00:1a:5678 0 EOF\n"
      "2: FLOCK  ADVISORY  WRITE 815 08:01:5678 0 EOF\n");
  EXPECT_EQ(table.holder(makedev(0, 0x1a), 5678), 4711);
  EXPECT_EQ(table.holder(makedev(8, 1), 5678), 815);
  EXPECT_EQ(table.holder(makedev(8, 2), 5678), 0);
  EXPECT_EQ(table.holder(makedev(8, 1), 5679), 0);
}

TEST(LockTableTest, LeavesOutOtherKindsWaitersAndNonsense) {
  const LockTable table = LockTable::parse(
      "1: POSIX  ADVISORY  WRITE 4711 00:1a:1 0 EOF\n"
      "2: OFDLCK ADVISORY  READ -1 00:1a:2 0 EOF\n"
      "2: -> FLOCK  ADVISORY  WRITE 99 00:1a:3 0 EOF\n"
      "3: FLOCK  ADVISORY  WRITE 0 00:1a:4 0 EOF\n"
      "4: FLOCK  ADVISORY  WRITE 12\n"
      "5: FLOCK  ADVISORY  WRITE 12 00:1a 0 EOF\n"
      "6: FLOCK  ADVISORY  WRITE 12 zz:1a:9 0 EOF\n"
      "\n"
      "garbage");
  EXPECT_EQ(table.size(), 0u);
}

TEST(LockTableTest, TheKernelShowsOurOwnLock) {
  const test::TemporaryDirectory directory;
  const test::SegmentFile file(directory.in(test::segment_name(1)));
  struct stat facts {};
  ASSERT_EQ(::fstat(file.fd(), &facts), 0);
  EXPECT_EQ(LockTable::read().holder(facts.st_dev, facts.st_ino), ::getpid());
}

}  // namespace
}  // namespace tailrace::agent
