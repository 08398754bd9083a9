// SPDX-License-Identifier: Apache-2.0
//
// The page in a real browser: its style and script pass its own Content-Security-Policy, foreign
// text stays text, and the script brings what arrived after the page was loaded.
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/agent/viewer/process.hpp"
#include "tests/agent/viewer/viewer_fixture.hpp"

namespace tailrace::agent::viewer {
namespace {

using namespace test;
namespace fs = std::filesystem;

std::string find_chromium() {
  for (const char* path :
       {"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"}) {
    if (::access(path, X_OK) == 0) {
      return path;
    }
  }
  return {};
}

class ViewerInChromium : public ViewerFixture {
 protected:
  void SetUp() override {
    chromium_ = find_chromium();
    if (chromium_.empty()) {
      GTEST_SKIP() << "chromium is not installed (apt-get install chromium)";
    }
    ViewerFixture::SetUp();
    std::string pattern = (fs::temp_directory_path() / "viewer-chromium-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    profile_ = pattern;
  }
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(profile_, ignored);
  }

  [[nodiscard]] std::string browse(std::initializer_list<std::string> more) {
    std::vector<std::string> command{chromium_,
                                     "--headless",
                                     "--no-sandbox",
                                     "--disable-gpu",
                                     "--disable-quic",
                                     "--no-first-run",
                                     "--disable-background-networking",
                                     "--disable-component-update",
                                     "--disable-sync",
                                     "--enable-logging=stderr",
                                     "--user-data-dir=" + profile_};
    command.insert(command.end(), more);
    command.push_back(viewer_->page_url());
    Process chromium(command, true);
    return chromium.read_all(std::chrono::seconds(60));
  }

  std::string chromium_;
  std::string profile_;
};

TEST_F(ViewerInChromium, ForeignTextIsShownAsText) {
  TraceRequest traces;
  add_span(traces, kTraceA, kSpan1, "<script>document.title='attacked'</script>",
           "<img src=x onerror=alert(1)>");
  ASSERT_TRUE(otlp_->send(traces).ok());
  LogRequest logs;
  add_log(logs, "</td><script>document.title='attacked'</script>");
  ASSERT_TRUE(otlp_->send(logs).ok());

  const std::string dom = browse({"--dump-dom"});
  EXPECT_NE(dom.find("&lt;script&gt;document.title='attacked'&lt;/script&gt;"), std::string::npos)
      << dom;
  EXPECT_NE(dom.find("<title>Tailrace viewer</title>"), std::string::npos);
  EXPECT_EQ(dom.find("<img"), std::string::npos);
  EXPECT_EQ(dom.find("Content Security Policy"), std::string::npos)
      << "the page breaks its own policy";
}

// The script says "live" only after it has fetched the page and exchanged its content.
TEST_F(ViewerInChromium, ThePageRefreshesItself) {
  const std::string dom = browse({"--virtual-time-budget=10000", "--dump-dom"});
  EXPECT_NE(dom.find("role=\"status\" class=\"\">live</span>"), std::string::npos) << dom;
}

}  // namespace
}  // namespace tailrace::agent::viewer
