// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/request_queue.hpp"

#include <gtest/gtest.h>

namespace tailrace::agent {
namespace {

WaitingBatch batch(std::uint32_t id, std::uint32_t process, QueueClass queue = QueueClass::normal,
                   otlp::Signal signal = otlp::Signal::traces, std::uint64_t bytes = 100) {
  WaitingBatch made;
  made.batch = BatchId{id, 1};
  made.process = process;
  made.queue = queue;
  made.signal = signal;
  made.bytes = bytes;
  made.records = 1;
  made.opened_ns = id;
  return made;
}

std::vector<std::uint32_t> ids(const OutgoingRequest& request) {
  std::vector<std::uint32_t> made;
  for (const WaitingBatch& one : request.batches) made.push_back(one.batch.slot);
  return made;
}

using Ids = std::vector<std::uint32_t>;

TEST(RequestQueueTest, AnEmptyQueueHasNothingToSend) {
  RequestQueue queue;
  EXPECT_FALSE(queue.take(0, 1000));
  EXPECT_FALSE(queue.next_due_ns());
}

TEST(RequestQueueTest, CriticalGoesBeforeNormalBeforeBackground) {
  RequestQueue queue;
  queue.push(batch(1, 1, QueueClass::background));
  queue.push(batch(2, 1, QueueClass::normal));
  queue.push(batch(3, 1, QueueClass::critical));
  EXPECT_EQ(ids(*queue.take(0, 1000)), Ids{3});
  EXPECT_EQ(ids(*queue.take(0, 1000)), Ids{2});
  EXPECT_EQ(ids(*queue.take(0, 1000)), Ids{1});
  EXPECT_TRUE(queue.empty());
}

TEST(RequestQueueTest, TheSlotOfCriticalRecordsIsForNobodyElse) {
  RequestQueue queue;
  EXPECT_FALSE(queue.has_fresh(QueueClass::critical));
  queue.push(batch(1, 1, QueueClass::normal));
  EXPECT_FALSE(queue.has_fresh(QueueClass::critical));
  EXPECT_FALSE(queue.take(0, 1000, false, QueueClass::critical));
  queue.push(batch(2, 1, QueueClass::critical));
  EXPECT_TRUE(queue.has_fresh(QueueClass::critical));
  EXPECT_EQ(ids(*queue.take(0, 1000, false, QueueClass::critical)), Ids{2});
  EXPECT_FALSE(queue.has_fresh(QueueClass::critical));
  EXPECT_TRUE(queue.has_fresh());
}

TEST(RequestQueueTest, AClassThatWasPassedOverOftenGoesOnceInBetween) {
  RequestQueue queue;
  queue.push(batch(1000, 1, QueueClass::background));
  int before = 0;
  for (std::uint32_t id = 1; id <= 40; ++id) {
    queue.push(batch(id, 1, QueueClass::critical));
    if (queue.take(0, 100)->queue == QueueClass::background) break;
    ++before;
  }
  EXPECT_EQ(before, 16);
}

TEST(RequestQueueTest, OneBatchOfEachProcessInTurnSoThatALoudOneDoesNotCrowdOutOthers) {
  RequestQueue queue;
  for (std::uint32_t id = 1; id <= 5; ++id) queue.push(batch(id, 1));
  queue.push(batch(6, 2));
  queue.push(batch(7, 3));
  EXPECT_EQ(ids(*queue.take(0, 300)), (Ids{1, 6, 7}));
  EXPECT_EQ(ids(*queue.take(0, 300)), (Ids{2, 3, 4}));
}

TEST(RequestQueueTest, ARequestHoldsOneSignalAndTheOldestGoesFirst) {
  RequestQueue queue;
  queue.push(batch(2, 1, QueueClass::normal, otlp::Signal::traces));
  queue.push(batch(1, 1, QueueClass::normal, otlp::Signal::logs));
  EXPECT_EQ(queue.take(0, 1000)->signal, otlp::Signal::logs);
  EXPECT_EQ(queue.take(0, 1000)->signal, otlp::Signal::traces);
}

TEST(RequestQueueTest, ABatchLargerThanTheCapGoesAlone) {
  RequestQueue queue;
  queue.push(batch(1, 1, QueueClass::normal, otlp::Signal::traces, 5000));
  queue.push(batch(2, 1));
  EXPECT_EQ(ids(*queue.take(0, 1000)), Ids{1});
  EXPECT_EQ(ids(*queue.take(0, 1000)), Ids{2});
}

TEST(RequestQueueTest, ARetryKeepsItsBatchesAndWaitsForItsDueTime) {
  RequestQueue queue;
  queue.push(batch(1, 1));
  queue.push(batch(2, 2));
  OutgoingRequest request = *queue.take(0, 1000);
  EXPECT_TRUE(queue.empty());
  request.attempts = 1;
  queue.put_back(request, 500);
  EXPECT_EQ(queue.batches(), 2u);
  EXPECT_EQ(queue.bytes(), 200u);
  EXPECT_FALSE(queue.take(499, 1000));
  EXPECT_EQ(queue.next_due_ns(), 500u);
  const OutgoingRequest again = *queue.take(500, 1000);
  EXPECT_EQ(ids(again), (Ids{1, 2}));
  EXPECT_EQ(again.attempts, 1u);
  EXPECT_TRUE(queue.empty());
}

TEST(RequestQueueTest, BeforeAShutdownRetriesGoAtOnce) {
  RequestQueue queue;
  queue.push(batch(1, 1));
  queue.put_back(*queue.take(0, 1000), 1'000'000);
  EXPECT_TRUE(queue.take(0, 1000, true));
}

TEST(RequestQueueTest, OnlyRequestsOlderThanTheLimitExpire) {
  RequestQueue queue;
  queue.push(batch(1, 1));
  OutgoingRequest old = *queue.take(0, 1000);
  old.first_try_ns = 100;
  queue.put_back(old, 5000);
  queue.push(batch(2, 1));
  OutgoingRequest young = *queue.take(0, 1000);
  young.first_try_ns = 900;
  queue.put_back(young, 5000);
  const auto expired = queue.take_expired(1000, 500);
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(ids(expired[0]), Ids{1});
  EXPECT_EQ(queue.batches(), 1u);
}

}  // namespace
}  // namespace tailrace::agent
