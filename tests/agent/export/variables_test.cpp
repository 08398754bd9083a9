// SPDX-License-Identifier: Apache-2.0
// Every variable of OpenTelemetry's in turn, in the agent's environment. otlp-rules 1.7.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "agent/decode/hints.hpp"
#include "agent/export/settings.hpp"
#include "tests/variables.hpp"

namespace tailrace::agent {
namespace {

using test::OtelVariable;
using test::ReadBy;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> complaints(const std::string& name, const std::string& value) {
  const SettingsReport report = read_export_settings({{name, value}}, {});
  std::vector<std::string> all = report.errors;
  all.insert(all.end(), report.warnings.begin(), report.warnings.end());
  return all;
}

// What the agent says of its own environment beyond the exporter.
std::vector<std::string> warnings_with(const std::string& name, const char* value) {
  EXPECT_EQ(::setenv(name.c_str(), value, 1), 0);
  std::vector<std::string> warnings = own_hints().warnings;
  EXPECT_EQ(::unsetenv(name.c_str()), 0);
  return warnings;
}

TEST(AgentVariablesTest, ARightValueOfTheExporterIsTakenWithoutAWord) {
  for (const OtelVariable& variable : test::otel_variables()) {
    if (variable.by != ReadBy::agent || variable.good == nullptr) continue;
    EXPECT_THAT(complaints(variable.name, variable.good), IsEmpty()) << variable.name;
    EXPECT_THAT(complaints(variable.name, ""), IsEmpty()) << variable.name;
  }
}

TEST(AgentVariablesTest, AWrongValueOfTheExporterIsNamed) {
  for (const OtelVariable& variable : test::otel_variables()) {
    if (variable.by != ReadBy::agent) continue;
    EXPECT_THAT(complaints(variable.name, variable.bad), ElementsAre(HasSubstr(variable.name))) << variable.name;
  }
}

TEST(AgentVariablesTest, HintsAreThoseOfTheTable) {
  std::set<std::string_view> table;
  const std::vector<OtelVariable> all = test::otel_variables();
  for (const OtelVariable& variable : all) {
    if (variable.by != ReadBy::hint) continue;
    table.insert(variable.name);
    EXPECT_THAT(warnings_with(variable.name, variable.good), IsEmpty()) << variable.name;
    EXPECT_THAT(warnings_with(variable.name, variable.bad), ElementsAre(HasSubstr(variable.name))) << variable.name;
  }
  EXPECT_EQ(table, std::set<std::string_view>(hint_names().begin(), hint_names().end()));
}

TEST(AgentVariablesTest, AFileOfConfigurationAndTimeoutsThatNobodyReadsAreNamed) {
  for (const char* name : {"OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE", "OTEL_BSP_EXPORT_TIMEOUT",
                           "OTEL_BLRP_EXPORT_TIMEOUT", "OTEL_METRIC_EXPORT_TIMEOUT"}) {
    EXPECT_THAT(warnings_with(name, "1"), ElementsAre(HasSubstr(name)));
    EXPECT_THAT(warnings_with(name, ""), IsEmpty());
  }
}

TEST(AgentVariablesTest, ATimeoutOf0IsNoLimitAndOneThatIsWrongIsTheDefault) {
  const auto timeout = [](const char* value) {
    return read_export_settings({{"OTEL_EXPORTER_OTLP_TIMEOUT", value}}, {}).settings.signals[0].timeout;
  };
  EXPECT_EQ(timeout("0"), std::nullopt);
  EXPECT_EQ(timeout("-1"), std::chrono::milliseconds(10'000));
  EXPECT_EQ(timeout(""), std::chrono::milliseconds(10'000));
  EXPECT_EQ(timeout("20"), std::chrono::milliseconds(20));
}

}  // namespace
}  // namespace tailrace::agent
