// SPDX-License-Identifier: Apache-2.0
//
// The little of HTTP/1.1 that a file server needs: a request line and headers in, a response out,
// connections kept open. Plain blocking sockets, one connection a thread at a time.
//
// Threads: one owner a connection. Memory: one buffer of kRequestBytesMax a connection.
// Failure: read_request() says closed or bad; a failed write is false.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace demo {

inline constexpr std::size_t kRequestBytesMax = 16 * 1024;

struct HttpRequest {
  std::string method;
  std::string path;         // decoded, without the query
  std::string traceparent;  // W3C Trace Context of the caller, if it sent one
  bool accepts_gzip = false;
  bool keep_alive = true;
};

enum class ReadOutcome { request, closed, bad };

class Connection {
 public:
  explicit Connection(int socket);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  ReadOutcome read_request(HttpRequest& out);
  bool write_response(int status, std::string_view type, std::string_view body, bool gzip, bool keep_alive);

 private:
  bool write_all(std::string_view bytes);

  int socket_;
  std::string buffer_;
};

// A listening socket on 127.0.0.1; `port` 0 takes a free one and says which. -1 on failure.
int listen_on_loopback(int& port);

}  // namespace demo
