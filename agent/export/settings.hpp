// SPDX-License-Identifier: Apache-2.0
//
// Export settings: where each signal goes, with which headers and within what time, from the
// command line and the OTEL_EXPORTER_OTLP_* variables.
//
// Order: the command line, the signal's own variable, the general variable, the built-in default.
// Everything is read and every complaint made at once. Nothing a user wrote is silently ignored:
// what would send data elsewhere or otherwise than asked (https, OTLP/HTTP) is an error, what
// only goes unused (gzip, certificates, an unreadable number) a warning; both name the variable,
// its value and what to do. Values of headers are secrets and never appear in a sentence.
//
// Threads, ownership: pure functions over a map of variables; results are values.
// Failure: SettingsReport::errors; the settings are then not to be used.
// Source: OTLP exporter specification and the parsing rules for environment variables,
// OpenTelemetry specification 1.60.0; headers as W3C Baggage without properties.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/signal.hpp"
#include "agent/export/endpoint.hpp"
#include "agent/export/headers.hpp"

namespace tailrace::agent {

using Variables = std::map<std::string, std::string, std::less<>>;

// Those of this process's environment that concern the export.
Variables export_variables();

// What the command line says; unset means nothing was said.
struct ExportOptions {
  std::optional<std::string> endpoint;      // --endpoint; without a scheme it means plain text
  std::optional<std::string> headers;       // --headers, spelled as the variable
  std::optional<std::uint64_t> timeout_ms;  // --timeout; 0 = no limit
  // Where to send what neither the command line nor a variable sends anywhere: the built-in viewer.
  std::optional<Endpoint> fallback;
};

struct SignalSettings {
  Endpoint endpoint;
  bool endpoint_given = false;  // the user named it; else fallback or built-in default
  std::vector<Header> headers;
  std::optional<std::chrono::milliseconds> timeout = std::chrono::milliseconds(10'000);  // none = no limit
  bool operator==(const SignalSettings&) const = default;
};

struct ExportSettings {
  std::array<SignalSettings, kSignals> signals;  // by index_of(signal)
};

struct SettingsReport {
  ExportSettings settings;
  std::vector<std::string> warnings;
  std::vector<std::string> errors;
  [[nodiscard]] bool ok() const noexcept { return errors.empty(); }
};

SettingsReport read_export_settings(const Variables& variables, const ExportOptions& options);

// One connection's worth of settings: signals that share an endpoint share a destination.
struct Destination {
  Endpoint endpoint;
  std::array<std::optional<SignalSettings>, kSignals> signals;  // set for those that go here
};

// Every destination of the settings, in order of their first signal.
std::vector<Destination> destinations_of(const ExportSettings& settings);

// All signals to one place with defaults otherwise, as tests and the viewer want it.
Destination destination_to(const Endpoint& endpoint);

}  // namespace tailrace::agent
