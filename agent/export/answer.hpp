// SPDX-License-Identifier: Apache-2.0
//
// Answer: what a destination's reply to one request means for its records. The rules of OTLP 1.3
// in one pure function, so that every row of the table is a line of a test.
//
// Threads, ownership: a pure function over borrowed bytes; an Answer owns its message.
// Failure: none. Everything in a reply is foreign: counts are clamped, texts cut and made
// printable, waits limited, and what cannot be read at all is a drop with code INTERNAL, as in
// every generated client.
// Source: OTLP specification, "OTLP/gRPC Response" and "Throttling";
// google/rpc/{status,error_details}.proto.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tailrace::agent {

enum class AnswerKind : std::uint8_t {
  delivered,  // every record was accepted
  partial,    // `rejected` records were not accepted and must not be sent again
  warning,    // every record was accepted, and the destination has something to say
  retry,      // send the same request again, after `retry_delay` where the destination gave one
  drop,       // never send it again; count it under `code`
};

std::string_view answer_name(AnswerKind kind) noexcept;

struct Answer {
  AnswerKind kind = AnswerKind::drop;
  int code = 0;                                          // the gRPC status code
  std::uint64_t rejected = 0;                            // partial only
  std::optional<std::chrono::milliseconds> retry_delay;  // retry only: the destination's RetryInfo
  std::string message;                                   // one printable line, or empty

  // The destination is alive and took a decision about this request.
  [[nodiscard]] bool settled() const noexcept { return kind != AnswerKind::retry; }
};

// The canonical gRPC codes, which also name the ledger's reason non_retryable{code}.
namespace grpc_code {
inline constexpr int kOk = 0;
inline constexpr int kCancelled = 1;
inline constexpr int kUnknown = 2;
inline constexpr int kInvalidArgument = 3;
inline constexpr int kDeadlineExceeded = 4;
inline constexpr int kNotFound = 5;
inline constexpr int kAlreadyExists = 6;
inline constexpr int kPermissionDenied = 7;
inline constexpr int kResourceExhausted = 8;
inline constexpr int kFailedPrecondition = 9;
inline constexpr int kAborted = 10;
inline constexpr int kOutOfRange = 11;
inline constexpr int kUnimplemented = 12;
inline constexpr int kInternal = 13;
inline constexpr int kUnavailable = 14;
inline constexpr int kDataLoss = 15;
inline constexpr int kUnauthenticated = 16;
}  // namespace grpc_code

// "UNAVAILABLE" for 14; "UNKNOWN" for a number that is no gRPC code.
std::string_view grpc_code_name(int code) noexcept;

// Whether OTLP lets a request that failed with this code be sent again.
bool is_retryable(int code, bool has_retry_info) noexcept;

struct Reply {
  int code = 0;                              // grpc-status
  std::string_view message;                  // grpc-message
  std::string_view details;                  // grpc-status-details-bin, decoded: google.rpc.Status
  std::optional<std::string_view> response;  // Export…ServiceResponse; absent when none was sent
  std::uint64_t records = 0;                 // how many the request held: no more can be rejected
};

Answer classify(const Reply& reply);

// Limits on what a destination may make us keep or do.
inline constexpr std::size_t kAnswerMessageBytes = 512;
inline constexpr std::chrono::milliseconds kLongestRetryDelay = std::chrono::hours(1);
inline constexpr std::size_t kResponseBytesMax = std::size_t{4} * 1024 * 1024;

}  // namespace tailrace::agent
