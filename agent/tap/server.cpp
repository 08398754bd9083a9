// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "agent/base/unique_fd.hpp"
#include "agent/tap/protocol.hpp"

namespace tailrace::agent {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBacklog = 16;
constexpr int kSendBytes = 256 * 1024;  // of kernel memory a client
constexpr std::size_t kBurst = 32;      // lines a system call
constexpr auto kTellLeftOut = std::chrono::milliseconds(500);

Error system_error(const std::string& what) {
  return Error{ErrorCode::kSystem, fmt::format("{}: {}", what, std::strerror(errno))};
}

// An answer that is not worth waiting for: it fits, or it does not arrive.
bool send_answer(int fd, TapAnswer kind, std::string_view bytes = {}) {
  std::array<char, kTapAnswerBytesMax> packet{};
  packet[0] = static_cast<char>(kind);
  const std::size_t size = bytes.copy(packet.data() + kTapAnswerHead, packet.size() - kTapAnswerHead);
  return ::send(fd, packet.data(), kTapAnswerHead + size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

void refuse(int fd, const std::string& sentence) { send_answer(fd, TapAnswer::refused, sentence); }

struct Client {
  UniqueFd fd;
  pid_t pid = 0;
  Clock::time_point since;      // it connected; later: it took a packet
  std::shared_ptr<Tap> tap;     // none before its request came
  std::vector<TapLine> unsent;  // at most kBurst
  std::uint64_t sent = 0;
  std::uint64_t told_left_out = 0;
  Clock::time_point told_at;
};

}  // namespace

class TapServer::Impl {
 public:
  Impl(TapHub& hub, const TapLimits& limits) : hub_(hub), limits_(limits) {}
  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status start(const std::string& path) {
    path_ = path;
    folder_ = UniqueFd(::open(folder_of(path).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder_) return system_error("tap: cannot open the folder of " + path);
    wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!wake_ || !listener_) return system_error("tap: cannot make a socket");
    const std::string name = path.substr(path.rfind('/') + 1);
    struct stat info {};
    if (::fstatat(folder_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
      if (!S_ISSOCK(info.st_mode)) {
        return Error{ErrorCode::kAlreadyExists, "tap: " + path + " is there and is no socket; remove it"};
      }
      ::unlinkat(folder_.get(), name.c_str(), 0);
    }
    // The mode is set before there is a name, so that there is no moment in which others could connect.
    if (::fchmod(listener_.get(), 0600) != 0) return system_error("tap: cannot close the socket to others");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string place = short_socket_path(folder_.get(), path);
    if (place.size() >= sizeof address.sun_path) {
      return Error{ErrorCode::kInvalidArgument, "tap: the name of " + path + " is too long for a socket"};
    }
    place.copy(address.sun_path, place.size());
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return system_error("tap: cannot listen at " + path);
    }
    name_ = name;
    if (::listen(listener_.get(), kBacklog) != 0) return system_error("tap: cannot listen at " + path);
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void stop() {
    if (thread_.joinable()) {
      const std::uint64_t one = 1;
      static_cast<void>(::write(wake_.get(), &one, sizeof one));
      thread_.join();
    }
    if (!name_.empty()) ::unlinkat(folder_.get(), std::exchange(name_, {}).c_str(), 0);
  }

 private:
  void run() {
    std::vector<pollfd> wanted;
    for (;;) {
      wanted.assign({pollfd{wake_.get(), POLLIN, 0}, pollfd{listener_.get(), POLLIN, 0}});
      for (const Client& client : clients_) wanted.push_back(pollfd{client.fd.get(), POLLIN, 0});
      const int timeout_ms = clients_.empty() ? -1 : static_cast<int>(limits_.tick.count());
      if (::poll(wanted.data(), wanted.size(), timeout_ms) < 0 && errno != EINTR) {
        std::this_thread::sleep_for(limits_.tick);
      }
      if (wanted[0].revents != 0) break;
      for (std::size_t i = 0; i < clients_.size(); ++i) {
        if (wanted[i + 2].revents != 0) hear(clients_[i]);
      }
      for (Client& client : clients_) {
        if (client.fd) serve(client);
      }
      std::erase_if(clients_, [](const Client& client) { return !client.fd; });
      if (wanted[1].revents != 0) welcome();
    }
    for (Client& client : clients_) {
      if (client.tap != nullptr) send_lines(client);
      if (client.fd) send_answer(client.fd.get(), TapAnswer::stopping);
      close(client, "the agent stops");
    }
  }

  // As many as there are places; the others hear why not.
  void welcome() {
    for (int i = 0; i < kBacklog; ++i) {
      UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) {
        // Without descriptors the connection stays, and so does poll()'s answer.
        if (errno != EAGAIN) std::this_thread::sleep_for(limits_.tick);
        return;
      }
      ucred peer{};
      socklen_t size = sizeof peer;
      if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
          (peer.uid != ::geteuid() && peer.uid != 0)) {
        refuse(fd.get(),
               fmt::format("only the agent's user ({}) and root may tap, and you are uid {}", ::geteuid(), peer.uid));
        continue;
      }
      if (clients_.size() >= limits_.clients) {
        refuse(fd.get(), fmt::format("{} taps are running, which is the most; end one of them", clients_.size()));
        continue;
      }
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBytes, sizeof kSendBytes);
      Client& client = clients_.emplace_back();
      client.fd = std::move(fd);
      client.pid = peer.pid;
      client.since = Clock::now();
    }
  }

  // One request is all that a client may say.
  void hear(Client& client) {
    std::array<std::byte, kTapRequestBytes + 1> packet;
    const ssize_t got = ::recv(client.fd.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return close(client, "it went");
    if (client.tap != nullptr) return close(client, "it said more than its request");
    Result<TapFilter> filter = decode_request(std::span(packet).first(static_cast<std::size_t>(got)));
    if (!filter) {
      refuse(client.fd.get(), filter.error().sentence);
      return close(client, "its request made no sense");
    }
    client.tap = std::make_shared<Tap>(std::move(filter).value());
    client.unsent.reserve(kBurst);
    client.since = client.told_at = Clock::now();
    spdlog::info("tap: process {} watches", client.pid);
    hub_.add(client.tap);
    send_answer(client.fd.get(), TapAnswer::begun);
  }

  void serve(Client& client) {
    const auto now = Clock::now();
    if (client.tap == nullptr) {
      if (now - client.since > limits_.request_within) close(client, "it asked nothing");
      return;
    }
    send_lines(client);
    if (client.unsent.empty()) {
      client.since = now;
    } else if (now - client.since > limits_.patience) {
      return close(client, "it does not read");
    }
    const std::uint64_t left_out = client.tap->left_out();
    if (left_out != client.told_left_out && now - client.told_at >= kTellLeftOut &&
        send_answer(client.fd.get(), TapAnswer::left_out,
                    std::string_view(reinterpret_cast<const char*>(&left_out), sizeof left_out))) {
      client.told_left_out = left_out;
      client.told_at = now;
    }
  }

  // At most one full tap, or what the socket takes.
  void send_lines(Client& client) {
    static constexpr std::array<char, kTapAnswerHead> kHead{static_cast<char>(TapAnswer::line)};
    for (std::size_t done = 0; done < Tap::kLines;) {
      while (client.unsent.size() < kBurst) {
        TapLine& line = client.unsent.emplace_back();
        if (client.tap->take(line)) continue;
        client.unsent.pop_back();
        break;
      }
      if (client.unsent.empty()) return;
      std::array<mmsghdr, kBurst> messages{};
      std::array<std::array<iovec, 2>, kBurst> pieces;
      for (std::size_t i = 0; i < client.unsent.size(); ++i) {
        pieces[i][0] = {const_cast<char*>(kHead.data()), kHead.size()};
        pieces[i][1] = {&client.unsent[i], client.unsent[i].used_bytes()};
        messages[i].msg_hdr.msg_iov = pieces[i].data();
        messages[i].msg_hdr.msg_iovlen = pieces[i].size();
      }
      const int took = ::sendmmsg(client.fd.get(), messages.data(), static_cast<unsigned>(client.unsent.size()),
                                  MSG_DONTWAIT | MSG_NOSIGNAL);
      if (took <= 0) return;  // its buffer is full; a client that is gone is heard of by poll()
      client.unsent.erase(client.unsent.begin(), client.unsent.begin() + took);
      client.sent += static_cast<std::uint64_t>(took);
      client.since = Clock::now();
      done += static_cast<std::size_t>(took);
    }
  }

  void close(Client& client, std::string_view why) {
    if (client.tap != nullptr) {
      hub_.remove(client.tap.get());
      spdlog::info("tap: process {} watches no longer ({}): {} lines, {} left out", client.pid, why, client.sent,
                   client.tap->left_out());
    }
    client.fd.reset();
  }

  TapHub& hub_;
  const TapLimits limits_;
  std::string path_;
  std::string name_;  // once it exists
  UniqueFd folder_;
  UniqueFd wake_;
  UniqueFd listener_;
  std::vector<Client> clients_;  // of the thread alone
  std::thread thread_;
};

TapServer::TapServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TapServer::~TapServer() = default;

Result<std::unique_ptr<TapServer>> TapServer::start(const std::string& socket_path, TapHub& hub,
                                                    const TapLimits& limits) {
  auto impl = std::make_unique<Impl>(hub, limits);
  if (Status started = impl->start(socket_path); !started.ok()) return std::move(started).error();
  return std::unique_ptr<TapServer>(new TapServer(std::move(impl)));
}

void TapServer::stop() { impl_->stop(); }

}  // namespace tailrace::agent
