// SPDX-License-Identifier: Apache-2.0
//
// The agent's side of the socket: who may connect, what garbage does, and that a client which does not read
// hurts nobody but itself.
#include "agent/tap/server.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/unique_fd.hpp"
#include "agent/tap/protocol.hpp"
#include "tests/agent/tap/views.hpp"

namespace tailrace::agent {
namespace {

using namespace test;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

UniqueFd connect_to(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

// Nothing when the other side is silent for so long; an empty packet when it has closed.
std::optional<std::string> receive(const UniqueFd& fd, milliseconds patience = milliseconds(3000)) {
  pollfd wanted{fd.get(), POLLIN, 0};
  if (::poll(&wanted, 1, static_cast<int>(patience.count())) <= 0) return std::nullopt;
  std::string packet(kTapAnswerBytesMax, '\0');
  const ssize_t got = ::recv(fd.get(), packet.data(), packet.size(), 0);
  packet.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return packet;
}

TapAnswer kind_of(const std::string& packet) { return static_cast<TapAnswer>(packet.empty() ? 0 : packet[0]); }

class TapServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "tap-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/hold.tap";
  }
  void TearDown() override {
    server_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  void start(TapLimits limits = {}) {
    limits.tick = milliseconds(10);
    auto server = TapServer::start(path_, hub_, limits);
    ASSERT_TRUE(server.ok()) << server.error().sentence;
    server_ = std::move(server).value();
  }
  // A client whose filter is in force.
  UniqueFd begin(const TapFilter& filter = {}) {
    UniqueFd fd = connect_to(path_);
    const auto request = encode_request(filter);
    EXPECT_EQ(::send(fd.get(), request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    EXPECT_EQ(kind_of(receive(fd).value_or("")), TapAnswer::begun);
    return fd;
  }
  void see(std::string_view name, std::size_t times = 1) {
    point_.refresh();
    for (std::size_t i = 0; i < times; ++i) point_.see("shop", span_view(name));
  }

  std::string folder_;
  std::string path_;
  TapHub hub_;
  TapPoint point_{hub_};
  std::unique_ptr<TapServer> server_;
};

TEST_F(TapServerTest, LinesArriveThroughTheFilter) {
  start();
  TapFilter filter;
  filter.name = "pay";
  const UniqueFd client = begin(filter);
  see("other");
  see("pay");
  const std::string packet = receive(client).value_or("");
  ASSERT_EQ(kind_of(packet), TapAnswer::line);
  const auto line = TapLine::from(packet.data() + kTapAnswerHead, packet.size() - kTapAnswerHead);
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(line->name(), "pay");
  EXPECT_EQ(receive(client, milliseconds(50)), std::nullopt);
}

TEST_F(TapServerTest, SeveralClientsWatchAtOnceAndOneTooManyHearsWhyNot) {
  TapLimits limits;
  limits.clients = 3;
  start(limits);
  std::vector<UniqueFd> clients;
  for (std::size_t i = 0; i < limits.clients; ++i) clients.push_back(begin());
  const UniqueFd late = connect_to(path_);
  const std::string refusal = receive(late).value_or("");
  EXPECT_EQ(kind_of(refusal), TapAnswer::refused);
  EXPECT_NE(refusal.find("3 taps are running"), std::string::npos) << refusal;
  EXPECT_EQ(receive(late), "");
  see("pay");
  for (const UniqueFd& client : clients) EXPECT_EQ(kind_of(receive(client).value_or("")), TapAnswer::line);
  clients.pop_back();
  // The place is free again as soon as the server has noticed.
  const auto deadline = steady_clock::now() + std::chrono::seconds(5);
  bool again = false;
  while (!again && steady_clock::now() < deadline) {
    const UniqueFd next = connect_to(path_);
    const auto request = encode_request({});
    static_cast<void>(::send(next.get(), request.data(), request.size(), MSG_NOSIGNAL));
    again = kind_of(receive(next).value_or("")) == TapAnswer::begun;
  }
  EXPECT_TRUE(again);
}

TEST_F(TapServerTest, GarbageIsRefusedAndTheOthersGoOn) {
  start();
  const UniqueFd good = begin();
  for (const std::size_t size : {std::size_t{1}, std::size_t{100}, kTapRequestBytes, std::size_t{4000}}) {
    const UniqueFd bad = connect_to(path_);
    const std::string garbage(size, 'g');
    ASSERT_EQ(::send(bad.get(), garbage.data(), garbage.size(), 0), static_cast<ssize_t>(size));
    const std::string answer = receive(bad).value_or("");
    EXPECT_EQ(kind_of(answer), TapAnswer::refused) << size;
    EXPECT_NE(answer.find("no request"), std::string::npos);
    EXPECT_EQ(receive(bad), "") << "closed";
  }
  see("pay");
  EXPECT_EQ(kind_of(receive(good).value_or("")), TapAnswer::line);
  ASSERT_EQ(::send(good.get(), "more", 4, 0), 4) << "a client says one thing only";
  EXPECT_EQ(receive(good), "");
}

TEST_F(TapServerTest, WhoAsksNothingIsClosed) {
  TapLimits limits;
  limits.request_within = milliseconds(50);
  start(limits);
  const UniqueFd silent = connect_to(path_);
  EXPECT_EQ(receive(silent), "");
}

// A reader that stopped: its socket fills, then its tap; the worker's side takes no longer for it, all is
// counted, and in the end the reader is closed.
TEST_F(TapServerTest, AClientThatDoesNotReadBlocksNobodyAndIsClosedInTheEnd) {
  TapLimits limits;
  limits.patience = milliseconds(300);
  start(limits);
  const UniqueFd stopped = begin();
  const UniqueFd reading = begin();
  std::uint64_t lines = 0;
  std::uint64_t worst_us = 0;
  const auto end = steady_clock::now() + milliseconds(1500);
  while (steady_clock::now() < end) {
    const auto before = steady_clock::now();
    see("flood", 100);
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - before);
    worst_us = std::max<std::uint64_t>(worst_us, static_cast<std::uint64_t>(took.count()));
    while (const auto packet = receive(reading, milliseconds(0))) {
      ASSERT_FALSE(packet->empty()) << "the client that reads is not closed";
      if (kind_of(*packet) == TapAnswer::line) ++lines;
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_GT(lines, Tap::kLines) << "the other client goes on";
  EXPECT_LT(worst_us, 250'000u) << "nothing waits for the limit of a client";
  std::uint64_t got = 0;
  std::optional<std::string> packet = receive(stopped);
  for (; packet.has_value() && !packet->empty(); packet = receive(stopped)) ++got;
  EXPECT_EQ(packet, "") << "closed";
  EXPECT_GT(got, 0u) << "what its socket had taken is there";
}

TEST_F(TapServerTest, WhatIsLeftOutIsToldInNumbers) {
  start();
  const UniqueFd client = begin();
  std::uint64_t lines = 0;
  std::uint64_t left_out = 0;
  constexpr std::uint64_t kFlood = 50 * Tap::kLines;
  see("flood", kFlood);
  point_.refresh();
  while (lines + left_out < kFlood) {
    const auto packet = receive(client);
    ASSERT_TRUE(packet.has_value()) << lines << " lines, " << left_out << " left out";
    ASSERT_FALSE(packet->empty());
    if (kind_of(*packet) == TapAnswer::line) ++lines;
    if (kind_of(*packet) == TapAnswer::left_out) {
      std::memcpy(&left_out, packet->data() + kTapAnswerHead, sizeof left_out);
    }
  }
  EXPECT_EQ(lines + left_out, kFlood);
  EXPECT_GT(left_out, 0u);
}

TEST_F(TapServerTest, OnlyItsUserCanReachTheSocket) {
  start();
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

// The mode keeps others out; should it ever be widened, the kernel's word about the peer still does.
TEST_F(TapServerTest, AnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming another user needs root";
  start();
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  const auto as_another = [this] {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(9);
      const UniqueFd fd = connect_to(path_);
      if (!fd) ::_exit(1);
      const auto answer = receive(fd);
      ::_exit(answer && kind_of(*answer) == TapAnswer::refused ? 2 : 3);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  EXPECT_EQ(as_another(), 1) << "the kernel refuses the connection";
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  EXPECT_EQ(as_another(), 2) << "the agent refuses the user";
}

TEST_F(TapServerTest, ASocketThatWasLeftIsReplacedAndAFileIsNot) {
  start();
  const std::string path = path_;
  ASSERT_EQ(::rename(path.c_str(), (folder_ + "/kept").c_str()), 0);
  server_.reset();
  ASSERT_EQ(::rename((folder_ + "/kept").c_str(), path.c_str()), 0);  // as a killed agent leaves it
  EXPECT_FALSE(connect_to(path_));
  start();
  EXPECT_TRUE(connect_to(path_));
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_)) << "removed at the end";
  std::ofstream(path_) << "a file";
  const auto refused = TapServer::start(path_, hub_);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().sentence.find("is no socket"), std::string::npos) << refused.error().sentence;
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(TapServerTest, AFolderWithALongNameWorks) {
  folder_ += "/" + std::string(150, 'l');
  ASSERT_TRUE(std::filesystem::create_directory(folder_));
  path_ = folder_ + "/hold.tap";
  start();
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(TapServerTest, TheEndIsSaid) {
  start();
  const UniqueFd client = begin();
  see("last");
  server_->stop();
  EXPECT_EQ(kind_of(receive(client).value_or("")), TapAnswer::line) << "what was seen is sent still";
  EXPECT_EQ(kind_of(receive(client).value_or("")), TapAnswer::stopping);
  EXPECT_EQ(receive(client), "");
}

}  // namespace
}  // namespace tailrace::agent
