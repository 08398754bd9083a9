// SPDX-License-Identifier: Apache-2.0
// What the segment relies on the kernel for, tried on the kernel it runs on: if one of these fails, the
// design is wrong there, whatever the other tests say.
//
// Tests that need root (to be two users, to mount) skip with a reason elsewhere.
#include <gtest/gtest.h>

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

namespace tailrace::shm {
namespace {

constexpr std::size_t kSize = 64 * 1024;
constexpr long kTmpfsMagic = 0x01021994;

// A child process that runs `body` and ends; it is killed with the fixture at the latest.
class Child {
 public:
  explicit Child(const std::function<void()>& body) : pid_(::fork()) {
    if (pid_ == 0) {
      body();
      ::_exit(0);
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { kill(); }

  pid_t pid() const { return pid_; }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }
  // Exit code, or minus the signal.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

// A line from a child to its parent: "I am where you wanted me".
class Signpost {
 public:
  Signpost() { EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0); }
  Signpost(const Signpost&) = delete;
  Signpost& operator=(const Signpost&) = delete;
  ~Signpost() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  void reach(long value = 1) const { static_cast<void>(::write(ends_[1], &value, sizeof value) == 0); }
  long await() const {
    long value = 0;
    EXPECT_EQ(::read(ends_[0], &value, sizeof value), static_cast<ssize_t>(sizeof value));
    return value;
  }

 private:
  int ends_[2] = {-1, -1};
};

class LockTest : public testing::Test {
 protected:
  void SetUp() override {
    struct statfs about {};
    if (::statfs("/dev/shm", &about) != 0 || about.f_type != kTmpfsMagic) {
      GTEST_SKIP() << "/dev/shm is no tmpfs here";
    }
    char name[] = "/dev/shm/tailrace-facts-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory = name;
    path = directory + "/file";
  }
  void TearDown() override {
    if (!directory.empty()) std::filesystem::remove_all(directory);
  }

  int open_file() const { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); }

  // As a segment is born: lock, map, keep from children, close.
  void* lock_map_close() const {
    const int fd = open_file();
    if (fd < 0 || ::ftruncate(fd, kSize) != 0 || ::flock(fd, LOCK_EX | LOCK_NB) != 0) return MAP_FAILED;
    void* at = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::madvise(at, kSize, MADV_DONTFORK);
    ::close(fd);
    return at;
  }
  bool held() const {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const bool is_held = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(fd);
    return is_held;
  }
  bool becomes_free() const {
    for (int i = 0; i < 500 && held(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return !held();
  }

  std::string directory;
  std::string path;
};

TEST_F(LockTest, LockOutlivesItsDescriptorWhileTheFileIsMappedAndIsFreedByAKill) {
  const Signpost locked;
  Child child([&] {
    if (lock_map_close() != MAP_FAILED) locked.reach();
    ::pause();
  });
  locked.await();
  EXPECT_TRUE(held());
  child.kill();
  EXPECT_TRUE(becomes_free());
}

TEST_F(LockTest, LockEndsWithTheMapping) {
  void* at = lock_map_close();
  ASSERT_NE(at, MAP_FAILED);
  EXPECT_TRUE(held());
  ::munmap(at, kSize / 2);
  EXPECT_TRUE(held()) << "any part of the mapping keeps it";
  ::munmap(static_cast<char*>(at) + kSize / 2, kSize / 2);
  EXPECT_FALSE(held());
}

TEST_F(LockTest, LockIsFreedByExec) {
  const Signpost locked;
  Child child([&] {
    if (lock_map_close() != MAP_FAILED) locked.reach();
    ::execl("/bin/sleep", "sleep", "60", nullptr);
  });
  locked.await();
  EXPECT_TRUE(becomes_free());
  EXPECT_EQ(::kill(child.pid(), 0), 0) << "the process lives on";
}

TEST_F(LockTest, ForkedChildDoesNotKeepTheLock) {
  const Signpost reached;
  Child parent([&] {
    if (lock_map_close() == MAP_FAILED) ::_exit(1);
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      ::pause();
      ::_exit(0);
    }
    reached.reach(grandchild);
    ::pause();
  });
  const long grandchild = reached.await();
  EXPECT_TRUE(held());
  parent.kill();
  EXPECT_TRUE(becomes_free()) << "although the child lives";
  ::kill(static_cast<pid_t>(grandchild), SIGKILL);
}

TEST_F(LockTest, ChildForkedWithTheDescriptorOpenKeepsTheLockUntilItDies) {
  const Signpost reached;
  Child parent([&] {
    const int fd = open_file();
    if (::ftruncate(fd, kSize) != 0 || ::flock(fd, LOCK_EX) != 0) ::_exit(1);
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      ::pause();
      ::_exit(0);
    }
    reached.reach(grandchild);
    ::pause();
  });
  const long grandchild = reached.await();
  parent.kill();
  EXPECT_TRUE(held()) << "late";
  ::kill(static_cast<pid_t>(grandchild), SIGKILL);
  EXPECT_TRUE(becomes_free()) << "not lost";
}

TEST_F(LockTest, KernelTellsTheHoldersPid) {
  const Signpost locked;
  Child child([&] {
    if (lock_map_close() != MAP_FAILED) locked.reach();
    ::pause();
  });
  locked.await();
  struct stat about {};
  ASSERT_EQ(::stat(path.c_str(), &about), 0);
  const std::string wanted = " " + std::to_string(child.pid()) + " ";
  const std::string inode = ":" + std::to_string(about.st_ino) + " ";
  bool found = false;
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    found |= line.find("FLOCK") != std::string::npos && line.find(wanted) != std::string::npos &&
             line.find(inode) != std::string::npos;
  }
  EXPECT_TRUE(found);
}

TEST_F(LockTest, ReadingAHoleThroughAMappingAllocatesItAndPreadDoesNot) {
  const int fd = open_file();
  ASSERT_EQ(::ftruncate(fd, kSize), 0);
  char byte = 1;
  ASSERT_EQ(::pread(fd, &byte, 1, 4096), 1);
  struct stat about {};
  ::fstat(fd, &about);
  EXPECT_EQ(about.st_blocks, 0);
  void* at = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(at, MAP_FAILED);
  EXPECT_EQ(static_cast<volatile char*>(at)[4096], 0);
  ::fstat(fd, &about);
  EXPECT_GT(about.st_blocks, 0);
  ::munmap(at, kSize);
  ::close(fd);
}

TEST_F(LockTest, FileThatIsCutShortKillsWhoeverStoresIntoItsMapping) {
  Child child([&] {
    ::signal(SIGBUS, SIG_DFL);  // a sanitizer would report it and exit
    auto* at = static_cast<volatile char*>(lock_map_close());
    if (::truncate(path.c_str(), 0) != 0) ::_exit(1);
    at[0] = 1;
  });
  EXPECT_EQ(child.wait(), -SIGBUS);
}

TEST_F(LockTest, FutexWaitWorksOnAReadOnlyMapping) {
  const int fd = open_file();
  ASSERT_EQ(::ftruncate(fd, kSize), 0);
  void* writable = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  void* readable = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  ASSERT_TRUE(writable != MAP_FAILED && readable != MAP_FAILED);
  std::atomic<long> result{-2};
  std::thread waiter([&] {
    const timespec limit{20, 0};
    const long answer = ::syscall(SYS_futex, readable, FUTEX_WAIT, 0u, &limit, nullptr, 0);
    result.store(answer == 0 || errno == EAGAIN ? 0 : errno);
  });
  for (int i = 0; i < 2000 && result.load() == -2; ++i) {
    if (::syscall(SYS_futex, writable, FUTEX_WAKE, 1, nullptr, nullptr, 0) == 1) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  waiter.join();
  EXPECT_EQ(result.load(), 0) << "woken through the other mapping";
  ::munmap(writable, kSize);
  ::munmap(readable, kSize);
}

#if defined(SYS_futex_waitv) && defined(FUTEX_32)
TEST_F(LockTest, OneWaiterSleepsOnTheReadOnlyWordsOfSeveralFiles) {
  constexpr std::size_t kFiles = 3;
  const int fd = open_file();
  ASSERT_EQ(::ftruncate(fd, kFiles * 4096), 0);
  char* writable[kFiles];
  futex_waitv waits[kFiles] = {};
  for (std::size_t i = 0; i < kFiles; ++i) {
    const auto offset = static_cast<off_t>(i * 4096);
    writable[i] = static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset));
    void* readable = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, offset);
    waits[i].uaddr = reinterpret_cast<std::uintptr_t>(readable);
    waits[i].flags = FUTEX_32;
  }
  ::close(fd);
  std::atomic<long> woken{-2};
  std::thread waiter([&] {
    timespec limit{};
    ::clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += 20;
    const long answer = ::syscall(SYS_futex_waitv, waits, kFiles, 0, &limit, CLOCK_MONOTONIC);
    woken.store(answer >= 0 ? answer : -100 - errno);
  });
  for (int i = 0; i < 2000 && woken.load() == -2; ++i) {
    if (::syscall(SYS_futex, writable[1], FUTEX_WAKE, 1, nullptr, nullptr, 0) == 1) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  waiter.join();
  for (std::size_t i = 0; i < kFiles; ++i) {
    ::munmap(writable[i], 4096);
    ::munmap(reinterpret_cast<void*>(static_cast<std::uintptr_t>(waits[i].uaddr)), 4096);
  }
  if (woken.load() == -100 - ENOSYS) GTEST_SKIP() << "the kernel is older than 5.16: the agent polls there";
  EXPECT_EQ(woken.load(), 1) << "the index of the word that rang";
}
#endif

#if defined(__x86_64__)
std::uint64_t counted_by_both = 0;
volatile std::uint64_t counted_by_handler = 0;

void count_in_handler(int) {
  asm volatile("addq $1, %0" : "+m"(counted_by_both));
  counted_by_handler = counted_by_handler + 1;
}

// What a lane's counters rely on: an instruction is whole for a handler on its own thread, without `lock`.
TEST(MachineFactsTest, AddToMemoryLosesNoIncrementOfASignalHandler) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = count_in_handler;
  ASSERT_EQ(::sigaction(SIGALRM, &action, &before), 0);
  const itimerval often{{0, 50}, {0, 50}};
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  std::uint64_t adds = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (counted_by_handler < 500 && std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 10000; ++i) asm volatile("addq $1, %0" : "+m"(counted_by_both));
    adds += 10000;
  }
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  EXPECT_GT(counted_by_handler, 0u);
  EXPECT_EQ(counted_by_both, adds + counted_by_handler);
}
#endif

TEST(MemoryFactsTest, WipeOnForkGivesTheChildZeros) {
  auto* at =
      static_cast<volatile char*>(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(static_cast<volatile void*>(at), MAP_FAILED);
  ASSERT_EQ(::madvise(const_cast<char*>(at), kSize, MADV_WIPEONFORK), 0) << std::strerror(errno);
  at[5] = 7;
  Child child([&] { ::_exit(at[5]); });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(at[5], 7);
  ::munmap(const_cast<char*>(at), kSize);
}

// Exit codes of children that cannot do what the test is about.
constexpr int kCannot = 77;

TEST(MemoryFactsTest, PopulateWriteOnAFullTmpfsIsAnErrorAndNoSignal) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount a small tmpfs";
  char name[] = "/tmp/tailrace-facts-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  Child child([&] {
    // The mount ends with the child's own namespace.
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", name, "tmpfs", 0, "size=1m") != 0) {
      ::_exit(kCannot);
    }
    const int fd = ::open((std::string(name) + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    constexpr std::size_t kMore = 4u << 20;
    if (fd < 0 || ::ftruncate(fd, kMore) != 0) ::_exit(1);
    void* at = ::mmap(nullptr, kMore, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (::madvise(at, 65536, MADV_POPULATE_WRITE) != 0) ::_exit(errno == EINVAL ? kCannot : 2);
    if (::madvise(at, kMore, MADV_POPULATE_WRITE) == 0) ::_exit(3);
    ::_exit(errno == EFAULT || errno == ENOMEM ? 0 : 4);
  });
  const int code = child.wait();
  ::rmdir(name);
  if (code == kCannot) GTEST_SKIP() << "mounting is not allowed here, or the kernel is older than 5.14";
  EXPECT_EQ(code, 0);
}

// A directory of the agent's user, mode 3733, and three users around it.
class DirectoryTest : public testing::Test {
 protected:
  static constexpr uid_t kAgent = 61001;
  static constexpr uid_t kApplication = 61002;
  static constexpr uid_t kStranger = 61003;

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to be three users";
    char name[] = "/dev/shm/tailrace-facts-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory = name;
    ASSERT_EQ(::chown(name, kAgent, kAgent), 0);
    ASSERT_EQ(::chmod(name, 03733), 0);
  }
  void TearDown() override {
    if (!directory.empty()) std::filesystem::remove_all(directory);
  }

  static int as(uid_t user, const std::function<int()>& body) {
    Child child([&] {
      if (::setgroups(0, nullptr) != 0 || ::setgid(user) != 0 || ::setuid(user) != 0) ::_exit(kCannot);
      ::umask(077);
      ::_exit(body());
    });
    return child.wait();
  }
  // As the shim does it, with a descriptor of the directory it may not read.
  int make_segment() const {
    return as(kApplication, [this] {
      const int dir = ::open(directory.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (dir < 0) return 1;
      const int fd = ::openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
      if (fd < 0) return 2;
      if (::ftruncate(fd, kSize) != 0 || ::fchmod(fd, 0660) != 0) return 3;
      const std::string link = "/proc/self/fd/" + std::to_string(fd);
      return ::linkat(AT_FDCWD, link.c_str(), dir, "segment", AT_SYMLINK_FOLLOW) == 0 ? 0 : 4;
    });
  }
  std::string segment() const { return directory + "/segment"; }

  std::string directory;
};

TEST_F(DirectoryTest, UnnamedFileGetsItsNameWithoutPrivilegesAndInheritsTheGroup) {
  ASSERT_EQ(make_segment(), 0);
  struct stat about {};
  ASSERT_EQ(::stat(segment().c_str(), &about), 0);
  EXPECT_EQ(about.st_uid, kApplication);
  EXPECT_EQ(about.st_gid, kAgent);
  EXPECT_EQ(about.st_mode & 07777u, 0660u);
}

TEST_F(DirectoryTest, AgentMayOpenAndRemoveWhatAnApplicationMade) {
  ASSERT_EQ(make_segment(), 0);
  EXPECT_EQ(as(kAgent,
               [this] {
                 if (::open(segment().c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK) < 0) return 1;
                 return ::unlink(segment().c_str()) == 0 ? 0 : 2;
               }),
            0);
  EXPECT_NE(::access(segment().c_str(), F_OK), 0);
}

TEST_F(DirectoryTest, StrangerCanNeitherListNorOpenNorRemove) {
  ASSERT_EQ(make_segment(), 0);
  EXPECT_EQ(as(kStranger,
               [this] {
                 if (::opendir(directory.c_str()) != nullptr) return 1;
                 if (::open(segment().c_str(), O_RDONLY) >= 0) return 2;
                 return ::unlink(segment().c_str()) == 0 ? 3 : 0;
               }),
            0);
  EXPECT_EQ(::access(segment().c_str(), F_OK), 0);
}

}  // namespace
}  // namespace tailrace::shm
