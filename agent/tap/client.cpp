// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/client.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "agent/base/unique_fd.hpp"
#include "agent/tap/line.hpp"
#include "agent/tap/protocol.hpp"
#include "agent/tap/text.hpp"

namespace tailrace::agent {
namespace {

constexpr std::size_t kPrintAtBytes = 32 * 1024;

Error no_agent(const std::string& path) {
  return Error{ErrorCode::kUnavailable, fmt::format("no agent answers at {}: start one with `tailrace agent`", path)};
}

Result<UniqueFd> connect_to(const std::string& path) {
  const UniqueFd folder(::open(folder_of(path).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return Error{ErrorCode::kSystem, fmt::format("cannot make a socket: {}", std::strerror(errno))};
  if (!folder) return no_agent(path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string place = short_socket_path(folder.get(), path);
  if (place.size() >= sizeof address.sun_path) return no_agent(path);
  place.copy(address.sun_path, place.size());
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  if (errno == EACCES || errno == EPERM) {
    return Error{ErrorCode::kPermissionDenied, fmt::format("{}: only the agent's user and root may tap", path)};
  }
  return no_agent(path);
}

// SIGINT and SIGTERM as a descriptor while it lives; a closed pipe as an error of write().
class Stopped {
 public:
  Stopped() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    fd_ = UniqueFd(::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  sigset_t set_;
  UniqueFd fd_;
};

class Client {
 public:
  explicit Client(const TapOptions& options) : options_(options), text_(options.colour, options.json) {}

  Result<TapEnd> run() {
    Result<UniqueFd> socket = connect_to(options_.socket_path);
    if (!socket) return std::move(socket).error();
    const auto request = encode_request(options_.filter);
    if (::send(socket->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE) {
      return no_agent(options_.socket_path);
    }
    const Stopped stopped;
    std::array<pollfd, 3> wanted{pollfd{socket->get(), POLLIN, 0}, pollfd{stopped.fd(), POLLIN, 0},
                                 pollfd{STDOUT_FILENO, 0, 0}};
    for (;;) {
      if (::poll(wanted.data(), wanted.size(), -1) < 0 && errno != EINTR) return TapEnd::as_wished;
      if (wanted[1].revents != 0) return finish();
      if ((wanted[2].revents & (POLLERR | POLLHUP)) != 0) return TapEnd::as_wished;  // nobody reads any more
      if (wanted[0].revents == 0) continue;
      const Next next = read_some(socket->get());
      if (!print(stopped.fd())) return finish();
      if (next == Next::enough) return TapEnd::as_wished;
      if (next != Next::gone) continue;
      if (!refused_.empty()) return Error{ErrorCode::kPermissionDenied, refused_};
      return TapEnd::agent_went;
    }
  }

 private:
  enum class Next { more, enough, gone };

  // What is there, up to a screenful or so, so that a flood does not keep us from a Ctrl-C.
  Next read_some(int socket) {
    std::array<char, kTapAnswerBytesMax> packet;
    while (out_.size() < kPrintAtBytes) {
      const ssize_t got = ::recv(socket, packet.data(), packet.size(), MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Next::more;
      if (got < static_cast<ssize_t>(kTapAnswerHead)) return Next::gone;
      const std::string_view payload(packet.data() + kTapAnswerHead, static_cast<std::size_t>(got) - kTapAnswerHead);
      switch (static_cast<TapAnswer>(packet[0])) {
        case TapAnswer::begun: break;
        case TapAnswer::line:
          if (const std::optional<TapLine> line = TapLine::from(payload.data(), payload.size())) {
            out_ += text_.line(*line);
            if (++lines_ == options_.count) return Next::enough;
          }
          break;
        case TapAnswer::left_out:
          if (std::uint64_t all = 0; payload.size() == sizeof all) {
            std::memcpy(&all, payload.data(), sizeof all);
            if (all > left_out_) out_ += text_.left_out(all - left_out_, all);
            left_out_ = all;
          }
          break;
        case TapAnswer::refused: refused_ = printable(payload); return Next::gone;
        case TapAnswer::stopping: return Next::gone;
      }
    }
    return Next::more;
  }

  // False: told to stop, or nobody reads any more. Writes no more at once than a pipe with room takes without waiting:
  // a reader that has stopped must not keep us from a Ctrl-C.
  bool print(int stopped) {
    for (std::string_view rest = out_; !rest.empty();) {
      std::array<pollfd, 2> wanted{pollfd{STDOUT_FILENO, POLLOUT, 0}, pollfd{stopped, POLLIN, 0}};
      if (::poll(wanted.data(), wanted.size(), -1) < 0 && errno != EINTR) return false;
      if (wanted[1].revents != 0) return false;
      if (wanted[0].revents == 0) continue;
      const ssize_t written = ::write(STDOUT_FILENO, rest.data(), std::min<std::size_t>(rest.size(), PIPE_BUF));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    out_.clear();
    return true;
  }

  TapEnd finish() const {
    if (::isatty(STDERR_FILENO) != 0) {
      std::fprintf(stderr, "\n%s\n", fmt::format("{} lines, {} left out", lines_, left_out_).c_str());
    }
    return TapEnd::as_wished;
  }

  const TapOptions& options_;
  TapText text_;
  std::string out_;
  std::string refused_;
  std::uint64_t lines_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace

Result<TapEnd> run_tap(const TapOptions& options) { return Client(options).run(); }

}  // namespace tailrace::agent
