// SPDX-License-Identifier: Apache-2.0
//
// The page in a real browser: its style and script pass its own Content-Security-Policy, foreign
// text stays text, and the script brings what arrived after the page was loaded.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/agent/viewer/process.hpp"
#include "tests/agent/viewer/viewer_fixture.hpp"

namespace tailrace::agent::viewer {
namespace {

using namespace test;
namespace fs = std::filesystem;

std::string find_chromium() {
  for (const char* path : {"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"}) {
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
    command.push_back(viewer_->page_url() + path_);
    Process chromium(command, true);
    return chromium.read_all(std::chrono::seconds(60));
  }

  std::string chromium_;
  std::string profile_;
  std::string path_;  // after the slash
};

TEST_F(ViewerInChromium, ForeignTextIsShownAsText) {
  TraceRequest traces;
  add_span(traces, kTraceA, kSpan1, "<script>document.title='attacked'</script>", "<img src=x onerror=alert(1)>");
  ASSERT_TRUE(otlp_->send(traces).ok());
  LogRequest logs;
  add_log(logs, "</td><script>document.title='attacked'</script>");
  ASSERT_TRUE(otlp_->send(logs).ok());

  const std::string dom = browse({"--dump-dom"});
  EXPECT_NE(dom.find("&lt;script&gt;document.title='attacked'&lt;/script&gt;"), std::string::npos) << dom;
  EXPECT_NE(dom.find("<title>Tailrace viewer</title>"), std::string::npos);
  EXPECT_EQ(dom.find("<img"), std::string::npos);
  EXPECT_EQ(dom.find("Content Security Policy"), std::string::npos) << "the page breaks its own policy";
}

// The waterfall in the browser: hostile names stay text, nothing breaks the policy, and every bar was drawn as
// an SVG element. Its screenshots, light and dark, show bars in the colours of the style.
TEST_F(ViewerInChromium, AWaterfallIsDrawn) {
  TraceRequest traces;
  ProtoSpan* root = add_span(traces, kTraceA, kSpan1, "<script>document.title='attacked'</script>");
  root->set_end_time_unix_nano(kStartNs + 4'000'000);
  ProtoSpan* child = add_span(traces, kTraceA, kSpan2, "query");
  child->set_parent_span_id(kSpan1);
  child->mutable_status()->set_code(opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  add_attribute(child, "<img src=x onerror=alert(1)>", "</dd><svg onload=alert(1)>");
  ASSERT_TRUE(otlp_->send(traces).ok());
  MetricRequest metrics;
  auto* point = add_metric(metrics, "<b>metric</b>", "By")->mutable_gauge()->add_data_points();
  add_attribute(point, "<i>key</i>", "<script>alert(1)</script>");
  ASSERT_TRUE(otlp_->send(metrics).ok());

  const std::string front = browse({"--dump-dom"});
  EXPECT_NE(front.find("&lt;b&gt;metric&lt;/b&gt;"), std::string::npos) << front;
  path_ = "trace?id=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";
  const std::string dom = browse({"--dump-dom"});
  EXPECT_NE(dom.find("<title>Trace a1a1"), std::string::npos) << dom;
  EXPECT_NE(dom.find("<rect class=\"fine\" x=\"0.00\""), std::string::npos);
  EXPECT_NE(dom.find("<rect class=\"failed\""), std::string::npos);
  EXPECT_EQ(dom.find("<img"), std::string::npos);
  for (const std::string& shown : {front, dom}) {
    EXPECT_EQ(shown.find("<svg onload"), std::string::npos);
    EXPECT_EQ(shown.find("Content Security Policy"), std::string::npos) << "the page breaks its own policy";
  }
  // Chromium writes a picture of a page that has its style; those of two colour schemes cannot be alike.
  std::string pictures[2];
  for (const bool dark : {false, true}) {
    const std::string file = profile_ + (dark ? "/dark.png" : "/light.png");
    static_cast<void>(
        browse({"--window-size=1200,700", "--screenshot=" + file,
                dark ? "--blink-settings=preferredColorScheme=0" : "--blink-settings=preferredColorScheme=1"}));
    std::ifstream in(file, std::ios::binary);
    pictures[dark ? 1 : 0].assign(std::istreambuf_iterator<char>(in), {});
    EXPECT_GT(pictures[dark ? 1 : 0].size(), 5'000u) << file;
    if (const char* keep = std::getenv("VIEWER_PICTURES")) {
      fs::copy_file(file, fs::path(keep) / fs::path(file).filename(), fs::copy_options::overwrite_existing);
    }
  }
  EXPECT_NE(pictures[0], pictures[1]);
}

// The script says "live" only after it has fetched the page and exchanged its content.
TEST_F(ViewerInChromium, ThePageRefreshesItself) {
  const std::string dom = browse({"--virtual-time-budget=10000", "--dump-dom"});
  EXPECT_NE(dom.find("role=\"status\" class=\"\">live</span>"), std::string::npos) << dom;
}

}  // namespace
}  // namespace tailrace::agent::viewer
