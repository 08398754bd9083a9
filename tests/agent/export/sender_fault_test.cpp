// SPDX-License-Identifier: Apache-2.0
//
// The sender against destinations that are absent, die, hang or break the protocol: whatever
// happens, each request is reported once, only after its memory is free, and a returning
// destination is found.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <vector>

#include "agent/export/grpc_sender.hpp"
#include "tests/agent/export/outcomes.hpp"
#include "tests/agent/export/sink.hpp"
#include "tests/agent/export/sink_process.hpp"
#include "tests/agent/export/wire_server.hpp"

namespace tailrace::agent {
namespace {

using namespace std::chrono_literals;
using testing::endpoint_on;
using testing::Outcome;
using testing::Outcomes;
using testing::request_of;
using testing::SinkProcess;
using testing::WireServer;
using Clock = std::chrono::steady_clock;

class SenderFaultTest : public ::testing::Test {
 protected:
  void connect(std::uint16_t port) {
    Destination destination = destination_to(endpoint_on(port));
    for (auto& signal : destination.signals) {
      signal->timeout = timeout;
    }
    sender.emplace(destination, options, outcomes.on_done(), [this] { ++links_up; });
  }
  Outcome exchange(std::uint64_t id = 1) {
    const Status sent = sender->send(request_of(id, Signal::traces, bytes, 1));
    EXPECT_TRUE(sent.ok()) << (sent.ok() ? "" : sent.error().sentence);
    return outcomes.wait_for(id);
  }
  template <typename Condition>
  static bool within(std::chrono::milliseconds patience, Condition condition) {
    const auto ends = Clock::now() + patience;
    while (!condition()) {
      if (Clock::now() > ends) {
        return false;
      }
      std::this_thread::sleep_for(2ms);
    }
    return true;
  }

  std::optional<std::chrono::milliseconds> timeout = 5000ms;
  SenderOptions options;
  const std::string bytes = std::string(20'000, 'x');
  Outcomes outcomes;
  std::atomic<int> links_up{0};
  std::optional<GrpcSender> sender;
};

// A port that was free a moment ago.
std::uint16_t free_port() { return testing::Sink().port(); }

TEST_F(SenderFaultTest, AbsentDestinationIsUnavailableAtOnceAndFoundWhenItAppears) {
  const std::uint16_t port = free_port();
  connect(port);
  const auto began = Clock::now();
  const Outcome refused = exchange(1);
  EXPECT_LT(Clock::now() - began, 4s);
  EXPECT_EQ(refused.answer.kind, AnswerKind::retry);
  EXPECT_EQ(refused.answer.code, grpc_code::kUnavailable);
  EXPECT_FALSE(refused.answer.retry_delay);

  std::this_thread::sleep_for(1500ms);  // long enough for the waits between attempts to have grown
  EXPECT_EQ(links_up, 0);
  testing::SinkOptions sink_options;
  sink_options.port = port;
  testing::Sink sink(std::move(sink_options));
  ASSERT_EQ(sink.port(), port);
  EXPECT_TRUE(within(5000ms, [&] { return links_up == 1; })) << "nobody was sending, yet it must be found";
  EXPECT_EQ(exchange(2).answer.kind, AnswerKind::delivered);
}

TEST_F(SenderFaultTest, CallsWhileTheDestinationIsDownDoNotWait) {
  connect(free_port());
  for (std::uint64_t id = 1; id <= 20; ++id) {
    const Outcome outcome = exchange(id);
    EXPECT_EQ(outcome.answer.code, grpc_code::kUnavailable);
    EXPECT_LT(outcome.rtt, 4s);
  }
}

TEST_F(SenderFaultTest, KilledDestinationLeavesEveryRequestToBeRetried) {
  SinkProcess sink(TAILRACE_TEST_SINK, {"--delay", "10000"});
  ASSERT_NE(sink.port(), 0);
  connect(sink.port());
  for (std::uint64_t id = 1; id <= 5; ++id) {
    ASSERT_TRUE(sender->send(request_of(id, Signal::traces, bytes, 1)).ok());
  }
  std::this_thread::sleep_for(200ms);
  sink.end(SIGKILL);
  for (std::uint64_t id = 1; id <= 5; ++id) {
    const Outcome outcome = outcomes.wait_for(id);
    EXPECT_EQ(outcome.answer.kind, AnswerKind::retry) << outcome.answer.message;
    EXPECT_EQ(outcome.answer.code, grpc_code::kUnavailable);
  }
  SinkProcess again(TAILRACE_TEST_SINK, {"--port", std::to_string(sink.port())});
  ASSERT_EQ(again.port(), sink.port());
  EXPECT_TRUE(within(5000ms, [&] { return links_up >= 1; }));
  EXPECT_EQ(exchange(6).answer.kind, AnswerKind::delivered);
}

TEST_F(SenderFaultTest, StoppedDestinationRunsIntoTheDeadlineAndGoesOnAfterwards) {
  SinkProcess sink(TAILRACE_TEST_SINK, {});
  ASSERT_NE(sink.port(), 0);
  timeout = 400ms;
  connect(sink.port());
  ASSERT_EQ(exchange(1).answer.kind, AnswerKind::delivered);
  sink.stop();
  const Outcome hung = exchange(2);
  EXPECT_EQ(hung.answer.kind, AnswerKind::retry);
  EXPECT_EQ(hung.answer.code, grpc_code::kDeadlineExceeded);
  sink.signal(SIGCONT);
  // A server that was stopped may take a first call for late by what it last knew of the time.
  Outcome back = exchange(3);
  for (std::uint64_t id = 4; id < 8 && back.answer.kind == AnswerKind::retry; ++id) back = exchange(id);
  EXPECT_EQ(back.answer.kind, AnswerKind::delivered) << back.answer.code << " " << back.answer.message;
}

TEST_F(SenderFaultTest, DestinationThatSaysUnavailableItselfHasNotComeBack) {
  SinkProcess sink(TAILRACE_TEST_SINK, {"--status", "14"});
  ASSERT_NE(sink.port(), 0);
  connect(sink.port());
  for (std::uint64_t id = 1; id <= 10; ++id) {
    EXPECT_EQ(exchange(id).answer.code, grpc_code::kUnavailable);
    std::this_thread::sleep_for(30ms);
  }
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(links_up, 0);
}

TEST_F(SenderFaultTest, PeerThatTakesConnectionsAndDropsThemIsNotBackEachTime) {
  WireServer server([](WireServer::Connection& connection) {
    if (connection.read_preface()) {
      connection.write_settings();
      static_cast<void>(connection.read_headers());
    }
  });
  connect(server.port());
  const auto began = Clock::now();
  for (std::uint64_t id = 1; id <= 60; ++id) {
    EXPECT_EQ(exchange(id).answer.kind, AnswerKind::retry);
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_LE(links_up, 1 + (Clock::now() - began) / 1s);
}

TEST_F(SenderFaultTest, ConnectionClosedWithoutAnAnswerIsRetried) {
  WireServer server([](WireServer::Connection& connection) {
    if (connection.read_preface()) {
      connection.write_settings();
      static_cast<void>(connection.read_headers());
    }
  });
  connect(server.port());
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.kind, AnswerKind::retry) << outcome.answer.message;
  EXPECT_EQ(outcome.answer.code, grpc_code::kUnavailable);
}

TEST_F(SenderFaultTest, ConnectionResetWithoutAnAnswerIsRetried) {
  WireServer server([](WireServer::Connection& connection) {
    connection.reset_on_close();
    if (connection.read_preface()) {
      connection.write_settings();
      static_cast<void>(connection.read_headers());
    }
  });
  connect(server.port());
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.kind, AnswerKind::retry) << outcome.answer.message;
  EXPECT_EQ(outcome.answer.code, grpc_code::kUnavailable);
}

TEST_F(SenderFaultTest, PeerThatSpeaksAnotherProtocolIsRetried) {
  WireServer server([](WireServer::Connection& connection) {
    if (connection.read_preface()) {
      connection.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
      connection.idle();
    }
  });
  connect(server.port());
  EXPECT_EQ(exchange().answer.kind, AnswerKind::retry);
}

TEST_F(SenderFaultTest, PeerThatSaysNothingIsGivenUp) {
  WireServer server([](WireServer::Connection& connection) { connection.idle(); });
  options.connect_timeout = 300ms;
  timeout = std::nullopt;
  connect(server.port());
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.kind, AnswerKind::retry);
  EXPECT_EQ(outcome.answer.code, grpc_code::kUnavailable);
}

struct BareRow {
  const char* http_status;
  int code;
  AnswerKind kind;
};

// What a proxy in front of the destination says, without any word of gRPC.
class BareHttpStatusTest : public SenderFaultTest, public ::testing::WithParamInterface<BareRow> {};

TEST_P(BareHttpStatusTest, IsReadAsTheCodeItStandsFor) {
  WireServer server([](WireServer::Connection& connection) {
    if (connection.read_preface()) {
      connection.write_settings();
      if (const auto stream = connection.read_headers()) {
        connection.write_http_status(*stream, GetParam().http_status);
        connection.idle();
      }
    }
  });
  connect(server.port());
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.code, GetParam().code) << outcome.answer.message;
  EXPECT_EQ(outcome.answer.kind, GetParam().kind);
}

INSTANTIATE_TEST_SUITE_P(Rows, BareHttpStatusTest,
                         ::testing::Values(BareRow{"400", grpc_code::kInternal, AnswerKind::drop},
                                           BareRow{"401", grpc_code::kUnauthenticated, AnswerKind::drop},
                                           BareRow{"403", grpc_code::kPermissionDenied, AnswerKind::drop},
                                           BareRow{"404", grpc_code::kUnimplemented, AnswerKind::drop},
                                           BareRow{"429", grpc_code::kUnavailable, AnswerKind::retry},
                                           BareRow{"502", grpc_code::kUnavailable, AnswerKind::retry},
                                           BareRow{"503", grpc_code::kUnavailable, AnswerKind::retry},
                                           BareRow{"504", grpc_code::kUnavailable, AnswerKind::retry}),
                         [](const auto& row) { return std::string("Status") + row.param.http_status; });

TEST_F(SenderFaultTest, RefusedStreamIsRetried) {
  WireServer server([](WireServer::Connection& connection) {
    if (connection.read_preface()) {
      connection.write_settings();
      if (const auto stream = connection.read_headers()) {
        connection.write_reset(*stream, 7);  // REFUSED_STREAM
        connection.idle();
      }
    }
  });
  connect(server.port());
  const Outcome outcome = exchange();
  EXPECT_EQ(outcome.answer.kind, AnswerKind::retry) << outcome.answer.message;
}

// Pages of the hold are freed, and their bytes overwritten, as soon as a request is reported. A
// call that timed out may still have its bytes waiting in the connection, and those must not
// change.
class StuckConnectionTest : public SenderFaultTest {
 protected:
  static constexpr std::size_t kPageBytes = 4096;
  static constexpr std::size_t kPages = 4096;  // 16 MiB: far more than any socket takes

  void SetUp() override {
    memory = static_cast<char*>(
        mmap(nullptr, kPages * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    std::fill_n(memory, kPages * kPageBytes, 'x');
    options.request_bytes_max = kRequestBytesCeiling;
    options.stuck_after = 4000ms;
    timeout = 1000ms;
  }
  void TearDown() override {
    sender.reset();
    munmap(memory, kPages * kPageBytes);
  }
  Request whole() const {
    Request request;
    request.id = 1;
    request.records = 1;
    for (std::size_t page = kPages; page-- > 0;) {
      request.pieces.push_back({memory + page * kPageBytes, kPageBytes});
    }
    return request;
  }

  char* memory = nullptr;
  std::atomic<bool> connected{false};
  WireServer server{[this](WireServer::Connection& connection) {
                      if (connection.read_preface()) {
                        connection.write_settings_with_endless_window();
                        connected = true;
                        connection.idle();
                      }
                    },
                    4096};
};

TEST_F(StuckConnectionTest, RequestIsReportedOnlyWhenTheConnectionHasLetGoOfItsMemory) {
  connect(server.port());
  const auto began = Clock::now();
  ASSERT_TRUE(sender->send(whole()).ok());
  std::this_thread::sleep_for(1400ms);
  EXPECT_FALSE(outcomes.has(1)) << "the deadline is over, but the socket still waits to take the pages";
  const Outcome outcome = outcomes.wait_for(1);
  EXPECT_EQ(mprotect(memory, kPages * kPageBytes, PROT_NONE),
            0);  // a late reader would now be caught
  EXPECT_EQ(outcome.answer.kind, AnswerKind::retry);
  EXPECT_EQ(outcome.answer.code, grpc_code::kDeadlineExceeded);
  EXPECT_LT(Clock::now() - began, 15s);
  std::this_thread::sleep_for(100ms);
}

TEST_F(StuckConnectionTest, ShutdownSaysWhatIsStuckAndTheDestructorWaitsForIt) {
  timeout = std::nullopt;
  options.cancel_wait = 200ms;
  connect(server.port());
  ASSERT_TRUE(sender->send(whole()).ok());
  ASSERT_TRUE(within(10s, [&] { return connected.load(); }));
  std::this_thread::sleep_for(200ms);
  const auto began = Clock::now();
  const auto report = sender->shutdown(50ms);
  EXPECT_LT(Clock::now() - began, 2500ms);
  EXPECT_EQ(report.stuck, 1u);
  EXPECT_FALSE(outcomes.has(1));
  sender.reset();
  EXPECT_LT(Clock::now() - began, 15s);
  EXPECT_EQ(outcomes.wait_for(1, 0ms).answer.kind, AnswerKind::retry);
}

// ---- the sink as a program: what the fault tests of the whole pipeline rely on ----

class SinkProgramTest : public SenderFaultTest {};

TEST_F(SinkProgramTest, StoresEachRequestBeforeItAnswersAndCountsWhatItAccepted) {
  const auto dir = std::filesystem::temp_directory_path() / ("tailrace-sink-" + std::to_string(getpid()));
  std::filesystem::create_directories(dir);
  // Two spans: resource_spans { scope_spans { spans {} spans {} } }
  const std::string two_spans("\x0a\x06\x12\x04\x12\x00\x12\x00", 8);
  ASSERT_EQ(testing::count_records(two_spans), 2u);
  SinkProcess sink(TAILRACE_TEST_SINK,
                   {"--dir", dir.string(), "--partial", "1", "--message", "one too many", "--first", "1"});
  ASSERT_NE(sink.port(), 0);
  connect(sink.port());
  for (std::uint64_t id = 1; id <= 2; ++id) {
    ASSERT_TRUE(sender->send(request_of(id, Signal::traces, two_spans, 2)).ok());
    const Outcome outcome = outcomes.wait_for(id);
    EXPECT_EQ(outcome.answer.kind, id == 1 ? AnswerKind::partial : AnswerKind::delivered);
    std::ostringstream stored;
    stored << std::ifstream(dir / ("traces-" + std::to_string(id) + ".bin"), std::ios::binary).rdbuf();
    EXPECT_EQ(stored.str(), two_spans);
  }
  sink.signal(SIGTERM);
  EXPECT_EQ(sink.read_line(), "traces requests 2 bytes 16 records 4 accepted 3");
  EXPECT_EQ(sink.read_line(), "logs requests 0 bytes 0 records 0 accepted 0");
  std::filesystem::remove_all(dir);
}

TEST_F(SinkProgramTest, AnswersWithTheStatusItWasTold) {
  SinkProcess sink(TAILRACE_TEST_SINK, {"--status", "14", "--retry-info", "1200", "--first", "1"});
  ASSERT_NE(sink.port(), 0);
  connect(sink.port());
  const Outcome told = exchange(1);
  EXPECT_EQ(told.answer.code, grpc_code::kUnavailable);
  EXPECT_EQ(told.answer.retry_delay, 1200ms);
  EXPECT_EQ(exchange(2).answer.kind, AnswerKind::delivered);
}

}  // namespace
}  // namespace tailrace::agent
