// SPDX-License-Identifier: Apache-2.0
#include "agent/discover/directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "tests/agent/discover/segment_file.hpp"

namespace tailrace::agent {
namespace {

using test::attach;
using test::open_directory;
using test::segment_name;
using test::SegmentFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DirectoryTest : public ::testing::Test {
 protected:
  // The refusal of a name, which must not come back in the next scan.
  Error refusal(const std::string& name) {
    Result<std::unique_ptr<AttachedSegment>> opened = directory_->open_segment(name);
    EXPECT_FALSE(opened.ok()) << name;
    EXPECT_THAT(directory_->scan(), ::testing::Not(::testing::Contains(name)));
    return opened.ok() ? Error{} : opened.error();
  }
  [[nodiscard]] std::string path(const std::string& name) const { return temporary_.in(name); }

  test::TemporaryDirectory temporary_;
  std::unique_ptr<Directory> directory_ = open_directory(temporary_.path());
};

mode_t mode_of(const std::string& path) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0 ? facts.st_mode & 07777 : 0;
}

// --- the directory itself

TEST(DirectoryOpenTest, MakesItSoThatAnyoneCreatesAndNobodyLists) {
  const test::TemporaryDirectory parent;
  const std::string path = parent.in("segments");
  const std::unique_ptr<Directory> directory = open_directory(path);
  EXPECT_EQ(directory->path(), path);
  EXPECT_EQ(mode_of(path), 03733u);
}

TEST(DirectoryOpenTest, GivesAnExistingOneTheRightModeButKeepsAStricterOne) {
  const test::TemporaryDirectory parent;
  for (const auto& [before, after] : {std::pair<mode_t, mode_t>{0777, 03733}, {03730, 03730}, {0700, 0700}}) {
    const std::string path = parent.in(std::to_string(before));
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    ASSERT_EQ(::chmod(path.c_str(), before), 0);
    const std::unique_ptr<Directory> directory = open_directory(path);
    EXPECT_EQ(mode_of(path), after);
  }
}

TEST(DirectoryOpenTest, ASecondAgentIsRefusedWithThePidOfTheFirst) {
  const test::TemporaryDirectory parent;
  const std::unique_ptr<Directory> first = open_directory(parent.path());
  DirectoryOptions options;
  options.path = parent.path();
  const Result<std::unique_ptr<Directory>> second = Directory::open(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(second.error().sentence, HasSubstr("pid " + std::to_string(::getpid())));
}

TEST(DirectoryOpenTest, TheNextAgentMayHaveItWhenTheFirstIsGone) {
  const test::TemporaryDirectory parent;
  open_directory(parent.path()).reset();
  EXPECT_NE(open_directory(parent.path()), nullptr);
}

TEST(DirectoryOpenTest, ALinkIsNotFollowed) {
  const test::TemporaryDirectory parent;
  ASSERT_EQ(::mkdir(parent.in("real").c_str(), 0700), 0);
  ASSERT_EQ(::symlink(parent.in("real").c_str(), parent.in("link").c_str()), 0);
  DirectoryOptions options;
  options.path = parent.in("link");
  EXPECT_FALSE(Directory::open(options).ok());
}

TEST(DirectoryOpenTest, APlaceThatIsNoTmpfsIsRefusedAndNotLeftBehind) {
  DirectoryOptions options;
  options.path = std::string(::testing::TempDir()) + "tailrace-no-tmpfs-" + std::to_string(::getpid());
  const Result<std::unique_ptr<Directory>> opened = Directory::open(options);
  if (opened.ok()) GTEST_SKIP() << ::testing::TempDir() << " is a tmpfs here";
  EXPECT_THAT(opened.error().sentence, HasSubstr("not on a tmpfs"));
  EXPECT_NE(::access(options.path.c_str(), F_OK), 0);
}

TEST(DirectoryOpenTest, ASquattedDirectoryIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make a directory of another user";
  const test::TemporaryDirectory parent;
  const std::string path = parent.in("squatted");
  ASSERT_EQ(::mkdir(path.c_str(), 0777), 0);
  ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
  DirectoryOptions options;
  options.path = path;
  const Result<std::unique_ptr<Directory>> opened = Directory::open(options);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kPermissionDenied);
  EXPECT_THAT(opened.error().sentence, HasSubstr("belongs to uid 12345"));
}

// --- what is in it

TEST_F(DirectoryTest, ListsOnlyNamesOfSegments) {
  for (const std::string& name :
       {std::string("0123456789abcdef.seg"), std::string("0123456789ABCDEF.seg"), std::string("0123456789abcde.seg"),
        std::string("0123456789abcdef.segx"), std::string(".0123456789abcdef.tmp"), std::string("agent")}) {
    const int fd = ::open(path(name).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
    ::close(fd);
  }
  EXPECT_THAT(directory_->scan(), ElementsAre("0123456789abcdef.seg"));
}

TEST_F(DirectoryTest, AWatchTellsOfANewSegmentAndOfNothingElse) {
  EXPECT_FALSE(directory_->take_changes());
  const int fd = ::open(path("something").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ::close(fd);
  EXPECT_FALSE(directory_->take_changes());
  const SegmentFile segment(path(segment_name(1)));
  pollfd wanted{directory_->watch_fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wanted, 1, 1000), 1);
  EXPECT_TRUE(directory_->take_changes());
  EXPECT_FALSE(directory_->take_changes());
}

TEST_F(DirectoryTest, RemovesAbandonedTemporariesAndNoOthers) {
  const auto make = [this](const std::string& name, bool old) {
    const int fd = ::open(path(name).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (old) {
      const timespec times[2] = {{1, 0}, {1, 0}};
      EXPECT_EQ(::futimens(fd, times), 0);
    }
    return fd;
  };
  const int abandoned = make(".0000000000000001.tmp", true);
  const int young = make(".0000000000000002.tmp", false);
  const int held = make(".0000000000000003.tmp", true);
  const int other = make(".0000000000000004.tmpx", true);
  ASSERT_EQ(::flock(held, LOCK_EX | LOCK_NB), 0);
  EXPECT_THAT(directory_->scan(), IsEmpty());
  EXPECT_NE(::access(path(".0000000000000001.tmp").c_str(), F_OK), 0);
  EXPECT_EQ(::access(path(".0000000000000002.tmp").c_str(), F_OK), 0);
  EXPECT_EQ(::access(path(".0000000000000003.tmp").c_str(), F_OK), 0);
  EXPECT_EQ(::access(path(".0000000000000004.tmpx").c_str(), F_OK), 0);
  for (const int fd : {abandoned, young, held, other}) ::close(fd);
}

TEST_F(DirectoryTest, AFifoIsRefusedWithoutWaiting) {
  ASSERT_EQ(::mkfifo(path(segment_name(1)).c_str(), 0666), 0);
  const auto started = std::chrono::steady_clock::now();
  EXPECT_THAT(refusal(segment_name(1)).sentence, HasSubstr("not a regular file"));
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(30));
}

TEST_F(DirectoryTest, ALinkToAGoodSegmentIsRefused) {
  const SegmentFile good(path("elsewhere"));
  ASSERT_EQ(::symlink("elsewhere", path(segment_name(1)).c_str()), 0);
  EXPECT_THAT(refusal(segment_name(1)).sentence, HasSubstr("symbolic link"));
}

TEST_F(DirectoryTest, AFileWithASecondNameIsRefused) {
  const SegmentFile good(path(segment_name(1)));
  ASSERT_EQ(::link(path(segment_name(1)).c_str(), path("second").c_str()), 0);
  EXPECT_THAT(refusal(segment_name(1)).sentence, HasSubstr("2 links"));
}

TEST_F(DirectoryTest, ADirectoryAndASocketAreRefused) {
  ASSERT_EQ(::mkdir(path(segment_name(1)).c_str(), 0700), 0);
  EXPECT_FALSE(refusal(segment_name(1)).sentence.empty());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path(segment_name(2)).c_str());
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_FALSE(refusal(segment_name(2)).sentence.empty());
  ::close(socket);
}

TEST_F(DirectoryTest, AnEmptyFileAndASparseTerabyteAreRefused) {
  for (const auto& [number, size] : {std::pair<unsigned, off_t>{1, 0}, {2, off_t{1} << 40}}) {
    const int fd = ::open(path(segment_name(number)).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ASSERT_EQ(::ftruncate(fd, size), 0);
    ::close(fd);
    EXPECT_FALSE(refusal(segment_name(number)).sentence.empty());
  }
}

TEST_F(DirectoryTest, AWrongMagicAndAnotherMajorVersionAreRefused) {
  SegmentFile wrong(path(segment_name(1)));
  wrong->identity().magic.store(0x1234);
  EXPECT_EQ(refusal(segment_name(1)).code, ErrorCode::kCorrupt);
  SegmentFile other(path(segment_name(2)));
  other->identity().abi_major = shm::kAbiMajor + 1;
  EXPECT_EQ(refusal(segment_name(2)).code, ErrorCode::kUnsupported);
  SegmentFile feature(path(segment_name(3)));
  feature->identity().features_required = 1ull << 63;
  EXPECT_EQ(refusal(segment_name(3)).code, ErrorCode::kUnsupported);
  const shm::ControlAgent& told = feature->control().agent;
  EXPECT_EQ(told.agent_state.load(), static_cast<std::uint32_t>(shm::AgentState::rejected));
  EXPECT_EQ(told.reason.load(), static_cast<std::uint32_t>(shm::RejectReason::features));
  EXPECT_EQ(other->control().agent.agent_state.load(), 0u);  // its R1 may be anywhere
}

TEST_F(DirectoryTest, ARegionBehindTheEndIsRefused) {
  SegmentFile wrong(path(segment_name(1)));
  wrong->identity().regions[3].offset = wrong.size();
  EXPECT_EQ(refusal(segment_name(1)).code, ErrorCode::kCorrupt);
}

TEST_F(DirectoryTest, ANewFileUnderARefusedNameIsLookedAtAgain) {
  const std::string name = segment_name(1);
  ASSERT_EQ(::mkfifo(path(name).c_str(), 0666), 0);
  refusal(name);
  EXPECT_EQ(directory_->refused(), 1u);
  ASSERT_EQ(::unlink(path(name).c_str()), 0);
  const SegmentFile good(path(name));
  EXPECT_THAT(directory_->scan(), ElementsAre(name));
  EXPECT_NE(attach(*directory_, name), nullptr);
  EXPECT_EQ(directory_->refused(), 0u);
}

TEST_F(DirectoryTest, RefusalsOfFilesThatAreGoneAreForgotten) {
  ASSERT_EQ(::mkfifo(path(segment_name(1)).c_str(), 0666), 0);
  refusal(segment_name(1));
  ASSERT_EQ(::unlink(path(segment_name(1)).c_str()), 0);
  EXPECT_THAT(directory_->scan(), IsEmpty());
  EXPECT_EQ(directory_->refused(), 0u);
}

TEST_F(DirectoryTest, OneUserCannotHaveMoreThanHisShareOfSegments) {
  directory_.reset();
  DirectoryOptions options;
  options.path = temporary_.path();
  options.segments_per_uid_max = 2;
  directory_ = std::move(Directory::open(options)).value();
  const SegmentFile a(path(segment_name(1)));
  const SegmentFile b(path(segment_name(2)));
  const SegmentFile c(path(segment_name(3)));
  std::unique_ptr<AttachedSegment> first = attach(*directory_, segment_name(1));
  const std::unique_ptr<AttachedSegment> second = attach(*directory_, segment_name(2));
  const Result<std::unique_ptr<AttachedSegment>> third = directory_->open_segment(segment_name(3));
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, ErrorCode::kResourceExhausted);
  first.reset();
  EXPECT_TRUE(directory_->open_segment(segment_name(3)).ok());
}

TEST_F(DirectoryTest, SegmentsOutliveTheDirectoryObject) {
  const SegmentFile file(path(segment_name(1)));
  const std::unique_ptr<AttachedSegment> segment = attach(*directory_, segment_name(1));
  directory_.reset();
  EXPECT_TRUE(segment->unlink().ok());
  EXPECT_NE(::access(path(segment_name(1)).c_str(), F_OK), 0);
}

// Another user's application in our directory: its file gets our group, and we open and remove it.
TEST_F(DirectoryTest, ASegmentOfAnotherUserIsAttachedAndItsOwnerIsWhatTheKernelSays) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(temporary_.path().c_str(), 03733), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(54321) != 0 || ::setuid(54321) != 0) ::_exit(1);
    try {
      const SegmentFile file(path("being-built"));
      ::fchmod(file.fd(), 0660);
      ::rename(file.path().c_str(), path(segment_name(1)).c_str());
      ::pause();
    } catch (...) {
      ::_exit(2);
    }
    ::_exit(3);
  }
  std::vector<std::string> found;
  for (int i = 0; i < 500 && found.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    found = directory_->scan();
  }
  ASSERT_THAT(found, ElementsAre(segment_name(1)));
  const std::unique_ptr<AttachedSegment> segment = attach(*directory_, segment_name(1));
  EXPECT_EQ(segment->uid(), 54321u);
  EXPECT_EQ(segment->pid(), child);
  EXPECT_EQ(segment->geometry().claimed_pid, 4242u);
  EXPECT_FALSE(segment->try_lock_dead());
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(segment->try_lock_dead());
  EXPECT_TRUE(segment->unlink().ok());
  EXPECT_THAT(directory_->scan(), IsEmpty());
}

}  // namespace
}  // namespace tailrace::agent
