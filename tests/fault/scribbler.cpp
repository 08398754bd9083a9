// SPDX-License-Identifier: Apache-2.0
//
// A hostile program: it has a sound segment made, then writes garbage over what it pleases.
//
//   scribbler MODE SEED MILLISECONDS
//
// lanes: heads and ring bytes · slots: span slots and pool · strings: arena and scopes · process: R2
// agent: the words that the agent owns (R1, R4), while it goes on recording · truncate · punch: holes
//
// Exits with 0 after so many milliseconds: only what it did to itself may kill it earlier.
#include <tailrace/shm/layout.hpp>
#include <tailrace/tailrace.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace tailrace;
using namespace tailrace::literals;
using shm::RegionKind;

class Scribbler {
 public:
  Scribbler(int fd, std::uint32_t seed) : fd_(fd), random_(seed) {
    if (::pread(fd_, static_cast<void*>(&identity_), sizeof identity_, 0) != sizeof identity_) std::abort();
  }

  void scribble(RegionKind kind, std::uint64_t within) {
    for (std::uint32_t i = 0; i < identity_.region_count; ++i) {
      const shm::Region& region = identity_.regions[i];
      if (region.kind != static_cast<std::uint32_t>(kind)) continue;
      const std::uint64_t room = std::min(region.length, within);
      const std::uint64_t at = region.offset + random_() % room / 8 * 8;
      const std::uint64_t value = garbage();
      if (::pwrite(fd_, &value, sizeof value, static_cast<off_t>(at)) < 0) std::perror("pwrite");
    }
  }
  void truncate() {
    if (::ftruncate(fd_, static_cast<off_t>(random_() % identity_.segment_size)) != 0) std::perror("ftruncate");
  }
  void punch() {
    const auto at = static_cast<off_t>(random_() % identity_.segment_size / 4096 * 4096);
    if (::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 64 * 1024) != 0) std::perror("fallocate");
  }

 private:
  // Values that are nearly right do more harm than random ones.
  std::uint64_t garbage() {
    switch (random_() % 6) {
      case 0: return 0;
      case 1: return ~0ull;
      case 2: return random_() % 64;
      case 3: return random_() % (1u << 20) / 8 * 8;
      case 4: return std::uint64_t{random_()} << 32 | 16;
      default: return std::uint64_t{random_()} << 32 | random_();
    }
  }

  int fd_;
  std::mt19937 random_;
  shm::Identity identity_;
};

void record(int i) {
  auto span = tailrace::span("hostile"_n);
  span.set("i"_n, i);
  span.set("text"_n, "text of run time");
  tailrace::info("a line {} of a hostile program", i);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string mode = argv[1];
  Config config;
  const std::string service = "hostile-" + mode;
  config.service = service;
  if (!init(config).ok()) return 4;
  const std::string path = std::string(std::getenv("TAILRACE_DIR")) + "/" + stats().segment;
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return 5;
  for (int i = 0; i < 100; ++i) record(i);
  Scribbler scribbler(fd, static_cast<std::uint32_t>(std::atoi(argv[2])));
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(std::atoi(argv[3]));
  for (int i = 0; std::chrono::steady_clock::now() < end; ++i) {
    record(i);
    if (mode == "lanes") {
      scribbler.scribble(RegionKind::lane_heads, 512);
      scribbler.scribble(RegionKind::lane_data, 64 * 1024);
    } else if (mode == "slots") {
      scribbler.scribble(RegionKind::span_slots, 32 * 1024);
      scribbler.scribble(RegionKind::slot_pool, 64 * 1024);
    } else if (mode == "strings") {
      scribbler.scribble(RegionKind::strings, 4096);
      scribbler.scribble(RegionKind::scopes, 64);
    } else if (mode == "process") {
      scribbler.scribble(RegionKind::process, 448);
    } else if (mode == "agent") {
      scribbler.scribble(RegionKind::control, 192);
      scribbler.scribble(RegionKind::lane_tails, 1024);
    } else if (mode == "truncate") {
      if (i % 64 == 63) scribbler.truncate();
    } else if (mode == "punch") {
      scribbler.punch();
    }
    if (i % 32 == 0) ::usleep(200);
  }
  return 0;
}
