// SPDX-License-Identifier: Apache-2.0
//
// Envelope: whole batches, wherever their pages lie, as the bytes of one Export request.
//
// Batches of one process and scope share one ResourceSpans and ScopeSpans (otlp-D11): the resource
// and scope of the first of them are sent, those of the others are skipped. Only the tags and
// lengths between are made here; records are sent from where they lie in the hold.
//
// Threads: one owner. Memory: owns the tags and lengths, borrows the hold's pages: both must stay
// until the request is answered and its transport is done with it. Failure: a batch whose head
// cannot be read is an Error naming it; the caller books that batch alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "agent/hold/hold.hpp"
#include "agent/pipeline/request_queue.hpp"
#include "proto/encode/pieces.hpp"

namespace tailrace::agent {

class Envelope {
 public:
  // Puts `batches` in the order of process and scope and lays out the request. Batches whose head
  // is damaged are moved to `damaged` and are not part of it.
  void build(const Hold& hold, std::vector<WaitingBatch>& batches, std::vector<WaitingBatch>& damaged);

  [[nodiscard]] std::span<const otlp::Piece> pieces() const { return pieces_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  struct Part {                         // one batch, taken apart
    std::vector<otlp::Piece> resource;  // the resource field and its schema
    std::vector<otlp::Piece> scope;     // the scope field and its schema
    std::vector<otlp::Piece> records;
    std::uint64_t resource_bytes = 0;
    std::uint64_t scope_bytes = 0;
    std::uint64_t record_bytes = 0;
  };

  static std::optional<Part> take_apart(const Hold& hold, BatchId batch);
  void add(const std::vector<otlp::Piece>& pieces);
  void add_tag(std::uint64_t length);

  std::vector<otlp::Piece> pieces_;
  std::vector<std::uint8_t> tags_;  // capacity fixed in build(): pieces point into it
  std::uint64_t bytes_ = 0;
};

}  // namespace tailrace::agent
