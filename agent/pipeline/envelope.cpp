// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/envelope.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "proto/encode/batch.hpp"

namespace tailrace::agent {
namespace {

// Request.resource_* is field 1, Resource*.scope_* field 2: length-delimited both.
constexpr std::uint8_t kResourceTag = 0x0a;
constexpr std::uint8_t kScopeTag = 0x12;
constexpr std::size_t kTagBytesMax = 1 + 10;

std::size_t varint_bytes(std::uint64_t value) {
  std::size_t count = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++count;
  }
  return count;
}

void put_field(std::vector<std::uint8_t>& out, std::uint8_t tag, std::uint64_t length) {
  out.push_back(tag);
  while (length >= 0x80) {
    out.push_back(static_cast<std::uint8_t>(length | 0x80));
    length >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(length));
}

// The bytes [from, to) of `pieces`, as pieces.
std::vector<otlp::Piece> cut(std::span<const otlp::Piece> pieces, std::uint64_t from, std::uint64_t to) {
  std::vector<otlp::Piece> out;
  std::uint64_t position = 0;
  for (const otlp::Piece& piece : pieces) {
    const std::uint64_t begin = std::max(from, position);
    const std::uint64_t end = std::min(to, position + piece.size());
    if (begin < end) out.push_back(piece.subspan(begin - position, end - begin));
    position += piece.size();
  }
  return out;
}

}  // namespace

std::optional<Envelope::Part> Envelope::take_apart(const Hold& hold, BatchId batch) {
  std::vector<ByteSpan> raw;
  hold.pieces(batch, raw);
  std::vector<otlp::Piece> pieces;
  pieces.reserve(raw.size());
  std::uint64_t total = 0;
  for (const ByteSpan& bytes : raw) {
    pieces.emplace_back(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    total += bytes.size();
  }
  const otlp::FoundBatchHead found = otlp::find_batch_head(pieces);
  if (found.fault != otlp::BatchFault::none || found.layout.head_bytes > total) return std::nullopt;
  const otlp::BatchLayout& layout = found.layout;
  // The inner tag is the byte before the inner length.
  const std::uint64_t resource_from = layout.outer_length_pos + otlp::kWideLengthBytes;
  const std::uint64_t resource_to = layout.inner_length_pos - 1;
  const std::uint64_t scope_from = layout.inner_length_pos + otlp::kWideLengthBytes;
  Part part;
  part.resource = cut(pieces, resource_from, resource_to);
  part.scope = cut(pieces, scope_from, layout.head_bytes);
  part.records = cut(pieces, layout.head_bytes, total);
  part.resource_bytes = resource_to - resource_from;
  part.scope_bytes = layout.head_bytes - scope_from;
  part.record_bytes = total - layout.head_bytes;
  return part;
}

void Envelope::add(const std::vector<otlp::Piece>& pieces) {
  for (const otlp::Piece& piece : pieces) {
    pieces_.push_back(piece);
    bytes_ += piece.size();
  }
}

// The last `length` bytes of tags_ are one piece.
void Envelope::add_tag(std::uint64_t length) {
  pieces_.emplace_back(tags_.data() + tags_.size() - length, length);
  bytes_ += length;
}

void Envelope::build(const Hold& hold, std::vector<WaitingBatch>& batches, std::vector<WaitingBatch>& damaged) {
  pieces_.clear();
  tags_.clear();
  bytes_ = 0;
  std::stable_sort(batches.begin(), batches.end(), [](const WaitingBatch& a, const WaitingBatch& b) {
    return std::tie(a.process, a.scope) < std::tie(b.process, b.scope);
  });
  std::vector<Part> parts;
  std::vector<WaitingBatch> sound;
  for (const WaitingBatch& batch : batches) {
    std::optional<Part> part = take_apart(hold, batch.batch);
    if (!part) {
      damaged.push_back(batch);
      continue;
    }
    parts.push_back(std::move(*part));
    sound.push_back(batch);
  }
  batches = std::move(sound);
  tags_.reserve(2 * kTagBytesMax * batches.size());

  // [first, last) of one process; its scopes' lengths are needed before anything is laid out.
  for (std::size_t first = 0; first < batches.size();) {
    std::size_t last = first;
    std::vector<std::pair<std::size_t, std::uint64_t>> scopes;  // first batch, bytes behind the tag
    std::uint64_t process_bytes = parts[first].resource_bytes;
    while (last < batches.size() && batches[last].process == batches[first].process) {
      const std::size_t scope_first = last;
      std::uint64_t scope_bytes = parts[last].scope_bytes;
      for (; last < batches.size() && batches[last].process == batches[first].process &&
             batches[last].scope == batches[scope_first].scope;
           ++last) {
        scope_bytes += parts[last].record_bytes;
      }
      scopes.emplace_back(scope_first, scope_bytes);
      process_bytes += 1 + varint_bytes(scope_bytes) + scope_bytes;
    }
    put_field(tags_, kResourceTag, process_bytes);
    add_tag(1 + varint_bytes(process_bytes));
    add(parts[first].resource);
    for (std::size_t i = 0; i < scopes.size(); ++i) {
      const std::size_t end = i + 1 < scopes.size() ? scopes[i + 1].first : last;
      put_field(tags_, kScopeTag, scopes[i].second);
      add_tag(1 + varint_bytes(scopes[i].second));
      add(parts[scopes[i].first].scope);
      for (std::size_t batch = scopes[i].first; batch < end; ++batch) add(parts[batch].records);
    }
    first = last;
  }
}

}  // namespace tailrace::agent
