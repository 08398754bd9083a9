// SPDX-License-Identifier: Apache-2.0
#include "agent/export/settings.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <unistd.h>
#include <utility>

#include "agent/base/text.hpp"

extern "C" char** environ;

namespace tailrace::agent {
namespace {

constexpr std::string_view kPrefix = "OTEL_EXPORTER_OTLP_";
constexpr std::array<std::string_view, kSignals> kSignalInfix = {"TRACES_", "LOGS_", "METRICS_"};
constexpr std::uint64_t kTimeoutMax_ms = std::numeric_limits<std::int32_t>::max();

// One variable that applies: its full name, for sentences, and its value. Empty name: none is set.
struct Setting {
  std::string name;
  std::string value;
  explicit operator bool() const noexcept { return !name.empty(); }
  [[nodiscard]] std::string shown_pair() const { return name + "=\"" + shown(value) + "\""; }
};

class Reader {
 public:
  Reader(const Variables& variables, const ExportOptions& options) : variables_(variables), options_(options) {}

  SettingsReport read() {
    for (const Signal signal : kEachSignal) {
      SignalSettings& out = report_.settings.signals[index_of(signal)];
      read_endpoint(signal, out);
      read_headers(signal, out);
      read_timeout(signal, out);
      read_protocol(signal);
      read_compression(signal);
      read_certificates(signal);
    }
    return std::move(report_);
  }

 private:
  // Empty is unset, by the specification.
  [[nodiscard]] Setting find(std::string name) const {
    const auto found = variables_.find(name);
    if (found == variables_.end() || trim(found->second).empty()) {
      return {};
    }
    return {std::move(name), std::string(trim(found->second))};
  }
  [[nodiscard]] Setting own(Signal signal, std::string_view what) const {
    return find(std::string(kPrefix) + std::string(kSignalInfix[index_of(signal)]) + std::string(what));
  }
  [[nodiscard]] Setting general(std::string_view what) const { return find(std::string(kPrefix) + std::string(what)); }
  [[nodiscard]] Setting effective(Signal signal, std::string_view what) const {
    Setting setting = own(signal, what);
    return setting ? setting : general(what);
  }

  // A general variable is read once for each signal and complained about once.
  static void say(std::vector<std::string>& where, std::string sentence) {
    if (std::find(where.begin(), where.end(), sentence) == where.end()) {
      where.push_back(std::move(sentence));
    }
  }
  void warn(std::string sentence) { say(report_.warnings, std::move(sentence)); }
  void fail(std::string sentence) { say(report_.errors, std::move(sentence)); }

  bool is_true(const Setting& setting) {
    const std::string value = to_lower(setting.value);
    if (setting && value != "true" && value != "false") {
      warn(setting.shown_pair() + ": neither true nor false; taken as false");
    }
    return value == "true";
  }

  void read_endpoint(Signal signal, SignalSettings& out) {
    const Setting insecure = effective(signal, "INSECURE");
    const bool is_insecure = is_true(insecure);
    Setting setting = effective(signal, "ENDPOINT");
    BareMeans bare = is_insecure ? BareMeans::plain_text : BareMeans::tls;
    if (options_.endpoint) {
      setting = {"--endpoint", std::string(trim(*options_.endpoint))};
      bare = BareMeans::plain_text;
    }
    if (!setting) {
      if (options_.fallback) {
        out.endpoint = *options_.fallback;
      }
      return;
    }
    auto parsed = parse_endpoint(setting.name, setting.value, bare);
    if (!parsed) {
      fail(parsed.error().sentence);
      return;
    }
    for (std::string& sentence : parsed->warnings) {
      warn(std::move(sentence));
    }
    out.endpoint = std::move(parsed->endpoint);
    out.endpoint_given = true;
  }

  void read_headers(Signal signal, SignalSettings& out) {
    const bool from_option = options_.headers.has_value();
    const Setting setting = from_option ? Setting{"--headers", *options_.headers} : effective(signal, "HEADERS");
    if (!setting) {
      return;
    }
    ParsedHeaders parsed = parse_headers(setting.name, setting.value);
    for (std::string& sentence : parsed.complaints) {
      from_option ? fail(std::move(sentence)) : warn(std::move(sentence));
    }
    out.headers = std::move(parsed.headers);
  }

  // Nothing: unset, or unreadable and therefore as good as unset.
  std::optional<std::uint64_t> timeout_ms(const Setting& setting) {
    if (!setting) {
      return std::nullopt;
    }
    std::uint64_t number = 0;
    const char* const end = setting.value.data() + setting.value.size();
    const auto [stop, error] = std::from_chars(setting.value.data(), end, number);
    if (error != std::errc() || stop != end || number > kTimeoutMax_ms) {
      warn(setting.shown_pair() + ": no whole number of milliseconds from 0 to 2147483647; taken as not set");
      return std::nullopt;
    }
    return number;
  }

  void read_timeout(Signal signal, SignalSettings& out) {
    std::optional<std::uint64_t> number = options_.timeout_ms;
    if (number && *number > kTimeoutMax_ms) {
      fail("--timeout=" + std::to_string(*number) + ": at most 2147483647 milliseconds; 0 means no limit");
      return;
    }
    if (!number) {
      number = timeout_ms(own(signal, "TIMEOUT"));
    }
    if (!number) {
      number = timeout_ms(general("TIMEOUT"));
    }
    if (number) {
      out.timeout = *number == 0 ? std::nullopt : std::optional(std::chrono::milliseconds(*number));
    }
  }

  void read_protocol(Signal signal) {
    for (const Setting& setting : {own(signal, "PROTOCOL"), general("PROTOCOL")}) {
      if (!setting) {
        continue;
      }
      const std::string value = to_lower(setting.value);
      if (value == "http/protobuf" || value == "http/json") {
        if (options_.endpoint) {
          warn(setting.shown_pair() + ": ignored, since --endpoint names an OTLP/gRPC address");
        } else {
          fail(setting.shown_pair() + ": this version speaks OTLP/gRPC only; set " + setting.name +
               "=grpc and an endpoint that takes gRPC, usually port 4317");
        }
        return;
      }
      if (value == "grpc") {
        return;
      }
      warn(setting.shown_pair() + ": no protocol of OTLP; ignored, using grpc");
    }
  }

  void read_compression(Signal signal) {
    for (const Setting& setting : {own(signal, "COMPRESSION"), general("COMPRESSION")}) {
      if (!setting) {
        continue;
      }
      const std::string value = to_lower(setting.value);
      if (value == "none") {
        return;
      }
      if (value == "gzip") {
        warn(setting.shown_pair() + ": this version sends uncompressed; every OTLP receiver takes that");
        return;
      }
      warn(setting.shown_pair() + ": neither none nor gzip; ignored, sending uncompressed");
    }
  }

  void read_certificates(Signal signal) {
    for (const std::string_view what : {"CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"}) {
      if (const Setting setting = effective(signal, what)) {
        warn(setting.shown_pair() +
             ": not used, since this version connects in plain text only; unset it, or send "
             "through a local "
             "collector that speaks TLS");
      }
    }
  }

  const Variables& variables_;
  const ExportOptions& options_;
  SettingsReport report_;
};

}  // namespace

Variables export_variables() {
  Variables variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view pair(*entry);
    const auto equals = pair.find('=');
    if (pair.starts_with(kPrefix) && equals != std::string_view::npos) {
      variables.emplace(pair.substr(0, equals), pair.substr(equals + 1));
    }
  }
  return variables;
}

SettingsReport read_export_settings(const Variables& variables, const ExportOptions& options) {
  return Reader(variables, options).read();
}

std::vector<Destination> destinations_of(const ExportSettings& settings) {
  std::vector<Destination> destinations;
  for (const Signal signal : kEachSignal) {
    const SignalSettings& own = settings.signals[index_of(signal)];
    auto found = std::find_if(destinations.begin(), destinations.end(),
                              [&](const Destination& d) { return d.endpoint == own.endpoint; });
    if (found == destinations.end()) {
      found = destinations.insert(destinations.end(), Destination{own.endpoint, {}});
    }
    found->signals[index_of(signal)] = own;
  }
  return destinations;
}

Destination destination_to(const Endpoint& endpoint) {
  Destination destination{endpoint, {}};
  for (auto& signal : destination.signals) {
    signal.emplace();
    signal->endpoint = endpoint;
    signal->endpoint_given = true;
  }
  return destination;
}

}  // namespace tailrace::agent
