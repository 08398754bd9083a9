// SPDX-License-Identifier: Apache-2.0
#include "agent/export/answer.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include <protozero/pbf_reader.hpp>

namespace tailrace::agent {
namespace {

constexpr std::array<std::string_view, 17> kCodeNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

// A status carries a handful of details; one that carries more is not read to its end.
constexpr int kDetailsMax = 64;

// Foreign text goes to terminals and journals: one line, no control characters, never cut inside a
// UTF-8 sequence.
std::string printable(std::string_view text) {
  std::size_t size = std::min(text.size(), kAnswerMessageBytes);
  if (size < text.size()) {
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0u) == 0x80u) {
      --size;
    }
  }
  std::string line(text.substr(0, size));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return line;
}

struct PartialSuccess {
  std::int64_t rejected = 0;
  std::string_view message;
};

// The three Export…PartialSuccess messages share their numbers: rejected_… = 1, error_message = 2,
// and each response holds it in field 1. False: these bytes are no such message.
bool parse_response(std::string_view bytes, PartialSuccess& out) {
  try {
    protozero::pbf_reader response(bytes.data(), bytes.size());
    while (response.next()) {
      if (response.tag_and_type() != protozero::tag_and_type(1, protozero::pbf_wire_type::length_delimited)) {
        response.skip();
        continue;
      }
      auto partial = response.get_message();
      while (partial.next()) {
        switch (partial.tag_and_type()) {
          case protozero::tag_and_type(1, protozero::pbf_wire_type::varint): out.rejected = partial.get_int64(); break;
          case protozero::tag_and_type(2, protozero::pbf_wire_type::length_delimited): {
            const auto view = partial.get_view();
            out.message = {view.data(), view.size()};
            break;
          }
          default: partial.skip();
        }
      }
    }
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

std::chrono::milliseconds parse_duration(protozero::pbf_reader duration) {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
  while (duration.next()) {
    switch (duration.tag_and_type()) {
      case protozero::tag_and_type(1, protozero::pbf_wire_type::varint): seconds = duration.get_int64(); break;
      case protozero::tag_and_type(2, protozero::pbf_wire_type::varint): nanos = duration.get_int32(); break;
      default: duration.skip();
    }
  }
  constexpr std::int64_t kLongestSeconds = std::chrono::duration_cast<std::chrono::seconds>(kLongestRetryDelay).count();
  if (seconds < 0 || nanos < 0) {
    return std::chrono::milliseconds(0);
  }
  if (seconds >= kLongestSeconds) {
    return kLongestRetryDelay;
  }
  // Rounded up: "wait at least" is the promise to keep.
  nanos = std::min<std::int64_t>(nanos, 999'999'999);
  return std::chrono::milliseconds(seconds * 1000 + (nanos + 999'999) / 1'000'000);
}

bool names_retry_info(std::string_view type_url) {
  constexpr std::string_view kName = "google.rpc.RetryInfo";
  return type_url == kName || (type_url.size() > kName.size() && type_url.ends_with(kName) &&
                               type_url[type_url.size() - kName.size() - 1] == '/');
}

std::chrono::milliseconds parse_retry_info(std::string_view bytes) {
  protozero::pbf_reader info(bytes.data(), bytes.size());
  std::chrono::milliseconds delay(0);
  while (info.next()) {
    if (info.tag_and_type() == protozero::tag_and_type(1, protozero::pbf_wire_type::length_delimited)) {
      delay = parse_duration(info.get_message());
    } else {
      info.skip();
    }
  }
  return delay;
}

// Status{details = 3}, Any{type_url = 1, value = 2}. Only RetryInfo is acted on; the code inside
// Status repeats grpc-status and is not believed.
std::optional<std::chrono::milliseconds> find_retry_delay(std::string_view details) {
  try {
    protozero::pbf_reader status(details.data(), details.size());
    for (int seen = 0; seen < kDetailsMax && status.next();) {
      if (status.tag_and_type() != protozero::tag_and_type(3, protozero::pbf_wire_type::length_delimited)) {
        status.skip();
        continue;
      }
      ++seen;
      std::string_view type_url;
      std::string_view value;
      auto any = status.get_message();
      while (any.next()) {
        if (any.wire_type() != protozero::pbf_wire_type::length_delimited || any.tag() > 2) {
          any.skip();
          continue;
        }
        const bool is_url = any.tag() == 1;
        const auto view = any.get_view();
        (is_url ? type_url : value) = {view.data(), view.size()};
      }
      if (names_retry_info(type_url)) {
        return parse_retry_info(value);
      }
    }
  } catch (const std::exception&) {
    // Details that cannot be read are details that were not sent.
  }
  return std::nullopt;
}

Answer accepted(const Reply& reply) {
  Answer answer;
  answer.code = grpc_code::kOk;
  PartialSuccess partial;
  if (!reply.response || !parse_response(*reply.response, partial)) {
    answer.kind = AnswerKind::drop;
    answer.code = grpc_code::kInternal;
    answer.message =
        reply.response ? "status OK with a response that is no OTLP message" : "status OK without a response message";
    return answer;
  }
  answer.message = printable(partial.message);
  if (partial.rejected > 0) {
    answer.kind = AnswerKind::partial;
    answer.rejected = std::min(static_cast<std::uint64_t>(partial.rejected), reply.records);
  } else {
    answer.kind = answer.message.empty() ? AnswerKind::delivered : AnswerKind::warning;
  }
  return answer;
}

}  // namespace

std::string_view answer_name(AnswerKind kind) noexcept {
  switch (kind) {
    case AnswerKind::delivered: return "delivered";
    case AnswerKind::partial: return "partial";
    case AnswerKind::warning: return "warning";
    case AnswerKind::retry: return "retry";
    case AnswerKind::drop: return "drop";
  }
  return "unknown";
}

std::string_view grpc_code_name(int code) noexcept {
  const bool known = code >= 0 && static_cast<std::size_t>(code) < kCodeNames.size();
  return known ? kCodeNames[static_cast<std::size_t>(code)] : "UNKNOWN";
}

bool is_retryable(int code, bool has_retry_info) noexcept {
  switch (code) {
    case grpc_code::kCancelled:
    case grpc_code::kDeadlineExceeded:
    case grpc_code::kAborted:
    case grpc_code::kOutOfRange:
    case grpc_code::kUnavailable:
    case grpc_code::kDataLoss: return true;
    case grpc_code::kResourceExhausted:
      return has_retry_info;  // without it: too large for the server, today and tomorrow
    default: return false;
  }
}

Answer classify(const Reply& reply) {
  if (reply.code == grpc_code::kOk) {
    return accepted(reply);
  }
  const auto delay = find_retry_delay(reply.details);
  Answer answer;
  answer.code = reply.code;
  answer.message = printable(reply.message);
  if (is_retryable(reply.code, delay.has_value())) {
    answer.kind = AnswerKind::retry;
    // A delay of zero asks for nothing; the client's own backoff then holds.
    if (delay && delay->count() > 0) {
      answer.retry_delay = delay;
    }
  } else {
    answer.kind = AnswerKind::drop;
  }
  return answer;
}

}  // namespace tailrace::agent
