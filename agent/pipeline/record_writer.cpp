// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/record_writer.hpp"

#include <utility>

#include "proto/encode/encode.hpp"
#include "tailrace/shm/layout.hpp"

namespace tailrace::agent {

QueueClass queue_of(std::uint8_t priority) {
  switch (static_cast<shm::Priority>(priority)) {
    case shm::Priority::critical: return QueueClass::critical;
    case shm::Priority::background: return QueueClass::background;
    case shm::Priority::normal:
    case shm::Priority::low: break;
  }
  return QueueClass::normal;
}

namespace {

// `low` differs from `normal` in the lane alone.
std::uint8_t batch_priority(std::uint8_t priority) {
  return static_cast<shm::Priority>(priority) == shm::Priority::low ? static_cast<std::uint8_t>(shm::Priority::normal)
                                                                    : priority;
}

// Among hashes of scopes; any number that is none of them.
constexpr std::uint64_t kOwnScopeRoute = 0x7a696c7261637274;

}  // namespace

std::uint64_t note_of(const otlp::BatchLayout& layout) {
  return std::uint64_t{layout.outer_length_pos} | std::uint64_t{layout.inner_length_pos} << 8 |
         std::uint64_t{layout.head_bytes} << 36;
}

otlp::BatchLayout layout_of(std::uint64_t note) {
  otlp::BatchLayout layout;
  layout.outer_length_pos = note & 0xff;
  layout.inner_length_pos = note >> 8 & 0xfffffff;
  layout.head_bytes = note >> 36;
  return layout;
}

RecordWriter::RecordWriter(ProcessIndex process, SegmentDecoder& decoder, const ProcessResource& resource,
                           const ProcessLimits& limits, std::span<std::uint8_t> buffer, TapPoint& tap)
    : process_(process), decoder_(decoder), resource_(resource), limits_(limits), buffer_(buffer), tap_(tap) {}

const RecordWriter::Head& RecordWriter::head_of(std::uint16_t scope) {
  if (scope < heads_.size() && heads_[scope] != nullptr) return *heads_[scope];
  if (scope >= heads_.size()) heads_.resize(std::size_t{scope} + 1);
  // `signal` changes no byte of a head.
  otlp::BatchHead made = otlp::make_batch_head(otlp::Signal::traces, resource_.view(), decoder_.scope(scope));
  heads_[scope] = std::make_unique<Head>();
  Head& head = *heads_[scope];
  head.note = note_of(made.layout());
  head.route = decoder_.scope_hash(scope);
  head.bytes = std::move(made.bytes);
  return head;
}

const RecordWriter::Head& RecordWriter::own_head() {
  if (own_head_ != nullptr) return *own_head_;
  otlp::ScopeView scope;
  scope.name = "tailrace";
  scope.version = TAILRACE_VERSION;
  otlp::BatchHead made = otlp::make_batch_head(otlp::Signal::metrics, resource_.view(), scope);
  own_head_ = std::make_unique<Head>();
  own_head_->note = note_of(made.layout());
  own_head_->route = kOwnScopeRoute;
  own_head_->bytes = std::move(made.bytes);
  return *own_head_;
}

std::span<const std::byte> RecordWriter::encode(const Decoded& decoded) {
  otlp::BackwardWriter writer(buffer_.data(), buffer_.size());
  const bool written =
      decoded.span != nullptr ? otlp::encode_span(writer, *decoded.span) : otlp::encode_log(writer, *decoded.log);
  return written ? std::as_bytes(writer.bytes()) : std::span<const std::byte>();
}

AppendStatus RecordWriter::seal_if_full(Pass& pass, const BatchKey& key, const Appended& appended) {
  const BatchLimits& limits = limits_[index_of(key.signal)];
  if (appended.status == AppendStatus::appended &&
      (appended.bytes >= limits.bytes || appended.records >= limits.records)) {
    pass.seal(key);
  }
  return appended.status;
}

void RecordWriter::show(const Decoded& decoded) {
  if (decoded.span != nullptr) {
    tap_.see(resource_.service(), *decoded.span);
  } else {
    tap_.see(resource_.service(), *decoded.log);
  }
}

AppendStatus RecordWriter::append(Pass& pass, const Decoded& decoded, Origin origin) {
  const std::span<const std::byte> record = encode(decoded);
  const Head& head = head_of(decoded.scope);
  if (record.empty() || head.bytes.empty()) return AppendStatus::oversize;
  const BatchKey key{process_, decoded.span != nullptr ? Signal::traces : Signal::logs,
                     batch_priority(decoded.priority), head.route};
  const AppendStatus status =
      seal_if_full(pass, key, pass.append(key, std::as_bytes(std::span(head.bytes)), head.note, record, origin));
  if (status == AppendStatus::appended && tap_.watched()) [[unlikely]]
    show(decoded);
  return status;
}

AppendStatus RecordWriter::join(Pass& pass, const Decoded& decoded, std::span<const BatchId> parked) {
  const std::span<const std::byte> record = encode(decoded);
  const Head& head = head_of(decoded.scope);
  if (record.empty() || head.bytes.empty()) return AppendStatus::oversize;
  const BatchKey key{process_, Signal::traces, batch_priority(decoded.priority), head.route};
  const AppendStatus status = seal_if_full(
      pass, key, pass.join(key, std::as_bytes(std::span(head.bytes)), head.note, record, Origin{}, 1, parked));
  if (status == AppendStatus::appended && tap_.watched()) [[unlikely]]
    show(decoded);
  return status;
}

AppendStatus RecordWriter::append_points(Pass& pass, std::optional<std::uint16_t> scope,
                                         std::span<const std::uint8_t> messages, std::uint32_t points) {
  const Head& head = scope ? head_of(*scope) : own_head();
  if (head.bytes.empty()) return AppendStatus::oversize;
  const BatchKey key{process_, Signal::metrics, static_cast<std::uint8_t>(shm::Priority::normal), head.route};
  return seal_if_full(
      pass, key,
      pass.append(key, std::as_bytes(std::span(head.bytes)), head.note, std::as_bytes(messages), Origin{}, points));
}

}  // namespace tailrace::agent
