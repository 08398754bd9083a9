// SPDX-License-Identifier: Apache-2.0
//
// The seeds of tap_fuzzer: tap_seeds DIRECTORY
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "agent/tap/protocol.hpp"
#include "tests/agent/tap/views.hpp"

int main(int argc, char** argv) {
  using namespace tailrace::agent;
  if (argc != 2) return 2;
  const std::filesystem::path folder(argv[1]);
  std::filesystem::create_directories(folder);
  const auto write = [&folder](const char* name, const void* bytes, std::size_t size) {
    std::ofstream(folder / name, std::ios::binary)
        .write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  };
  TapFilter filter;
  filter.service = "sh?p*";
  filter.name = "*pay*";
  filter.slower_than_ns = 5;
  const auto request = encode_request(filter);
  write("request", request.data(), request.size());
  const std::array attributes{tailrace::otlp::KeyValue{"text", tailrace::otlp::Value::string("a \x1b b")},
                              tailrace::otlp::KeyValue{"number", tailrace::otlp::Value::of(std::int64_t{4})},
                              tailrace::otlp::KeyValue{"real", tailrace::otlp::Value::of(0.5)}};
  auto span = test::span_view("pay");
  span.attributes = attributes;
  const TapLine line("shop", span);
  write("span", &line, line.used_bytes());
  const TapLine log("shop", test::log_view("paid"));
  write("log", &log, log.used_bytes());
  const TapLine metric("shop", test::metric_view("payments"));
  write("metric", &metric, metric.used_bytes());
  return 0;
}
