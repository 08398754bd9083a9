// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/http_server.hpp"

#include <charconv>
#include <chrono>
#include <fmt/format.h>
#include <httplib.h>
#include <string_view>
#include <thread>
#include <utility>

#include "agent/viewer/address.hpp"
#include "agent/viewer/page.hpp"
#include "agent/viewer/text.hpp"

namespace tailrace::agent::viewer {
namespace {

constexpr std::size_t kAnsweringThreads = 2;
// A client that connects and does not ask holds one of the answering threads for so long.
constexpr auto kClientTimeout = std::chrono::milliseconds(500);
constexpr std::size_t kMaxRequestBodyBytes = 4096;

constexpr int kBadRequest = 400;
constexpr int kForbidden = 403;

constexpr const char* kSecurityPolicy =
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

void answer_text(httplib::Response& response, int status, const std::string& sentence) {
  response.status = status;
  response.set_content(sentence + "\n", "text/plain; charset=utf-8");
}

// False after answering 400: the parameter is there and is no number from 1 to kMaxRows.
bool read_limit(const httplib::Request& request, httplib::Response& response, std::size_t& limit) {
  limit = kDefaultRows;
  if (!request.has_param("limit")) {
    return true;
  }
  const std::string text = request.get_param_value("limit");
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (problem != std::errc() || end != text.data() + text.size() || limit == 0 || limit > kMaxRows) {
    answer_text(response, kBadRequest, fmt::format("limit must be a number from 1 to {}", kMaxRows));
    return false;
  }
  return true;
}

bool read_trace_id(const httplib::Request& request, httplib::Response& response, const char* name, TraceId& id) {
  if (!from_hex(request.get_param_value(name), id)) {
    answer_text(response, kBadRequest, fmt::format("{} must be a trace id, 32 hexadecimal digits", name));
    return false;
  }
  return true;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const Store& store, StateOf state_of) : store_(store), state_of_(std::move(state_of)) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kAnsweringThreads); };
    // One request a connection: an idle one would hold an answering thread.
    server_.set_keep_alive_max_count(1);
    server_.set_read_timeout(kClientTimeout);
    server_.set_write_timeout(kClientTimeout);
    server_.set_payload_max_length(kMaxRequestBodyBytes);
    // httplib's own choice, SO_REUSEPORT, would let two viewers share one port.
    server_.set_socket_options([](int socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    server_.set_default_headers({{"Content-Security-Policy", kSecurityPolicy},
                                 {"X-Content-Type-Options", "nosniff"},
                                 {"Referrer-Policy", "no-referrer"},
                                 {"Cross-Origin-Resource-Policy", "same-origin"},
                                 {"Cross-Origin-Opener-Policy", "same-origin"},
                                 {"Cache-Control", "no-store"}});
    server_.set_pre_routing_handler(
        [](const httplib::Request& request, httplib::Response& response) { return check_host(request, response); });
    server_.set_exception_handler([](const httplib::Request&, httplib::Response& response, std::exception_ptr) {
      answer_text(response, 500, "the viewer could not make this answer; try again with a smaller limit");
    });
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) {
        answer_text(response, response.status, "no such page; see / and /api/status");
      }
    });
    add_pages();
    add_api();
  }

  Status start(const std::string& address, int port) {
    port_ = port == 0 ? server_.bind_to_any_port(address) : server_.bind_to_port(address, port) ? port : -1;
    if (port_ <= 0) {
      return explain_bind_failure("page", "--http-port", address, port);
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {};
  }

  void stop() {
    if (thread_.joinable()) {
      server_.stop();
      thread_.join();
    }
  }

  [[nodiscard]] int port() const noexcept { return port_; }

 private:
  static httplib::Server::HandlerResponse check_host(const httplib::Request& request, httplib::Response& response) {
    if (request.get_header_value_count("Host") == 1 && is_loopback_host(request.get_header_value("Host"))) {
      return httplib::Server::HandlerResponse::Unhandled;
    }
    answer_text(response, kForbidden,
                "the viewer answers only to localhost, 127.0.0.1 and [::1]; use one of them in the "
                "address");
    return httplib::Server::HandlerResponse::Handled;
  }

  void add_pages() {
    server_.Get("/", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(page_html(state_of_(), store_.recent_traces(kPageTraces),
                                     store_.latest_metrics(kPageMetrics, kPageMetricBytes),
                                     store_.latest_logs(kPageLogs, kPageLogBytes)),
                           "text/html; charset=utf-8");
    });
    server_.Get("/trace", [this](const httplib::Request& request, httplib::Response& response) {
      TraceId id{};
      if (read_trace_id(request, response, "id", id)) {
        response.set_content(trace_html(state_of_().otlp_authority, id, store_.spans_of(id, kMaxRows, kMaxAnswerBytes),
                                        store_.latest_logs(kPageLogs, kPageLogBytes, &id)),
                             "text/html; charset=utf-8");
      }
    });
    server_.Get("/viewer.css", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(std::string(kPageStyle), "text/css; charset=utf-8");
    });
    server_.Get("/viewer.js", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(std::string(kPageScript), "text/javascript; charset=utf-8");
    });
  }

  void add_api() {
    server_.Get("/api/status", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(status_json(state_of_()), "application/json");
    });
    server_.Get("/api/traces", [this](const httplib::Request& request, httplib::Response& response) {
      std::size_t limit = 0;
      if (read_limit(request, response, limit)) {
        response.set_content(traces_json(store_, limit), "application/json");
      }
    });
    server_.Get("/api/trace", [this](const httplib::Request& request, httplib::Response& response) {
      TraceId id{};
      if (read_trace_id(request, response, "id", id)) {
        response.set_content(trace_json(store_, id), "application/json");
      }
    });
    server_.Get("/api/metrics", [this](const httplib::Request& request, httplib::Response& response) {
      std::size_t limit = 0;
      if (read_limit(request, response, limit)) {
        response.set_content(metrics_json(store_, limit), "application/json");
      }
    });
    server_.Get("/api/logs", [this](const httplib::Request& request, httplib::Response& response) {
      std::size_t limit = 0;
      TraceId id{};
      const bool of_trace = request.has_param("trace_id");
      if (read_limit(request, response, limit) && (!of_trace || read_trace_id(request, response, "trace_id", id))) {
        response.set_content(logs_json(store_, limit, of_trace ? &id : nullptr), "application/json");
      }
    });
  }

  const Store& store_;
  StateOf state_of_;
  httplib::Server server_;
  std::thread thread_;
  int port_ = 0;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { stop(); }

Result<std::unique_ptr<HttpServer>> HttpServer::start(const std::string& address, int port, const Store& store,
                                                      StateOf state_of) {
  auto impl = std::make_unique<Impl>(store, std::move(state_of));
  if (Status status = impl->start(address, port); !status) {
    return std::move(status).error();
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

int HttpServer::port() const noexcept { return impl_->port(); }
void HttpServer::stop() { impl_->stop(); }

}  // namespace tailrace::agent::viewer
