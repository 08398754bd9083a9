// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/baseline.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace tailrace::agent {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic = {'T', 'M', 'B', 1};
// More series and buckets than a segment can have are damage.
constexpr std::uint64_t kSeriesMax = std::uint64_t{1} << 20;
constexpr std::uint64_t kBucketsMax = std::uint64_t{1} << 20;

std::uint64_t zigzag(std::uint64_t difference) { return difference << 1 ^ (0 - (difference >> 63)); }
std::uint64_t from_zigzag(std::uint64_t coded) { return coded >> 1 ^ (0 - (coded & 1)); }

class Writer {
 public:
  explicit Writer(std::vector<std::uint8_t>& out) : out_(out) {}
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<std::uint8_t>(value | 0x80));
    out_.push_back(static_cast<std::uint8_t>(value));
  }
  void word(std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) out_.push_back(static_cast<std::uint8_t>(value >> shift));
  }

 private:
  std::vector<std::uint8_t>& out_;
};

// Shortest varints only, so that every baseline has one form.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool done() const { return at_ == bytes_.size(); }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }
  bool varint(std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (done()) return false;
      const std::uint8_t byte = bytes_[at_++];
      if (shift == 63 && byte > 1) return false;
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return byte != 0 || shift == 0;
    }
    return false;
  }
  bool word(std::uint64_t& value) {
    if (left() < sizeof value) return false;
    value = 0;
    for (int shift = 0; shift < 64; shift += 8) value |= static_cast<std::uint64_t>(bytes_[at_++]) << shift;
    return true;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

// The next number of an ascending row, from its distance to the one before; -1 before the first.
bool advance(Reader& reader, std::int64_t& at, std::uint64_t limit) {
  std::uint64_t distance = 0;
  if (!reader.varint(distance) || distance >= limit) return false;
  at += static_cast<std::int64_t>(distance) + 1;
  return static_cast<std::uint64_t>(at) < limit;
}

bool read_histogram(Reader& reader, Baseline::Entry& entry) {
  std::uint64_t count = 0;
  if (!reader.word(entry.word) || !reader.varint(entry.zero) || !reader.varint(count)) return false;
  // Each bucket takes two bytes at least: what is reserved is bounded by what is there.
  if (count > kBucketsMax || count > reader.left() / 2) return false;
  entry.buckets.resize(static_cast<std::size_t>(count));
  std::int64_t index = -1;
  for (Baseline::Bucket& bucket : entry.buckets) {
    if (!advance(reader, index, kBucketsMax) || !reader.varint(bucket.count) || bucket.count == 0) return false;
    bucket.index = static_cast<std::uint32_t>(index);
  }
  return true;
}

}  // namespace

const Baseline::Entry* Baseline::find(std::uint32_t series) const {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), series,
                                   [](const Entry& one, std::uint32_t wanted) { return one.series < wanted; });
  return at != entries_.end() && at->series == series ? &*at : nullptr;
}

void Baseline::set(Entry entry) {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), entry.series,
                                   [](const Entry& one, std::uint32_t wanted) { return one.series < wanted; });
  if (at != entries_.end() && at->series == entry.series) {
    *at = std::move(entry);
  } else {
    entries_.insert(at, std::move(entry));
  }
}

std::vector<std::uint8_t> Baseline::encode() const {
  std::vector<std::uint8_t> bytes;
  if (entries_.empty() && lost_ns_ == 0) return bytes;
  bytes.assign(kMagic.begin(), kMagic.end());
  Writer writer(bytes);
  writer.varint(lost_ns_);
  std::int64_t series = -1;
  std::uint64_t start_ns = 0;
  for (const Entry& entry : entries_) {
    writer.varint(static_cast<std::uint64_t>(entry.series - series - 1));
    writer.varint(zigzag(entry.start_ns - start_ns));
    writer.varint(static_cast<std::uint64_t>(entry.shape));
    series = entry.series;
    start_ns = entry.start_ns;
    if (entry.shape == Shape::word) writer.varint(entry.word);
    if (entry.shape != Shape::histogram) continue;
    writer.word(entry.word);
    writer.varint(entry.zero);
    writer.varint(entry.buckets.size());
    std::int64_t index = -1;
    for (const Bucket& bucket : entry.buckets) {
      writer.varint(static_cast<std::uint64_t>(bucket.index - index - 1));
      writer.varint(bucket.count);
      index = bucket.index;
    }
  }
  return bytes;
}

std::optional<Baseline> Baseline::decode(std::span<const std::uint8_t> bytes) {
  Baseline baseline;
  if (bytes.empty()) return baseline;
  if (bytes.size() <= kMagic.size() || !std::equal(kMagic.begin(), kMagic.end(), bytes.begin())) return std::nullopt;
  Reader reader(bytes.subspan(kMagic.size()));
  if (!reader.varint(baseline.lost_ns_)) return std::nullopt;
  if (reader.done() && baseline.lost_ns_ == 0) return std::nullopt;
  std::int64_t series = -1;
  std::uint64_t start_ns = 0;
  while (!reader.done()) {
    Entry entry;
    std::uint64_t difference = 0;
    std::uint64_t shape = 0;
    if (!advance(reader, series, kSeriesMax) || !reader.varint(difference) || !reader.varint(shape)) {
      return std::nullopt;
    }
    start_ns += from_zigzag(difference);
    entry.series = static_cast<std::uint32_t>(series);
    entry.start_ns = start_ns;
    entry.shape = static_cast<Shape>(shape);
    switch (shape) {
      case static_cast<std::uint64_t>(Shape::start): break;
      case static_cast<std::uint64_t>(Shape::word):
        if (!reader.varint(entry.word)) return std::nullopt;
        break;
      case static_cast<std::uint64_t>(Shape::histogram):
        if (!read_histogram(reader, entry)) return std::nullopt;
        break;
      default: return std::nullopt;
    }
    baseline.entries_.push_back(std::move(entry));
  }
  return baseline;
}

}  // namespace tailrace::agent
