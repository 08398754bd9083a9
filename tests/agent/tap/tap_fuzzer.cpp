// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a client's request, as a line that a client gets, and as encoded metrics. A request that is taken is one
// that a client could have made; a line becomes text in which nothing is left that a terminal obeys.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "agent/tap/line.hpp"
#include "agent/tap/metric_points.hpp"
#include "agent/tap/protocol.hpp"
#include "agent/tap/text.hpp"
#include "shm/reader/utf8.hpp"

namespace {

using namespace tailrace::agent;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "tap_fuzzer: %s\n", what);
  std::abort();
}

void check_text(std::string text) {
  require(!text.empty() && text.back() == '\n', "a line without an end");
  text.pop_back();
  require(tailrace::shm::valid_utf8(text), "a line that is no UTF-8");
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    require(c >= 0x20, "a control character");
    const unsigned char next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    require(c != 0xC2 || next >= 0xA0, "a control character of two bytes");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::unique_ptr<char[]> bytes(new char[size]);
  if (size != 0) std::memcpy(bytes.get(), data, size);
  const auto filter = decode_request({reinterpret_cast<const std::byte*>(bytes.get()), size});
  if (filter) {
    const auto again = encode_request(*filter);
    require(again.size() == size && std::memcmp(again.data(), data, size) == 0, "a request that nobody sends");
    tailrace::otlp::SpanView span;
    span.name = {bytes.get(), size};
    static_cast<void>(filter->passes(span.name, span));
  }
  each_metric_point({data, size}, [](const TapMetric& metric) {
    const TapLine line("shop", metric);
    check_text(TapText(false, false).line(line));
  });
  if (const auto line = TapLine::from(bytes.get(), size)) {
    check_text(TapText(false, false).line(*line));
    check_text(TapText(false, true).line(*line));
  }
  return 0;
}
