// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/viewer_process.hpp"

#include <unistd.h>

#include <chrono>

namespace tailrace::agent {
namespace {

constexpr auto kReadyWithin = std::chrono::seconds(10);

// What stands in `line` behind `label`, up to a comma or its end.
std::string word_after(const std::string& line, const std::string& label) {
  const std::size_t at = line.find(label);
  if (at == std::string::npos) return {};
  const std::size_t from = at + label.size();
  return line.substr(from, line.find(',', from) - from);
}

}  // namespace

Result<ViewerProcess> ViewerProcess::start(const std::string& program, std::uint16_t otlp_port,
                                           std::uint16_t http_port) {
  Result<ChildProcess> child = ChildProcess::start(
      program,
      {"viewer", "--otlp-port=" + std::to_string(otlp_port), "--http-port=" + std::to_string(http_port),
       "--parent-death", "--parent-pid=" + std::to_string(::getpid())},
      Captured::standard_output);
  if (!child) return std::move(child).error().within("viewer");
  const std::string line = child->read_line(kReadyWithin).value_or("");
  ViewerProcess viewer(std::move(child).value());
  viewer.otlp_ = word_after(line, "otlp ");
  viewer.page_ = word_after(line, "page ");
  if (viewer.otlp_.empty() || viewer.page_.empty()) {
    return Error{ErrorCode::kUnavailable,
                 "viewer: it did not start, its own message stands above; run the agent without --viewer, or "
                 "`tailrace viewer` by hand to see more"};
  }
  return viewer;
}

}  // namespace tailrace::agent
