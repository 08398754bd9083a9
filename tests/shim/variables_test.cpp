// SPDX-License-Identifier: Apache-2.0
// Every variable of OpenTelemetry's in turn: what init() does with a right and with a wrong value of it.
// otlp-rules 1.7.
#include <cstdlib>
#include <map>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"
#include "tests/variables.hpp"

namespace tailrace::test {
namespace {

// What init() says in a process that has this one variable; empty if all is well.
std::string warning_with(const std::string& name, const char* value) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const int status = in_child([&] {
    setenv(name.c_str(), value, 1);
    Config config;
    config.quiet = true;
    const Outcome outcome = init(config);
    CHILD_EXPECT(outcome.code == Code::ok, 90);
    const std::string text = outcome.sentence;
    CHILD_EXPECT(write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()), 91);
  });
  EXPECT_EQ(status, 0) << name << "=" << value;
  close(ends[1]);
  char text[512] = {};
  EXPECT_GT(read(ends[0], text, sizeof text - 1), 0) << name << "=" << value;
  close(ends[0]);
  const std::string sentence = text;
  return sentence.rfind("recording; ignored: ", 0) == 0 ? sentence.substr(20) : std::string();
}

class VariablesTest : public ::testing::Test {
 protected:
  Directory directory_;
};

TEST_F(VariablesTest, ARightValueIsTakenWithoutAWord) {
  for (const OtelVariable& variable : otel_variables()) {
    if (variable.good == nullptr) continue;
    EXPECT_EQ(warning_with(variable.name, variable.good), "") << variable.name;
  }
}

TEST_F(VariablesTest, AWrongValueOrAVariableThatNobodyReadsIsNamed) {
  for (const OtelVariable& variable : otel_variables()) {
    if (variable.bad == nullptr) continue;
    const std::string warning = warning_with(variable.name, variable.bad);
    if (variable.by == ReadBy::agent) {
      EXPECT_EQ(warning, "") << variable.name << " concerns the agent alone";
    } else {
      EXPECT_EQ(warning.rfind(variable.name + " ", 0), 0u) << variable.name << ": " << warning;
    }
  }
}

TEST_F(VariablesTest, AnEmptyValueIsUnset) {
  for (const OtelVariable& variable : otel_variables()) EXPECT_EQ(warning_with(variable.name, ""), "") << variable.name;
}

// With the right values of all of them, and with the wrong ones.
TEST_F(VariablesTest, HintsAreThoseOfTheTableAndOnlyIfTheyAreRight) {
  for (const bool right : {true, false}) {
    const Directory directory;
    ASSERT_EQ(in_child([&] {
                for (const OtelVariable& variable : otel_variables()) {
                  const char* value = right ? variable.good : variable.bad;
                  if (value != nullptr) setenv(variable.name.c_str(), value, 1);
                }
                Config config;
                config.quiet = true;
                CHILD_EXPECT(init(config).ok(), 90);
              }),
              0);
    std::map<std::string, std::string> hints;
    for (const Item& item : directory.only().hints) hints.emplace(item.key, item.value);
    for (const OtelVariable& variable : otel_variables()) {
      const bool expected = right && variable.by == ReadBy::hint;
      EXPECT_EQ(hints.count(variable.name), expected ? 1u : 0u) << variable.name;
      if (!expected) continue;
      EXPECT_EQ(hints[variable.name], "\"" + std::string(variable.good) + "\"") << variable.name;
    }
  }
}

// However many there are: standard error has them all, the outcome as many as fit.
TEST_F(VariablesTest, EverythingWrongIsSaidAtOnce) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(in_child([&] {
              for (const OtelVariable& variable : otel_variables()) {
                if (variable.bad != nullptr && variable.name != "OTEL_SDK_DISABLED") {
                  setenv(variable.name.c_str(), variable.bad, 1);
                }
              }
              dup2(ends[1], STDERR_FILENO);
              CHILD_EXPECT(init().ok(), 90);
            }),
            0);
  close(ends[1]);
  std::string said(16384, 0);
  const ssize_t size = read(ends[0], said.data(), said.size());
  close(ends[0]);
  ASSERT_GT(size, 0);
  said.resize(static_cast<std::size_t>(size));
  EXPECT_EQ(said.rfind("tailrace: recording; ignored: ", 0), 0u) << said;
  EXPECT_EQ(said.back(), '\n');
  for (const OtelVariable& variable : otel_variables()) {
    if (variable.by == ReadBy::agent || variable.bad == nullptr) continue;
    if (variable.name == "OTEL_SDK_DISABLED" || variable.name == "OTEL_TRACES_SAMPLER_ARG") continue;
    EXPECT_NE(said.find(variable.name + " "), said.npos) << variable.name;
  }
}

TEST_F(VariablesTest, OtelLogLevelSaysWhatIsSaid) {
  struct Row {
    const char* level;
    bool said;
  };
  for (const Row& row :
       {Row{"info", true}, Row{"Warn", true}, Row{"error", false}, Row{"none", false}, Row{"OFF", false}}) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    EXPECT_EQ(in_child([&] {
                setenv("OTEL_LOG_LEVEL", row.level, 1);
                setenv("OTEL_ENTITIES", "x", 1);
                dup2(ends[1], STDERR_FILENO);
                CHILD_EXPECT(init().ok(), 90);
              }),
              0);
    close(ends[1]);
    char text[64];
    EXPECT_EQ(read(ends[0], text, sizeof text) > 0, row.said) << row.level;
    close(ends[0]);
  }
}

TEST(VariablesOfTheDocumentation, AreThoseOfTheTable) {
  const auto documented = documented_variables(TAILRACE_SOURCE "/docs/configuration.md");
  std::map<std::string, std::string> table;
  for (const OtelVariable& variable : otel_variables()) table.emplace(variable.name, word_of(variable.by));
  EXPECT_EQ(documented, table);
}

}  // namespace
}  // namespace tailrace::test
