// SPDX-License-Identifier: Apache-2.0
//
// Where data goes, from what a user writes: every variable, its parsing rules, and what is said
// about those that this version cannot follow.
#include "agent/export/settings.hpp"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tailrace::agent {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const SignalSettings& of(const SettingsReport& report, Signal signal) {
  return report.settings.signals[index_of(signal)];
}

SettingsReport read(const Variables& variables, const ExportOptions& options = {}) {
  return read_export_settings(variables, options);
}

// ---- one address ----

struct EndpointRow {
  const char* text;
  const char* target;
  const char* url;
  bool loopback;
  const char* warning;  // part of it, or null for none
};

class EndpointTest : public ::testing::TestWithParam<EndpointRow> {};

TEST_P(EndpointTest, IsReadAsWritten) {
  const EndpointRow row = GetParam();
  const auto parsed = parse_endpoint("E", row.text, BareMeans::plain_text);
  ASSERT_TRUE(parsed.ok()) << parsed.error().sentence;
  EXPECT_EQ(parsed->endpoint.target(), row.target);
  EXPECT_EQ(parsed->endpoint.url(), row.url);
  EXPECT_EQ(parsed->endpoint.is_loopback(), row.loopback);
  if (row.warning == nullptr) {
    EXPECT_THAT(parsed->warnings, IsEmpty());
  } else {
    EXPECT_THAT(parsed->warnings, ElementsAre(AllOf(HasSubstr(row.warning), HasSubstr(row.text))));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, EndpointTest,
    ::testing::Values(
        EndpointRow{"http://localhost:4317", "dns:///localhost:4317", "http://localhost:4317", true, nullptr},
        EndpointRow{"HTTP://Collector.example:55/", "dns:///Collector.example:55", "http://Collector.example:55", false,
                    nullptr},
        EndpointRow{"127.0.0.1:9", "ipv4:127.0.0.1:9", "http://127.0.0.1:9", true, nullptr},
        EndpointRow{"grpc://10.1.2.3:4317", "ipv4:10.1.2.3:4317", "http://10.1.2.3:4317", false, nullptr},
        EndpointRow{"http://[::1]:4317", "ipv6:%5B::1%5D:4317", "http://[::1]:4317", true, nullptr},
        EndpointRow{"http://[fe80::1%eth0]:4317", "ipv6:%5Bfe80::1%25eth0%5D:4317", "http://[fe80::1%eth0]:4317", false,
                    nullptr},
        EndpointRow{"unix:///run/otel col.sock", "unix:/run/otel%20col.sock", "unix:///run/otel col.sock", true,
                    nullptr},
        EndpointRow{"unix:/run/c.sock", "unix:/run/c.sock", "unix:///run/c.sock", true, nullptr},
        EndpointRow{"http://collector", "dns:///collector:4317", "http://collector:4317", false, "no port"},
        EndpointRow{"http://collector:4318", "dns:///collector:4318", "http://collector:4318", false, "OTLP/HTTP"},
        EndpointRow{"http://c:4317/v1/traces?x=1", "dns:///c:4317", "http://c:4317", false, "/v1/traces?x=1"}));

class RefusedEndpointTest : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(RefusedEndpointTest, IsRefusedWithASentence) {
  const auto& [text, reason] = GetParam();
  const auto parsed = parse_endpoint("--endpoint", text, BareMeans::plain_text);
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(parsed.error().sentence, AllOf(HasSubstr("--endpoint"), HasSubstr(reason)));
}

using Refused = std::pair<const char*, const char*>;
INSTANTIATE_TEST_SUITE_P(
    Rows, RefusedEndpointTest,
    ::testing::Values(Refused{"https://collector:4317", "plain text only"},
                      Refused{"ftp://collector:4317", "unknown scheme \"ftp\""}, Refused{"http://", "HOST:PORT"},
                      Refused{"http://:4317", "HOST:PORT"}, Refused{"http://host:", "HOST:PORT"},
                      Refused{"http://host:0", "HOST:PORT"}, Refused{"http://host:65536", "HOST:PORT"},
                      Refused{"http://host:43x7", "HOST:PORT"}, Refused{"http://ho st:4317", "HOST:PORT"},
                      Refused{"http://[::1:4317", "HOST:PORT"}, Refused{"http://[nonsense]:4317", "HOST:PORT"},
                      Refused{"http://::1:4317", "HOST:PORT"}, Refused{"unix:relative.sock", "absolute path"}));

TEST(EndpointSecretTest, PasswordInAnAddressIsNotRepeated) {
  for (const char* text :
       {"http://me:hunter2@collector:4317", "https://me:hunter2@collector:4317", "me:hunter2@collector:4317"}) {
    const auto parsed = parse_endpoint("E", text, BareMeans::tls);
    ASSERT_FALSE(parsed.ok());
    EXPECT_THAT(parsed.error().sentence, AllOf(Not(HasSubstr("hunter2")), HasSubstr("HEADERS")));
  }
}

// ---- the variables ----

TEST(SettingsTest, NothingSetIsTheDefault) {
  const SettingsReport report = read({});
  EXPECT_TRUE(report.ok());
  EXPECT_THAT(report.warnings, IsEmpty());
  for (const SignalSettings& signal : report.settings.signals) {
    EXPECT_EQ(signal.endpoint.url(), "http://localhost:4317");
    EXPECT_FALSE(signal.endpoint_given);
    EXPECT_EQ(signal.timeout, 10s);
    EXPECT_THAT(signal.headers, IsEmpty());
  }
  EXPECT_THAT(destinations_of(report.settings), SizeIs(1));
}

TEST(SettingsTest, EmptyVariableIsAnUnsetOne) {
  EXPECT_EQ(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", ""},
                  {"OTEL_EXPORTER_OTLP_TIMEOUT", "  "},
                  {"OTEL_EXPORTER_OTLP_HEADERS", ""},
                  {"OTEL_EXPORTER_OTLP_PROTOCOL", ""},
                  {"OTEL_EXPORTER_OTLP_CERTIFICATE", ""}})
                .settings.signals,
            read({}).settings.signals);
}

TEST(SettingsTest, SignalsOwnVariableOverridesTheGeneralOne) {
  const SettingsReport report = read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317"},
                                      {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4317"},
                                      {"OTEL_EXPORTER_OTLP_TIMEOUT", "2000"},
                                      {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "500"},
                                      {"OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=2"},
                                      {"OTEL_EXPORTER_OTLP_METRICS_HEADERS", "c=3"}});
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(of(report, Signal::traces).endpoint.host, "all");
  EXPECT_EQ(of(report, Signal::logs).endpoint.host, "logs");
  EXPECT_EQ(of(report, Signal::metrics).endpoint.host, "all");
  EXPECT_EQ(of(report, Signal::traces).timeout, 500ms);
  EXPECT_EQ(of(report, Signal::logs).timeout, 2s);
  EXPECT_THAT(of(report, Signal::traces).headers, ElementsAre(Header{"a", "1"}, Header{"b", "2"}));
  EXPECT_THAT(of(report, Signal::metrics).headers, ElementsAre(Header{"c", "3"}));
}

TEST(SettingsTest, CommandLineOverridesEveryVariable) {
  ExportOptions options;
  options.endpoint = "127.0.0.1:1";
  options.headers = "x=y";
  options.timeout_ms = 0;
  const SettingsReport report = read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://all:4317"},
                                      {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4317"},
                                      {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "500"},
                                      {"OTEL_EXPORTER_OTLP_HEADERS", "a=1"}},
                                     options);
  EXPECT_TRUE(report.ok());
  for (const SignalSettings& signal : report.settings.signals) {
    EXPECT_EQ(signal.endpoint.url(), "http://127.0.0.1:1");
    EXPECT_TRUE(signal.endpoint_given);
    EXPECT_EQ(signal.timeout, std::nullopt);
    EXPECT_THAT(signal.headers, ElementsAre(Header{"x", "y"}));
  }
}

TEST(SettingsTest, FallbackIsUsedOnlyWhereNothingIsNamed) {
  ExportOptions options;
  options.fallback.emplace();
  options.fallback->host = "127.0.0.1";
  options.fallback->port = 7;
  const SettingsReport report = read({{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4317"}}, options);
  EXPECT_EQ(of(report, Signal::traces).endpoint.port, 7);
  EXPECT_FALSE(of(report, Signal::traces).endpoint_given);
  EXPECT_EQ(of(report, Signal::logs).endpoint.host, "logs");
  EXPECT_THAT(destinations_of(report.settings), SizeIs(2));
}

TEST(SettingsTest, SignalsThatShareAnEndpointShareADestination) {
  const SettingsReport report =
      read({{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4317"}, {"OTEL_EXPORTER_OTLP_METRICS_HEADERS", "c=3"}});
  const auto destinations = destinations_of(report.settings);
  ASSERT_THAT(destinations, SizeIs(2));
  EXPECT_TRUE(destinations[0].signals[index_of(Signal::traces)]);
  EXPECT_FALSE(destinations[0].signals[index_of(Signal::logs)]);
  ASSERT_TRUE(destinations[0].signals[index_of(Signal::metrics)]);
  EXPECT_THAT(destinations[0].signals[index_of(Signal::metrics)]->headers, ElementsAre(Header{"c", "3"}));
  EXPECT_TRUE(destinations[1].signals[index_of(Signal::logs)]);
}

TEST(SettingsTest, TimeoutOfZeroIsNoLimit) {
  EXPECT_EQ(of(read({{"OTEL_EXPORTER_OTLP_TIMEOUT", "0"}}), Signal::traces).timeout, std::nullopt);
}

TEST(SettingsTest, BadTimeoutIsSaidAndAsGoodAsUnset) {
  for (const char* text : {"10s", "-1", "1.5", "0x10", "2147483648", "99999999999999999999", "ten"}) {
    const SettingsReport report =
        read({{"OTEL_EXPORTER_OTLP_TIMEOUT", "700"}, {"OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", text}});
    EXPECT_EQ(of(report, Signal::logs).timeout, 700ms) << text;
    EXPECT_THAT(report.warnings, ElementsAre(AllOf(HasSubstr("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"), HasSubstr(text))));
    EXPECT_TRUE(report.ok());
  }
}

TEST(SettingsTest, BareAddressMeansTlsUnlessInsecureIsTrue) {
  const SettingsReport refused = read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"}});
  ASSERT_THAT(refused.errors, SizeIs(1));  // said once, not once a signal
  EXPECT_THAT(refused.errors[0], AllOf(HasSubstr("OTEL_EXPORTER_OTLP_ENDPOINT=\"collector:4317\""),
                                       HasSubstr("OTEL_EXPORTER_OTLP_INSECURE=true")));
  const SettingsReport taken =
      read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"}, {"OTEL_EXPORTER_OTLP_INSECURE", "TRUE"}});
  EXPECT_TRUE(taken.ok());
  EXPECT_EQ(of(taken, Signal::logs).endpoint.host, "collector");
}

TEST(SettingsTest, SchemeWinsOverInsecure) {
  EXPECT_FALSE(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4317"}, {"OTEL_EXPORTER_OTLP_INSECURE", "true"}}).ok());
  EXPECT_TRUE(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"}, {"OTEL_EXPORTER_OTLP_INSECURE", "false"}}).ok());
}

TEST(SettingsTest, BooleanThatIsNeitherIsFalseAndSaid) {
  const SettingsReport report =
      read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"}, {"OTEL_EXPORTER_OTLP_INSECURE", "yes"}});
  EXPECT_FALSE(report.ok());
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("OTEL_EXPORTER_OTLP_INSECURE=\"yes\"")));
}

TEST(SettingsTest, GeneralVariableThatNobodyUsesIsNotComplainedAbout) {
  EXPECT_TRUE(read({{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://old:4317"},
                    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4317"},
                    {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4317"},
                    {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c:4317"}})
                  .ok());
}

TEST(SettingsTest, OtherProtocolsAreRefusedAndUnknownOnesIgnored) {
  for (const char* protocol : {"http/protobuf", "HTTP/JSON"}) {
    const SettingsReport report = read({{"OTEL_EXPORTER_OTLP_PROTOCOL", protocol}});
    EXPECT_THAT(report.errors,
                ElementsAre(AllOf(HasSubstr("OTEL_EXPORTER_OTLP_PROTOCOL"), HasSubstr(protocol), HasSubstr("4317"))));
  }
  EXPECT_TRUE(read({{"OTEL_EXPORTER_OTLP_PROTOCOL", "gRPC"}}).ok());
  const SettingsReport unknown = read({{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "carrier-pigeon"}});
  EXPECT_TRUE(unknown.ok());
  EXPECT_THAT(unknown.warnings, ElementsAre(HasSubstr("carrier-pigeon")));
}

TEST(SettingsTest, ProtocolBesideACommandLineEndpointIsOnlySaid) {
  ExportOptions options;
  options.endpoint = "http://c:4317";
  const SettingsReport report = read({{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"}}, options);
  EXPECT_TRUE(report.ok());
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("--endpoint")));
}

TEST(SettingsTest, WhatGoesUnusedIsSaid) {
  for (const char* name : {"OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_CERTIFICATE",
                           "OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                           "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE"}) {
    const SettingsReport report = read({{name, "gzip"}});
    EXPECT_TRUE(report.ok());
    EXPECT_THAT(report.warnings, ElementsAre(HasSubstr(std::string(name) + "=\"gzip\""))) << name;
  }
  EXPECT_THAT(read({{"OTEL_EXPORTER_OTLP_COMPRESSION", "None"}}).warnings, IsEmpty());
  EXPECT_THAT(read({{"OTEL_EXPORTER_OTLP_COMPRESSION", "zip"}}).warnings, ElementsAre(HasSubstr("zip")));
}

// ---- headers ----

TEST(HeadersTest, PairsAreTrimmedLoweredAndDecoded) {
  const ParsedHeaders parsed = parse_headers("H", " Authorization = Basic%20QWxhZGRpbg== ,,x-scope=a%2Cb%3Dc;d, e=");
  EXPECT_THAT(parsed.complaints, IsEmpty());
  EXPECT_THAT(parsed.headers, ElementsAre(Header{"authorization", "Basic QWxhZGRpbg=="}, Header{"x-scope", "a,b=c;d"},
                                          Header{"e", ""}));
}

TEST(HeadersTest, RepeatedKeyKeepsItsLastValue) {
  EXPECT_THAT(parse_headers("H", "a=1,b=2,A=3").headers, ElementsAre(Header{"b", "2"}, Header{"a", "3"}));
}

TEST(HeadersTest, BinaryValuesMayHoldAnyByte) {
  EXPECT_THAT(parse_headers("H", "trace-bin=%00%ff").headers,
              ElementsAre(Header{"trace-bin", std::string("\0\xff", 2)}));
}

TEST(HeadersTest, PairThatCannotBeSentIsLeftOutAndItsValueNeverPrinted) {
  for (const char* bad :
       {"secret", "=secret", "a b=secret", "k\xc3\xa4=secret", "grpc-timeout=secret", "TE=secret", "user-agent=secret",
        "a=secret%2", "a=secret%zz", "a=secret%0a", "a=secret\x7f", "a=secret%e4"}) {
    const ParsedHeaders parsed = parse_headers("OTEL_EXPORTER_OTLP_HEADERS", std::string("ok=1,") + bad + ",fine=2");
    EXPECT_THAT(parsed.headers, ElementsAre(Header{"ok", "1"}, Header{"fine", "2"})) << bad;
    EXPECT_THAT(parsed.complaints, ElementsAre(AllOf(HasSubstr("OTEL_EXPORTER_OTLP_HEADERS"), HasSubstr("pair 2"),
                                                     Not(HasSubstr("secret")))))
        << bad;
  }
}

TEST(HeadersTest, TogetherTheyStayBelowWhatServersTake) {
  const std::string big(5000, 'x');
  const ParsedHeaders parsed = parse_headers("H", "a=" + big + ",b=" + big + ",c=1");
  EXPECT_THAT(parsed.headers, ElementsAre(Header{"a", big}, Header{"c", "1"}));
  EXPECT_THAT(parsed.complaints, ElementsAre(HasSubstr("8192")));
}

TEST(HeadersTest, BadHeaderOnTheCommandLineIsAnError) {
  ExportOptions options;
  options.headers = "no-equals-sign";
  EXPECT_THAT(read({}, options).errors, ElementsAre(HasSubstr("--headers")));
  EXPECT_TRUE(read({{"OTEL_EXPORTER_OTLP_HEADERS", "no-equals-sign"}}).ok());
}

TEST(SettingsTest, OnlyTheExportersVariablesAreTakenFromTheEnvironment) {
  ASSERT_EQ(setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "123", 1), 0);
  ASSERT_EQ(setenv("OTEL_SERVICE_NAME", "x", 1), 0);
  const Variables variables = export_variables();
  unsetenv("OTEL_EXPORTER_OTLP_TIMEOUT");
  unsetenv("OTEL_SERVICE_NAME");
  EXPECT_THAT(variables, Contains(std::pair<const std::string, std::string>("OTEL_EXPORTER_OTLP_TIMEOUT", "123")));
  EXPECT_EQ(variables.count("OTEL_SERVICE_NAME"), 0u);
}

}  // namespace
}  // namespace tailrace::agent
