// SPDX-License-Identifier: Apache-2.0
#include "agent/observe/status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tailrace::agent {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view verdict_name(AgentVerdict verdict) {
  switch (verdict) {
    case AgentVerdict::running: return "running";
    case AgentVerdict::stuck: return "stuck";
    case AgentVerdict::dead: return "dead";
  }
  return "unknown";
}

constexpr std::string_view phase_name(const ProcessInfo& info) {
  if (info.gone) return "gone";
  switch (info.phase) {
    case ProcessPhase::live: return "live";
    case ProcessPhase::dead: return "dead";
    case ProcessPhase::drained: return "drained";
  }
  return "unknown";
}

std::string uuid_text(const Uuid& uuid) {
  std::string text;
  for (const std::uint8_t byte : uuid) fmt::format_to(std::back_inserter(text), "{:02x}", byte);
  return text;
}

bool silent(const SignalLedger& ledger) { return ledger.written() == 0 && ledger.seen == 0; }

Json ledger_object(const SignalLedger& ledger, bool detailed) {
  Json object;
  object["written"] = ledger.written();
  object["delivered"] = ledger.delivered;
  object["rejected"] = ledger.rejected;
  object["dropped"] = ledger.dropped_total();
  object["pending"] = ledger.pending();
  if (!detailed) return object;
  object["in_lanes"] = ledger.in_lanes;
  object["held"] = ledger.held;
  object["seen"] = ledger.seen;
  object["produced"] = ledger.produced;
  object["unaccounted"] = ledger.unaccounted();
  Json reasons = Json::object();
  for (std::size_t i = 0; i < kDropReasonCount; ++i) {
    if (ledger.dropped[i] == 0) continue;
    reasons[std::string(drop_reason_name(static_cast<DropReason>(i)))] = ledger.dropped[i];
  }
  object["dropped_by_reason"] = std::move(reasons);
  Json codes = Json::object();
  for (std::size_t code = 0; code < ledger.non_retryable.size(); ++code) {
    if (ledger.non_retryable[code] != 0) codes[std::to_string(code)] = ledger.non_retryable[code];
  }
  if (!codes.empty()) object["non_retryable_by_code"] = std::move(codes);
  return object;
}

Json signals_object(const Ledger& ledger, bool detailed) {
  Json object = Json::object();
  for (std::size_t i = 0; i < kSignalCount; ++i) {
    object[std::string(signal_name(static_cast<Signal>(i)))] = ledger_object(ledger[i], detailed);
  }
  return object;
}

void append_row(std::string& out, std::string_view service, std::string_view processes, std::string_view signal,
                const SignalLedger& row) {
  fmt::format_to(std::back_inserter(out), "{:<24.24} {:>9} {:<8} {:>13} {:>13} {:>9} {:>11} {:>10} {:>11}\n", service,
                 processes, signal, row.written(), row.delivered, row.rejected, row.dropped_total(), row.pending(),
                 row.unaccounted());
}

void append_ledger(std::string& out, std::string_view service, std::string_view processes, const Ledger& ledger) {
  bool first = true;
  for (std::size_t i = 0; i < kSignalCount; ++i) {
    if (silent(ledger[i])) continue;
    append_row(out, first ? service : "", first ? processes : "", signal_name(static_cast<Signal>(i)), ledger[i]);
    first = false;
  }
  if (first) {
    fmt::format_to(std::back_inserter(out), "{:<24.24} {:>9} nothing recorded yet\n", service, processes);
  }
}

void append_reasons(std::string& out, std::string_view service, const Ledger& ledger) {
  for (std::size_t i = 0; i < kSignalCount; ++i) {
    for (std::size_t reason = 0; reason < kDropReasonCount; ++reason) {
      if (ledger[i].dropped[reason] == 0) continue;
      fmt::format_to(std::back_inserter(out), "  {:<24.24} {:<8} {:<18} {:>13}\n", service,
                     signal_name(static_cast<Signal>(i)), drop_reason_name(static_cast<DropReason>(reason)),
                     ledger[i].dropped[reason]);
    }
  }
}

// What no row of the ledger has: calls and collections that made no point.
void append_metric_notes(std::string& out, const HoldStatus& status) {
  for (const ProcessStatus& process : status.processes) {
    const auto word = [&process](ProcessWord which) { return process.words[static_cast<std::size_t>(which)]; };
    const auto note = [&](std::uint64_t count, std::string_view what) {
      if (count == 0) return;
      fmt::format_to(std::back_inserter(out), "  {:<24.24} pid {:<8} {:>13} {}\n", process.info.identity.service,
                     process.info.identity.pid, count, what);
    };
    note(word(ProcessWord::metrics_unrecorded), "calls found no series");
    note(word(ProcessWord::metrics_invalid), "values not valid");
    note(word(ProcessWord::metrics_clamped), "values beyond a histogram's last bucket, counted in it");
    note(word(ProcessWord::metrics_skipped), "collections skipped for want of room");
    note(process.baselines_lost, "baselines lost: deltas began anew");
  }
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_duration(std::uint64_t ns) {
  const std::uint64_t ms = ns / 1'000'000;
  if (ms < 1000) return fmt::format("{} ms", ms);
  const std::uint64_t s = ms / 1000;
  if (s < 120) return fmt::format("{} s", s);
  if (s < 7200) return fmt::format("{} min {} s", s / 60, s % 60);
  if (s < 172800) return fmt::format("{} h {} min", s / 3600, s / 60 % 60);
  return fmt::format("{} d {} h", s / 86400, s / 3600 % 24);
}

std::string status_table(const HoldStatus& status, const std::string& path, std::uint64_t now_ns) {
  std::string out;
  auto to = std::back_inserter(out);
  const std::uint64_t up = now_ns > status.agent_started_ns ? now_ns - status.agent_started_ns : 0;
  switch (status.agent) {
    case AgentVerdict::running:
      fmt::format_to(to, "agent   running, pid {}, version {}, up {}\n", status.agent_pid, status.agent_version,
                     human_duration(up));
      break;
    case AgentVerdict::stuck:
      fmt::format_to(to,
                     "agent   STUCK: pid {} holds the lock, but a thread has not moved for {}; end it "
                     "with kill -9 {} and start it again, nothing is lost by that\n",
                     status.agent_pid, human_duration(status.oldest_beat_age_ns), status.agent_pid);
      break;
    case AgentVerdict::dead:
      fmt::format_to(to,
                     "agent   DEAD: the last one was pid {}; start `tailrace agent`, it takes up what "
                     "is held here\n",
                     status.agent_pid);
      break;
  }
  fmt::format_to(to, "hold    {}: {} of {} used\n", path, human_bytes(status.page_bytes_used),
                 human_bytes(status.page_bytes));
  fmt::format_to(to, "batches {} open ({} records), {} waiting or being sent ({} records, {}), {} retried",
                 status.open.batches, status.open.records, status.closed.batches, status.closed.records,
                 human_bytes(status.closed.bytes), status.retrying);
  if (status.oldest_batch_ns != 0 && now_ns > status.oldest_batch_ns) {
    fmt::format_to(to, "; the oldest is {} old", human_duration(now_ns - status.oldest_batch_ns));
  }
  out += "\n";
  for (const ThreadStatus& thread : status.threads) {
    if (status.agent == AgentVerdict::stuck) {
      fmt::format_to(to, "thread  {:<16} last seen {} ago\n", thread.name, human_duration(thread.beat_age_ns));
    }
  }
  if (!status.consistent) {
    out += "note    the agent was busy during every copy: rows may differ by one pass\n";
  }
  if (status.skipped != 0) {
    fmt::format_to(to, "note    {} entries of the hold make no sense and are left out\n", status.skipped);
  }

  fmt::format_to(to, "\n{:<24} {:>9} {:<8} {:>13} {:>13} {:>9} {:>11} {:>10} {:>11}\n", "SERVICE", "PROCESSES",
                 "SIGNAL", "WRITTEN", "DELIVERED", "REJECTED", "DROPPED", "PENDING", "UNACCOUNTED");
  for (const ServiceStatus& service : status.services) {
    append_ledger(out, service.service, fmt::format("{}", service.processes), service.ledger);
  }
  if (status.services.empty()) {
    out += "no process has recorded anything yet; see docs/quick-start.md\n";
  } else if (status.services.size() > 1) {
    append_ledger(out, "TOTAL", "", status.totals);
  }

  std::string reasons;
  for (const ServiceStatus& service : status.services) {
    append_reasons(reasons, service.service, service.ledger);
  }
  if (!reasons.empty()) {
    fmt::format_to(to, "\nDropped, by reason:\n{}", reasons);
  }
  std::string notes;
  append_metric_notes(notes, status);
  if (!notes.empty()) {
    fmt::format_to(to, "\nMetrics:\n{}", notes);
  }
  return out;
}

std::string status_json(const HoldStatus& status, const std::string& path) {
  Json root;
  root["agent"] = {{"state", verdict_name(status.agent)},
                   {"pid", status.agent_pid},
                   {"version", status.agent_version},
                   {"started_unix_ns", status.agent_started_ns},
                   {"starts", status.starts},
                   {"oldest_heartbeat_age_ns", status.oldest_beat_age_ns}};
  const auto state = [](const StateStatus& s) {
    return Json{{"batches", s.batches}, {"records", s.records}, {"bytes", s.bytes}};
  };
  root["hold"] = {{"path", path},
                  {"bytes", status.page_bytes},
                  {"bytes_used", status.page_bytes_used},
                  {"commits", status.commits},
                  {"consistent", status.consistent},
                  {"skipped", status.skipped},
                  {"open", state(status.open)},
                  {"closed", state(status.closed)},
                  {"parked", state(status.parked)},
                  {"retrying", status.retrying},
                  {"oldest_unix_ns", status.oldest_batch_ns}};
  root["ledger"] = signals_object(status.totals, true);
  root["services"] = Json::array();
  for (const ServiceStatus& service : status.services) {
    root["services"].push_back({{"service", service.service},
                                {"processes", service.processes},
                                {"gone", service.gone},
                                {"ledger", signals_object(service.ledger, true)}});
  }
  root["processes"] = Json::array();
  for (const ProcessStatus& process : status.processes) {
    const auto word = [&process](ProcessWord which) { return process.words[static_cast<std::size_t>(which)]; };
    root["processes"].push_back({{"uuid", uuid_text(process.info.identity.uuid)},
                                 {"pid", process.info.identity.pid},
                                 {"service", process.info.identity.service},
                                 {"segment", process.info.identity.segment},
                                 {"phase", phase_name(process.info)},
                                 {"folded", process.others},
                                 {"batches", process.batches},
                                 {"bytes", process.bytes},
                                 {"incomplete_spans", word(ProcessWord::incomplete_spans)},
                                 {"corrupt_lanes", word(ProcessWord::corrupt_lanes)},
                                 {"cut_parts", word(ProcessWord::cut_parts)},
                                 {"truncated", word(ProcessWord::truncated)},
                                 {"hints_refused", word(ProcessWord::hints_refused)},
                                 {"metrics",
                                  {{"unrecorded", word(ProcessWord::metrics_unrecorded)},
                                   {"invalid", word(ProcessWord::metrics_invalid)},
                                   {"clamped", word(ProcessWord::metrics_clamped)},
                                   {"collections_skipped", word(ProcessWord::metrics_skipped)},
                                   {"baseline_bytes", process.baseline_bytes},
                                   {"baselines_lost", process.baselines_lost}}},
                                 {"ledger", signals_object(process.ledger, true)}});
  }
  // A service may have any bytes for a name: what is not UTF-8 is replaced, never an exception.
  return root.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ledger_json(const SignalLedger& ledger, bool detailed) { return ledger_object(ledger, detailed).dump(); }

}  // namespace tailrace::agent
