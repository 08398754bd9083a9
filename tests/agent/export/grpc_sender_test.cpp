// SPDX-License-Identifier: Apache-2.0
//
// The sender against a real OTLP/gRPC receiver on loopback: otlp-T1, otlp-T7, otlp-T9, otlp-T11,
// otlp-T12, otlp-L1, otlp-L3 and the answers of otlp 1.3 as they look on the wire.
#include "agent/export/grpc_sender.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "agent/base/random.hpp"
#include "agent/export/channel.hpp"
#include "tests/agent/export/outcomes.hpp"
#include "tests/agent/export/sink.hpp"

namespace tailrace::agent {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::encode_partial_success;
using testing::encode_retry_info;
using testing::endpoint_on;
using ::testing::HasSubstr;
using testing::Outcome;
using testing::Outcomes;
using testing::request_of;
using testing::Sink;
using testing::SinkReply;
using testing::SinkRequest;
using ::testing::StartsWith;

// Here a sink starts gRPC before the first sender can choose the resolver, as it does in the agent.
[[maybe_unused]] const bool kResolverChosen = setenv("GRPC_DNS_RESOLVER", "native", 0) == 0;

// A sink that answers with `reply`, and a sender to it.
class GrpcSenderTest : public ::testing::Test {
 protected:
  void serve(SinkReply reply = {}) {
    serve_by([reply](const SinkRequest&) { return reply; });
  }
  void serve_by(std::function<SinkReply(const SinkRequest&)> script) {
    testing::SinkOptions sink_options;
    sink_options.script = [this, script = std::move(script)](const SinkRequest& request) {
      {
        const std::lock_guard lock(mutex);
        received.push_back(request);
      }
      return script(request);
    };
    sink.emplace(std::move(sink_options));
    ASSERT_NE(sink->port(), 0);
    destination = destination_to(endpoint_on(sink->port()));
  }
  void connect() { sender.emplace(destination, options, outcomes.on_done()); }

  // Sends one request and returns what became of it.
  Outcome exchange(Signal signal = Signal::traces, std::string bytes = "records", std::uint64_t records = 10) {
    if (!sender) {
      connect();
    }
    const Status sent = sender->send(request_of(1, signal, bytes, records));
    EXPECT_TRUE(sent.ok()) << (sent.ok() ? "" : sent.error().sentence);
    return outcomes.wait_for(1);
  }
  std::vector<SinkRequest> all_received() {
    const std::lock_guard lock(mutex);
    return received;
  }

  std::mutex mutex;
  std::vector<SinkRequest> received;
  std::optional<Sink> sink;
  Destination destination;
  SenderOptions options;
  Outcomes outcomes;
  std::optional<GrpcSender> sender;  // last: gone before what its callback writes to
};

TEST_F(GrpcSenderTest, otlp_T1_EachSignalReachesItsOwnMethod) {
  serve();
  connect();
  const std::vector<std::pair<Signal, std::string>> paths = {
      {Signal::traces, "/opentelemetry.proto.collector.trace.v1.TraceService/Export"},
      {Signal::logs, "/opentelemetry.proto.collector.logs.v1.LogsService/Export"},
      {Signal::metrics, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"}};
  for (const auto& [signal, path] : paths) {
    const std::string bytes(signal_name(signal));
    const auto id = static_cast<std::uint64_t>(signal) + 1;
    ASSERT_TRUE(sender->send(request_of(id, signal, bytes, 1)).ok());
    EXPECT_EQ(outcomes.wait_for(id).answer.kind, AnswerKind::delivered);
    EXPECT_EQ(all_received().back().path, path);
    EXPECT_EQ(all_received().back().bytes, bytes);
  }
}

TEST_F(GrpcSenderTest, EveryKindOfAddressIsDialled) {
  const std::string path = ::testing::TempDir() + "tailrace sink " + std::to_string(getpid()) + ".sock";
  const std::vector<std::pair<std::string, std::string>> addresses = {{"127.0.0.1", "http://127.0.0.1"},
                                                                      {"127.0.0.1", "http://localhost"},
                                                                      {"[::1]", "http://[::1]"},
                                                                      {"unix:" + path, "unix://" + path}};
  for (const auto& [listen, dial] : addresses) {
    testing::SinkOptions sink_options;
    sink_options.address = listen;
    testing::Sink there(std::move(sink_options));
    if (listen == "[::1]" && there.port() == 0) {
      continue;  // a machine without IPv6
    }
    const bool is_unix = listen.rfind("unix:", 0) == 0;
    const auto parsed =
        parse_endpoint("address", is_unix ? dial : dial + ":" + std::to_string(there.port()), BareMeans::plain_text);
    ASSERT_TRUE(parsed.ok()) << parsed.error().sentence;
    Outcomes done;
    GrpcSender to(destination_to(parsed->endpoint), {}, done.on_done());
    ASSERT_TRUE(to.send(request_of(1, Signal::traces, "x", 1)).ok());
    const Outcome outcome = done.wait_for(1);
    EXPECT_EQ(outcome.answer.kind, AnswerKind::delivered) << dial << ": " << outcome.answer.message;
  }
}

TEST_F(GrpcSenderTest, PartialSuccessIsReportedWithItsNumberAndMessage) {
  serve({.message = {}, .details = {}, .response = encode_partial_success(4, "bad names")});
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.kind, AnswerKind::partial);
  EXPECT_EQ(outcome.answer.rejected, 4u);
  EXPECT_EQ(outcome.answer.message, "bad names");
}

TEST_F(GrpcSenderTest, WarningIsReportedAsDeliveredWithAMessage) {
  serve({.message = {}, .details = {}, .response = encode_partial_success(0, "be nice")});
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.kind, AnswerKind::warning);
  EXPECT_EQ(outcome.answer.message, "be nice");
}

TEST_F(GrpcSenderTest, EveryErrorCodeOfTheTableArrivesAsItWasSent) {
  serve_by([](const SinkRequest& request) {
    SinkReply reply;
    reply.code = static_cast<int>(request.number);
    reply.message = "code " + std::to_string(request.number);
    return reply;
  });
  connect();
  for (int code = 1; code <= 16; ++code) {
    const auto id = static_cast<std::uint64_t>(code);
    ASSERT_TRUE(sender->send(request_of(id, Signal::logs, "x", 1)).ok());
    const Outcome outcome = outcomes.wait_for(id);
    EXPECT_EQ(outcome.answer.code, code);
    EXPECT_EQ(outcome.answer.kind, is_retryable(code, false) ? AnswerKind::retry : AnswerKind::drop);
    EXPECT_EQ(outcome.answer.message, "code " + std::to_string(code));
  }
}

TEST_F(GrpcSenderTest, otlp_B2_RetryInfoOfAnUnavailableDestinationArrives) {
  serve({.code = 14, .message = "busy", .details = encode_retry_info(14, 2500ms), .response = {}});
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.kind, AnswerKind::retry);
  EXPECT_EQ(outcome.answer.retry_delay, 2500ms);
}

TEST_F(GrpcSenderTest, ResourceExhaustedIsRetriedOnlyWithRetryInfo) {
  serve_by([](const SinkRequest& request) {
    SinkReply reply;
    reply.code = 8;
    if (request.number == 2) {
      reply.details = encode_retry_info(8, 1s);
    }
    return reply;
  });
  connect();
  ASSERT_TRUE(sender->send(request_of(1, Signal::traces, "x", 1)).ok());
  EXPECT_EQ(outcomes.wait_for(1).answer.kind, AnswerKind::drop);
  ASSERT_TRUE(sender->send(request_of(2, Signal::traces, "x", 1)).ok());
  EXPECT_EQ(outcomes.wait_for(2).answer.kind, AnswerKind::retry);
}

TEST_F(GrpcSenderTest, SlowDestinationRunsIntoTheDeadline) {
  SinkReply slow;
  slow.delay = 10s;
  serve(slow);
  destination.signals[index_of(Signal::traces)]->timeout = 200ms;
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.kind, AnswerKind::retry);
  EXPECT_EQ(outcome.answer.code, grpc_code::kDeadlineExceeded);
  EXPECT_GE(outcome.rtt, 190ms);
  EXPECT_LT(outcome.rtt, 5s);
}

TEST_F(GrpcSenderTest, TimeoutOfNothingWaits) {
  SinkReply slow;
  slow.delay = 400ms;
  serve(slow);
  destination.signals[index_of(Signal::traces)]->timeout = std::nullopt;
  EXPECT_EQ(exchange().answer.kind, AnswerKind::delivered);
}

TEST_F(GrpcSenderTest, otlp_L3_ResponseAboveFourMebibytesIsDropped) {
  serve({.message = {}, .details = {}, .response = encode_partial_success(0, std::string(kResponseBytesMax, 'x'))});
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.kind, AnswerKind::drop);
  EXPECT_EQ(outcome.answer.code, grpc_code::kResourceExhausted);
}

TEST_F(GrpcSenderTest, ResponseJustBelowFourMebibytesIsRead) {
  serve(
      {.message = {}, .details = {}, .response = encode_partial_success(3, std::string(kResponseBytesMax - 64, 'x'))});
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.kind, AnswerKind::partial);
  EXPECT_LE(outcome.answer.message.size(), kAnswerMessageBytes);
}

TEST_F(GrpcSenderTest, GarbageInAResponseIsDroppedAsInternal) {
  serve({.message = {}, .details = {}, .response = std::string("\x0a\xff\xff\xff\x7f nonsense")});
  EXPECT_EQ(exchange().answer.code, grpc_code::kInternal);
}

TEST_F(GrpcSenderTest, SuccessWithoutAResponseIsDropped) {
  serve({.message = {}, .details = {}, .response = {}, .omit_response = true});
  EXPECT_EQ(exchange().answer.kind, AnswerKind::drop);
}

TEST_F(GrpcSenderTest, HeadersOfEachSignalArriveAsMetadata) {
  serve();
  destination.signals[index_of(Signal::traces)]->headers = {{"authorization", "Bearer t"}, {"x-tenant", "blue"}};
  destination.signals[index_of(Signal::logs)]->headers = {{"authorization", "Bearer l"}};
  connect();
  ASSERT_TRUE(sender->send(request_of(1, Signal::traces, "x", 1)).ok());
  static_cast<void>(outcomes.wait_for(1));
  const auto traces = all_received().back().metadata;
  EXPECT_EQ(traces.find("authorization")->second, "Bearer t");
  EXPECT_EQ(traces.find("x-tenant")->second, "blue");
  ASSERT_TRUE(sender->send(request_of(2, Signal::logs, "x", 1)).ok());
  static_cast<void>(outcomes.wait_for(2));
  const auto logs = all_received().back().metadata;
  EXPECT_EQ(logs.find("authorization")->second, "Bearer l");
  EXPECT_EQ(logs.count("x-tenant"), 0u);
}

TEST_F(GrpcSenderTest, otlp_T11_UserAgentNamesTheProductBeforeTheExporter) {
  serve();
  static_cast<void>(exchange());
  const auto metadata = all_received().back().metadata;
  ASSERT_EQ(metadata.count("user-agent"), 1u);
  EXPECT_THAT(metadata.find("user-agent")->second,
              AllOf(StartsWith("Tailrace/"), HasSubstr(" OTel-OTLP-Exporter-cpp/"), StartsWith(user_agent())));
}

TEST_F(GrpcSenderTest, LargeRequestOfManyPiecesArrivesByteForByte) {
  serve();
  Random random(7);
  std::vector<std::string> parts;
  std::string whole;
  while (whole.size() < 3'300'000) {
    // Pages, heads of a few bytes, and nothing at all.
    const std::size_t size = random.next() % 5 == 0 ? random.next() % 20 : 1 + random.next() % 4096;
    std::string part;
    for (std::size_t i = 0; i < size; ++i) {
      part += static_cast<char>(random.next());
    }
    whole += part;
    parts.push_back(std::move(part));
  }
  Request request;
  request.id = 1;
  request.records = 1;
  for (const std::string& part : parts) {
    request.pieces.push_back({part.data(), part.size()});
  }
  connect();
  ASSERT_TRUE(sender->send(request).ok());
  ASSERT_EQ(outcomes.wait_for(1).answer.kind, AnswerKind::delivered);
  EXPECT_TRUE(all_received().back().bytes == whole);
}

TEST_F(GrpcSenderTest, PiecesThatFollowOneAnotherInMemoryArriveInOrder) {
  serve();
  const std::string bytes = "0123456789abcdef";
  Request request;
  request.id = 1;
  request.records = 1;
  for (const auto& [at, size] : std::vector<std::pair<std::size_t, std::size_t>>{{4, 4}, {8, 4}, {0, 4}, {12, 4}}) {
    request.pieces.push_back({bytes.data() + at, size});
  }
  connect();
  ASSERT_TRUE(sender->send(request).ok());
  ASSERT_EQ(outcomes.wait_for(1).answer.kind, AnswerKind::delivered);
  EXPECT_EQ(all_received().back().bytes, "456789ab0123cdef");
}

TEST_F(GrpcSenderTest, otlp_T9_EmptyEnvelopeIsRefused) {
  serve();
  connect();
  Request nothing;
  nothing.records = 1;
  EXPECT_EQ(sender->send(nothing).error().code, ErrorCode::kInvalidArgument);
  const std::string resource_without_spans = "\x0a";
  EXPECT_EQ(sender->send(request_of(2, Signal::traces, resource_without_spans, 0)).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(sender->in_flight(), 0u);
  EXPECT_EQ(sink->counts(Signal::traces).requests, 0u);
}

TEST_F(GrpcSenderTest, otlp_L1_RequestAboveTheLimitIsNotSent) {
  serve();
  options.request_bytes_max = 1000;
  connect();
  const std::string over(1001, 'x');
  const Status refused = sender->send(request_of(1, Signal::traces, over, 1));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(refused.error().sentence, AllOf(HasSubstr("1001"), HasSubstr("1000")));
  const std::string exactly(1000, 'x');
  ASSERT_TRUE(sender->send(request_of(2, Signal::traces, exactly, 1)).ok());
  EXPECT_EQ(outcomes.wait_for(2).answer.kind, AnswerKind::delivered);
  EXPECT_EQ(sink->counts(Signal::traces).requests, 1u);
}

TEST_F(GrpcSenderTest, otlp_L1_LimitCannotBeSetAboveTheCeiling) {
  serve();
  options.request_bytes_max = kRequestBytesCeiling * 2;
  connect();
  const std::string over(kRequestBytesCeiling + 1, 'x');
  EXPECT_EQ(sender->send(request_of(1, Signal::traces, over, 1)).error().code, ErrorCode::kResourceExhausted);
}

TEST_F(GrpcSenderTest, SignalOfAnotherDestinationIsRefused) {
  serve();
  destination.signals[index_of(Signal::logs)].reset();
  connect();
  EXPECT_EQ(sender->send(request_of(1, Signal::logs, "x", 1)).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(GrpcSenderTest, otlp_T7_SeveralRequestsAreUnderWayAtOnceUpToTheLimit) {
  SinkReply slow;
  slow.delay = 1500ms;
  serve(slow);
  options.in_flight_max = 4;
  connect();
  for (std::uint64_t id = 1; id <= 4; ++id) {
    ASSERT_TRUE(sender->send(request_of(id, Signal::traces, "x", 1)).ok());
  }
  EXPECT_EQ(sender->in_flight(), 4u);
  EXPECT_EQ(sender->send(request_of(5, Signal::traces, "x", 1)).error().code, ErrorCode::kUnavailable);
  while (all_received().size() < 4 && outcomes.size() == 0) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(all_received().size(), 4u) << "all four are there before one is answered";
  for (std::uint64_t id = 1; id <= 4; ++id) {
    EXPECT_EQ(outcomes.wait_for(id).answer.kind, AnswerKind::delivered);
  }
}

TEST_F(GrpcSenderTest, CallbackMaySendTheNextRequest) {
  serve();
  options.in_flight_max = 1;
  std::atomic<int> answered{0};
  GrpcSender* self = nullptr;
  GrpcSender chain(destination, options, [&](std::uint64_t id, const Answer& answer, std::chrono::nanoseconds rtt) {
    EXPECT_EQ(answer.kind, AnswerKind::delivered);
    if (++answered < 50) {
      EXPECT_TRUE(self->send(request_of(id + 1, Signal::logs, "x", 1)).ok());
    }
    outcomes.on_done()(id, answer, rtt);
  });
  self = &chain;
  ASSERT_TRUE(chain.send(request_of(1, Signal::logs, "x", 1)).ok());
  EXPECT_EQ(outcomes.wait_for(50).answer.kind, AnswerKind::delivered);
}

TEST_F(GrpcSenderTest, EveryRequestOfManyThreadsIsReportedOnce) {
  serve();
  options.in_flight_max = 16;
  connect();
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kEach = 250;
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      const std::string bytes(900, 'x');
      for (std::uint64_t i = 0; i < kEach;) {
        if (sender->send(request_of(thread * kEach + i, Signal::traces, bytes, 1)).ok()) {
          static_cast<void>(outcomes.wait_for(thread * kEach + i));
          ++i;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(outcomes.size(), kThreads * kEach);
  EXPECT_FALSE(outcomes.any_twice());
  EXPECT_EQ(sink->counts(Signal::traces).requests, kThreads * kEach);
}

TEST_F(GrpcSenderTest, otlp_T12_ShutdownWaitsForAnswersUnderWay) {
  SinkReply slow;
  slow.delay = 200ms;
  serve(slow);
  connect();
  for (std::uint64_t id = 1; id <= 3; ++id) {
    ASSERT_TRUE(sender->send(request_of(id, Signal::traces, "x", 1)).ok());
  }
  const auto report = sender->shutdown(5s);
  EXPECT_EQ(report.cancelled, 0u);
  EXPECT_EQ(report.stuck, 0u);
  for (std::uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(outcomes.wait_for(id, 0ms).answer.kind, AnswerKind::delivered);
  }
  EXPECT_EQ(sender->send(request_of(4, Signal::traces, "x", 1)).error().code, ErrorCode::kCancelled);
}

TEST_F(GrpcSenderTest, otlp_T12_ShutdownCancelsWhatTakesTooLongAndStillReportsIt) {
  SinkReply slow;
  slow.delay = 20s;
  serve(slow);
  connect();
  for (std::uint64_t id = 1; id <= 3; ++id) {
    ASSERT_TRUE(sender->send(request_of(id, Signal::traces, "x", 1)).ok());
  }
  const auto began = std::chrono::steady_clock::now();
  const auto report = sender->shutdown(100ms);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
  EXPECT_EQ(report.cancelled, 3u);
  EXPECT_EQ(report.stuck, 0u);
  for (std::uint64_t id = 1; id <= 3; ++id) {
    const Outcome outcome = outcomes.wait_for(id, 0ms);
    EXPECT_EQ(outcome.answer.kind, AnswerKind::retry);  // the caller keeps it
    EXPECT_EQ(outcome.answer.code, grpc_code::kCancelled);
  }
}

TEST_F(GrpcSenderTest, DestructorReportsWhatIsUnderWay) {
  SinkReply slow;
  slow.delay = 20s;
  serve(slow);
  connect();
  ASSERT_TRUE(sender->send(request_of(1, Signal::traces, "x", 1)).ok());
  sender.reset();
  EXPECT_EQ(outcomes.wait_for(1, 0ms).answer.code, grpc_code::kCancelled);
}

}  // namespace
}  // namespace tailrace::agent
