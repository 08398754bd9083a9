// SPDX-License-Identifier: Apache-2.0
//
// RecordWriter: from decoded views to bytes in the open batches of one process.
//
// The batch's key is process, signal, priority and scope; its head (resource and scope) is made once
// a scope and kept. Which open batches are to be closed, and when, is BatchCloser's business.
//
// Threads: one drain worker. Memory: one head a scope; the encoding buffer is the worker's.
// Failure: what AppendStatus says; a record that does not fit the buffer is `oversize`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "agent/decode/resource.hpp"
#include "agent/hold/pass.hpp"
#include "agent/pipeline/process_limits.hpp"
#include "agent/tap/tap.hpp"
#include "proto/encode/batch.hpp"

namespace tailrace::agent {

// More than any record of a lane becomes, but for strings repeated by id; those are cut off here.
inline constexpr std::size_t kEncodeBytes = 512 * 1024;

QueueClass queue_of(std::uint8_t priority);

// The word kept with an open batch: how to find its two lengths again.
std::uint64_t note_of(const otlp::BatchLayout& layout);
otlp::BatchLayout layout_of(std::uint64_t note);

class RecordWriter {
 public:
  RecordWriter(ProcessIndex process, SegmentDecoder& decoder, const ProcessResource& resource,
               const ProcessLimits& limits, std::span<std::uint8_t> buffer, TapPoint& tap);

  // Encodes the decoded span or log and appends it.
  AppendStatus append(Pass& pass, const Decoded& decoded, Origin origin);
  // The same for a span that was joined from parked chains, which are freed with it.
  AppendStatus join(Pass& pass, const Decoded& decoded, std::span<const BatchId> parked);

  // Metric messages of one scope with `points` data points in all, encoded already; without a scope they are
  // Tailrace's own.
  AppendStatus append_points(Pass& pass, std::optional<std::uint16_t> scope, std::span<const std::uint8_t> messages,
                             std::uint32_t points);
  // The same messages to whoever watches, once they are committed: a collection may be made again.
  void show_points(std::span<const std::uint8_t> messages) {
    if (tap_.watched()) [[unlikely]]
      tap_.see_points(resource_.service(), messages);
  }

 private:
  struct Head {
    std::vector<std::uint8_t> bytes;
    std::uint64_t note = 0;
    std::uint64_t route = 0;
  };
  const Head& head_of(std::uint16_t scope);
  const Head& own_head();
  std::span<const std::byte> encode(const Decoded& decoded);
  AppendStatus seal_if_full(Pass& pass, const BatchKey& key, const Appended& appended);
  void show(const Decoded& decoded);

  const ProcessIndex process_;
  SegmentDecoder& decoder_;
  const ProcessResource& resource_;
  const ProcessLimits& limits_;
  std::span<std::uint8_t> buffer_;
  TapPoint& tap_;
  std::vector<std::unique_ptr<Head>> heads_;  // by scope
  std::unique_ptr<Head> own_head_;
};

}  // namespace tailrace::agent
