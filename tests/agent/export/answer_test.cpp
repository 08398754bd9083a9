// SPDX-License-Identifier: Apache-2.0
//
// What each reply of a destination means. The rows are those of the protocol's table: otlp-B2,
// otlp-L3.
#include "agent/export/answer.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include <protozero/pbf_writer.hpp>

#include "tests/agent/export/sink.hpp"

namespace tailrace::agent {
namespace {

using namespace std::chrono_literals;
using testing::encode_partial_success;
using testing::encode_retry_info;

Reply ok_with(std::string_view response, std::uint64_t records = 100) {
  Reply reply;
  reply.response = response;
  reply.records = records;
  return reply;
}

Reply failed_with(int code, std::string_view details = {}, std::string_view message = {}) {
  Reply reply;
  reply.code = code;
  reply.details = details;
  reply.message = message;
  return reply;
}

TEST(AnswerTest, EmptyResponseIsFullSuccess) {
  EXPECT_EQ(classify(ok_with("")).kind, AnswerKind::delivered);
  EXPECT_EQ(classify(ok_with(encode_partial_success(0, ""))).kind, AnswerKind::delivered);
}

TEST(AnswerTest, RejectedRecordsAreCountedAndNeverRetried) {
  const Answer answer = classify(ok_with(encode_partial_success(7, "too old")));
  EXPECT_EQ(answer.kind, AnswerKind::partial);
  EXPECT_EQ(answer.rejected, 7u);
  EXPECT_EQ(answer.message, "too old");
  EXPECT_TRUE(answer.settled());
}

TEST(AnswerTest, MessageWithoutRejectionIsAWarningAboutDeliveredRecords) {
  const Answer answer = classify(ok_with(encode_partial_success(0, "use semantic conventions 1.44")));
  EXPECT_EQ(answer.kind, AnswerKind::warning);
  EXPECT_EQ(answer.rejected, 0u);
  EXPECT_EQ(answer.message, "use semantic conventions 1.44");
}

TEST(AnswerTest, NoMoreRecordsAreRejectedThanWereSent) {
  EXPECT_EQ(classify(ok_with(encode_partial_success(5000, "all of it"), 100)).rejected, 100u);
}

TEST(AnswerTest, NegativeRejectionIsNoRejection) {
  EXPECT_EQ(classify(ok_with(encode_partial_success(-3, ""))).kind, AnswerKind::delivered);
  EXPECT_EQ(classify(ok_with(encode_partial_success(-3, "odd"))).kind, AnswerKind::warning);
}

TEST(AnswerTest, UnknownFieldsOfAResponseAreSkipped) {
  std::string response = encode_partial_success(2, "two");
  protozero::pbf_writer(response).add_string(15, "from a later version");
  EXPECT_EQ(classify(ok_with(response)).rejected, 2u);
}

TEST(AnswerTest, ResponseThatIsNoMessageIsDroppedAsInternal) {
  for (const std::string& garbage : {std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11),
                                     std::string("\x0a\x7f\x08", 3), std::string("\x0a\x02\x08\xff", 4)}) {
    const Answer answer = classify(ok_with(garbage));
    EXPECT_EQ(answer.kind, AnswerKind::drop);
    EXPECT_EQ(answer.code, grpc_code::kInternal);
    EXPECT_FALSE(answer.message.empty());
  }
}

TEST(AnswerTest, SuccessWithoutAnyResponseIsDroppedAsInternal) {
  Reply reply;
  reply.records = 5;
  const Answer answer = classify(reply);
  EXPECT_EQ(answer.kind, AnswerKind::drop);
  EXPECT_EQ(answer.code, grpc_code::kInternal);
}

struct CodeRow {
  int code;
  const char* name;
  AnswerKind bare;
  AnswerKind with_retry_info;
};

class AnswerCodeTest : public ::testing::TestWithParam<CodeRow> {};

TEST_P(AnswerCodeTest, IsRetriedOrDroppedAsTheProtocolSays) {
  const CodeRow row = GetParam();
  EXPECT_EQ(grpc_code_name(row.code), row.name);
  const Answer bare = classify(failed_with(row.code));
  EXPECT_EQ(bare.kind, row.bare);
  EXPECT_EQ(bare.code, row.code);
  EXPECT_FALSE(bare.retry_delay);
  const Answer told = classify(failed_with(row.code, encode_retry_info(row.code, 3s)));
  EXPECT_EQ(told.kind, row.with_retry_info);
  EXPECT_EQ(told.retry_delay.has_value(), row.with_retry_info == AnswerKind::retry);
}

constexpr auto kRetry = AnswerKind::retry;
constexpr auto kDrop = AnswerKind::drop;
INSTANTIATE_TEST_SUITE_P(
    EveryCode, AnswerCodeTest,
    ::testing::Values(CodeRow{1, "CANCELLED", kRetry, kRetry}, CodeRow{2, "UNKNOWN", kDrop, kDrop},
                      CodeRow{3, "INVALID_ARGUMENT", kDrop, kDrop}, CodeRow{4, "DEADLINE_EXCEEDED", kRetry, kRetry},
                      CodeRow{5, "NOT_FOUND", kDrop, kDrop}, CodeRow{6, "ALREADY_EXISTS", kDrop, kDrop},
                      CodeRow{7, "PERMISSION_DENIED", kDrop, kDrop}, CodeRow{8, "RESOURCE_EXHAUSTED", kDrop, kRetry},
                      CodeRow{9, "FAILED_PRECONDITION", kDrop, kDrop}, CodeRow{10, "ABORTED", kRetry, kRetry},
                      CodeRow{11, "OUT_OF_RANGE", kRetry, kRetry}, CodeRow{12, "UNIMPLEMENTED", kDrop, kDrop},
                      CodeRow{13, "INTERNAL", kDrop, kDrop}, CodeRow{14, "UNAVAILABLE", kRetry, kRetry},
                      CodeRow{15, "DATA_LOSS", kRetry, kRetry}, CodeRow{16, "UNAUTHENTICATED", kDrop, kDrop},
                      CodeRow{17, "UNKNOWN", kDrop, kDrop}, CodeRow{-1, "UNKNOWN", kDrop, kDrop}),
    [](const auto& row) {
      const int code = row.param.code;
      return std::string(row.param.name) + (code > 16 ? "_above" : code < 0 ? "_below" : "");
    });

std::optional<std::chrono::milliseconds> delay_of(std::string_view details) {
  return classify(failed_with(grpc_code::kUnavailable, details)).retry_delay;
}

TEST(RetryInfoTest, DelayIsReadAndRoundedUp) {  // otlp-B2
  EXPECT_EQ(delay_of(encode_retry_info(14, 3s)), 3000ms);
  EXPECT_EQ(delay_of(encode_retry_info(14, 1500ms)), 1500ms);
  EXPECT_EQ(delay_of(encode_retry_info(14, std::chrono::nanoseconds(1))), 1ms);
}

TEST(RetryInfoTest, DelayOfNothingLeavesOurOwnBackoff) {
  EXPECT_FALSE(delay_of(encode_retry_info(14, 0s)));
  EXPECT_FALSE(delay_of(encode_retry_info(14, -5s)));
}

TEST(RetryInfoTest, DelayIsLimited) {
  EXPECT_EQ(delay_of(encode_retry_info(14, std::chrono::hours(24 * 365))), kLongestRetryDelay);
}

TEST(RetryInfoTest, ZeroDelayStillMakesResourceExhaustedRetryable) {
  EXPECT_EQ(classify(failed_with(8, encode_retry_info(8, 0s))).kind, AnswerKind::retry);
}

std::string status_with(const std::vector<std::pair<std::string, std::string>>& details) {
  std::string status;
  protozero::pbf_writer writer(status);
  for (const auto& [type_url, value] : details) {
    std::string any;
    protozero::pbf_writer any_writer(any);
    any_writer.add_string(1, type_url);
    any_writer.add_bytes(2, value);
    writer.add_message(3, any);
  }
  return status;
}

TEST(RetryInfoTest, IsFoundAmongOtherDetails) {
  const std::string info("\x0a\x02\x08\x02", 4);  // retry_delay { seconds: 2 }
  EXPECT_EQ(delay_of(status_with({{"type.googleapis.com/google.rpc.DebugInfo", "\x0a\x01x"},
                                  {"type.googleapis.com/google.rpc.RetryInfo", info}})),
            2000ms);
  EXPECT_FALSE(delay_of(status_with({{"type.googleapis.com/google.rpc.NotRetryInfoAtAll", info}})));
  EXPECT_FALSE(delay_of(status_with({{"example.com/other.google.rpc.RetryInfo", info}})));
}

TEST(RetryInfoTest, UnreadableDetailsAreNoDetails) {
  std::string details = encode_retry_info(14, 3s);
  for (std::size_t cut = 0; cut < details.size(); ++cut) {
    EXPECT_EQ(classify(failed_with(14, std::string_view(details).substr(0, cut))).kind, AnswerKind::retry);
  }
  for (std::size_t at = 0; at < details.size(); ++at) {
    std::string bad = details;
    bad[at] = static_cast<char>(0xff);
    EXPECT_EQ(classify(failed_with(14, bad)).kind, AnswerKind::retry);
  }
}

TEST(AnswerMessageTest, IsOnePrintableLine) {
  EXPECT_EQ(classify(failed_with(3, "", "bad\n\x1b[31mspan\r")).message, "bad  [31mspan ");
}

TEST(AnswerMessageTest, IsCutBetweenCharacters) {
  std::string text(kAnswerMessageBytes - 1, 'a');
  text += "\xc3\xa4 and more";
  const std::string message = classify(failed_with(3, "", text)).message;
  EXPECT_EQ(message, std::string(kAnswerMessageBytes - 1, 'a'));
}

}  // namespace
}  // namespace tailrace::agent
