// SPDX-License-Identifier: Apache-2.0
//
// Metric descriptors, cells and a baseline, as hostile as can be, through a whole collection. What must
// hold whatever the bytes are: nothing outside the checked geometry is read, every piece is a Metric that
// the hold's checker counts as many points in as the collector says, no piece is larger than asked, a
// baseline is its own bytes, and a second look at the same cells finds no more points than the first.
//
// Input: preference and sizes (2 bytes), length of the baseline (2 bytes), the baseline, then a segment
// image as in sparse_image.hpp.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "agent/metrics/collector.hpp"
#include "proto/encode/batch.hpp"
#include "shm/reader/geometry.hpp"
#include "tests/shm/sparse_image.hpp"

namespace tailrace::agent {
namespace {

constexpr std::uint64_t kNowNs = 1'700'000'100'000'000'000ull;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "metrics_fuzzer: %s\n", what);
  std::abort();
}

class ImageWords final : public WordSource {
 public:
  explicit ImageWords(shm::Bytes image) : image_(image) {}
  [[nodiscard]] bool words(std::uint64_t offset, std::span<std::uint64_t> out) const override {
    require(offset % 8 == 0 && image_.covers(static_cast<std::size_t>(offset), out.size_bytes()),
            "a read outside the segment");
    if (!out.empty()) std::memcpy(out.data(), image_.data + offset, out.size_bytes());
    return true;
  }

 private:
  shm::Bytes image_;
};

void take_strings(shm::Bytes image, const shm::Geometry& geometry, SegmentDecoder& decoder) {
  const shm::RegionRange& arena = geometry.region(shm::RegionKind::strings);
  const auto length =
      image.load_or_zero<std::uint64_t>(static_cast<std::size_t>(geometry.region(shm::RegionKind::process).offset));
  const std::size_t wanted = decoder.strings().wanted(length < arena.length ? length : arena.length);
  static_cast<void>(decoder.strings().extend(image.part(static_cast<std::size_t>(arena.offset), wanted)));
}

// Everything that is collected now. Answers the number of points.
std::uint64_t collect(MetricCollector& collector, const ImageWords& words, Baseline& baseline,
                      const CollectOptions& options) {
  static const otlp::BatchHead head = otlp::make_batch_head(otlp::Signal::metrics, {}, {});
  std::uint64_t points = 0;
  std::size_t parts = 0;
  for (CollectCursor at; !at.done();) {
    Collection part = collector.collect(words, baseline, options, at);
    require(part.readable, "an image cannot be read");
    require(++parts <= 2 + collector.series().series().size(), "the parts do not end");
    std::uint64_t counted = 0;
    for (const MetricGroup& group : part.groups) {
      for (const MetricPiece& piece : group.pieces) {
        require(piece.bytes.size() <= options.piece_bytes, "a piece is larger than asked");
        std::vector<std::uint8_t> batch = head.bytes;
        batch.insert(batch.end(), piece.bytes.begin(), piece.bytes.end());
        const otlp::BatchCheck check =
            otlp::check_batch(otlp::Piece(batch), otlp::BatchState::open, otlp::Signal::metrics);
        require(check.fault == otlp::BatchFault::none, "a piece is no Metric");
        require(check.records == piece.points && piece.points != 0, "a piece has other points than it says");
        counted += piece.points;
      }
    }
    require(counted == part.counts.points, "points are counted that are in no piece");
    points += counted;
    const auto again = Baseline::decode(part.baseline.encode());
    require(again && *again == part.baseline, "a baseline does not come back");
    baseline = std::move(part.baseline);
  }
  return points;
}

void run(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return;
  std::uint16_t length;
  std::memcpy(&length, data + 2, sizeof length);
  const std::size_t baseline_bytes = length < size - 4 ? length : size - 4;
  const std::vector<std::uint8_t> bytes(data + 4, data + 4 + baseline_bytes);
  const auto known = Baseline::decode(bytes);
  if (known) require(known->encode() == bytes, "a baseline has two forms");

  static std::vector<std::uint8_t> image_bytes;
  shm::test::unpack_image({data + 4 + baseline_bytes, size - 4 - baseline_bytes}, image_bytes);
  const shm::Bytes image{image_bytes.data(), image_bytes.size()};
  const auto page = image.size < shm::kIdentityBytes ? image.size : shm::kIdentityBytes;
  const shm::GeometryResult result = shm::parse_identity({image.data, page}, image.size);
  if (!result.ok()) return;

  SegmentDecoder decoder(result.geometry);
  decoder.timeline().add({100'000'000'000, kNowNs, 100'000'000'000});
  MetricCollector collector(result.geometry, decoder);
  const ImageWords words(image);
  const auto published = image.load_or_zero<std::uint32_t>(
      static_cast<std::size_t>(result.geometry.region(shm::RegionKind::process).offset) + 8);
  take_strings(image, result.geometry, decoder);
  collector.take_up(words, published);

  CollectOptions options;
  options.preference = static_cast<TemporalityPreference>(data[0] % 3);
  options.time_ns = kNowNs;
  options.piece_bytes = 64u + 64u * data[1];
  options.part_bytes = 1u + 256u * (data[0] / 3);
  Baseline baseline = known.value_or(Baseline::lost(kNowNs / 2));
  const std::uint64_t first = collect(collector, words, baseline, options);
  options.time_ns += 1'000'000'000;
  const Baseline before = baseline;
  require(collect(collector, words, baseline, options) <= first, "points came from cells that did not change");
  if (options.preference == TemporalityPreference::cumulative) {
    require(baseline == before, "a start did not stay");
  }
}

}  // namespace
}  // namespace tailrace::agent

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tailrace::agent::run(data, size);
  return 0;
}
