// SPDX-License-Identifier: Apache-2.0
//
// What Directory and AttachedSegment share and nobody else includes.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <boost/interprocess/detail/os_file_functions.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "agent/discover/descriptor.hpp"
#include "agent/discover/fault_guard.hpp"
#include "agent/discover/segment.hpp"
#include "shm/reader/geometry.hpp"

namespace tailrace::agent {

// Boost.Interprocess maps whatever has this function; its own file_mapping opens by path, and a path may
// lead elsewhere by the time it is opened again.
class CheckedFile {
 public:
  explicit CheckedFile(int fd) : fd_(fd) {}
  [[nodiscard]] boost::interprocess::mapping_handle_t get_mapping_handle() const {
    return boost::interprocess::ipcdetail::mapping_handle_from_file_handle(fd_);
  }

 private:
  int fd_;
};

// The directory as its segments need it: it stays open and locked while any of them lives.
struct DirectoryHandle {
  Descriptor fd;
  std::string path;
  std::mutex mutex;
  std::map<uid_t, std::uint32_t> segments_by_uid;
  std::uint32_t segments = 0;
};

struct AttachedSegment::State {
  ~State();

  // Maps the file's three views; a sentence when it cannot.
  Status map();
  // Puts the file back where zeros were put.
  bool map_again();

  template <class T>
  [[nodiscard]] const T& at(std::uint64_t offset) const {
    return *reinterpret_cast<const T*>(base + offset);
  }
  [[nodiscard]] const shm::LaneHead& lane_head(std::uint32_t lane) const {
    return at<shm::LaneHead>(geometry.lane_head(lane));
  }
  [[nodiscard]] shm::LaneTail& lane_tail(std::uint32_t lane) const {
    return *reinterpret_cast<shm::LaneTail*>(static_cast<std::uint8_t*>(tails.get_address()) +
                                             geometry.lane_tail(lane) -
                                             geometry.region(shm::RegionKind::lane_tails).offset);
  }
  [[nodiscard]] shm::Control& control_words() const { return *static_cast<shm::Control*>(control.get_address()); }
  [[nodiscard]] const shm::ProcessDynamic& process() const {
    return at<shm::ProcessDynamic>(geometry.region(shm::RegionKind::process).offset);
  }
  [[nodiscard]] std::uint32_t faults() const {
    return whole_guard.faults() + control_guard.faults() + tails_guard.faults();
  }

  std::shared_ptr<DirectoryHandle> directory;
  bool counted = false;  // in the directory's numbers by uid
  Descriptor fd;
  std::string name;
  struct stat facts {};
  pid_t pid = 0;
  shm::Geometry geometry;
  bool dead = false;

  boost::interprocess::mapped_region whole;    // read-only
  boost::interprocess::mapped_region control;  // R1
  boost::interprocess::mapped_region tails;    // R4
  FaultGuard whole_guard;
  FaultGuard control_guard;
  FaultGuard tails_guard;
  const std::uint8_t* base = nullptr;

  std::atomic<SegmentCondition> condition{SegmentCondition::sound};
  std::uint32_t faults_seen = 0;
  std::uint64_t try_again_ns = 0;
  std::string trouble;
};

}  // namespace tailrace::agent
