// SPDX-License-Identifier: Apache-2.0
//
// Arbitrary bytes as a hold: start-up and status never crash and never hang, and what start-up
// accepts can be used: sent, settled, filled again, and started a second time with nothing left to
// repair.
//
// Header and geometry of a small hold are put right first (unless the first byte says not to), else
// no input would get past them. What follows are commands: a place in the tables and the bytes to
// lay over it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "agent/hold/hold.hpp"
#include "agent/hold/pass.hpp"
#include "agent/hold/status.hpp"

namespace {

using namespace tailrace::agent;
using namespace tailrace::agent::hold_layout;

constexpr std::uint64_t kBytes = kMinBytes;
using Image = std::vector<std::uint64_t>;

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

std::span<std::byte> bytes_of(Image& image) { return std::as_writable_bytes(std::span(image)); }

// A hold with two processes and some batches, as the image that commands damage.
const Image& seed_image() {
  static const Image kImage = [] {
    Image image(kBytes / 8);
    auto hold = Hold::over(bytes_of(image), true);
    require(hold.ok());
    Pass pass(**hold);
    for (std::uint8_t p = 1; p <= 2; ++p) {
      ProcessIdentity identity;
      identity.uuid[0] = p;
      identity.lanes = 600;
      const auto process = (*hold)->add(identity);
      require(process.ok() && pass.begin(*process));
      const std::vector<std::byte> record(3000);
      for (std::uint64_t i = 0; i < 6; ++i) {
        static_cast<void>(pass.append({*process, Signal::logs, 1, i % 2}, {}, 0, record, {0, i * 8}));
      }
      static_cast<void>(pass.park(*process, Signal::traces, 1, record, {1, 0}, 1));
      pass.set_position(*process, 0, 48);
      static_cast<void>(pass.set_baseline(*process, record));
      pass.commit();
    }
    return image;
  }();
  return kImage;
}

std::uint64_t take(const std::uint8_t*& data, std::size_t& size, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count && size != 0; ++i, --size) {
    value = value << 8 | *data++;
  }
  return value;
}

void use(Hold& hold) {
  std::vector<Outcome> outcomes;
  std::vector<ByteSpan> pieces;
  std::uint64_t sum = 0;
  for (const std::vector<BatchInfo>* list : {&hold.recovery().open, &hold.recovery().closed}) {
    for (const BatchInfo& info : *list) {
      hold.pieces(info.id, pieces);
      for (const ByteSpan piece : pieces) {
        sum += static_cast<std::uint64_t>(piece.front()) + static_cast<std::uint64_t>(piece.back());
      }
      if (list == &hold.recovery().open) {
        require(hold.close(info.id, {}).ok());
      }
      outcomes.push_back({info.id, info.records});
    }
  }
  require(hold.settle(outcomes).ok() && sum < ~std::uint64_t{0});
  std::vector<std::byte> baseline;
  for (const ProcessIndex process : hold.processes()) {
    // Whole, or lost: a checksum stands between.
    const BaselineState state = hold.baseline(process, baseline);
    require((state == BaselineState::kept) == !baseline.empty());
    Pass pass(hold);
    require(pass.begin(process));
    if (pass.set_baseline(process, std::as_bytes(std::span("next"))) == AppendStatus::appended) {
      pass.commit();
      require(hold.baseline(process, baseline) == BaselineState::kept && baseline.size() == 5);
    }
  }
  ProcessIdentity identity;
  identity.uuid[0] = 200;
  identity.lanes = 8;
  if (const auto process = hold.add(identity); process.ok()) {
    Pass pass(hold);
    require(pass.begin(*process));
    const std::byte record[100] = {};
    const Appended appended = pass.append({*process, Signal::traces, 0, 0}, {}, 0, record, {0, 0});
    pass.commit();
    if (appended.status == AppendStatus::appended) {
      require(hold.close(appended.batch, {}).ok());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Image image = seed_image();
  const Geometry g = geometry_of(kBytes);
  const bool keep_header = take(data, size, 1) % 8 != 0;
  const bool good_log = take(data, size, 1) % 4 == 0;
  while (size != 0) {
    const std::uint64_t where = take(data, size, 3) % (g.pages_offset / 8);
    const std::uint64_t how_many = 1 + take(data, size, 1) % 8;
    for (std::uint64_t i = where; i < where + how_many && i < g.pages_offset / 8; ++i) {
      if (!keep_header || i >= kHeaderCommits) {
        image[i] = take(data, size, 8);
      }
    }
  }
  if (good_log) {  // whatever it now aims at
    std::uint64_t* log = image.data() + g.log_offset / 8;
    log[kLogCount] %= 64;
    log[kLogChecksum] = log_checksum(log[kLogCount], log + kLogEntries);
  }

  static_cast<void>(status_of_image(std::as_bytes(std::span(image))).ok());
  bool started = false;
  if (auto hold = Hold::over(bytes_of(image), false)) {
    use(**hold);
    started = true;
  }
  require(status_of_image(std::as_bytes(std::span(image))).ok() == started);
  if (started) {
    const auto again = Hold::over(bytes_of(image), false);
    require(again.ok() && (*again)->recovery().chains_damaged == 0 && (*again)->recovery().pages_reclaimed == 0);
  }
  return 0;
}
