// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/viewer.hpp"

#include <chrono>
#include <fmt/format.h>
#include <utility>

#include "agent/viewer/address.hpp"
#include "agent/viewer/api.hpp"
#include "agent/viewer/http_server.hpp"
#include "agent/viewer/receiver.hpp"
#include "agent/viewer/store.hpp"

namespace tailrace::agent {
namespace {

constexpr int kHighestPort = 65535;
constexpr std::uint64_t kMinRequestBytes = std::uint64_t{64} << 10;
// gRPC counts a message's bytes in an int.
constexpr std::uint64_t kMaxRequestBytes = std::uint64_t{1} << 30;

Status check(const ViewerOptions& options) {
  for (const auto& [name, port] :
       {std::pair{"--otlp-port", options.otlp_port}, std::pair{"--http-port", options.http_port}}) {
    if (port < 0 || port > kHighestPort) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("{} {}: give a port from 1 to {}, or 0 for any free one", name, port, kHighestPort)};
    }
  }
  if (options.otlp_port != 0 && options.otlp_port == options.http_port) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--otlp-port and --http-port are both {}; give them different ports", options.otlp_port)};
  }
  if (options.memory_bytes < viewer::kMinBudgetBytes) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("--memory {} bytes is too little; give at least {}",
                                                          options.memory_bytes, viewer::kMinBudgetBytes)};
  }
  if (options.max_request_bytes < kMinRequestBytes || options.max_request_bytes > kMaxRequestBytes) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--max-request {} bytes: give {} to {}", options.max_request_bytes, kMinRequestBytes,
                             kMaxRequestBytes)};
  }
  return {};
}

}  // namespace

class Viewer::Impl {
 public:
  explicit Impl(const ViewerOptions& options) : store_(options.memory_bytes) {}

  Status start(const ViewerOptions& options) {
    Result<std::string> address = viewer::loopback_address(options.address);
    if (!address) {
      return std::move(address).error();
    }
    address_ = *address;
    auto receiver = viewer::Receiver::start(address_, options.otlp_port, options.max_request_bytes, store_);
    if (!receiver) {
      return std::move(receiver).error();
    }
    receiver_ = *std::move(receiver);
    auto http = viewer::HttpServer::start(address_, options.http_port, store_, [this] { return state(); });
    if (!http) {
      return std::move(http).error();
    }
    http_ = *std::move(http);
    return {};
  }

  void stop() {
    if (receiver_ != nullptr) {
      receiver_->stop();
    }
    if (http_ != nullptr) {
      http_->stop();
    }
  }

  [[nodiscard]] std::string otlp_authority() const { return viewer::authority(address_, receiver_->port()); }
  [[nodiscard]] std::string page_url() const {
    return fmt::format("http://{}/", viewer::authority(address_, http_->port()));
  }

 private:
  [[nodiscard]] viewer::ViewerState state() const {
    viewer::ViewerState state;
    state.otlp_authority = otlp_authority();
    state.uptime = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_);
    state.rss_bytes = viewer::resident_bytes();
    state.receiver = receiver_->counters();
    state.store = store_.counters();
    return state;
  }

  using Clock = std::chrono::steady_clock;
  const Clock::time_point started_ = Clock::now();
  std::string address_;
  viewer::Store store_;
  std::unique_ptr<viewer::Receiver> receiver_;
  std::unique_ptr<viewer::HttpServer> http_;  // asks the receiver and the store: ends before them
};

Viewer::Viewer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Viewer::~Viewer() { stop(); }

Result<std::unique_ptr<Viewer>> Viewer::start(const ViewerOptions& options) {
  if (Status status = check(options); !status) {
    return std::move(status).error();
  }
  auto impl = std::make_unique<Impl>(options);
  if (Status status = impl->start(options); !status) {
    return std::move(status).error();
  }
  return std::unique_ptr<Viewer>(new Viewer(std::move(impl)));
}

std::string Viewer::otlp_authority() const { return impl_->otlp_authority(); }
std::string Viewer::page_url() const { return impl_->page_url(); }
void Viewer::stop() { impl_->stop(); }

}  // namespace tailrace::agent
