// SPDX-License-Identifier: Apache-2.0
//
// StandIn: what a benchmark needs of an agent, and nothing that costs: it maps the bench's own segment and gives
// lanes' space back, at once when told to, or from a thread of its own that copies what it gives back.
//
// Threads: give_back() by the measured thread, or start_draining(), not both. Memory: one mapping for the process.
// Failure: a bench without its segment is none: it ends.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <tailrace/shm/layout.hpp>
#include <tailrace/tailrace.hpp>

namespace tailrace::bench {

class StandIn {
 public:
  // The segment of this process: after init().
  StandIn() {
    const char* directory = std::getenv("TAILRACE_DIR");
    const std::string path =
        std::string(directory != nullptr ? directory : "/dev/shm/tailrace") + "/" + tailrace::stats().segment;
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct stat s {};
    if (fd < 0 || ::fstat(fd, &s) != 0) {
      std::fprintf(stderr, "no segment at %s; set TAILRACE_DIR to a directory on a tmpfs\n", path.c_str());
      std::exit(1);
    }
    base_ = static_cast<unsigned char*>(
        ::mmap(nullptr, static_cast<std::size_t>(s.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    ::close(fd);
    identity_ = reinterpret_cast<const shm::Identity*>(base_);
    for (std::uint32_t i = 0; i < identity_->region_count; ++i) {
      const shm::Region& region = identity_->regions[i];
      unsigned char* at = base_ + region.offset;
      switch (static_cast<shm::RegionKind>(region.kind)) {
        case shm::RegionKind::control: control = reinterpret_cast<shm::Control*>(at); break;
        case shm::RegionKind::lane_heads: heads = reinterpret_cast<shm::LaneHead*>(at); break;
        case shm::RegionKind::lane_tails: tails = reinterpret_cast<shm::LaneTail*>(at); break;
        case shm::RegionKind::lane_data:
          rings_ = at;
          stride_ = region.stride;
          break;
        default: break;
      }
    }
  }
  ~StandIn() { stop_draining(); }

  void give_back(std::uint32_t lane = 0) {
    tails[lane].tail.store(heads[lane].head.load(std::memory_order_acquire), std::memory_order_release);
  }

  // Looks every `pause` at the first `lanes` lanes, copies what is new and gives it back.
  void start_draining(std::uint32_t lanes, std::chrono::microseconds pause) {
    draining_.store(true);
    thread_ = std::thread([this, lanes, pause] {
      std::vector<unsigned char> copy(identity_->ring_bytes);
      while (draining_.load(std::memory_order_relaxed)) {
        for (std::uint32_t lane = 0; lane < lanes; ++lane) drain(lane, copy.data());
        std::this_thread::sleep_for(pause);
      }
    });
  }
  void stop_draining() {
    draining_.store(false);
    if (thread_.joinable()) thread_.join();
  }

  shm::Control* control = nullptr;
  shm::LaneHead* heads = nullptr;
  shm::LaneTail* tails = nullptr;

 private:
  void drain(std::uint32_t lane, unsigned char* copy) {
    const std::uint64_t ring = identity_->ring_bytes;
    const std::uint64_t from = tails[lane].tail.load(std::memory_order_relaxed);
    const std::uint64_t to = heads[lane].head.load(std::memory_order_acquire);
    if (from == to) return;
    const unsigned char* data = rings_ + std::uint64_t{stride_} * lane;
    const std::uint64_t start = from & (ring - 1);
    const std::uint64_t first = std::min(to - from, ring - start);
    std::memcpy(copy, data + start, first);
    std::memcpy(copy + first, data, to - from - first);
    tails[lane].tail.store(to, std::memory_order_release);
  }

  unsigned char* base_ = nullptr;
  const shm::Identity* identity_ = nullptr;
  const unsigned char* rings_ = nullptr;
  std::uint32_t stride_ = 0;
  std::atomic<bool> draining_{false};
  std::thread thread_;
};

}  // namespace tailrace::bench
