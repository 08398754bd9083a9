// SPDX-License-Identifier: Apache-2.0
//
// WireServer: a peer on loopback that does what no well-behaved library would: closes, resets,
// says nothing, stops reading, answers with bare HTTP/2 frames.
//
// Threads: one of its own, which runs the script for one connection after the other. Ownership:
// closes its sockets when destroyed. Failure: port() is 0.
// Source: RFC 9113, frames; RFC 7541, literal fields.
#pragma once

#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace tailrace::agent::testing {

class WireServer {
 public:
  class Connection {
   public:
    Connection(int fd, const std::atomic<bool>& stop) : fd_(fd), stop_(stop) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { ::close(fd_); }

    // False when the peer closed or the server stops.
    bool read_exactly(void* data, std::size_t size) {
      auto* bytes = static_cast<char*>(data);
      while (size > 0) {
        if (!wait_readable()) {
          return false;
        }
        const ssize_t got = ::recv(fd_, bytes, size, 0);
        if (got <= 0) {
          return false;
        }
        bytes += got;
        size -= static_cast<std::size_t>(got);
      }
      return true;
    }
    void write(std::string_view bytes) { static_cast<void>(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL)); }
    // Keeps the connection open and reads nothing.
    void idle() {
      while (!stop_) {
        ::usleep(2000);
      }
    }
    // Closing sends RST instead of FIN.
    void reset_on_close() {
      const linger hard{1, 0};
      setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    }

    // ---- HTTP/2 ----
    bool read_preface() {
      std::array<char, 24> preface{};
      return read_exactly(preface.data(), preface.size());
    }
    void write_frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
      std::string frame;
      frame += static_cast<char>(payload.size() >> 16);
      frame += static_cast<char>(payload.size() >> 8);
      frame += static_cast<char>(payload.size());
      frame += static_cast<char>(type);
      frame += static_cast<char>(flags);
      for (int shift = 24; shift >= 0; shift -= 8) {
        frame += static_cast<char>(stream >> shift);
      }
      frame += payload;
      write(frame);
    }
    void write_settings() { write_frame(4, 0, 0, {}); }
    // So that flow control of HTTP/2 never stops the client: only the socket does.
    void write_settings_with_endless_window() {
      write_frame(4, 0, 0, std::string_view("\x00\x04\x7f\xff\xff\xff", 6));
      write_frame(8, 0, 0, std::string_view("\x7f\xfe\x00\x00", 4));
    }
    // The stream of the next request; its HEADERS frame has been read.
    std::optional<std::uint32_t> read_headers() {
      for (;;) {
        std::array<unsigned char, 9> head{};
        if (!read_exactly(head.data(), head.size())) {
          return std::nullopt;
        }
        std::string payload(
            (static_cast<std::size_t>(head[0]) << 16) | (static_cast<std::size_t>(head[1]) << 8) | head[2], '\0');
        if (!read_exactly(payload.data(), payload.size())) {
          return std::nullopt;
        }
        if (head[3] == 1) {
          return (std::uint32_t{head[5]} << 24 | std::uint32_t{head[6]} << 16 | std::uint32_t{head[7]} << 8 | head[8]) &
                 0x7fffffffu;
        }
      }
    }
    // A response of nothing but an HTTP status, as a proxy sends it.
    void write_http_status(std::uint32_t stream, std::string_view status) {
      std::string field("\x08\x03", 2);  // literal, name ":status" of the static table, three bytes
      field += status;
      write_frame(1, 0x5, stream, field);  // END_STREAM, END_HEADERS
    }
    void write_reset(std::uint32_t stream, std::uint8_t error) {
      write_frame(3, 0, stream, std::string{'\0', '\0', '\0', static_cast<char>(error)});
    }

   private:
    bool wait_readable() const {
      while (!stop_) {
        pollfd waited{fd_, POLLIN, 0};
        if (::poll(&waited, 1, 20) > 0) {
          return true;
        }
      }
      return false;
    }

    int fd_;
    const std::atomic<bool>& stop_;
  };

  explicit WireServer(std::function<void(Connection&)> script, int receive_buffer_bytes = 0)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer_bytes > 0) {
      setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 && ::listen(listener_, 8) == 0 &&
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
      port_ = ntohs(address.sin_port);
    }
    thread_ = std::thread([this, script = std::move(script)] {
      while (!stop_) {
        pollfd waited{listener_, POLLIN, 0};
        if (::poll(&waited, 1, 20) <= 0) {
          continue;
        }
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd >= 0) {
          ++connections_;
          Connection connection(fd, stop_);
          script(connection);
        }
      }
    });
  }
  ~WireServer() {
    stop_ = true;
    thread_.join();
    ::close(listener_);
  }
  WireServer(const WireServer&) = delete;
  WireServer& operator=(const WireServer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] int connections() const noexcept { return connections_; }

 private:
  int listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> connections_{0};
  std::thread thread_;
};

}  // namespace tailrace::agent::testing
