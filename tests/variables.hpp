// SPDX-License-Identifier: Apache-2.0
//
// Every environment variable of OpenTelemetry's specification that concerns an SDK or an OTLP exporter
// (1.60.0; otlp/rules.md 1.7), and who reads it here. The tests of the shim, of the agent and of
// docs/configuration.md all walk through this table, so that none is forgotten.
#pragma once

#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace tailrace::test {

enum class ReadBy {
  process,  // the shim, in init()
  hint,     // the shim, which passes it on; obeyed by the agent, whose own variable wins
  agent,    // the agent's environment alone
  nobody,   // named with a warning, and what happens instead
};

struct OtelVariable {
  std::string name;
  ReadBy by;
  const char* good;  // said without a warning
  const char* bad;   // null: nothing is wrong
};

inline std::vector<OtelVariable> otel_variables() {
  using enum ReadBy;
  std::vector<OtelVariable> all{
      {"OTEL_SDK_DISABLED", process, "False", "yes"},
      {"OTEL_SERVICE_NAME", process, "shop", nullptr},
      {"OTEL_RESOURCE_ATTRIBUTES", process, "a=b,c=%20", "a=%zz"},
      {"OTEL_ENTITIES", nobody, nullptr, "host{host.id=1}"},
      {"OTEL_LOG_LEVEL", process, "WARN", "loud"},
      {"OTEL_PROPAGATORS", process, "TraceContext,baggage", "b3"},
      {"OTEL_TRACES_SAMPLER", process, "ParentBased_Always_On", "jaeger_remote"},
      {"OTEL_TRACES_SAMPLER_ARG", process, nullptr, "0.5"},  // alone it means nothing
      {"OTEL_TRACES_EXPORTER", process, "OTLP", "console"},
      {"OTEL_LOGS_EXPORTER", process, "None", "otlp/stdout"},
      {"OTEL_METRICS_EXPORTER", process, "none", "prometheus"},
      {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", hint, "LowMemory", "sometimes"},
      {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", process, "BASE2_exponential_bucket_histogram",
       "flat"},
      {"OTEL_BSP_SCHEDULE_DELAY", hint, "0", "soon"},
      {"OTEL_BSP_EXPORT_TIMEOUT", nobody, nullptr, "30000"},
      {"OTEL_BSP_MAX_QUEUE_SIZE", hint, "2048", "-1"},
      {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", hint, "512", "1.5"},
      {"OTEL_BLRP_SCHEDULE_DELAY", hint, "1000", "1s"},
      {"OTEL_BLRP_EXPORT_TIMEOUT", nobody, nullptr, "30000"},
      {"OTEL_BLRP_MAX_QUEUE_SIZE", hint, "2048", "2147483648"},
      {"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", hint, "512", "all"},
      {"OTEL_METRIC_EXPORT_INTERVAL", hint, "60000", "often"},
      {"OTEL_METRIC_EXPORT_TIMEOUT", nobody, nullptr, "30000"},
      {"OTEL_METRICS_EXEMPLAR_FILTER", nobody, "always_off", "trace_based"},
      {"OTEL_ATTRIBUTE_COUNT_LIMIT", process, "0", "-1"},
      {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", process, "10", "ten"},
      {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", process, "10", "1e3"},
      {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", process, "10", "99999999999"},
      {"OTEL_SPAN_EVENT_COUNT_LIMIT", process, "10", "0x10"},
      {"OTEL_SPAN_LINK_COUNT_LIMIT", process, "10", "+1"},
      {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", process, "10", "1 "},
      {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", process, "10", " 1"},
      {"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", process, "10", "x"},
      {"OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", process, "10", "x"},
      {"OTEL_CONFIG_FILE", nobody, nullptr, "/etc/otel.yaml"},
      {"OTEL_EXPERIMENTAL_CONFIG_FILE", nobody, nullptr, "/etc/otel.yaml"},
  };
  for (const char* signal : {"", "_TRACES", "_LOGS", "_METRICS"}) {
    const std::string prefix = std::string("OTEL_EXPORTER_OTLP") + signal;
    all.push_back({prefix + "_ENDPOINT", agent, "http://127.0.0.1:4317", "http://a b"});
    all.push_back({prefix + "_PROTOCOL", agent, "GRPC", "carrier pigeon"});
    all.push_back({prefix + "_HEADERS", agent, "a=b,c=%20", "no equals sign"});
    all.push_back({prefix + "_COMPRESSION", agent, "None", "gzip"});
    all.push_back({prefix + "_TIMEOUT", agent, "0", "-1"});
    all.push_back({prefix + "_INSECURE", agent, "True", "1"});
    all.push_back({prefix + "_CERTIFICATE", agent, nullptr, "/ca.pem"});
    all.push_back({prefix + "_CLIENT_KEY", agent, nullptr, "/key.pem"});
    all.push_back({prefix + "_CLIENT_CERTIFICATE", agent, nullptr, "/cert.pem"});
  }
  return all;
}

inline const char* word_of(ReadBy by) {
  switch (by) {
    case ReadBy::process: return "application";
    case ReadBy::hint: return "application, agent";
    case ReadBy::agent: return "agent";
    case ReadBy::nobody: return "nobody";
  }
  return "";
}

// Name → second column of the rows of docs/configuration.md that start with a variable of OpenTelemetry's; "[_SIGNAL]"
// in a name stands for nothing and for each of the signals.
inline std::map<std::string, std::string> documented_variables(const std::string& path) {
  std::map<std::string, std::string> found;
  std::ifstream file(path);
  const std::string signal = "[_SIGNAL]";
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("| `OTEL_", 0) != 0) continue;
    const std::size_t end = line.find('`', 3);
    const std::string name = line.substr(3, end - 3);
    const std::size_t column = line.find("| ", end) + 2;
    const std::string by = line.substr(column, line.find(" |", column) - column);
    const std::size_t at = name.find(signal);
    if (at == std::string::npos) {
      found.emplace(name, by);
      continue;
    }
    for (const char* one : {"", "_TRACES", "_LOGS", "_METRICS"}) {
      std::string whole = name;
      found.emplace(whole.replace(at, signal.size(), one), by);
    }
  }
  return found;
}

}  // namespace tailrace::test
