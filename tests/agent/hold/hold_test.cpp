// SPDX-License-Identifier: Apache-2.0
//
// The hold, one behaviour a test: passes, batches, settlement, parked chains, settled, room,
// processes, status. Killing is hold_kill_test.cpp, damage is hold_damage_test.cpp.
#include "agent/hold/hold.hpp"

#include <array>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "agent/hold/pass.hpp"
#include "agent/hold/status.hpp"
#include "tests/agent/hold/hold_fixture.hpp"

namespace tailrace::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class HoldTest : public HoldFixture {};

TEST_F(HoldTest, CommittedRecordIsFoundByTheNextAgent) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  const Appended first = pass.append(key(process), bytes("head:"), 7, bytes("one"), {0, 0});
  const Appended second = pass.append(key(process), bytes("head:"), 7, bytes("two"), {0, 64});
  EXPECT_EQ(first.status, AppendStatus::appended);
  EXPECT_TRUE(first.opened);
  EXPECT_FALSE(second.opened);
  EXPECT_EQ(first.batch, second.batch);
  pass.set_position(process, 0, 128);
  pass.set_written(process, Signal::traces, 2);
  pass.commit();

  reopen(&pass);
  ASSERT_THAT(hold_->recovery().open, SizeIs(1));
  const BatchInfo& found = hold_->recovery().open[0];
  EXPECT_EQ(content(found.id), "head:onetwo");
  EXPECT_EQ(found.note, 7u);
  EXPECT_EQ(found.records, 2u);
  EXPECT_EQ(hold_->position(process, 0), 128u);
  expect_balance(process, Signal::traces);
}

TEST_F(HoldTest, UncommittedPassLeavesNothing) {
  const ProcessIndex process = add();
  const Occupancy before = hold_->occupancy();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  static_cast<void>(pass.append(key(process), bytes("h"), 0, bytes(std::string(9000, 'x')), {0, 0}));
  pass.drop(process, Signal::logs, DropReason::corrupt);
  pass.abandon();
  EXPECT_EQ(hold_->occupancy().bytes_used, before.bytes_used);
  EXPECT_EQ(hold_->ledger(process), Ledger{});
  EXPECT_FALSE(pass.is_open(key(process)));
}

TEST_F(HoldTest, AbandoningCutsAnOpenBatchBackToWhatWasCommitted) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const BatchId batch = put(pass, process, "kept", {0, 0});
  ASSERT_TRUE(pass.begin(process));
  static_cast<void>(pass.append(key(process), {}, 0, bytes(std::string(20000, 'x')), {0, 8}));
  pass.abandon();
  EXPECT_EQ(content(batch), "kept");
  put(pass, process, "more", {0, 8});
  EXPECT_EQ(content(batch), "keptmore");
}

TEST_F(HoldTest, KeysKeepRecordsApart) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  std::vector<BatchId> batches;
  for (const BatchKey& each : {BatchKey{process, Signal::traces, 0, 1}, BatchKey{process, Signal::logs, 0, 1},
                               BatchKey{process, Signal::traces, 1, 1}, BatchKey{process, Signal::traces, 0, 2}}) {
    batches.push_back(pass.append(each, {}, 0, bytes("r"), {0, 0}).batch);
  }
  pass.commit();
  for (std::size_t i = 0; i < batches.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_FALSE(batches[i] == batches[j]);
    }
  }
}

TEST_F(HoldTest, ClosingPatchesTheHeadAndEndsAppending) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const BatchId batch = put(pass, process, "....data", {0, 0});
  const Patch patch{0, bytes("SIZE")};
  ASSERT_TRUE(hold_->close(batch, {&patch, 1}).ok());
  EXPECT_EQ(content(batch), "SIZEdata");
  const BatchId next = put(pass, process, "new", {0, 8});
  EXPECT_FALSE(next == batch);
  EXPECT_FALSE(hold_->close(batch, {}).ok());
}

TEST_F(HoldTest, PatchAcrossAPageBoundaryIsWhole) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const BatchId batch = put(pass, process, std::string(10000, 'a'), {0, 0});
  const Patch patches[] = {{4090, bytes("0123456789")}, {9998, bytes("zz")}};
  ASSERT_TRUE(hold_->close(batch, patches).ok());
  const std::string text = content(batch);
  EXPECT_EQ(text.substr(4089, 12), "a0123456789a");
  EXPECT_EQ(text.substr(9997), "azz");
}

TEST_F(HoldTest, PatchBeyondTheEndIsRefusedAndChangesNothing) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const BatchId batch = put(pass, process, "data", {0, 0});
  const Patch patch{2, bytes("xyz")};
  const Status status = hold_->close(batch, {&patch, 1});
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().sentence, HasSubstr("ends beyond its 4"));
  EXPECT_EQ(content(batch), "data");
}

TEST_F(HoldTest, BatchOfAPassCannotBeClosedBeforeItsCommit) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  const Appended appended = pass.append(key(process), {}, 0, bytes("r"), {0, 0});
  EXPECT_FALSE(hold_->close(appended.batch, {}).ok());
  pass.commit();
  EXPECT_TRUE(hold_->close(appended.batch, {}).ok());
}

TEST_F(HoldTest, SealedBatchTakesNoMoreOfThisPass) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  const Appended first = pass.append(key(process), {}, 0, bytes("a"), {0, 0});
  pass.seal(key(process));
  const Appended second = pass.append(key(process), {}, 0, bytes("b"), {0, 8});
  EXPECT_FALSE(first.batch == second.batch);
  pass.commit();
  std::vector<BatchInfo> open;
  pass.open_batches(open);
  EXPECT_THAT(open, SizeIs(2));
  EXPECT_TRUE(hold_->close(first.batch, {}).ok());
  pass.open_batches(open);
  EXPECT_THAT(open, SizeIs(1));
}

TEST_F(HoldTest, SettlementBooksAndFreesInOneStep) {
  const ProcessIndex process = add();
  const std::uint64_t before = hold_->occupancy().bytes_used;
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  BatchId batch;
  for (int i = 0; i < 10; ++i) {
    batch = pass.append(key(process), {}, 0, bytes(std::string(1000, 'x')), {0, 8u * static_cast<unsigned>(i)}).batch;
  }
  pass.set_written(process, Signal::traces, 10);
  pass.commit();
  ASSERT_TRUE(hold_->close(batch, {}).ok());
  hold_->begin_send({&batch, 1});
  const Outcome outcome{batch, 5, 3, 2, DropReason::non_retryable, 3};
  ASSERT_TRUE(hold_->settle({&outcome, 1}).ok());

  const SignalLedger ledger = hold_->ledger(process)[0];
  EXPECT_EQ(ledger.delivered, 5u);
  EXPECT_EQ(ledger.rejected, 3u);
  EXPECT_EQ(ledger.dropped[static_cast<std::size_t>(DropReason::non_retryable)], 2u);
  EXPECT_EQ(ledger.non_retryable[3], 2u);
  EXPECT_EQ(ledger.pending(), 0u);
  expect_balance(process, Signal::traces);
  EXPECT_EQ(hold_->occupancy().bytes_used, before);
  EXPECT_FALSE(hold_->info(batch).ok());
}

TEST_F(HoldTest, SettlingTwiceOrWithOtherNumbersIsAnErrorAndChangesNothing) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const BatchId batch = put(pass, process, "r", {0, 0});
  EXPECT_FALSE(hold_->settle(std::vector<Outcome>{{batch, 1}}).ok()) << "it is open";
  ASSERT_TRUE(hold_->close(batch, {}).ok());
  EXPECT_FALSE(hold_->settle(std::vector<Outcome>{{batch, 2}}).ok());
  EXPECT_FALSE(hold_->settle(std::vector<Outcome>{{batch, 1}, {batch, 1}}).ok());
  EXPECT_EQ(hold_->ledger(process)[0].delivered, 0u);
  EXPECT_TRUE(hold_->settle(std::vector<Outcome>{{batch, 1}}).ok());
  EXPECT_FALSE(hold_->settle(std::vector<Outcome>{{batch, 1}}).ok());
  EXPECT_EQ(hold_->ledger(process)[0].delivered, 1u);
}

TEST_F(HoldTest, IdOfASettledBatchNeverMeansTheNextOneInItsSlot) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const BatchId old = put(pass, process, "old", {0, 0});
  settle_all(old, 1);
  const BatchId next = put(pass, process, "next", {0, 8});
  EXPECT_EQ(old.slot, next.slot);
  EXPECT_FALSE(hold_->info(old).ok());
  EXPECT_FALSE(hold_->close(old, {}).ok());
  EXPECT_EQ(content(old), "");
  EXPECT_EQ(content(next), "next");
}

TEST_F(HoldTest, RequestTooLargeForTheLogSettlesBatchByBatch) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  std::vector<Outcome> outcomes;
  // The smallest log has 2048 entries and this hold about 100 pages, so entries are made scarce by
  // many processes instead: every batch books words of its own.
  reset(std::uint64_t{32} << 20);
  Pass large(*hold_, 512);
  const ProcessIndex owner = add();
  for (int round = 0; round < 10; ++round) {
    ASSERT_TRUE(large.begin(owner));
    for (std::uint64_t i = 0; i < 500; ++i) {
      const Appended appended = large.append({owner, Signal::logs, 1, static_cast<std::uint64_t>(round) * 500 + i}, {},
                                             0, bytes("r"), {0, i * 8});
      ASSERT_EQ(appended.status, AppendStatus::appended);
      outcomes.push_back({appended.batch, 1});
    }
    large.commit();
  }
  for (const Outcome& outcome : outcomes) {
    ASSERT_TRUE(hold_->close(outcome.batch, {}).ok());
  }
  ASSERT_GT(outcomes.size(), 4096u);
  const std::uint64_t commits = hold_->commits();
  ASSERT_TRUE(hold_->settle(outcomes).ok());
  EXPECT_EQ(hold_->commits() - commits, outcomes.size());
  EXPECT_EQ(hold_->ledger(owner)[1].delivered, 5000u);
  static_cast<void>(process);
}

TEST_F(HoldTest, RetryKeepsTheBatchAndItsAttemptsAcrossARestart) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const BatchId batch = put(pass, process, "r", {0, 0});
  ASSERT_TRUE(hold_->close(batch, {}).ok());
  hold_->begin_send({&batch, 1});
  EXPECT_EQ(hold_->info(batch)->state, BatchState::inflight);
  hold_->retry({&batch, 1}, 3, 12345);
  EXPECT_EQ(hold_->info(batch)->state, BatchState::closed);
  reopen(&pass);
  ASSERT_THAT(hold_->recovery().closed, SizeIs(1));
  EXPECT_EQ(hold_->recovery().closed[0].attempts, 3u);
  EXPECT_EQ(hold_->recovery().closed[0].due_ns, 12345u);
  EXPECT_EQ(content(hold_->recovery().closed[0].id), "r");
}

TEST_F(HoldTest, ContiguousPagesMakeOnePiece) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const BatchId batch = put(pass, process, std::string(40000, 'x'), {0, 0});
  std::vector<ByteSpan> pieces;
  hold_->pieces(batch, pieces);
  EXPECT_THAT(pieces, SizeIs(1));
  EXPECT_EQ(pieces[0].size(), 40000u);
}

TEST_F(HoldTest, FullEndsThePassBeforeTheRecordAndFreedRoomIsUsedAgain) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  std::vector<BatchId> batches;
  std::uint64_t records = 0;
  for (bool full = false; !full;) {
    ASSERT_TRUE(pass.begin(process));
    const Appended appended =
        pass.append(key(process, records), {}, 0, bytes(std::string(5000, 'x')), {0, records * 8});
    full = appended.status == AppendStatus::full;
    if (!full) {
      ASSERT_EQ(appended.status, AppendStatus::appended);
      batches.push_back(appended.batch);
      ++records;
    }
    pass.commit();
  }
  EXPECT_LT(hold_->bytes_free(), 8192u);
  EXPECT_EQ(hold_->ledger(process)[0].held, records);
  for (const BatchId batch : batches) {
    settle_all(batch, 1);
  }
  EXPECT_EQ(put(pass, process, std::string(5000, 'y'), {0, records * 8}).valid(), true);
}

TEST_F(HoldTest, JoinMayUseTheReserveThatAppendMayNot) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  const Appended part = pass.park(process, Signal::traces, 1, bytes("part"), {0, 0}, 0);
  pass.commit();
  ASSERT_TRUE(pass.begin(process));
  std::uint64_t i = 0;
  while (pass.append(key(process, 9), {}, 0, bytes(std::string(4096, 'x')), {0, ++i * 8}).status ==
         AppendStatus::appended) {}
  EXPECT_EQ(pass.append(key(process, 1), {}, 0, bytes("r"), {0, ++i * 8}).status, AppendStatus::full);
  EXPECT_EQ(pass.join(key(process, 1), {}, 0, bytes("r"), {0, i * 8}, 1, {&part.batch, 1}).status,
            AppendStatus::appended);
  pass.commit();
  EXPECT_EQ(hold_->ledger(process)[0].imbalance(), 0);
}

TEST_F(HoldTest, RecordThatCanNeverFitIsOversize) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  EXPECT_EQ(pass.append(key(process), {}, 0, bytes(std::string(pass.max_record_bytes() + 20000, 'x')), {0, 0}).status,
            AppendStatus::oversize);
  EXPECT_EQ(pass.append(key(process), {}, 0, bytes(std::string(pass.max_record_bytes(), 'x')), {0, 0}).status,
            AppendStatus::appended);
}

TEST_F(HoldTest, PassTouchesNoMoreBatchesThanItsCap) {
  const ProcessIndex process = add();
  Pass pass(*hold_, 3);
  ASSERT_TRUE(pass.begin(process));
  for (std::uint64_t route = 0; route < 3; ++route) {
    EXPECT_EQ(pass.append(key(process, route), {}, 0, bytes("r"), {0, route}).status, AppendStatus::appended);
  }
  EXPECT_EQ(pass.append(key(process, 3), {}, 0, bytes("r"), {0, 3}).status, AppendStatus::cap);
  EXPECT_EQ(pass.append(key(process, 0), {}, 0, bytes("r"), {0, 3}).status, AppendStatus::appended);
  pass.commit();
  ASSERT_TRUE(pass.begin(process));
  EXPECT_EQ(pass.append(key(process, 3), {}, 0, bytes("r"), {0, 4}).status, AppendStatus::appended);
}

TEST_F(HoldTest, PassBeginsNoMoreProcessesThanItsLogTakes) {
  Pass pass(*hold_);
  int begun = 0;
  for (std::uint8_t i = 0; i < 10; ++i) {
    const ProcessIndex process = add(i, 256);
    begun += pass.begin(process) ? 1 : 0;
  }
  EXPECT_GT(begun, 1);
  EXPECT_LT(begun, 10);
  pass.commit();
}

// --- parked

TEST_F(HoldTest, ParkedPartsAreFoundAfterARestartAndJoinInOneStep) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  ASSERT_EQ(pass.park(process, Signal::traces, 77, bytes("span"), {0, 0}, 1).status, AppendStatus::appended);
  ASSERT_EQ(pass.park(process, Signal::traces, 77, bytes("part"), {1, 0}, 0).status, AppendStatus::appended);
  pass.set_written(process, Signal::traces, 1);
  pass.set_position(process, 0, 8);
  pass.set_position(process, 1, 8);
  pass.commit();
  EXPECT_EQ(hold_->ledger(process)[0].held, 1u);
  expect_balance(process, Signal::traces);

  reopen(&pass);
  ASSERT_THAT(hold_->recovery().parked, SizeIs(2));
  std::vector<BatchId> parked;
  for (const BatchInfo& info : hold_->recovery().parked) {
    EXPECT_EQ(info.key.route, 77u);
    parked.push_back(info.id);
  }
  Pass next(*hold_);
  ASSERT_TRUE(next.begin(process));
  const Appended joined = next.join(key(process), {}, 0, bytes("span+part"), {0, 0}, 1, parked);
  ASSERT_EQ(joined.status, AppendStatus::appended);
  next.commit();
  EXPECT_EQ(content(joined.batch), "span+part");
  EXPECT_FALSE(hold_->info(parked[0]).ok());
  EXPECT_EQ(hold_->ledger(process)[0].held, 1u);
  expect_balance(process, Signal::traces);
}

TEST_F(HoldTest, DiscardedSpanIsBooked) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  const Appended span = pass.park(process, Signal::traces, 1, bytes("s"), {0, 0}, 1);
  pass.set_written(process, Signal::traces, 1);
  pass.commit();
  ASSERT_TRUE(pass.begin(process));
  ASSERT_TRUE(pass.discard(span.batch, DropReason::corrupt));
  pass.commit();
  EXPECT_EQ(hold_->ledger(process)[0].dropped[static_cast<std::size_t>(DropReason::corrupt)], 1u);
  expect_balance(process, Signal::traces);
}

TEST_F(HoldTest, ParkedChainsTakeAnEighthAtMost) {
  const ProcessIndex process = add();
  Pass pass(*hold_, 512);
  ASSERT_TRUE(pass.begin(process));
  std::uint64_t parked = 0;
  while (pass.park(process, Signal::traces, parked, bytes("p"), {0, parked}, 0).status == AppendStatus::appended) {
    ++parked;
  }
  pass.commit();
  EXPECT_EQ(parked, hold_->occupancy().bytes / 4096 / 8);
  EXPECT_EQ(hold_->occupancy().bytes_parked, parked * 4096);
}

TEST_F(HoldTest, ParkedAndJoinedInTheSamePassLeavesOneRecord) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  const Appended span = pass.park(process, Signal::traces, 1, bytes("s"), {0, 0}, 1);
  static_cast<void>(pass.join(key(process), {}, 0, bytes("joined"), {0, 0}, 1, {&span.batch, 1}));
  pass.set_written(process, Signal::traces, 1);
  pass.commit();
  EXPECT_EQ(hold_->ledger(process)[0].seen, 1u);
  EXPECT_EQ(hold_->ledger(process)[0].held, 1u);
  expect_balance(process, Signal::traces);
}

// --- settled

TEST_F(HoldTest, SettledIsTheLowestFirstPositionOfALiveChain) {
  const ProcessIndex process = add();
  Sink sink;
  hold_->attach(process, &sink, {});
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  const BatchId first = pass.append(key(process, 1), {}, 0, bytes("r"), {0, 0}).batch;
  const BatchId second = pass.append(key(process, 2), {}, 0, bytes("r"), {0, 64}).batch;
  static_cast<void>(pass.append(key(process, 1), {}, 0, bytes("r"), {0, 128}));
  pass.set_position(process, 0, 192);
  pass.commit();
  EXPECT_EQ(sink.last[0], 0u);
  settle_all(second, 1);
  EXPECT_EQ(sink.last[0], 0u);
  settle_all(first, 2);
  EXPECT_EQ(sink.last[0], 192u);
}

TEST_F(HoldTest, SettledMovesOnlyUpToTheOldestOfTwo) {
  const ProcessIndex process = add();
  Sink sink;
  hold_->attach(process, &sink, {});
  Pass pass(*hold_);
  const BatchId first = put(pass, process, "r", {0, 0}, 1);
  const BatchId second = put(pass, process, "r", {0, 64}, 2);
  settle_all(first, 1);
  EXPECT_EQ(sink.last[0], 64u);
  settle_all(second, 1);
  EXPECT_EQ(sink.last[0], hold_->position(process, 0));
}

TEST_F(HoldTest, JoinedSpanHoldsThePositionItsPartWasTakenFrom) {
  const ProcessIndex process = add();
  Sink sink;
  hold_->attach(process, &sink, {});
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  const BatchId part = pass.park(process, Signal::traces, 1, bytes("p"), {3, 8}, 0).batch;
  pass.set_position(process, 3, 16);
  pass.commit();
  EXPECT_EQ(sink.last[3], 8u);
  ASSERT_TRUE(pass.begin(process));
  const BatchId batch = pass.join(key(process), {}, 0, bytes("j"), {0, 0}, 1, {&part, 1}).batch;
  pass.set_position(process, 0, 8);
  pass.commit();
  EXPECT_EQ(sink.last[3], 8u);
  settle_all(batch, 1);
  EXPECT_EQ(sink.last[3], 16u);
  EXPECT_EQ(sink.last[0], 8u);
}

TEST_F(HoldTest, AfterARestartSettledStaysAtR4sValueUntilWhatWasFoundIsSettled) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  put(pass, process, "r", {0, 64});
  ASSERT_EQ(hold_->position(process, 0), 72u);
  reopen(&pass);
  Sink sink;
  const std::vector<std::uint64_t> old = {64, 1000};  // lane 1's word is beyond its committed position 0
  hold_->attach(process, &sink, old);
  EXPECT_EQ(sink.last[0], 64u);
  EXPECT_EQ(sink.last[1], 0u);
  Pass next(*hold_);
  const BatchId later = put(next, process, "s", {0, 72}, 5);
  settle_all(later, 1);
  EXPECT_EQ(sink.last[0], 64u);
  settle_all(hold_->recovery().open[0].id, 1);
  EXPECT_EQ(sink.last[0], 80u);
}

// --- processes

TEST_F(HoldTest, ProcessIsFoundByItsUuidAcrossARestart) {
  const ProcessIndex process = add(5, 300);
  hold_->set_word(process, ProcessWord::slots_done, 17);
  hold_->set_position(process, 299, 4096);
  reopen();
  EXPECT_EQ(hold_->find(uuid(5)), process);
  EXPECT_EQ(hold_->find(uuid(6)), kNoProcess);
  EXPECT_EQ(hold_->word(process, ProcessWord::slots_done), 17u);
  EXPECT_EQ(hold_->position(process, 299), 4096u);
  const ProcessInfo info = hold_->process(process);
  EXPECT_EQ(info.identity.service, "checkout");
  EXPECT_EQ(info.identity.pid, 1005u);
  EXPECT_EQ(info.identity.lanes, 300u);
  EXPECT_EQ(*hold_->add(identity(5, 300)), process);
}

TEST_F(HoldTest, LanesOfEveryPageOfPositionsAreKept) {
  const ProcessIndex process = add(1, 1024);
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  for (std::uint32_t lane = 0; lane < 1024; ++lane) {
    pass.set_position(process, lane, lane * 8);
  }
  pass.commit();
  reopen(&pass);
  for (std::uint32_t lane = 0; lane < 1024; ++lane) {
    ASSERT_EQ(hold_->position(process, lane), lane * 8);
  }
}

TEST_F(HoldTest, RetiredProcessGivesItsPagesBackAndKeepsItsTotals) {
  const std::uint64_t before = hold_->occupancy().bytes_used;
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const BatchId batch = put(pass, process, "r", {0, 0});
  EXPECT_FALSE(hold_->retire(process).ok()) << "a batch still names it";
  settle_all(batch, 1);
  ASSERT_TRUE(hold_->retire(process).ok());
  EXPECT_EQ(hold_->occupancy().bytes_used, before);
  EXPECT_EQ(hold_->find(uuid(1)), kNoProcess);
  EXPECT_EQ(hold_->ledger(process)[0].delivered, 1u);
  reopen(&pass);
  EXPECT_EQ(hold_->ledger(process)[0].delivered, 1u);
  EXPECT_THAT(hold_->processes(), IsEmpty());
}

TEST_F(HoldTest, FullTableFoldsGoneProcessesIntoTheirServiceThenIntoOthers) {
  Pass pass(*hold_);
  std::uint64_t put_records = 0;
  for (std::uint8_t i = 0; i < 60; ++i) {
    ProcessIdentity who = identity(i, 4);
    who.service = i % 20 == 19 ? "lonely" + std::to_string(i) : "batch-job";
    const Result<ProcessIndex> process = hold_->add(who);
    ASSERT_TRUE(process.ok()) << process.error().sentence;
    settle_all(put(pass, *process, "r", {0, 0}), 1);
    ++put_records;
    ASSERT_TRUE(hold_->retire(*process).ok());
  }
  reopen(&pass);
  const HoldStatus status = *read_status(path_);
  EXPECT_EQ(status.totals[0].delivered, put_records);
  std::map<std::string, std::uint64_t> delivered;
  for (const ServiceStatus& service : status.services) {
    delivered[service.service] = service.ledger[0].delivered;
  }
  EXPECT_EQ(delivered["batch-job"], 57u);
  EXPECT_EQ(delivered["others"] + delivered["lonely19"] + delivered["lonely39"] + delivered["lonely59"], 3u);
}

TEST_F(HoldTest, TableFullOfLiveProcessesIsAnError) {
  Result<ProcessIndex> last = ProcessIndex{0};
  for (std::uint8_t i = 0; i < 16 && last.ok(); ++i) {
    last = hold_->add(identity(i, 4));
  }
  ASSERT_FALSE(last.ok());
  EXPECT_THAT(last.error().sentence, HasSubstr("all 15 process entries"));
}

// --- ledger

TEST_F(HoldTest, WhatIsWrittenAndNotSeenIsInLanesUntilTheyAreDrained) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  pass.set_written(process, Signal::logs, 100);
  pass.set_shim_dropped(process, Signal::logs, DropReason::lane_full, 30);
  pass.drop(process, Signal::logs, DropReason::filtered, 50);
  pass.commit();
  SignalLedger ledger = hold_->ledger(process)[1];
  EXPECT_EQ(ledger.in_lanes, 20u);
  EXPECT_EQ(ledger.pending(), 20u);
  EXPECT_EQ(ledger.unaccounted(), 0);
  hold_->set_word(process, ProcessWord::phase, static_cast<std::uint64_t>(ProcessPhase::drained));
  ledger = hold_->ledger(process)[1];
  EXPECT_EQ(ledger.pending(), 0u);
  EXPECT_EQ(ledger.unaccounted(), 20);
}

TEST_F(HoldTest, SeeingMoreThanWasWrittenIsUnaccountedAtOnce) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  put(pass, process, "r", {0, 0});
  put(pass, process, "r", {0, 8});
  ASSERT_TRUE(pass.begin(process));
  pass.set_written(process, Signal::traces, 1);
  pass.commit();
  EXPECT_EQ(hold_->ledger(process)[0].unaccounted(), -1);
}

TEST_F(HoldTest, ProducedRecordsCountAsWritten) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  static_cast<void>(pass.append({process, Signal::metrics, 1, 0}, {}, 0, bytes("points"), {}, 25));
  pass.add_produced(process, Signal::metrics, 25);
  pass.commit();
  const SignalLedger ledger = hold_->ledger(process)[2];
  EXPECT_EQ(ledger.written(), 25u);
  EXPECT_EQ(ledger.pending(), 25u);
  EXPECT_EQ(ledger.unaccounted(), 0);
}

TEST(ShareOut, GivesLargestRemaindersFirstAndNeverMoreThanAPartHas) {
  EXPECT_THAT(share_out(1, std::vector<std::uint64_t>{1, 3}), ElementsAre(0, 1));
  EXPECT_THAT(share_out(5, std::vector<std::uint64_t>{10, 10, 10}), ElementsAre(2, 2, 1));
  EXPECT_THAT(share_out(100, std::vector<std::uint64_t>{3, 4}), ElementsAre(3, 4));
  EXPECT_THAT(share_out(3, std::vector<std::uint64_t>{0, 0}), ElementsAre(0, 0));
  const std::uint64_t large = ~std::uint64_t{0} / 4;
  EXPECT_THAT(share_out(large, std::vector<std::uint64_t>{large, large}), ElementsAre(large / 2 + 1, large / 2));
}

// --- attempts

std::pair<BaselineState, std::string> baseline_of(const Hold& hold, ProcessIndex process) {
  std::vector<std::byte> kept;
  const BaselineState state = hold.baseline(process, kept);
  return {state, {reinterpret_cast<const char*>(kept.data()), kept.size()}};
}

TEST_F(HoldTest, BaselineComesWithTheCommitAndIsFoundByTheNextAgent) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  EXPECT_EQ(baseline_of(*hold_, process), std::pair(BaselineState::none, std::string()));
  ASSERT_TRUE(pass.begin(process));
  const std::string first(10000, 'a');
  EXPECT_EQ(pass.set_baseline(process, bytes(first)), AppendStatus::appended);
  EXPECT_FALSE(pass.empty());
  EXPECT_EQ(baseline_of(*hold_, process).first, BaselineState::none) << "before the commit";
  pass.commit();
  EXPECT_EQ(baseline_of(*hold_, process), std::pair(BaselineState::kept, first));
  reopen(&pass);
  EXPECT_EQ(baseline_of(*hold_, process), std::pair(BaselineState::kept, first));
  EXPECT_TRUE(hold_->recovery().baselines_lost.empty());
}

TEST_F(HoldTest, BaselineIsReplacedAndItsPagesGivenBack) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const std::uint64_t before = hold_->occupancy().bytes_used;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(pass.begin(process));
    ASSERT_EQ(pass.set_baseline(process, bytes("replaced within its pass")), AppendStatus::appended);
    ASSERT_EQ(pass.set_baseline(process, bytes(std::string(9000, static_cast<char>('a' + i % 26)))),
              AppendStatus::appended);
    if (i % 3 == 2) {
      pass.abandon();
    } else {
      pass.commit();
    }
  }
  EXPECT_EQ(hold_->occupancy().bytes_used - before, 3 * 4096u);
  EXPECT_EQ(baseline_of(*hold_, process).second, std::string(9000, static_cast<char>('a' + 199 % 26)));
  ASSERT_TRUE(hold_->retire(process).ok());
  EXPECT_EQ(hold_->occupancy().bytes_used, 0u);
}

TEST_F(HoldTest, BaselineThatDoesNotFitLeavesTheOldOne) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  ASSERT_EQ(pass.set_baseline(process, bytes("old")), AppendStatus::appended);
  pass.commit();
  ASSERT_TRUE(pass.begin(process));
  EXPECT_EQ(pass.set_baseline(process, bytes(std::string(kBytes, 'x'))), AppendStatus::oversize);
  pass.abandon();
  std::uint64_t route = 0;
  AppendStatus status = AppendStatus::appended;
  while (status == AppendStatus::appended) {
    ASSERT_TRUE(pass.begin(process));
    status = pass.append(key(process, ++route), {}, 0, bytes(std::string(4000, 'y')), {}).status;
    pass.commit();
  }
  ASSERT_TRUE(pass.begin(process));
  EXPECT_EQ(pass.set_baseline(process, bytes("new")), AppendStatus::full);
  pass.abandon();
  EXPECT_EQ(baseline_of(*hold_, process), std::pair(BaselineState::kept, std::string("old")));
}

TEST_F(HoldTest, ProcessMetByAnEarlierHoldHasLostItsBaseline) {
  ProcessIdentity met = identity(1, 16);
  met.met_before = true;
  const auto process = hold_->add(met);
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(baseline_of(*hold_, *process).first, BaselineState::lost);
  reopen();
  EXPECT_EQ(baseline_of(*hold_, *process).first, BaselineState::lost);
}

TEST_F(HoldTest, DeathInsideAPassIsSaidToTheNextAgent) {
  const ProcessIndex process = add();
  EXPECT_EQ(hold_->trouble(process).deaths, 0u);
  for (std::uint32_t death = 1; death <= 3; ++death) {
    Pass& lost = lost_pass();
    ASSERT_TRUE(lost.begin(process));
    lose();
    EXPECT_EQ(hold_->trouble(process).deaths, death);
    EXPECT_FALSE(hold_->trouble(process).careful);
  }
  Pass pass(*hold_);
  put(pass, process, "fine", {0, 0});
  reopen(&pass);
  EXPECT_EQ(hold_->trouble(process).deaths, 0u);
}

TEST_F(HoldTest, CarefulReadingCountsDeathsOfOneRecord) {
  const ProcessIndex process = add();
  for (std::uint32_t death = 1; death <= 3; ++death) {
    Pass& lost = lost_pass();
    ASSERT_TRUE(lost.begin_careful(process, {3, 640}));
    lose();
    const DrainTrouble trouble = hold_->trouble(process);
    EXPECT_EQ(trouble.deaths, death);
    EXPECT_TRUE(trouble.careful);
    EXPECT_EQ(trouble.lane, 3u);
    EXPECT_EQ(trouble.position, 640u);
  }
  Pass& lost = lost_pass();
  ASSERT_TRUE(lost.begin_careful(process, {3, 704}));
  lose();
  EXPECT_EQ(hold_->trouble(process).deaths, 1u) << "another record begins at none";
}

// --- file

TEST_F(HoldTest, SecondAgentIsRefusedAndToldTheFirst) {
  HoldOptions options;
  options.path = path_;
  options.bytes = kBytes;
  const auto second = Hold::open(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(second.error().sentence, HasSubstr("process " + std::to_string(::getpid())));
}

TEST_F(HoldTest, FileAndFolderAreTheAgentsAlone) {
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0600u);
  ASSERT_EQ(::stat(folder_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0700u);
}

TEST_F(HoldTest, SymlinkAndSharedFolderAreRefused) {
  HoldOptions options;
  options.bytes = kBytes;
  options.path = folder_ + "/link";
  ASSERT_EQ(::symlink(path_.c_str(), options.path.c_str()), 0);
  EXPECT_FALSE(Hold::open(options).ok());
  const std::string shared = folder_ + "/shared";
  ASSERT_EQ(::mkdir(shared.c_str(), 0700), 0);
  ASSERT_EQ(::chmod(shared.c_str(), 0777), 0);
  options.path = shared + "/hold";
  const auto refused = Hold::open(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().sentence, HasSubstr("mode 0777"));
}

TEST_F(HoldTest, OtherSizeIsTakenOnlyWhenTheHoldIsEmpty) {
  add();
  reset(2 * kBytes, false);
  EXPECT_TRUE(hold_->recovery().size_kept);
  EXPECT_NE(hold_->find(uuid(1)), kNoProcess);
  remove_file();
  reset(kBytes);
  reset(2 * kBytes, false);
  EXPECT_FALSE(hold_->recovery().size_kept);
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(info.st_size), 2 * kBytes);
}

TEST_F(HoldTest, QuietAgentCommitsLittleMemory) {
  reset(std::uint64_t{128} << 20);
  const ProcessIndex process = add();
  Pass pass(*hold_);
  put(pass, process, "r", {0, 0});
  EXPECT_LE(hold_->occupancy().bytes_committed, 64u * 4096);
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_LT(static_cast<std::uint64_t>(info.st_blocks) * 512, std::uint64_t{8} << 20);
}

TEST_F(HoldTest, MemoryOfABurstIsGivenBackAndTakenAgain) {
  reset(std::uint64_t{16} << 20);
  const ProcessIndex process = add();
  Pass pass(*hold_);
  const BatchId kept = put(pass, process, std::string(5000, 'k'), {0, 0}, 1);
  std::vector<BatchId> burst;
  for (std::uint64_t i = 0; i < 8; ++i) {
    burst.push_back(put(pass, process, std::string(1 << 20, 'x'), {0, 8 + i * 8}, 2 + i));
  }
  for (const BatchId batch : burst) {
    settle_all(batch, 1);
  }
  EXPECT_GT(hold_->occupancy().bytes_committed, std::uint64_t{8} << 20);
  while (hold_->trim(1 << 20) != 0) {}
  EXPECT_LE(hold_->occupancy().bytes_committed, std::uint64_t{2} << 20);
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_LT(static_cast<std::uint64_t>(info.st_blocks) * 512, std::uint64_t{4} << 20);
  EXPECT_EQ(content(kept), std::string(5000, 'k'));
  const BatchId again = put(pass, process, std::string(1 << 20, 'y'), {0, 80}, 50);
  EXPECT_EQ(content(again), std::string(1 << 20, 'y'));
}

// --- status

TEST_F(HoldTest, StatusSaysRunningStuckOrDead) {
  hold_->name_thread(0, "drain0");
  EXPECT_EQ(read_status(path_)->agent, AgentVerdict::running);
  EXPECT_EQ(read_status(path_)->agent_pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_THAT(read_status(path_)->threads, SizeIs(1));
  EXPECT_EQ(read_status(path_)->threads[0].name, "drain0");
  EXPECT_EQ(read_status(path_, 0)->agent, AgentVerdict::stuck);
  hold_ = nullptr;
  EXPECT_EQ(read_status(path_)->agent, AgentVerdict::dead);
}

TEST_F(HoldTest, StatusShowsWhatTheAgentHolds) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  put(pass, process, "open", {0, 0}, 1);
  const BatchId closed = put(pass, process, "closed", {0, 8}, 2);
  ASSERT_TRUE(hold_->close(closed, {}).ok());
  ASSERT_TRUE(pass.begin(process));
  static_cast<void>(pass.park(process, Signal::traces, 1, bytes("p"), {0, 16}, 1));
  pass.set_written(process, Signal::traces, 5);
  pass.commit();
  const HoldStatus status = *read_status(path_);
  EXPECT_EQ(status.open.records, 1u);
  EXPECT_EQ(status.closed.records, 1u);
  EXPECT_EQ(status.closed.bytes, 6u);
  EXPECT_EQ(status.parked.records, 1u);
  EXPECT_EQ(status.skipped, 0u);
  EXPECT_EQ(status.page_bytes_used, hold_->occupancy().bytes_used);
  ASSERT_THAT(status.processes, SizeIs(1));
  EXPECT_EQ(status.processes[0].ledger, hold_->ledger(process));
  EXPECT_EQ(status.totals[0].pending(), 5u);
  ASSERT_THAT(status.services, SizeIs(1));
  EXPECT_EQ(status.services[0].service, "checkout");
}

TEST_F(HoldTest, StatusOfNoHoldSaysWhy) {
  EXPECT_EQ(read_status(folder_ + "/none").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(read_status(folder_).error().sentence, HasSubstr("not a plain file"));
}

// What flush() of critical records is answered with: booked with the rest of the ledger, in one step.
TEST_F(HoldTest, CriticalRecordsAreBookedOnceMore) {
  const ProcessIndex process = add();
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  const BatchKey critical{process, Signal::traces, 0, 1};
  const BatchKey normal{process, Signal::traces, 1, 1};
  BatchId first;
  BatchId second;
  for (int i = 0; i < 5; ++i) {
    first = pass.append(critical, {}, 0, bytes("c"), {0, 0}).batch;
    second = pass.append(normal, {}, 0, bytes("n"), {0, 0}).batch;
  }
  pass.drop(process, Signal::traces, DropReason::corrupt, 2, 0);
  pass.drop(process, Signal::traces, DropReason::corrupt, 7);
  pass.set_written(process, Signal::traces, 19);
  pass.commit();
  ASSERT_TRUE(hold_->close(first, {}).ok());
  ASSERT_TRUE(hold_->close(second, {}).ok());
  Outcome mixed{first, 3, 1, 1};
  mixed.reason = DropReason::non_retryable;
  mixed.grpc_code = 3;
  const std::array<Outcome, 2> outcomes{mixed, Outcome{second, 5}};
  ASSERT_TRUE(hold_->settle(outcomes).ok());

  CriticalLedger expected;
  expected.delivered = 3;
  expected.rejected = 1;
  expected.dropped[static_cast<std::size_t>(shm::DropGroup::refused)] = 1;
  expected.dropped[static_cast<std::size_t>(shm::DropGroup::unusable)] = 2;
  EXPECT_EQ(hold_->ledger(process)[0].critical, expected);
  EXPECT_EQ(hold_->ledger(process)[0].delivered, 8u);
  EXPECT_EQ(hold_->ledger(process)[1].critical, CriticalLedger{});
  expect_balance(process, Signal::traces);
  lose();
  EXPECT_EQ(hold_->ledger(process)[0].critical, expected);
}

TEST_F(HoldTest, WhatWaitsForAnAnswerIsNamedUntilItIsSettled) {
  const ProcessIndex process = add();
  const ProcessIndex other = add(2);
  Pass pass(*hold_);
  ASSERT_TRUE(pass.begin(process));
  ASSERT_TRUE(pass.begin(other));
  const BatchId critical = pass.append({process, Signal::logs, 0, 1}, {}, 0, bytes("c"), {0, 0}).batch;
  const BatchId normal = pass.append({process, Signal::logs, 1, 1}, {}, 0, bytes("n"), {0, 0}).batch;
  const BatchId open = pass.append({process, Signal::logs, 1, 2}, {}, 0, bytes("o"), {0, 0}).batch;
  const BatchId others = pass.append({other, Signal::logs, 0, 1}, {}, 0, bytes("x"), {0, 0}).batch;
  static_cast<void>(pass.park(process, Signal::traces, 1, bytes("part"), {0, 0}, 0, 0));
  pass.commit();
  for (const BatchId id : {critical, normal, others}) ASSERT_TRUE(hold_->close(id, {}).ok());

  std::vector<BatchId> all;
  hold_->unsettled(process, false, all);
  EXPECT_THAT(all, ::testing::UnorderedElementsAre(critical, normal));
  std::vector<BatchId> alone;
  hold_->unsettled(process, true, alone);
  EXPECT_THAT(alone, ElementsAre(critical));

  settle_all(critical, 1);
  settle_all(open, 1);
  // Its slot may be another batch's by now: it stays settled.
  put(pass, process, "next", {0, 8});
  hold_->forget_settled(all);
  EXPECT_THAT(all, ElementsAre(normal));
  hold_->forget_settled(alone);
  EXPECT_THAT(alone, IsEmpty());
}

TEST(DropGroups, AreWhatTheApplicationIsTold) {
  EXPECT_EQ(drop_group(DropReason::non_retryable), shm::DropGroup::refused);
  EXPECT_EQ(drop_group(DropReason::retry_expired), shm::DropGroup::expired);
  EXPECT_EQ(drop_group(DropReason::poison), shm::DropGroup::unusable);
  EXPECT_EQ(drop_group(DropReason::segment_evicted), shm::DropGroup::lost);
  EXPECT_EQ(drop_group(DropReason::sampled), shm::DropGroup::policy);
}

}  // namespace
}  // namespace tailrace::agent
