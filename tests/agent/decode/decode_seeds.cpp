// SPDX-License-Identifier: Apache-2.0
//
// Seeds of decode_fuzzer: one of everything that a segment can hold, in the fuzzer's own form.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/shm/segment_builder.hpp"

namespace {

using tailrace::shm::test::Blob;

void write(const std::string& path, const std::vector<Blob>& records, tailrace::shm::test::SegmentBuilder& app) {
  const std::size_t arena = static_cast<std::size_t>(app.process().strings_len.load()) - tailrace::shm::kArenaStart;
  Blob out{static_cast<std::uint8_t>((arena + 7) / 8), 7, 64, 65, 0, 0, 0, 0};
  const std::uint8_t* strings = app.at(tailrace::shm::RegionKind::strings) + tailrace::shm::kArenaStart;
  out.insert(out.end(), strings, strings + (arena + 7) / 8 * 8);
  for (const Blob& record : records) out.insert(out.end(), record.begin(), record.end());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(out.data()), static_cast<std::streamsize>(out.size()));
}

}  // namespace

int main(int count, char** words) {
  using namespace tailrace::shm;
  using namespace tailrace::shm::test;
  if (count != 2) {
    std::fputs("usage: decode_seeds FOLDER\n", stderr);
    return 2;
  }
  const std::string folder = words[1];
  std::filesystem::create_directories(folder);
  SegmentBuilder app;
  app.scope(Items().string(kNameKey, "lib").integer("n", 1));
  const std::uint32_t pay = app.intern("pay");
  const std::uint32_t paid = app.intern("paid {:>5} {} {:.2f}");
  const TraceId trace = trace_id_from(0x10);
  const Blob span =
      make_span({.name = pay, .scope = 1}, Items()
                                               .integer(pay, 1)
                                               .integer("pay", 2)
                                               .string("s", "caf\xC3\xA9")
                                               .array("l", Items().integer(0u, 1).map(0u, Items().boolean("b", true)))
                                               .event(pay, 5, Items().real("r", 0.5))
                                               .link(trace.bytes, 9, 1, Items().string(kTraceStateKey, "a=b"))
                                               .string(kStatusMessageKey, "m")
                                               .integer(kPartCountKey, 2));
  const Blob part = make_span_part(trace, 1, 0, Items().bytes("raw", "\xFF"));
  const Blob log = make_log({.body = paid, .tflags = kTemplate},
                            Items().integer(kArgumentKey, 42).string(kArgumentKey, "x").real(kArgumentKey, 1.5));
  const Blob body = make_log({}, Items()
                                     .map(kBodyKey, Items().string("code", "E"))
                                     .string(kSeverityTextKey, "ERROR")
                                     .string(kEventNameKey, "e")
                                     .integer(kObservedTimeKey, 9));
  write(folder + "/span", {span}, app);
  write(folder + "/parts", {part, span, part}, app);
  write(folder + "/logs", {log, body}, app);
  write(folder + "/all",
        {make_thread(1, "t"), make_loss(1, 2, 3, 4), span, part, log, body,
         make_span_start({.name = pay}, Items().integer("a", 1))},
        app);
  return 0;
}
