// SPDX-License-Identifier: Apache-2.0
// The library as a file: what it needs, what it shows, how large it is, and several copies of it.
#include <array>
#include <cstdio>
#include <string>

#include <dlfcn.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"

namespace tailrace::test {
namespace {

using namespace tailrace::literals;

std::string output_of(const std::string& command) {
  std::string out;
  std::array<char, 4096> buffer;
  if (FILE* pipe = popen(command.c_str(), "r"); pipe != nullptr) {
    while (const std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), n);
    pclose(pipe);
  }
  return out;
}

TEST(Library, NeedsTheCLibraryAlone) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's runtime is linked in";
#endif
  const std::string needed = output_of("readelf -d " TAILRACE_LIBRARY " | grep NEEDED");
  EXPECT_NE(needed.find("libc.so.6"), std::string::npos);
  EXPECT_EQ(needed.find("libstdc++"), std::string::npos) << needed;
  EXPECT_EQ(needed.find("libgcc"), std::string::npos) << needed;
  EXPECT_EQ(needed.find("libm.so"), std::string::npos) << needed;
}

TEST(Library, ShowsNothingButItsOwnNames) {
  const std::string others =
      output_of("nm -D --defined-only " TAILRACE_LIBRARY " | awk '{print $3}' | grep -v '^tailrace_'");
  EXPECT_EQ(others, "");
  EXPECT_NE(output_of("readelf -d " TAILRACE_LIBRARY).find("NODELETE"), std::string::npos);
}

TEST(Library, IsSmall) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "instrumented";
#endif
  const std::string stripped = "/tmp/tailrace-test-stripped-" + std::to_string(getpid());
  output_of("strip -o " + stripped + " " TAILRACE_LIBRARY);
  const std::string size = output_of("stat -c %s " + stripped);
  unlink(stripped.c_str());
  ASSERT_FALSE(size.empty());
  EXPECT_LE(std::stoul(size), 150u * 1024u);
}

TEST(Library, OfAnExecutableServesItsPluginsWhichUnloadAfterwards) {
  Directory directory;
  EXPECT_EQ(in_child([] {
              CHILD_EXPECT(init().ok(), 1);
              auto mine = span("executable"_n);
              for (int round = 0; round < 3; ++round) {
                void* plugin = dlopen(TAILRACE_PLUGIN, RTLD_NOW | RTLD_LOCAL);
                if (plugin == nullptr) {
                  std::fprintf(stderr, "%s\n", dlerror());
                  _exit(2);
                }
                auto* work = reinterpret_cast<void (*)()>(dlsym(plugin, "plugin_work"));
                CHILD_EXPECT(work != nullptr, 3);
                work();
                CHILD_EXPECT(dlclose(plugin) == 0, 4);
                CHILD_EXPECT(dlopen(TAILRACE_PLUGIN, RTLD_NOW | RTLD_NOLOAD) == nullptr, 5);
              }
            }),
            0);
  const Segment s = directory.only();
  EXPECT_EQ(s.count("plugin"), 3u);
  ASSERT_NE(s.span("executable"), nullptr);
  EXPECT_EQ(s.span("plugin")->parent_id, s.span("executable")->span_id) << "one library, one current span";
  EXPECT_EQ(s.span("plugin")->attribute("macro"), "2");
  EXPECT_EQ(s.count("plugin in C"), 3u);
  ASSERT_NE(s.span("plugin in C"), nullptr);
  EXPECT_EQ(s.span("plugin in C")->parent_id, s.span("plugin")->span_id);
  EXPECT_EQ(s.span("plugin in C")->attribute("plugin.key"), "3");
}

}  // namespace
}  // namespace tailrace::test
