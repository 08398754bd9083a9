// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/viewer/viewer_fixture.hpp"

namespace tailrace::agent::viewer {
namespace {

using namespace test;

class ViewerPage : public ViewerFixture {
 protected:
  void send_span(const std::string& name, const std::string& service = "shop") {
    TraceRequest request;
    add_span(request, kTraceA, kSpan1, name, service);
    ASSERT_TRUE(otlp_->send(request).ok());
  }

  [[nodiscard]] int status_with_host(const httplib::Headers& headers, const std::string& path = "/") {
    const auto answer = http_->Get(path, headers);
    return answer ? answer->status : 0;
  }
};

TEST_F(ViewerPage, AnEmptyViewerSaysHowToFillIt) {
  const std::string page = get("/");
  EXPECT_NE(page.find("No traces yet"), std::string::npos);
  EXPECT_NE(page.find("No logs yet"), std::string::npos);
  EXPECT_NE(page.find("No metrics yet"), std::string::npos);
  EXPECT_NE(page.find("http://" + viewer_->otlp_authority()), std::string::npos);
}

TEST_F(ViewerPage, ShowsTracesAndLogs) {
  TraceRequest traces;
  add_span(traces, kTraceA, kSpan1, "GET /cart", "shop");
  ProtoSpan* child = add_span(traces, kTraceA, kSpan2, "query");
  child->set_parent_span_id(kSpan1);
  child->mutable_status()->set_code(opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  auto* mark = child->add_attributes();
  mark->set_key("tailrace.span.incomplete");
  mark->mutable_value()->set_bool_value(true);
  ASSERT_TRUE(otlp_->send(traces).ok());
  LogRequest logs;
  add_log(logs, "cart is empty")->set_trace_id(kTraceA);
  ASSERT_TRUE(otlp_->send(logs).ok());

  const std::string page = get("/");
  for (const char* shown : {"GET /cart", "shop", ">2<", "1.50 ms", "1 error", "1 unfinished", "cart is empty", "INFO",
                            "a1a1a1a1", "2023-11-14T22:13:20.000000000Z"}) {
    EXPECT_NE(page.find(shown), std::string::npos) << shown;
  }
  const Json row = get_json("/api/traces")["traces"][0];
  EXPECT_EQ(row["trace_id"], "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1");
  EXPECT_EQ(row["service"], "shop");
  EXPECT_EQ(row["name"], "GET /cart");
  EXPECT_EQ(row["spans"], 2);
  EXPECT_EQ(row["errors"], 1);
  EXPECT_EQ(row["unfinished"], 1);
  EXPECT_EQ(row["has_root"], true);
  EXPECT_EQ(row["start_time_unix_nano"], "1700000000000000000");
  EXPECT_EQ(row["duration_nano"], "1500000");
}

TEST_F(ViewerPage, WhatComesFromOutsideIsTextAndNotMarkup) {
  const std::string attack = "<script>alert(1)</script>\"'&";
  TraceRequest traces;
  add_span(traces, kTraceA, kSpan1, attack, attack);
  ASSERT_TRUE(otlp_->send(traces).ok());
  LogRequest logs;
  ProtoLog* log = add_log(logs, attack, attack);
  log->set_severity_text(attack);
  log->set_event_name(attack);
  ASSERT_TRUE(otlp_->send(logs).ok());

  const std::string page = get("/");
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"), std::string::npos);
  EXPECT_EQ(get_json("/api/traces")["traces"][0]["name"], attack);
}

TEST_F(ViewerPage, ShowsTheLatestMetrics) {
  MetricRequest request;
  auto* sum = add_metric(request, "http.requests", "{request}")->mutable_sum();
  sum->set_is_monotonic(true);
  auto* point = sum->add_data_points();
  point->set_as_int(12345);
  point->set_time_unix_nano(kStartNs);
  add_attribute(point, "method", "GET");
  auto* histogram = add_metric(request, "http.duration", "ms")->mutable_histogram()->add_data_points();
  histogram->set_count(10);
  histogram->set_sum(75);
  for (const double bound : {5.0, 10.0}) histogram->add_explicit_bounds(bound);
  for (const std::uint64_t count : {0u, 10u, 0u}) histogram->add_bucket_counts(count);
  ASSERT_TRUE(otlp_->send(request).ok());

  const std::string page = get("/");
  for (const char* shown : {"http.requests", "{request}", ">12345<", "<b>method</b> GET", "counter", "http.duration",
                            ">10<", ">75<", ">7.5<", ">9.95<", "2 series kept", "2023-11-14T22:13:20.000000000Z"}) {
    EXPECT_NE(page.find(shown), std::string::npos) << shown;
  }
  const Json rows = get_json("/api/metrics")["metrics"];
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["name"], "http.duration");
  EXPECT_EQ(rows[0]["p50"], 7.5);
  EXPECT_EQ(rows[1]["value"], 12345);
  EXPECT_EQ(rows[1]["attributes"]["method"], "GET");
  EXPECT_EQ(get_json("/api/metrics?limit=1")["metrics"].size(), 1u);
  EXPECT_EQ(get_json("/api/status")["metric_points"]["series_kept"], 2);
}

TEST_F(ViewerPage, ATraceIsDrawnAsAWaterfall) {
  TraceRequest traces;
  ProtoSpan* root = add_span(traces, kTraceA, kSpan1, "GET /cart", "shop");
  root->set_end_time_unix_nano(kStartNs + 4'000'000);
  ProtoSpan* child = add_span(traces, kTraceA, kSpan2, "query");
  child->set_parent_span_id(kSpan1);
  child->set_start_time_unix_nano(kStartNs + 1'000'000);
  child->set_end_time_unix_nano(kStartNs + 2'000'000);
  child->mutable_status()->set_code(opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  child->mutable_status()->set_message("no such table");
  add_attribute(child, "db.system", "postgresql");
  auto* event = child->add_events();
  event->set_name("retry");
  event->set_time_unix_nano(kStartNs + 1'500'000);
  ProtoSpan* orphan = add_span(traces, kTraceA, std::string(8, '\x03'), "left open");
  orphan->set_parent_span_id(std::string(8, '\x77'));
  auto* mark = orphan->add_attributes();
  mark->set_key("tailrace.span.incomplete");
  mark->mutable_value()->set_bool_value(true);
  ASSERT_TRUE(otlp_->send(traces).ok());
  LogRequest logs;
  add_log(logs, "cart is empty")->set_trace_id(kTraceA);
  add_log(logs, "of another trace")->set_trace_id(kTraceB);
  ASSERT_TRUE(otlp_->send(logs).ok());

  const std::string id = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";
  EXPECT_NE(get("/").find("href=\"/trace?id=" + id + "\""), std::string::npos);
  const std::string page = get("/trace?id=" + id);
  for (const char* shown :
       {"3 spans over 4.00 ms", "class=\"name d0\">GET /cart", "class=\"name d1\">query",
        // A quarter of the root's time, from a quarter on.
        "<rect class=\"failed\" x=\"250.00\" y=\"2\" width=\"250.00\"", "<rect class=\"event\" x=\"375.00\"",
        "<rect class=\"fine\" x=\"0.00\" y=\"2\" width=\"1000.00\"", "<rect class=\"open\"", "no such table",
        "<dt>db.system</dt><dd>postgresql</dd>", "<b>retry</b> at 500.0 µs", "unfinished", "no parent", "cart is empty",
        "/api/trace?id="}) {
    EXPECT_NE(page.find(shown), std::string::npos) << shown;
  }
  EXPECT_EQ(page.find("of another trace"), std::string::npos);
  EXPECT_EQ(page.find("style="), std::string::npos);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_NE(get("/trace?id=00000000000000000000000000000001").find("No span of this trace"), std::string::npos);
  const auto bad = http_->Get("/trace?id=<script>");
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->status, 400);
  EXPECT_EQ(bad->body.find("<script>"), std::string::npos);
}

TEST_F(ViewerPage, TraceAndMetricsFromOutsideAreTextToo) {
  const std::string attack = "</td></dd><script>alert(1)</script>\"'&";
  TraceRequest traces;
  ProtoSpan* span = add_span(traces, kTraceA, kSpan1, attack, attack);
  add_attribute(span, attack, attack);
  span->mutable_status()->set_message(attack);
  auto* event = span->add_events();
  event->set_name(attack);
  add_attribute(event, attack, attack);
  ASSERT_TRUE(otlp_->send(traces).ok());
  MetricRequest metrics;
  auto* point = add_metric(metrics, attack, attack, attack)->mutable_gauge()->add_data_points();
  add_attribute(point, attack, attack);
  ASSERT_TRUE(otlp_->send(metrics).ok());
  for (const std::string& page : {get("/"), get("/trace?id=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1")}) {
    EXPECT_EQ(page.find("<script>"), std::string::npos);
    EXPECT_EQ(page.find("</td></dd><"), std::string::npos);
    EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"), std::string::npos);
  }
}

TEST_F(ViewerPage, AHugeTraceIsDrawnInPart) {
  for (int part = 0; part < 5; ++part) {
    TraceRequest traces;
    for (int i = 0; i < 1'000; ++i) {
      std::string id(8, '\x01');
      id[0] = static_cast<char>(part + 1);
      id[1] = static_cast<char>(i % 250 + 1);
      id[2] = static_cast<char>(i / 250 + 1);
      ProtoSpan* span = add_span(traces, kTraceA, id, "one of many");
      add_attribute(span, "padding", std::string(600, 'p'));
    }
    ASSERT_TRUE(otlp_->send(traces).ok());
  }
  const std::string page = get("/trace?id=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1");
  EXPECT_NE(page.find("the first 2\u2009000 are drawn"), std::string::npos);
  EXPECT_NE(page.find("too large to show every span"), std::string::npos);
  EXPECT_LT(page.size(), std::size_t{6} << 20);
}

TEST_F(ViewerPage, EveryAnswerCarriesTheStrictHeaders) {
  for (const char* path : {"/", "/viewer.css", "/viewer.js", "/api/status", "/api/traces", "/api/metrics",
                           "/trace?id=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1", "/no-such-page"}) {
    const auto answer = http_->Get(path);
    ASSERT_TRUE(answer) << path;
    const std::string policy = answer->get_header_value("Content-Security-Policy");
    EXPECT_EQ(policy.find("default-src 'none'"), 0u) << path;
    EXPECT_EQ(policy.find("unsafe"), std::string::npos) << path;
    EXPECT_EQ(answer->get_header_value("X-Content-Type-Options"), "nosniff") << path;
    EXPECT_EQ(answer->get_header_value("Cache-Control"), "no-store") << path;
    EXPECT_EQ(answer->get_header_value("Cross-Origin-Resource-Policy"), "same-origin") << path;
    EXPECT_FALSE(answer->has_header("Access-Control-Allow-Origin")) << path;
  }
}

TEST_F(ViewerPage, LoadsNothingFromElsewhere) {
  const std::string page = get("/");
  EXPECT_EQ(page.find("src=\"http"), std::string::npos);
  EXPECT_EQ(page.find("href=\"http"), std::string::npos);
  EXPECT_EQ(page.find("style="), std::string::npos);
  EXPECT_EQ(get("/viewer.css").find("url("), std::string::npos);
}

// A page on the Internet can point its own name at 127.0.0.1; the name is all that tells it apart.
TEST_F(ViewerPage, OtherHostNamesAreRefusedEverywhere) {
  for (const char* path : {"/", "/api/traces", "/viewer.js", "/nowhere"}) {
    EXPECT_EQ(status_with_host({{"Host", "attacker.example"}}, path), 403) << path;
  }
  EXPECT_EQ(status_with_host({{"Host", "localhost.attacker.example:8317"}}), 403);
  EXPECT_EQ(status_with_host({{"Host", ""}}), 403);
  EXPECT_EQ(status_with_host({{"Host", "localhost"}, {"Host", "attacker.example"}}), 403);
  EXPECT_EQ(status_with_host({{"Host", "localhost:1234"}}), 200);
  EXPECT_EQ(status_with_host({{"Host", "[::1]:1234"}}), 200);
}

TEST_F(ViewerPage, LimitsAndIdsAreChecked) {
  for (int i = 1; i <= 5; ++i) {
    TraceRequest request;
    add_span(request, std::string(16, static_cast<char>(i)), kSpan1, "work");
    ASSERT_TRUE(otlp_->send(request).ok());
  }
  EXPECT_EQ(get_json("/api/traces?limit=3")["traces"].size(), 3u);
  EXPECT_EQ(get_json("/api/traces")["traces"].size(), 5u);
  EXPECT_EQ(get_json("/api/trace?id=00000000000000000000000000000000")["spans"].size(), 0u);
  for (const char* path :
       {"/api/traces?limit=0", "/api/traces?limit=10001", "/api/traces?limit=x", "/api/logs?limit=-1",
        "/api/logs?limit=", "/api/trace", "/api/trace?id=abc", "/api/logs?trace_id=xyz"}) {
    const auto answer = http_->Get(path);
    ASSERT_TRUE(answer) << path;
    EXPECT_EQ(answer->status, 400) << path;
  }
}

TEST_F(ViewerPage, LogsCanBeAskedForByTrace) {
  LogRequest logs;
  add_log(logs, "of a")->set_trace_id(kTraceA);
  add_log(logs, "of b")->set_trace_id(kTraceB);
  add_log(logs, "of none");
  ASSERT_TRUE(otlp_->send(logs).ok());
  const Json rows = get_json("/api/logs?trace_id=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1")["logs"];
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["body"], "of a");
}

TEST_F(ViewerPage, OtherMethodsAndPagesAreRefused) {
  const auto post = http_->Post("/", "x", "text/plain");
  ASSERT_TRUE(post);
  EXPECT_EQ(post->status, 404);
  const auto missing = http_->Get("/no-such-page");
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->status, 404);
  EXPECT_NE(missing->body.find("no such page"), std::string::npos);
  const auto large = http_->Post("/", std::string(1'000'000, 'x'), "text/plain");
  EXPECT_TRUE(!large || large->status >= 400);
  send_span("still there");
  EXPECT_NE(get("/").find("still there"), std::string::npos);
}

TEST_F(ViewerPage, WhatTheBudgetDroppedIsShown) {
  ViewerOptions options;
  options.memory_bytes = std::uint64_t{1} << 20;
  start(options);
  for (int batch = 1; batch <= 20; ++batch) {
    LogRequest logs;
    for (int i = 0; i < 100; ++i) {
      add_log(logs, std::string(1'000, 'l'));
    }
    ASSERT_TRUE(otlp_->send(logs).ok());
  }
  const Json status = get_json("/api/status");
  const std::uint64_t dropped = status["logs"]["dropped"];
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(status["logs"]["kept"].get<std::uint64_t>() + dropped, 2'000u);
  EXPECT_LE(status["memory"]["used_bytes"], status["memory"]["budget_bytes"]);
  const std::string page = get("/");
  EXPECT_NE(page.find("Dropped by budget"), std::string::npos);
  EXPECT_NE(page.find("0 spans, "), std::string::npos);
}

TEST_F(ViewerPage, IPv6LoopbackWorksToo) {
  ViewerOptions options;
  options.address = "::1";
  options.otlp_port = 0;
  options.http_port = 0;
  auto viewer = Viewer::start(options);
  if (!viewer.ok()) {
    GTEST_SKIP() << "no IPv6 loopback here: " << viewer.error().sentence;
  }
  const std::string url = (*viewer)->page_url();
  EXPECT_EQ(url.find("http://[::1]:"), 0u);
  httplib::Client http("::1", std::stoi(url.substr(url.rfind(':') + 1)));
  http.set_default_headers({{"Host", "[::1]"}});
  const auto answer = http.Get("/api/status");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  OtlpClient client((*viewer)->otlp_authority());
  EXPECT_TRUE(client.send(LogRequest{}).ok());
}

}  // namespace
}  // namespace tailrace::agent::viewer
