// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/span_parts.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tailrace::agent {
namespace {

std::uint64_t key_of(const otlp::SpanId& id) {
  std::uint64_t key;
  std::memcpy(&key, id.bytes.data(), sizeof key);
  return key;
}

ByteSpan raw_bytes(const shm::RecordRef& record) {
  return std::as_bytes(std::span(record.bytes.data, record.bytes.size));
}

}  // namespace

SpanParts::SpanParts(Hold& hold, ProcessIndex process, SegmentDecoder& decoder, RecordWriter& writer)
    : hold_(hold), process_(process), decoder_(decoder), writer_(writer) {}

shm::Bytes SpanParts::raw(BatchId chain) {
  std::vector<ByteSpan> pieces;
  hold_.pieces(chain, pieces);
  std::size_t size = 0;
  for (const ByteSpan& piece : pieces) size += piece.size();
  std::vector<std::uint64_t>& copy = copies_.emplace_back((size + 7) / 8);
  auto* to = reinterpret_cast<std::uint8_t*>(copy.data());
  for (const ByteSpan& piece : pieces) {
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }
  return {reinterpret_cast<const std::uint8_t*>(copy.data()), size};
}

void SpanParts::take_up(const BatchInfo& parked) {
  const Decoded decoded = decoder_.decode(raw(parked.id), 0);
  copies_.clear();
  switch (decoded.kind) {
    case Decoded::Kind::part:
      parts_[parked.key.route].push_back(parked.id);
      part_order_.emplace_back(parked.key.route, parked.id);
      break;
    case Decoded::Kind::span_start: starts_[parked.key.route] = parked.id; break;
    default: spans_.push_back({parked.key.route, parked.id, 0}); break;
  }
}

AppendStatus SpanParts::park(Pass& pass, const Decoded& decoded, const shm::RecordRef& record, Origin origin,
                             std::uint64_t pass_number) {
  const std::uint64_t key = key_of(decoded.span_id);
  const bool is_span = decoded.kind == Decoded::Kind::span;
  const std::uint32_t counted = is_span ? 1 : 0;
  if (decoded.kind == Decoded::Kind::part) {
    if (const auto found = parts_.find(key); found != parts_.end() && found->second.size() >= kPartsMax) {
      pass.add_word(process_, ProcessWord::cut_parts, 1);  // the span's own count says that it is missing
      return AppendStatus::appended;
    }
  }
  Appended parked = pass.park(process_, Signal::traces, key, raw_bytes(record), origin, counted, decoded.priority);
  if (parked.status == AppendStatus::full && evict_oldest_part(pass)) {
    parked = pass.park(process_, Signal::traces, key, raw_bytes(record), origin, counted, decoded.priority);
  }
  if (parked.status == AppendStatus::full) {
    const Occupancy room = hold_.occupancy();
    const bool parked_full = room.bytes_parked + record.bytes.size > room.bytes / 8;
    if (!parked_full) return AppendStatus::full;
    pass.add_word(process_, ProcessWord::cut_parts, 1);
    if (!is_span) return AppendStatus::appended;
    const Decoded bare = decoder_.decode_with_parts(record.bytes, {}, 0);
    return bare.kind == Decoded::Kind::span ? writer_.append(pass, bare, origin) : AppendStatus::oversize;
  }
  if (parked.status != AppendStatus::appended) return parked.status;
  if (is_span) {
    spans_.push_back({key, parked.batch, pass_number});
  } else if (decoded.kind == Decoded::Kind::part) {
    parts_[key].push_back(parked.batch);
    part_order_.emplace_back(key, parked.batch);
  } else {
    starts_[key] = parked.batch;
  }
  return AppendStatus::appended;
}

bool SpanParts::evict_oldest_part(Pass& pass) {
  while (!part_order_.empty()) {
    const auto [key, chain] = part_order_.front();
    const auto found = parts_.find(key);
    const bool here =
        found != parts_.end() && std::find(found->second.begin(), found->second.end(), chain) != found->second.end();
    if (!here) {  // joined meanwhile
      part_order_.pop_front();
      continue;
    }
    if (!pass.discard(chain, DropReason::hold_full)) return false;
    pass.add_word(process_, ProcessWord::cut_parts, 1);
    std::erase(found->second, chain);
    if (found->second.empty()) parts_.erase(found);
    part_order_.pop_front();
    return true;
  }
  return false;
}

AppendStatus SpanParts::join_ready(Pass& pass, std::uint64_t complete_before, std::uint64_t observed_ns) {
  while (!spans_.empty() && spans_.front().pass_number < complete_before) {
    const WaitingSpan span = spans_.front();
    const std::vector<shm::Bytes> parts = parts_of(span.span_key);
    const Decoded joined = decoder_.decode_with_parts(raw(span.chain), parts, observed_ns);
    std::vector<BatchId> chains{span.chain};
    if (const auto found = parts_.find(span.span_key); found != parts_.end()) {
      chains.insert(chains.end(), found->second.begin(), found->second.end());
    }
    if (const auto start = starts_.find(span.span_key); start != starts_.end()) {
      chains.push_back(start->second);
    }
    AppendStatus status =
        joined.kind == Decoded::Kind::span ? writer_.join(pass, joined, chains) : AppendStatus::oversize;
    copies_.clear();
    if (status == AppendStatus::oversize) {
      const DropReason why = joined.kind == Decoded::Kind::span ? DropReason::oversize : DropReason::corrupt;
      status = pass.discard(span.chain, why) ? AppendStatus::appended : AppendStatus::cap;
      // Its parts and start go with discard_rest(), or give way to newer ones.
    }
    if (status != AppendStatus::appended) return status;
    take_parts(span.span_key);
    forget_start(span.span_key);
    spans_.pop_front();
  }
  while (!part_order_.empty() && !parts_.contains(part_order_.front().first)) part_order_.pop_front();
  return AppendStatus::appended;
}

std::vector<shm::Bytes> SpanParts::parts_of(std::uint64_t span_key) {
  std::vector<shm::Bytes> parts;
  if (const auto found = parts_.find(span_key); found != parts_.end()) {
    for (const BatchId chain : found->second) parts.push_back(raw(chain));
  }
  return parts;
}

std::vector<BatchId> SpanParts::take_parts(std::uint64_t span_key) {
  const auto found = parts_.find(span_key);
  if (found == parts_.end()) return {};
  std::vector<BatchId> chains = std::move(found->second);
  parts_.erase(found);
  return chains;
}

void SpanParts::give_back(std::uint64_t span_key, const std::vector<BatchId>& parts) {
  if (!parts.empty()) parts_[span_key] = parts;
}

bool SpanParts::discard_rest(Pass& pass) {
  copies_.clear();
  while (!parts_.empty()) {
    std::vector<BatchId>& chains = parts_.begin()->second;
    while (!chains.empty()) {
      if (!pass.discard(chains.back(), DropReason::corrupt)) return false;
      chains.pop_back();
    }
    parts_.erase(parts_.begin());
  }
  part_order_.clear();
  return true;
}

}  // namespace tailrace::agent
