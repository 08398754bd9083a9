// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/viewer/process.hpp"

#include <cstdio>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>

namespace tailrace::agent::viewer {
namespace {

using namespace test;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A second is promised; a machine that runs other tests beside this one may be late to notice.
constexpr auto kStopLimit = seconds(4);

std::vector<std::string> viewer_command(std::initializer_list<std::string> more = {}) {
  std::vector<std::string> command{VIEWER_PROGRAM, "--otlp-port", "0", "--http-port", "0"};
  command.insert(command.end(), more);
  return command;
}

// The page's port of a ready line.
int page_port(const std::string& ready) {
  const std::size_t colon = ready.rfind(':');
  return colon == std::string::npos ? 0 : std::atoi(ready.c_str() + colon + 1);
}

TEST(ViewerProcess, SaysItsPortsInOneLineWhenItIsReady) {
  Process viewer(viewer_command());
  const std::string ready = viewer.read_line();
  int otlp = 0;
  int page = 0;
  ASSERT_EQ(std::sscanf(ready.c_str(), "viewer: otlp 127.0.0.1:%d, page http://127.0.0.1:%d/\n", &otlp, &page), 2)
      << ready;
  EXPECT_GT(otlp, 0);
  httplib::Client http("127.0.0.1", page);
  const auto answer = http.Get("/api/status");
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->body.find("\"otlp\":\"127.0.0.1:" + std::to_string(otlp) + "\""), std::string::npos);
}

TEST(ViewerProcess, WritesTheLineToTheReadyDescriptorAndClosesIt) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  {
    Process viewer(viewer_command({"--ready-fd", std::to_string(ends[1])}));
    ::close(ends[1]);
    std::string text;
    char buffer[256];
    for (ssize_t bytes; (bytes = ::read(ends[0], buffer, sizeof(buffer))) > 0;) {  // ends when it is closed
      text.append(buffer, static_cast<std::size_t>(bytes));
    }
    EXPECT_EQ(text, viewer.read_line());
    EXPECT_GT(page_port(text), 0);
  }
  ::close(ends[0]);
}

TEST(ViewerProcess, StopsWithinASecondOnEitherSignal) {
  for (const int number : {SIGTERM, SIGINT}) {
    Process viewer(viewer_command());
    ASSERT_GT(page_port(viewer.read_line()), 0);
    const auto started = Process::Clock::now();
    viewer.signal(number);
    EXPECT_EQ(viewer.wait_for_end(seconds(5)), 0);
    EXPECT_LT(Process::Clock::now() - started, kStopLimit);
  }
}

// Connections that say nothing, or dribble, keep the page's threads busy; they must not keep the
// process.
TEST(ViewerProcess, StopsWithinASecondAlsoWhenClientsHang) {
  Process viewer(viewer_command());
  const int port = page_port(viewer.read_line());
  ASSERT_GT(port, 0);
  std::vector<int> sockets;
  for (int i = 0; i < 8; ++i) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    EXPECT_EQ(::send(socket, "GET / HT", 8, MSG_NOSIGNAL), 8);
    sockets.push_back(socket);
  }
  std::this_thread::sleep_for(milliseconds(50));
  const auto started = Process::Clock::now();
  viewer.signal(SIGTERM);
  EXPECT_EQ(viewer.wait_for_end(seconds(5)), 0);
  EXPECT_LT(Process::Clock::now() - started, kStopLimit);
  for (const int socket : sockets) {
    ::close(socket);
  }
}

// sh starts the viewer in the background, says its pid through its output, and waits.
TEST(ViewerProcess, DiesWithItsParentWhenAskedTo) {
  Process parent({"/bin/sh", "-c",
                  std::string(VIEWER_PROGRAM) + " --otlp-port 0 --http-port 0 --parent-death --parent-pid $$ & wait"});
  const std::string ready = parent.read_line();
  const int port = page_port(ready);
  ASSERT_GT(port, 0) << ready;
  const auto started = Process::Clock::now();
  parent.signal(SIGKILL);
  ASSERT_TRUE(parent.wait_for_end(seconds(5)));
  EXPECT_EQ(parent.read_all(seconds(5)),
            "");  // the pipe closes when its last writer, the viewer, is gone
  EXPECT_LT(Process::Clock::now() - started, seconds(2));
  httplib::Client http("127.0.0.1", port);
  EXPECT_FALSE(http.Get("/api/status"));
}

TEST(ViewerProcess, OutlivesItsParentWhenNotAskedToDieWithIt) {
  Process parent({"/bin/sh", "-c", std::string(VIEWER_PROGRAM) + " --otlp-port 0 --http-port 0 & echo $!; wait"});
  const int pid = std::atoi(parent.read_line().c_str());
  const int port = page_port(parent.read_line());
  ASSERT_GT(pid, 0);
  ASSERT_GT(port, 0);
  parent.signal(SIGKILL);
  ASSERT_TRUE(parent.wait_for_end(seconds(5)));
  std::this_thread::sleep_for(milliseconds(500));
  httplib::Client http("127.0.0.1", port);
  EXPECT_TRUE(http.Get("/api/status"));
  ::kill(pid, SIGKILL);
}

TEST(ViewerProcess, AParentThatIsGoneAlreadyIsNoticed) {
  Process viewer(viewer_command({"--parent-death", "--parent-pid", "999999999"}), true);
  EXPECT_EQ(viewer.wait_for_end(seconds(5)), 0);
  EXPECT_NE(viewer.read_all().find("has ended; not starting"), std::string::npos);
}

TEST(ViewerProcess, ATakenPortEndsItWithASentence) {
  Process first(viewer_command());
  const int port = page_port(first.read_line());
  ASSERT_GT(port, 0);
  Process second({VIEWER_PROGRAM, "--otlp-port", "0", "--http-port", std::to_string(port)}, true);
  const std::string sentence = second.read_line();
  EXPECT_EQ(second.wait_for_end(seconds(5)), 1);
  EXPECT_EQ(sentence.find("viewer: page port 127.0.0.1:"), 0u) << sentence;
  EXPECT_NE(sentence.find("is in use by another program"), std::string::npos) << sentence;
}

TEST(ViewerProcess, AnAddressThatIsNotLoopbackIsRefused) {
  Process viewer(viewer_command({"--address", "0.0.0.0"}), true);
  const std::string sentence = viewer.read_line();
  EXPECT_EQ(viewer.wait_for_end(seconds(5)), 2);
  EXPECT_NE(sentence.find("loopback only"), std::string::npos) << sentence;
}

TEST(ViewerProcess, SizesAreReadWithTheirUnits) {
  Process viewer(viewer_command({"--memory", "2MiB", "--max-request", "1MiB"}));
  const int port = page_port(viewer.read_line());
  ASSERT_GT(port, 0);
  httplib::Client http("127.0.0.1", port);
  const auto answer = http.Get("/api/status");
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->body.find("\"budget_bytes\":2097152"), std::string::npos) << answer->body;
}

}  // namespace
}  // namespace tailrace::agent::viewer
