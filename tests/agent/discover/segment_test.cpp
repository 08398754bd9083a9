// SPDX-License-Identifier: Apache-2.0
#include "agent/discover/segment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>

#include "agent/discover/fault_guard.hpp"
#include "tests/agent/discover/segment_file.hpp"

namespace tailrace::agent {
namespace {

using test::attach;
using test::open_directory;
using test::segment_name;
using test::SegmentFile;
using ::testing::HasSubstr;

class SegmentTest : public ::testing::Test {
 protected:
  test::TemporaryDirectory temporary_;
  std::unique_ptr<Directory> directory_ = open_directory(temporary_.path());
  std::unique_ptr<SegmentFile> file_ = std::make_unique<SegmentFile>(temporary_.in(segment_name(1)));
  std::unique_ptr<AttachedSegment> segment_ = attach(*directory_, segment_name(1));
};

TEST_F(SegmentTest, KnowsItsApplicationFromTheKernel) {
  EXPECT_EQ(segment_->name(), segment_name(1));
  EXPECT_EQ(segment_->uuid()[0], 0xA0);
  EXPECT_EQ(segment_->uid(), ::geteuid());
  EXPECT_EQ(segment_->pid(), ::getpid());
  EXPECT_EQ(segment_->lane_count(), 4u);
  EXPECT_FALSE(segment_->is_shared_lane(2));
  EXPECT_TRUE(segment_->is_shared_lane(3));
  EXPECT_EQ(segment_->ring_bytes(), 4096u);
}

TEST_F(SegmentTest, IsDeadOnlyWhenTheLockIsFree) {
  EXPECT_FALSE(segment_->try_lock_dead());
  EXPECT_FALSE(segment_->lock_is_free());
  file_->die();
  EXPECT_FALSE(segment_->dead());
  EXPECT_TRUE(segment_->try_lock_dead());
  EXPECT_TRUE(segment_->dead());
}

// The child is killed, not ended: no handler of it runs, and the kernel gives the lock back.
TEST_F(SegmentTest, AProcessThatIsKilledIsFoundDead) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    SegmentFile own(temporary_.in(segment_name(2)));
    static_cast<void>(::write(ready[1], "x", 1));
    ::pause();
    ::_exit(0);
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const std::unique_ptr<AttachedSegment> segment = attach(*directory_, segment_name(2));
  EXPECT_EQ(segment->pid(), child);
  EXPECT_FALSE(segment->try_lock_dead());
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(segment->try_lock_dead());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(SegmentTest, ASegmentWhoseProcessIsLongGoneHasNoPid) {
  SegmentFile other(temporary_.in(segment_name(2)), {}, false);
  const std::unique_ptr<AttachedSegment> segment = attach(*directory_, segment_name(2));
  EXPECT_EQ(segment->pid(), 0);
  EXPECT_TRUE(segment->try_lock_dead());
}

TEST_F(SegmentTest, SeesTheApplicationsWordsAndSumsItsCounters) {
  shm::test::fill_with_everything(**file_);
  EXPECT_EQ(segment_->lanes_used(), 3u);
  EXPECT_TRUE(segment_->lane_committed(1));
  EXPECT_EQ(segment_->head(0), (*file_)->lane(0).head.load());
  EXPECT_EQ(segment_->scopes_count(), 1u);
  EXPECT_EQ(segment_->pool_used(), 3u);
  const shm::CounterSums counters = segment_->counters();
  EXPECT_EQ(counters.written[0], 12u);
  EXPECT_EQ(counters.written[1], 3u);
  EXPECT_EQ(counters.dropped_of(shm::Signal::logs), 14u);
  EXPECT_EQ(counters.unlaned_of(shm::Signal::traces), 2u);
  EXPECT_EQ(counters.not_sampled, 3u);
}

TEST_F(SegmentTest, WordsThatPointOutsideAreClamped) {
  (*file_)->process().lanes_used.store(1u << 30);
  (*file_)->process().strings_len.store(~0ull);
  (*file_)->process().scopes_count.store(~0u);
  (*file_)->process().pool_used.store(~0u);
  EXPECT_EQ(segment_->lanes_used(), 3u);
  EXPECT_EQ(segment_->strings_len(), 16384u);
  EXPECT_EQ(segment_->scopes_count(), 16u);
  EXPECT_EQ(segment_->pool_used(), 8u);
  EXPECT_EQ(segment_->counters().written[0], 0u);
}

TEST_F(SegmentTest, PublishesItsOwnWordsAndOnlyThose) {
  segment_->announce(77, 5);
  segment_->publish_tail(2, 640);
  segment_->publish_settled(2, 320);
  segment_->set_sleeping(true);
  segment_->set_clock_override(shm::ClockKind::monotonic);
  segment_->set_flush_done(shm::FlushKind::all, 9);
  segment_->set_flush_done(shm::FlushKind::critical, 4);
  shm::Control& control = (*file_)->control();
  EXPECT_EQ(control.agent.agent_state.load(), static_cast<std::uint32_t>(shm::AgentState::attached));
  EXPECT_EQ(control.agent.agent_epoch.load(), 77u);
  EXPECT_EQ(control.agent.agent_features.load(), 5u);
  EXPECT_NE(control.agent.heartbeat_monotonic_ns.load(), 0u);
  EXPECT_EQ(control.flush.agent_sleeping.load(), 1u);
  EXPECT_EQ(control.flush.flush_done.load(), 9u);
  EXPECT_EQ(control.flush.critical_done.load(), 4u);
  EXPECT_EQ(control.hot.clock_override.load(), static_cast<std::uint8_t>(shm::ClockKind::monotonic));
  EXPECT_EQ((*file_)->tail(2).tail.load(), 640u);
  EXPECT_EQ((*file_)->tail(2).settled.load(), 320u);
  EXPECT_EQ(segment_->tail(2), 640u);
  EXPECT_EQ(segment_->settled_words(), (std::vector<std::uint64_t>{0, 0, 320, 0}));
  segment_->withdraw();
  EXPECT_EQ(control.agent.agent_state.load(), static_cast<std::uint32_t>(shm::AgentState::none));
  EXPECT_EQ(control.flush.agent_sleeping.load(), 0u);
}

TEST_F(SegmentTest, CountsAreWholeEvenAfterAnAgentThatDiedWritingThem) {
  shm::Control& control = (*file_)->control();
  control.flush.settled_seq.store(7);  // odd: it died in between
  std::array<SettledCounts, shm::kSignals> counts;
  counts[0].delivered = 3;
  counts[1].rejected = 4;
  counts[1].dropped[2] = 5;
  counts[2].produced = 6;
  segment_->publish_counts(shm::FlushKind::critical, counts);
  EXPECT_EQ(control.flush.settled_seq.load(), 8u);
  EXPECT_EQ(control.settled[1][0].delivered.load(), 3u);
  EXPECT_EQ(control.settled[1][1].rejected.load(), 4u);
  EXPECT_EQ(control.settled[1][1].dropped[2].load(), 5u);
  EXPECT_EQ(control.settled[1][2].produced.load(), 6u);
  EXPECT_EQ(control.settled[0][0].delivered.load(), 0u);
  segment_->publish_counts(shm::FlushKind::all, counts);
  EXPECT_EQ(control.flush.settled_seq.load(), 10u);
  EXPECT_EQ(control.settled[0][0].delivered.load(), 3u);
}

TEST_F(SegmentTest, AskedGenerationsOfBothKindsAreRead) {
  (*file_)->process().flush_gen.store(3);
  (*file_)->process().critical_gen.store(5);
  EXPECT_EQ(segment_->flush_gen(shm::FlushKind::all), 3u);
  EXPECT_EQ(segment_->flush_gen(shm::FlushKind::critical), 5u);
  (*file_)->control().flush.critical_done.store(4);
  EXPECT_EQ(segment_->flush_done(shm::FlushKind::all), 0u);
  EXPECT_EQ(segment_->flush_done(shm::FlushKind::critical), 4u);
}

TEST_F(SegmentTest, QuarantineTellsTheApplication) {
  segment_->quarantine("lane 0: nonsense");
  EXPECT_EQ(segment_->condition(), SegmentCondition::quarantined);
  EXPECT_THAT(segment_->trouble(), HasSubstr("lane 0: nonsense"));
  const shm::ControlAgent& agent = (*file_)->control().agent;
  EXPECT_EQ(agent.agent_state.load(), static_cast<std::uint32_t>(shm::AgentState::rejected));
  EXPECT_EQ(agent.reason.load(), static_cast<std::uint32_t>(shm::RejectReason::quarantined));
}

// The trap of segment.md: the owner cuts the file that we have mapped.
TEST_F(SegmentTest, AFileCutShortWhileMappedPoisonsThatSegmentAndNothingElse) {
  SegmentFile healthy_file(temporary_.in(segment_name(2)));
  const std::unique_ptr<AttachedSegment> healthy = attach(*directory_, segment_name(2));
  (*file_)->put(0, shm::test::make_span({}));
  file_->cut_to(4096);
  EXPECT_EQ(segment_->head(0), 0u);  // zeros instead of SIGBUS
  EXPECT_EQ(segment_->counters().written[0], 0u);
  segment_->publish_tail(0, 64);  // a store survives, too
  segment_->beat(1);
  EXPECT_EQ(segment_->refresh_condition(), SegmentCondition::poisoned);
  EXPECT_THAT(segment_->trouble(), HasSubstr("shrank"));
  EXPECT_EQ(segment_->refresh_condition(), SegmentCondition::poisoned);

  healthy_file->put(0, shm::test::make_span({}));
  EXPECT_EQ(healthy->head(0), 64u);
  EXPECT_EQ(healthy->refresh_condition(), SegmentCondition::sound);
}

TEST_F(SegmentTest, ReadingBehindTheEndIsFalse) {
  std::array<std::uint8_t, 16> bytes{};
  EXPECT_TRUE(segment_->read(0, bytes));
  EXPECT_FALSE(segment_->read(file_->size() - 8, bytes));
  EXPECT_FALSE(segment_->read(~0ull >> 1, bytes));
}

// Cells: what cannot be had is an answer, and never the zeros that stand in for it.
TEST_F(SegmentTest, WordsAreReadWholeOrNotAtAll) {
  (*file_)->lane_cell(1, 0) = 5;
  (*file_)->lane_cell(1, 1) = ~std::uint64_t{0};
  (*file_)->process().metrics_count.store(~0u);
  EXPECT_EQ(segment_->metrics_count(), 16u);
  std::array<std::uint64_t, 2> words{};
  const std::uint64_t cells = segment_->geometry().lane_cells(1);
  EXPECT_TRUE(segment_->read_words(cells, words));
  EXPECT_EQ(words, (std::array<std::uint64_t, 2>{5, ~std::uint64_t{0}}));
  EXPECT_FALSE(segment_->read_words(cells + 4, words));
  EXPECT_FALSE(segment_->read_words(file_->size() - 8, words));
  EXPECT_FALSE(segment_->read_words(~std::uint64_t{7}, words));
  file_->cut_to(4096);
  EXPECT_FALSE(segment_->read_words(cells, words));
  EXPECT_FALSE(segment_->read_words(cells, words)) << "the zeros that are there now";
}

TEST_F(SegmentTest, RemovesItsOwnNameAndNoOtherFiles) {
  ASSERT_EQ(::rename(file_->path().c_str(), temporary_.in("moved").c_str()), 0);
  const SegmentFile other(temporary_.in(segment_name(1)));
  EXPECT_TRUE(segment_->unlink().ok());
  EXPECT_EQ(::access(other.path().c_str(), F_OK), 0);
  ASSERT_EQ(::unlink(other.path().c_str()), 0);
  EXPECT_TRUE(segment_->unlink().ok());  // already gone
}

using SegmentDeathTest = SegmentTest;

// A fault that is not in a segment must still end the process.
// As a process dies of SIGBUS: by the signal, or, in a build where AddressSanitizer's handler was there before
// the guard's, by that one's report.
bool died_of_bus_error(int status) {
#if defined(__SANITIZE_ADDRESS__)
  return WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) != 0);
#else
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS;
#endif
}

TEST_F(SegmentDeathTest, ABusErrorElsewhereEndsTheProcess) {
  EXPECT_EXIT(
      {
        FaultGuard::install();
        const int fd = ::open(temporary_.in("plain").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        void* memory = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
        volatile char byte = *static_cast<volatile char*>(memory);
        static_cast<void>(byte);
      },
      died_of_bus_error, "");
}

TEST_F(SegmentDeathTest, ABusErrorSentBySomebodyEndsTheProcess) {
  EXPECT_EXIT(
      {
        FaultGuard::install();
        ::kill(::getpid(), SIGBUS);
        ::sleep(5);
      },
      died_of_bus_error, "");
}

}  // namespace
}  // namespace tailrace::agent
