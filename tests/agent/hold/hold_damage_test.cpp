// SPDX-License-Identifier: Apache-2.0
//
// Damage (rule 11) and want of room (rule 13): whatever the file holds, the agent starts, says what
// is lost, books it, and goes on.
#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <sched.h>
#include <signal.h>
#include <sstream>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/hold/status.hpp"
#include "tests/agent/hold/hold_fixture.hpp"

namespace {
const char* kill_at = nullptr;
int kill_hit = 0;
}  // namespace

extern "C" void tailrace_test_point(const char* name) {
  if (kill_at != nullptr && std::strcmp(name, kill_at) == 0 && --kill_hit == 0) {
    ::kill(::getpid(), SIGKILL);
  }
}

namespace tailrace::agent {
namespace {

using namespace hold_layout;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class HoldDamage : public HoldFixture {
 protected:
  using Image = std::vector<std::uint64_t>;

  static std::string baseline_text(std::uint8_t process) { return std::string(9000, static_cast<char>('a' + process)); }

  // Two processes, six batches of three records, some closed, a parked span and a baseline each.
  void fill() {
    Pass pass(*hold_);
    for (std::uint8_t p = 1; p <= 2; ++p) {
      const ProcessIndex process = add(p);
      ASSERT_TRUE(pass.begin(process));
      for (std::uint64_t i = 0; i < 9; ++i) {
        ASSERT_EQ(pass.append(key(process, i % 3), {}, 0, bytes(std::string(1800, 'x')), {0, i * 8}).status,
                  AppendStatus::appended);
      }
      ASSERT_EQ(pass.park(process, Signal::traces, 5, bytes("parked"), {1, 0}, 1).status, AppendStatus::appended);
      pass.set_position(process, 0, 72);
      pass.set_position(process, 1, 8);
      pass.set_written(process, Signal::traces, 10);
      ASSERT_EQ(pass.set_baseline(process, bytes(baseline_text(p))), AppendStatus::appended);
      pass.commit();
    }
    std::vector<BatchInfo> open;
    pass.open_batches(open);
    ASSERT_THAT(open, SizeIs(6));
    ASSERT_TRUE(hold_->close(open[0].id, {}).ok());
    ASSERT_TRUE(hold_->close(open[4].id, {}).ok());
  }

  void open_again() {
    hold_ = nullptr;
    open();
  }

  Image read() const {
    std::ifstream file(path_, std::ios::binary);
    std::stringstream content;
    content << file.rdbuf();
    const std::string text = content.str();
    Image image(text.size() / 8);
    std::memcpy(image.data(), text.data(), image.size() * 8);
    return image;
  }
  // Changes words of the closed file in place.
  void change(const std::function<void(Image&)>& with) {
    hold_ = nullptr;
    Image image = read();
    with(image);
    const int fd = ::open(path_.c_str(), O_RDWR);
    ASSERT_EQ(::pwrite(fd, image.data(), image.size() * 8, 0), static_cast<ssize_t>(image.size() * 8));
    ::close(fd);
  }
  static std::span<std::byte> bytes_of(Image& image) { return std::as_writable_bytes(std::span(image)); }

  // The page word of a chain of this kind.
  static std::uint64_t& page_word_of(Image& image, ChainKind kind) {
    const Geometry g = geometry_of(image.size() * 8);
    for (std::uint64_t page = 0; page < g.page_count; ++page) {
      std::uint64_t& owner = image[g.page_word(page) / 8];
      if (owner != 0 && owner_kind(image[g.slot(page_slot(owner)) / 8 + kSlotOwner]) == kind) {
        return owner;
      }
    }
    ADD_FAILURE() << "no such chain";
    return image[0];
  }

  // That what is left works: nothing is out of balance that was not booked, and it can be filled,
  // sent and emptied.
  static void expect_usable(Hold& hold) {
    std::vector<Outcome> outcomes;
    for (const BatchInfo& info : hold.recovery().open) {
      ASSERT_TRUE(hold.close(info.id, {}).ok());
      outcomes.push_back({info.id, info.records});
    }
    for (const BatchInfo& info : hold.recovery().closed) {
      outcomes.push_back({info.id, info.records});
    }
    for (const Outcome& outcome : outcomes) {
      static_cast<void>(text_of(hold, outcome.batch));
    }
    ASSERT_TRUE(hold.settle(outcomes).ok());
    const auto added = hold.add(identity(9, 16));
    ASSERT_TRUE(added.ok()) << added.error().sentence;
    Pass pass(hold);
    ASSERT_TRUE(pass.begin(*added));
    const Appended appended = pass.append(key(*added), {}, 0, bytes("new"), {0, 0});
    ASSERT_EQ(appended.status, AppendStatus::appended);
    pass.commit();
    ASSERT_TRUE(hold.close(appended.batch, {}).ok());
    EXPECT_EQ(text_of(hold, appended.batch), "new");
    EXPECT_TRUE(hold.settle(std::vector<Outcome>{{appended.batch, 1}}).ok());
    // A baseline is what was written, or said to be lost; and the next one can be kept.
    for (const ProcessIndex process : hold.processes()) {
      std::vector<std::byte> kept;
      const BaselineState state = hold.baseline(process, kept);
      EXPECT_EQ(state == BaselineState::kept, !kept.empty());
      ASSERT_TRUE(pass.begin(process));
      ASSERT_EQ(pass.set_baseline(process, bytes("next")), AppendStatus::appended);
      pass.commit();
      EXPECT_EQ(hold.baseline(process, kept), BaselineState::kept);
      EXPECT_EQ(kept.size(), 4u);
      for (const SignalLedger& ledger : hold.ledger(process)) {
        EXPECT_LE(ledger.imbalance(), 0);
      }
    }
  }
};

TEST_F(HoldDamage, AnyByteOfTheTablesMayBeFlipped) {
  fill();
  hold_ = nullptr;
  const Image whole = read();
  const Geometry g = geometry_of(whole.size() * 8);
  std::mt19937_64 random(7);
  int renewed = 0;
  int repaired = 0;
  for (std::uint64_t word = 0; word < g.pages_offset / 8; word += 1 + random() % 7) {
    Image image = whole;
    const std::uint64_t bit = std::uint64_t{1} << random() % 64;
    image[word] ^= random() % 2 != 0 ? bit : 0xffull << 8 * (random() % 8);
    static_cast<void>(status_of_image(bytes_of(image)).ok());
    auto hold = Hold::over(bytes_of(image), false);
    if (!hold) {
      ++renewed;
      EXPECT_LT(word * 8, g.processes_offset) << "only header and log make a hold useless";
      continue;
    }
    repaired += (*hold)->recovery().chains_damaged != 0 ? 1 : 0;
    expect_usable(**hold);
    ASSERT_FALSE(HasFatalFailure()) << "word " << word;
  }
  EXPECT_GT(renewed, 0);
  EXPECT_GT(repaired, 0);
}

TEST_F(HoldDamage, ManyFlippedBytesAtOnce) {
  fill();
  hold_ = nullptr;
  const Image whole = read();
  const Geometry g = geometry_of(whole.size() * 8);
  std::mt19937_64 random(8);
  for (int round = 0; round < 300; ++round) {
    Image image = whole;
    for (int flips = 0; flips < 60; ++flips) {
      image[(g.processes_offset + random() % (g.pages_offset - g.processes_offset)) / 8] ^= std::uint64_t{1}
                                                                                            << random() % 64;
    }
    auto hold = Hold::over(bytes_of(image), false);
    ASSERT_TRUE(hold.ok());
    static_cast<void>(status_of_image(bytes_of(image)).ok());
    expect_usable(**hold);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
  }
}

TEST_F(HoldDamage, BatchThatLacksAPageIsFreedAndItsRecordsBooked) {
  fill();
  change([](Image& image) { page_word_of(image, kKindBatch) = 0; });
  open();
  EXPECT_EQ(hold_->recovery().chains_damaged, 1u);
  EXPECT_EQ(hold_->recovery().records_damaged, 3u);
  EXPECT_FALSE(hold_->recovery().renewed);
  std::uint64_t damaged = 0;
  for (const ProcessIndex process : hold_->processes()) {
    expect_balance(process, Signal::traces);
    damaged += hold_->ledger(process)[0].dropped[static_cast<std::size_t>(DropReason::hold_damaged)];
  }
  EXPECT_EQ(damaged, 3u);
  expect_usable(*hold_);
}

// Of both processes: 'k'ept as written, 'l'ost, or what should not be.
std::string baselines_of(const Hold& hold) {
  std::string states;
  for (const ProcessIndex process : hold.processes()) {
    std::vector<std::byte> kept;
    const BaselineState state = hold.baseline(process, kept);
    const auto number = static_cast<char>(hold.process(process).identity.uuid[0]);
    const bool as_written = kept.size() == 9000 && std::all_of(kept.begin(), kept.end(), [&](std::byte byte) {
                              return static_cast<char>(byte) == 'a' + number;
                            });
    states += state == BaselineState::kept && as_written     ? 'k'
              : state == BaselineState::lost && kept.empty() ? 'l'
                                                             : '?';
  }
  return states;
}

TEST_F(HoldDamage, DamagedBaselineIsSaidAndLostForEver) {
  const std::vector<std::pair<const char*, std::function<void(Image&)>>> damages = {
      {"a page", [](Image& image) { page_word_of(image, kKindBaseline) = 0; }},
      {"a byte",
       [](Image& image) {
         const Geometry g = geometry_of(image.size() * 8);
         std::uint64_t& word = page_word_of(image, kKindBaseline);
         const auto page = static_cast<std::uint64_t>(&word - &image[g.page_word(0) / 8]);
         image[g.page(page) / 8 + 17] ^= 4;
       }},
      {"its name",
       [](Image& image) {
         const Geometry g = geometry_of(image.size() * 8);
         image[g.process(1) / 8 + kProcessBaseline] += 1;
       }},
      {"its slot", [](Image& image) {
         const Geometry g = geometry_of(image.size() * 8);
         image[g.slot(page_slot(page_word_of(image, kKindBaseline))) / 8] = 0;
       }}};
  for (const auto& [what, damage] : damages) {
    reset(kBytes);
    fill();
    EXPECT_EQ(baselines_of(*hold_), "kk");
    change(damage);
    open();
    EXPECT_FALSE(hold_->recovery().renewed) << what;
    EXPECT_EQ(hold_->recovery().baselines_lost, std::vector<ProcessIndex>{1}) << what;
    EXPECT_EQ(baselines_of(*hold_), "lk") << what;
    EXPECT_EQ(hold_->recovery().records_damaged, 0u) << what;
    // The agent after the next still knows it, and does not find it a second time.
    open_again();
    EXPECT_TRUE(hold_->recovery().baselines_lost.empty()) << what;
    EXPECT_EQ(baselines_of(*hold_), "lk") << what;
    const auto status = read_status(path_);
    ASSERT_TRUE(status.ok());
    EXPECT_EQ(status->processes[0].baselines_lost, 1u) << what;
    EXPECT_EQ(status->processes[0].baseline, BaselineState::lost) << what;
    EXPECT_EQ(status->processes[1].baseline_bytes, 9000u) << what;
    expect_usable(*hold_);
    const auto later = read_status(path_);
    ASSERT_TRUE(later.ok());
    EXPECT_EQ(later->processes[0].baselines_lost, 1u) << "a loss stays counted: " << what;
  }
}

TEST_F(HoldDamage, LostPositionsAreSaidAndMadeAnew) {
  fill();
  change([](Image& image) { page_word_of(image, kKindPositions) = 0; });
  open();
  ASSERT_THAT(hold_->recovery().lanes_lost, SizeIs(1));
  const ProcessIndex process = hold_->recovery().lanes_lost[0];
  EXPECT_EQ(hold_->position(process, 0), 0u);
  const auto again = hold_->add(identity(hold_->process(process).identity.uuid[0], 16));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, process);
  hold_->set_position(process, 0, 72);
  EXPECT_EQ(hold_->position(process, 0), 72u);
  expect_balance(process, Signal::traces);
}

TEST_F(HoldDamage, RepairMayBeKilledAtEveryStore) {
  fill();
  change([](Image& image) {
    page_word_of(image, kKindBatch) = 0;
    page_word_of(image, kKindPositions) = 0;
    page_word_of(image, kKindBaseline) = 0;
    const Geometry g = geometry_of(image.size() * 8);
    image[g.process(7) / 8] = 77;                      // a process in no state there is
    image[g.slot(20) / 8] = pack_slot_state(9, 9, 9);  // a chain of nobody
  });
  const Image damaged = read();
  int killed = 0;
  for (const char* point : {"hold.start.free", "hold.start.page", "hold.start.book", "hold.start.process",
                            "hold.start.lanes_lost", "hold.start.baseline_lost", "hold.start.life"}) {
    for (int hit = 1; hit <= 3; ++hit) {
      change([&](Image& image) { image = damaged; });
      const pid_t child = ::fork();
      if (child == 0) {
        kill_at = point;
        kill_hit = hit;
        open();
        ::_exit(0);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      killed += WIFSIGNALED(status) ? 1 : 0;
      open();
      EXPECT_FALSE(hold_->recovery().renewed);
      std::uint64_t booked = 0;
      for (const ProcessIndex process : hold_->processes()) {
        expect_balance(process, Signal::traces);
        booked += hold_->ledger(process)[0].dropped[static_cast<std::size_t>(DropReason::hold_damaged)];
      }
      EXPECT_EQ(booked, 3u) << point << " hit " << hit;
      EXPECT_EQ(baselines_of(*hold_), "lk") << point << " hit " << hit;
      EXPECT_EQ(hold_->recovery().open.size() + hold_->recovery().closed.size(), 5u);
      expect_usable(*hold_);
      hold_ = nullptr;
    }
  }
  EXPECT_GE(killed, 10);
}

TEST_F(HoldDamage, UnknownVersionIsKeptAsideAndAHoldMadeAnew) {
  fill();
  change([](Image& image) { image[kHeaderVersion] = 99; });
  open();
  EXPECT_TRUE(hold_->recovery().renewed);
  EXPECT_THAT(hold_->recovery().damage, HasSubstr("version"));
  EXPECT_EQ(hold_->recovery().processes, 0u);
  std::ifstream kept(path_ + ".damaged", std::ios::binary);
  std::array<std::uint64_t, 2> header{};
  kept.read(reinterpret_cast<char*>(header.data()), 16);
  EXPECT_EQ(header[1], 99u);
  expect_usable(*hold_);
}

TEST_F(HoldDamage, GarbageInTheLogMakesTheHoldAnew) {
  fill();
  change([](Image& image) { image[geometry_of(image.size() * 8).log_offset / 8] = 3; });
  open();
  EXPECT_TRUE(hold_->recovery().renewed);
  EXPECT_THAT(hold_->recovery().damage, HasSubstr("log"));
}

TEST_F(HoldDamage, LogThatAimsOutsideTheTablesIsGarbage) {
  fill();
  change([](Image& image) {
    const Geometry g = geometry_of(image.size() * 8);
    std::uint64_t* log = image.data() + g.log_offset / 8;
    log[kLogEntries] = g.page_word(0);
    log[kLogEntries + 1] = 1;
    log[kLogChecksum] = log_checksum(1, log + kLogEntries);
    log[kLogCount] = 1;
  });
  open();
  EXPECT_TRUE(hold_->recovery().renewed);
}

TEST_F(HoldDamage, TruncatedFileMakesTheHoldAnew) {
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{4096}, kBytes - 4096, kBytes + 1}) {
    reset(kBytes);
    fill();
    hold_ = nullptr;
    std::filesystem::resize_file(path_, size);
    static_cast<void>(read_status(path_).ok());
    open();
    EXPECT_TRUE(hold_->recovery().renewed) << size;
    expect_usable(*hold_);
  }
}

TEST_F(HoldDamage, StatusOfADamagedHoldSaysWhatIsWrong) {
  fill();
  change([](Image& image) { image[kHeaderPageCount] += 1; });
  const auto status = read_status(path_);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().sentence, HasSubstr("tables in other places"));
}

// --- room

// In a process and mount namespace of its own, on a tmpfs of `kilobytes`. Answers 0, or the line it
// failed.
int on_small_tmpfs(const std::string& folder, int kilobytes, const std::function<int(const std::string&)>& test) {
  constexpr int kCannotMount = 255;
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string options = "mode=0700,size=" + std::to_string(kilobytes) + "k";
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()) != 0) {
      ::_exit(kCannotMount);
    }
    ::_exit(test(folder + "/hold"));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) {
    ADD_FAILURE() << "killed by " << ::strsignal(WTERMSIG(status));
    return 1;
  }
  return WEXITSTATUS(status) == kCannotMount ? -1 : WEXITSTATUS(status);
}

TEST_F(HoldDamage, FullTmpfsIsAnAnswerAndNotASignal) {
  hold_ = nullptr;
  const int line = on_small_tmpfs(folder_, 1024, [](const std::string& path) {
    HoldOptions options;
    options.path = path;
    options.bytes = 4 << 20;
    auto opened = Hold::open(options);
    if (!opened) {
      return __LINE__ % 250;
    }
    Hold& hold = **opened;
    const auto process = hold.add(identity(1, 16));
    Pass pass(hold);
    std::vector<BatchId> batches;
    for (std::uint64_t i = 0; i < 1000; ++i) {
      if (!process || !pass.begin(*process)) {
        return __LINE__ % 250;
      }
      const Appended appended =
          pass.append({*process, Signal::traces, 1, i}, {}, 0, bytes(std::string(4000, 'x')), {0, i * 8});
      pass.commit();
      if (appended.status == AppendStatus::full) {
        break;
      }
      batches.push_back(appended.batch);
    }
    if (batches.size() < 20 || batches.size() > 300 || !hold.occupancy().tmpfs_full) {
      return __LINE__ % 250;
    }
    // What is settled makes room at once.
    const Outcome outcome{batches[0], 1};
    if (!hold.close(batches[0], {}).ok() || !hold.settle({&outcome, 1}).ok() || !pass.begin(*process)) {
      return __LINE__ % 250;
    }
    const bool fits =
        pass.join({*process, Signal::traces, 1, 0}, {}, 0, bytes("r"), {0, 8}, 1, {}).status == AppendStatus::appended;
    pass.commit();
    return fits ? 0 : __LINE__ % 250;
  });
  if (line < 0) {
    GTEST_SKIP() << "no small tmpfs can be mounted here: needs root";
  }
  EXPECT_EQ(line, 0) << "failed at that line modulo 250";
}

TEST_F(HoldDamage, TmpfsWithoutRoomForTheTablesIsSaid) {
  hold_ = nullptr;
  const int line = on_small_tmpfs(folder_, 64, [](const std::string& path) {
    HoldOptions options;
    options.path = path;
    options.bytes = 4 << 20;
    const auto opened = Hold::open(options);
    return !opened.ok() && opened.error().code == ErrorCode::kResourceExhausted ? 0 : 1;
  });
  if (line < 0) {
    GTEST_SKIP() << "no small tmpfs can be mounted here: needs root";
  }
  EXPECT_EQ(line, 0);
}

}  // namespace
}  // namespace tailrace::agent
