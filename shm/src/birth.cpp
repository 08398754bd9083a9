// SPDX-License-Identifier: Apache-2.0
#include <tailrace/shm/birth.hpp>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <tailrace/shm/clock.hpp>
#include <tailrace/shm/test_point.hpp>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace tailrace::shm {
namespace {

std::uint64_t round_up(std::uint64_t n, std::uint64_t to) { return (n + to - 1) & ~(to - 1); }

std::uint64_t fnv1a(const char* text, std::size_t length) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (std::size_t i = 0; i < length; ++i) {
    hash = (hash ^ static_cast<unsigned char>(text[i])) * 0x100000001b3ull;
  }
  return hash;
}

std::size_t read_file(const char* path, char* to, std::size_t room) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t got = read(fd, to, room - 1);
  close(fd);
  const std::size_t length = got > 0 ? static_cast<std::size_t>(got) : 0;
  to[length] = 0;
  return length;
}

std::uint64_t process_start_ticks() {
  char text[1024];
  if (read_file("/proc/self/stat", text, sizeof text) == 0) return 0;
  const char* p = std::strrchr(text, ')');  // the name in parentheses may contain anything
  for (int field = 2; p != nullptr && field < 22; ++field) {
    p = std::strchr(p + 1, ' ');
  }
  return p != nullptr ? std::strtoull(p + 1, nullptr, 10) : 0;
}

void fail(Birth& birth, const char* what) {
  std::snprintf(birth.why, sizeof birth.why, "%s: %s", what, std::strerror(errno));
}

bool enough_space(Birth& birth, std::uint64_t size) {
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size) {
    std::snprintf(birth.why, sizeof birth.why,
                  "the limit on file size (ulimit -f) is %llu bytes, a segment is %llu (sparse)",
                  static_cast<unsigned long long>(limit.rlim_cur), static_cast<unsigned long long>(size));
    return false;
  }
  struct statfs fs {};
  if (fstatfs(birth.directory, &fs) == 0 && fs.f_blocks != 0 && fs.f_bavail < fs.f_blocks / 4) {
    std::snprintf(birth.why, sizeof birth.why,
                  "less than a quarter of the segments' tmpfs is free (%llu of %llu blocks)",
                  static_cast<unsigned long long>(fs.f_bavail), static_cast<unsigned long long>(fs.f_blocks));
    return false;
  }
  return true;
}

// An unnamed file where the file system has them, else a hidden name that publish() replaces.
bool make_file(Birth& birth) {
  std::uint64_t random = 0;
  fill_random(&random, sizeof random);
  std::snprintf(birth.name, sizeof birth.name, "%016llx.seg", static_cast<unsigned long long>(random));
  birth.fd = openat(birth.directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (birth.fd >= 0) {
    // Without /proc the file could not get its name.
    char link[40];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", birth.fd);
    if (access(link, F_OK) == 0) return true;
    close(birth.fd);
  }
  std::snprintf(birth.temporary, sizeof birth.temporary, ".%.16s.tmp", birth.name);
  birth.fd = openat(birth.directory, birth.temporary, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600);
  if (birth.fd >= 0) return true;
  birth.temporary[0] = 0;
  fail(birth, "making the segment");
  return false;
}

void fill_identity(Identity& identity, const SegmentShape& geometry) {
  identity.abi_major = kAbiMajor;
  identity.abi_minor = kAbiMinor;
  identity.header_size = sizeof(Identity);
  lay_out(geometry, identity);
  fill_random(identity.uuid, sizeof identity.uuid);
  identity.uuid[6] = static_cast<std::uint8_t>((identity.uuid[6] & 0x0f) | 0x40);  // a UUID, version 4
  identity.uuid[8] = static_cast<std::uint8_t>((identity.uuid[8] & 0x3f) | 0x80);
  identity.pid = static_cast<std::uint32_t>(getpid());
  identity.start_time_ticks = process_start_ticks();
  struct stat s {};
  identity.pid_namespace = stat("/proc/self/ns/pid", &s) == 0 ? s.st_ino : 0;
  const ClockKind clock = choose_clock();
  const ClockReading now = read_clocks(clock);
  identity.created_realtime_ns = now.realtime_ns;
  identity.created_monotonic_ns = now.monotonic_ns;
  identity.created_counter = now.counter;
  identity.clock_kind = static_cast<std::uint32_t>(clock);
  char boot_id[64];
  const std::size_t length = read_file("/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id);
  identity.boot_id_hash = fnv1a(boot_id, length);
}

// Under mlockall(MCL_FUTURE) a writable mapping would be filled at once, all of the sparse file: it is
// made inaccessible first, unlocked, and then opened.
unsigned char* map_segment(int fd, std::uint64_t size) {
  void* at = mmap(nullptr, size, PROT_NONE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return nullptr;
  munlock(at, size);
  if (mprotect(at, size, PROT_READ | PROT_WRITE) != 0) {
    munmap(at, size);
    return nullptr;
  }
  return static_cast<unsigned char*>(at);
}

bool commit_tables(const SegmentMap& map) {
  const SegmentShape& g = map.geometry;
  const auto in_identity_order = map.identity->regions;
  for (std::uint32_t i = 0; i < map.identity->region_count; ++i) {
    const Region& region = in_identity_order[i];
    std::uint64_t bytes = 0;
    switch (static_cast<RegionKind>(region.kind)) {
      case RegionKind::identity:
      case RegionKind::control:
      case RegionKind::process: bytes = 4096; break;
      case RegionKind::lane_heads: bytes = std::uint64_t{g.lanes} * sizeof(LaneHead); break;
      case RegionKind::lane_tails: bytes = std::uint64_t{g.lanes} * sizeof(LaneTail); break;
      case RegionKind::strings: bytes = 16 * 1024; break;
      case RegionKind::metric_descriptors:
      case RegionKind::scopes: bytes = 4096; break;
      default: continue;  // committed when it is first used
    }
    if (!commit_range(map.base + region.offset, bytes)) return false;
  }
  return true;
}

}  // namespace

void fill_random(void* to, std::size_t bytes) noexcept {
  auto* p = static_cast<unsigned char*>(to);
  while (bytes > 0) {
    // Not getrandom(), where a thread that was cancelled would end, with whatever it has taken.
    const long got = syscall(SYS_getrandom, p, bytes < 256 ? bytes : 256, GRND_NONBLOCK);
    if (got > 0) {
      p += got;
      bytes -= static_cast<std::size_t>(got);
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    // Early in the boot there may be no entropy yet, and nobody may wait for it here.
    std::uint64_t x =
        monotonic_ns() ^ (static_cast<std::uint64_t>(getpid()) << 32) ^ reinterpret_cast<std::uintptr_t>(p);
    for (; bytes > 0; --bytes) {
      x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull + 0x9e3779b97f4a7c15ull;
      *p++ = static_cast<unsigned char>(x >> 56);
    }
  }
}

bool commit_range(void* from, std::size_t bytes) noexcept {
  const auto page = static_cast<std::uintptr_t>(getpagesize());
  const auto start = reinterpret_cast<std::uintptr_t>(from) & ~(page - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(from) + bytes + page - 1) & ~(page - 1);
  for (int attempt = 0; attempt < 8; ++attempt) {
    if (madvise(reinterpret_cast<void*>(start), end - start, MADV_POPULATE_WRITE) == 0) return true;
    if (errno != EINTR && errno != EAGAIN) return false;
  }
  return false;
}

std::uint64_t lay_out(const SegmentShape& g, Identity& identity) noexcept {
  const bool power_of_two = g.ring_bytes != 0 && (g.ring_bytes & (g.ring_bytes - 1)) == 0;
  if (!power_of_two || g.ring_bytes < kRingBytesMin || g.ring_bytes > kRingBytesMax || g.lanes <= kSharedLanes ||
      g.lanes > kLanesMax || g.slack_bytes > g.ring_bytes / 4 || g.slack_bytes % 64 != 0 ||
      g.max_record + 64 > g.slack_bytes || g.max_record % 8 != 0 || g.arena_bytes < 2 * kArenaStart) {
    return 0;
  }
  std::uint64_t at = 0;
  std::uint32_t n = 0;
  const auto add = [&](RegionKind kind, std::uint64_t stride, std::uint64_t count) {
    Region& region = identity.regions[n++];
    region.kind = static_cast<std::uint32_t>(kind);
    region.flags = 0;
    region.offset = at;
    region.length = stride * count;
    region.stride = static_cast<std::uint32_t>(stride);
    region.count = static_cast<std::uint32_t>(count);
    at = round_up(at + region.length, kRegionAlign);
  };
  add(RegionKind::identity, kRegionAlign, 1);
  add(RegionKind::control, kRegionAlign, 1);
  add(RegionKind::process, kRegionAlign, 1);
  add(RegionKind::lane_heads, sizeof(LaneHead), g.lanes);
  add(RegionKind::lane_tails, sizeof(LaneTail), g.lanes);
  add(RegionKind::strings, 8, g.arena_bytes / 8);
  add(RegionKind::metric_descriptors, sizeof(MetricDescriptor), kMetricDescriptorsMax);
  add(RegionKind::metric_cells, kLaneCellBytes, g.lanes);
  add(RegionKind::span_slots, sizeof(SpanSlot), std::uint64_t{g.lanes} * kSlotsPerLane);
  add(RegionKind::lane_data, SegmentMap::lane_data_stride(g), g.lanes);
  add(RegionKind::slot_pool, sizeof(SpanSlot), g.pool_slots);
  add(RegionKind::scopes, 4, kScopesMax);
  add(RegionKind::metric_shared, 8, kSharedCellBytes / 8);
  if (at > kSegmentBytesMax) return 0;
  identity.region_count = n;
  identity.segment_size = at;
  identity.lane_count = g.lanes;
  identity.ring_bytes = g.ring_bytes;
  identity.slack_bytes = g.slack_bytes;
  identity.max_record = g.max_record;
  identity.slots_per_lane = kSlotsPerLane;
  identity.shared_lanes = kSharedLanes;
  return at;
}

void locate(SegmentMap& map, unsigned char* base, const SegmentShape& geometry) noexcept {
  map.base = base;
  map.geometry = geometry;
  map.identity = reinterpret_cast<Identity*>(base);
  map.size = map.identity->segment_size;
  for (std::uint32_t i = 0; i < map.identity->region_count; ++i) {
    const Region& region = map.identity->regions[i];
    unsigned char* at = base + region.offset;
    switch (static_cast<RegionKind>(region.kind)) {
      case RegionKind::control: map.control = reinterpret_cast<const Control*>(at); break;
      case RegionKind::process: map.process = reinterpret_cast<ProcessDynamic*>(at); break;
      case RegionKind::lane_heads: map.heads = reinterpret_cast<LaneHead*>(at); break;
      case RegionKind::lane_tails: map.tails = reinterpret_cast<const LaneTail*>(at); break;
      case RegionKind::strings: map.strings = at; break;
      case RegionKind::span_slots: map.slots = reinterpret_cast<SpanSlot*>(at); break;
      case RegionKind::lane_data: map.lane_data = at; break;
      case RegionKind::slot_pool: map.pool = reinterpret_cast<SpanSlot*>(at); break;
      case RegionKind::scopes: map.scopes = reinterpret_cast<std::atomic<std::uint32_t>*>(at); break;
      case RegionKind::metric_descriptors: map.descriptors = reinterpret_cast<MetricDescriptor*>(at); break;
      case RegionKind::metric_cells: map.cells = at; break;
      case RegionKind::metric_shared: map.metric_shared = at; break;
      default: break;
    }
  }
}

bool begin_birth(Birth& birth, int directory, const SegmentShape& geometry) noexcept {
  birth.directory = directory;
  Identity sizes{};
  const std::uint64_t size = lay_out(geometry, sizes);
  if (size == 0) {
    std::snprintf(birth.why, sizeof birth.why, "%u lanes of %u bytes cannot be laid out", geometry.lanes,
                  geometry.ring_bytes);
    return false;
  }
  if (!enough_space(birth, size) || !make_file(birth)) return false;
  TAILRACE_TEST_POINT("shim.birth.file_made");
  if (ftruncate(birth.fd, static_cast<off_t>(size)) != 0) {
    fail(birth, "sizing the segment");
  } else if (flock(birth.fd, LOCK_EX | LOCK_NB) != 0) {
    fail(birth, "locking the segment");
  } else if (unsigned char* base = map_segment(birth.fd, size); base == nullptr) {
    fail(birth, "mapping the segment");
  } else {
    birth.map.base = base;
    birth.map.size = size;
    TAILRACE_TEST_POINT("shim.birth.mapped");
    // A child would keep the parent's lock, and write into the parent's lanes.
    if (madvise(base, size, MADV_DONTFORK) != 0) {
      fail(birth, "keeping the segment from children");
    } else if (!commit_range(base, 4096)) {
      fail(birth, "no space for a segment");
    } else {
      fill_identity(*reinterpret_cast<Identity*>(base), geometry);
      locate(birth.map, base, geometry);
      if (commit_tables(birth.map)) {
        TAILRACE_TEST_POINT("shim.birth.header_filled");
        return true;
      }
      fail(birth, "no space for a segment");
    }
  }
  abandon(birth);
  return false;
}

bool publish(Birth& birth) noexcept {
  SegmentMap& map = birth.map;
  map.identity->magic.store(kMagic, std::memory_order_release);  // pairs with the agent's first load
  TAILRACE_TEST_POINT("shim.birth.magic");
  // A wild store of the application cannot reach what the agent writes.
  auto* control = const_cast<void*>(static_cast<const void*>(map.control));
  auto* tails = const_cast<void*>(static_cast<const void*>(map.tails));
  mprotect(control, kRegionAlign, PROT_READ);
  mprotect(tails, round_up(std::uint64_t{map.geometry.lanes} * sizeof(LaneTail), kRegionAlign), PROT_READ);
  mprotect(map.identity, kRegionAlign, PROT_READ);

  bool named = false;
  if (fchmod(birth.fd, 0660) == 0) {
    if (birth.temporary[0] != 0) {
      named = renameat(birth.directory, birth.temporary, birth.directory, birth.name) == 0;
    } else {
      char link[40];
      std::snprintf(link, sizeof link, "/proc/self/fd/%d", birth.fd);
      named = linkat(AT_FDCWD, link, birth.directory, birth.name, AT_SYMLINK_FOLLOW) == 0;
    }
  }
  if (!named) {
    fail(birth, "naming the segment");
    abandon(birth);
    return false;
  }
  TAILRACE_TEST_POINT("shim.birth.named");
  close(birth.fd);
  birth.fd = -1;
  TAILRACE_TEST_POINT("shim.birth.closed");
  return true;
}

void abandon(Birth& birth) noexcept {
  const int error = errno;
  if (birth.map.base != nullptr) munmap(birth.map.base, birth.map.size);
  if (birth.temporary[0] != 0) unlinkat(birth.directory, birth.temporary, 0);
  if (birth.fd >= 0) close(birth.fd);
  birth.map = SegmentMap{};
  birth.fd = -1;
  errno = error;
}

}  // namespace tailrace::shm
