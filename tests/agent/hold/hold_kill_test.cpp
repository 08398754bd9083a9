// SPDX-License-Identifier: Apache-2.0
//
// The kill matrix: an agent of random doings is ended by SIGKILL at each named store of the hold,
// looked at before anything is repaired, and followed by the next one, which is killed in its turn,
// at its start too. Nothing may be lost, doubled, leaked or owned twice, and the ledger must
// balance at every look.
//
// The same matrix must catch each deliberate mistake of mutation.hpp, else it proves nothing.
// Built twice: a short run for every day, and with HOLD_KILLS_LONG a long one. The environment's
// HOLD_KILLS says how many kills each matrix makes instead.
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <new>
#include <random>
#include <signal.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "agent/hold/mutation.hpp"
#include "tests/agent/hold/hold_world.hpp"

namespace {

// What the agent's process shares with the one that kills it.
struct Control {
  static constexpr std::uint32_t kNames = 96;
  char names[kNames][40];
  std::atomic<std::uint32_t> hits[kNames];
  std::atomic<std::uint32_t> used;
  char wrong[400];
};
Control* control = nullptr;
bool listing = false;
const char* kill_at = nullptr;
std::uint32_t kill_hit = 0;
std::atomic<std::uint32_t> hits_so_far{0};

void list_name(const char* name) {
  std::uint32_t i = 0;
  while (i < control->used && std::strcmp(control->names[i], name) != 0) {
    ++i;
  }
  if (i == control->used) {
    std::strncpy(control->names[i], name, sizeof control->names[i] - 1);
    ++control->used;
  }
  ++control->hits[i];
}

}  // namespace

extern "C" void tailrace_test_point(const char* name) {
  if (listing) {
    list_name(name);
  } else if (kill_at != nullptr && std::strcmp(kill_at, name) == 0 && ++hits_so_far == kill_hit) {
    ::kill(::getpid(), SIGKILL);
  }
}

namespace tailrace::agent {
namespace {

template <typename T>
T* shared_memory() {
  void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : new (memory) T();
}

class KillMatrix : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/dev/shm/hold-kill-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      name = "/tmp/hold-kill-XXXXXX";
      ASSERT_NE(::mkdtemp(name.data()), nullptr);
    }
    folder_ = name;
    path_ = folder_ + "/hold";
    control = shared_memory<Control>();
    world_ = shared_memory<World>();
    ASSERT_TRUE(control != nullptr && world_ != nullptr);
    hold_mutation = Mutation::none;
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    ::munmap(control, sizeof *control);
    ::munmap(world_, sizeof *world_);
    hold_mutation = Mutation::none;
  }

  static int kills_wanted(int usual, int in_a_long_run) {
    const char* text = std::getenv("HOLD_KILLS");
#ifdef HOLD_KILLS_LONG
    usual = in_a_long_run;
#endif
    static_cast<void>(in_a_long_run);
    return text != nullptr ? std::atoi(text) : usual;
  }

  void new_world(std::uint32_t threads) {
    std::filesystem::remove(path_);
    world_->~World();
    std::memset(static_cast<void*>(world_), 0, sizeof *world_);
    new (world_) World();
    world_->seed = random_();
    world_->threads = threads;
  }

  enum class End { killed, finished, wrong };
  // One life of the agent, in a process of its own, which ends at the given hit of `point` (or
  // `after_us`).
  End live(const char* point, std::uint32_t hit, useconds_t after_us = 0) {
    control->wrong[0] = 0;
    const pid_t child = ::fork();
    if (child == 0) {
      kill_at = point;
      kill_hit = hit;
      hits_so_far = 0;
      const std::string wrong = run_agent(*world_, path_);
      std::strncpy(control->wrong, wrong.c_str(), sizeof control->wrong - 1);
      ::_exit(wrong.empty() ? 0 : 1);
    }
    if (after_us != 0) {
      ::usleep(after_us);
      ::kill(child, SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
      return End::killed;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      return End::finished;
    }
    if (WIFSIGNALED(status)) {
      std::strncpy(control->wrong, ::strsignal(WTERMSIG(status)), sizeof control->wrong - 1);
    }
    return End::wrong;
  }

  // Every name the agent passes, with how often in one undisturbed life.
  void list_points() {
    new_world(1);
    listing = true;
    ASSERT_EQ(live(nullptr, 0), End::finished) << control->wrong;
    // And of lives after a first that left something to do at the start.
    for (const char* point : {"hold.txn.apply", "hold.page.take", "hold.drain.begun"}) {
      listing = false;
      new_world(1);
      ASSERT_EQ(live(point, 30), End::killed);
      listing = true;
      ASSERT_EQ(live(nullptr, 0), End::finished) << control->wrong;
    }
    listing = false;
    ASSERT_LT(control->used, Control::kNames);
  }

  // So that a start has something to finish, to clear or to count.
  const char* something_left_behind() {
    static constexpr const char* kPoints[] = {"hold.txn.valid",   "hold.txn.apply",        "hold.txn.apply",
                                              "hold.txn.counted", "hold.page.take",        "hold.page.clear",
                                              "hold.drain.begun", "hold.settle.committed", "hold.txn.entry"};
    return kPoints[random_() % std::size(kPoints)];
  }

  struct Verdict {
    int kills = 0;
    int worlds = 0;
    std::string wrong;  // the first thing
  };

  void step(const char* point, std::uint32_t hit, std::uint32_t threads, Verdict& verdict) {
    if (!verdict.wrong.empty()) {
      return;
    }
    const End end = live(point, hit);
    const std::string place = end == End::finished ? "at the end" : point + (" hit " + std::to_string(hit));
    if (end == End::wrong) {
      verdict.wrong = place + ": " + control->wrong;
      return;
    }
    const std::vector<std::string> wrong = look(*world_, path_, end == End::finished);
    if (!wrong.empty()) {
      verdict.wrong = place + ": " + wrong.front();
    } else if (end == End::killed) {
      ++verdict.kills;
      ++killed_at_[point];
    } else {
      ++verdict.worlds;
      new_world(threads);
    }
  }

  // Goes over all points in turn, and at each dies at a hit of its own choice, until `kills` are
  // made.
  Verdict matrix(int kills, std::uint32_t threads) {
    Verdict verdict;
    const std::uint32_t points = control->used;
    new_world(threads);
    for (std::uint32_t turn = 0; verdict.kills < kills && verdict.wrong.empty(); ++turn) {
      const std::uint32_t point = turn % points;
      const char* name = control->names[point];
      if (std::strncmp(name, "hold.start.", 11) == 0) {
        step(something_left_behind(), 1 + static_cast<std::uint32_t>(random_() % 40), threads, verdict);
        step(name, 1 + static_cast<std::uint32_t>(random_() % 3), threads, verdict);
      } else {
        const std::uint64_t among = random_() % 2 != 0 ? 6 : 1 + control->hits[point] / 6;
        step(name, 1 + static_cast<std::uint32_t>(random_() % among), threads, verdict);
      }
    }
    return verdict;
  }

  std::string folder_;
  std::string path_;
  World* world_ = nullptr;
  std::mt19937_64 random_{20240607};
  std::map<std::string, int> killed_at_;
};

void expect_names(const std::map<std::string, int>& killed) {
  // Every kind of store there is: a point that is renamed or no longer reached must not pass in
  // silence.
  for (const char* name :
       {"hold.create.sized",  "hold.create.header",   "hold.create.geometry", "hold.create.magic",
        "hold.txn.entry",     "hold.txn.checksum",    "hold.txn.valid",       "hold.txn.apply",
        "hold.txn.counted",   "hold.txn.clear",       "hold.page.take",       "hold.page.clear",
        "hold.slot.high",     "hold.slot.owner",      "hold.slot.words",      "hold.write",
        "hold.close.patch",   "hold.close.state",     "hold.settle.begin",    "hold.settle.committed",
        "hold.retry.word",    "hold.pass.begin",      "hold.pass.committed",  "hold.drain.begun",
        "hold.drain.ended",   "hold.process.clear",   "hold.process.words",   "hold.process.positions",
        "hold.process.added", "hold.process.retired", "hold.start.apply",     "hold.start.counted",
        "hold.start.clear",   "hold.start.page",      "hold.start.death",     "hold.start.life"}) {
    const auto found = killed.find(name);
    EXPECT_TRUE(found != killed.end() && found->second > 0) << "nobody was killed at " << name;
  }
}

TEST_F(KillMatrix, NothingIsLostDoubledLeakedOrOwnedTwice) {
  list_points();
  const Verdict verdict = matrix(kills_wanted(700, 10000), 1);
  EXPECT_EQ(verdict.wrong, "");
  if (verdict.kills >= 500) {  // the environment may have asked for fewer
    expect_names(killed_at_);
  }
  RecordProperty("kills", verdict.kills);
  std::printf("%d kills at %zu points, %d worlds came to their end\n", verdict.kills, killed_at_.size(),
              verdict.worlds);
}

TEST_F(KillMatrix, TheSameWithThreeThreads) {
  list_points();
  const Verdict verdict = matrix(kills_wanted(200, 4000), 3);
  EXPECT_EQ(verdict.wrong, "");
  std::printf("%d kills, %d worlds came to their end\n", verdict.kills, verdict.worlds);
}

TEST_F(KillMatrix, KilledAtAnyMomentWithThreeThreads) {
  const int kills = kills_wanted(60, 1000);
  new_world(3);
  int killed = 0;
  for (int i = 0; i < kills * 3 && killed < kills; ++i) {
    const End end = live(nullptr, 0, static_cast<useconds_t>(1 + random_() % 8000));
    ASSERT_NE(end, End::wrong) << control->wrong;
    const std::vector<std::string> wrong = look(*world_, path_, end == End::finished);
    ASSERT_TRUE(wrong.empty()) << wrong.front();
    killed += end == End::killed ? 1 : 0;
    if (end == End::finished) {
      new_world(3);
    }
  }
  EXPECT_GT(killed, kills / 2);
}

class KillMatrixMistakes : public KillMatrix, public ::testing::WithParamInterface<Mutation> {};

TEST_P(KillMatrixMistakes, IsCaught) {
  list_points();  // without the mistake, which might not live through it
  hold_mutation = GetParam();
  const Verdict verdict = matrix(kills_wanted(3000, 3000), 1);
  EXPECT_NE(verdict.wrong, "") << "the mistake went unseen through " << verdict.kills << " kills";
  std::printf("after %d kills: %s\n", verdict.kills, verdict.wrong.c_str());
}

std::string mistake_name(Mutation mistake) {
  static const std::array<const char*, 14> kNames = {"None",
                                                     "PositionBeforeCommit",
                                                     "PagesBeforeSettlement",
                                                     "PagesNotClearedAtStart",
                                                     "SettleInTwo",
                                                     "ValidBeforeEntries",
                                                     "DeltasInLog",
                                                     "ClearBeforeApply",
                                                     "PageWordAfterCommit",
                                                     "BookedBeforeJoin",
                                                     "FirstPositionForgotten",
                                                     "BaselineBeforePoints",
                                                     "PointsBeforeBaseline",
                                                     "BaselineFreedEarly"};
  return kNames.at(static_cast<std::size_t>(mistake));
}

INSTANTIATE_TEST_SUITE_P(Each, KillMatrixMistakes,
                         ::testing::Values(Mutation::position_before_commit, Mutation::pages_before_settlement,
                                           Mutation::pages_not_cleared_at_start, Mutation::settle_in_two,
                                           Mutation::valid_before_entries, Mutation::deltas_in_log,
                                           Mutation::clear_before_apply, Mutation::page_word_after_commit,
                                           Mutation::booked_before_join, Mutation::first_position_forgotten,
                                           Mutation::baseline_before_points, Mutation::points_before_baseline,
                                           Mutation::baseline_freed_early),
                         [](const ::testing::TestParamInfo<Mutation>& each) { return mistake_name(each.param); });

}  // namespace
}  // namespace tailrace::agent
