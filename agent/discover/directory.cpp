// SPDX-License-Identifier: Apache-2.0
#include "agent/discover/directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <span>

#include <tailrace/shm/clock.hpp>

#include "agent/discover/mapped_file.hpp"

namespace tailrace::agent {
namespace {

constexpr long kTmpfsMagic = 0x01021994;
constexpr mode_t kMode = 03733;        // anyone creates, nobody lists, new files get our group
constexpr mode_t kModeClosed = 03730;  // the stricter choice of closed hosts
constexpr mode_t kModePrivate = 0700;  // for one user alone
constexpr std::uint64_t kPostponeNs = 5'000'000'000;
constexpr std::string_view kSuffix = ".seg";
constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr std::size_t kIdDigits = 16;

bool is_hex_id(std::string_view text) {
  return text.size() == kIdDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// .<16 hex>.tmp: what a shim without unnamed files leaves when it is killed before it could rename.
bool is_temporary_name(std::string_view name) {
  return name.size() == 1 + kIdDigits + kTemporarySuffix.size() && name.front() == '.' &&
         name.substr(1 + kIdDigits) == kTemporarySuffix && is_hex_id(name.substr(1, kIdDigits));
}

Error system_error(const std::string& what, const std::string& advice) {
  const int number = errno;
  const ErrorCode code = number == EACCES || number == EPERM ? ErrorCode::kPermissionDenied
                         : number == ENOENT                  ? ErrorCode::kNotFound
                                                             : ErrorCode::kSystem;
  return Error{code, what + ": " + std::strerror(number) + "; " + advice};
}

std::string octal(mode_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

// Opens one path as our directory, making it if it is not there. Nothing is followed, and what is checked
// is the descriptor that is used from then on.
Result<Descriptor> open_one(const std::string& path) {
  const bool made = ::mkdir(path.c_str(), kModePrivate) == 0;
  if (!made && errno != EEXIST) {
    return system_error("directory " + path + " cannot be made",
                        "make it with mode 3733 for the agent's user, or name another with --dir");
  }
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) {
    return system_error("directory " + path, "it must be a directory of the agent's user, no link");
  }
  struct stat self {};
  struct statfs fs {};
  if (::fstat(fd.get(), &self) != 0 || ::fstatfs(fd.get(), &fs) != 0) {
    return system_error("directory " + path, "name another with --dir");
  }
  if (static_cast<long>(fs.f_type) != kTmpfsMagic) {
    if (made) ::rmdir(path.c_str());
    return Error{ErrorCode::kInvalidArgument, "directory " + path +
                                                  " is not on a tmpfs, applications would not use it; " +
                                                  "mount one there or name another with --dir"};
  }
  if (self.st_uid != ::geteuid()) {
    return Error{ErrorCode::kPermissionDenied, "directory " + path + " belongs to uid " + std::to_string(self.st_uid) +
                                                   ", we are uid " + std::to_string(::geteuid()) +
                                                   "; applications trust its owner, remove it or name another"};
  }
  const mode_t mode = self.st_mode & 07777;
  const bool kept = !made && (mode == kModeClosed || mode == kModePrivate);
  if (!kept && mode != kMode && ::fchmod(fd.get(), kMode) != 0) {
    return system_error("directory " + path + " has mode " + octal(mode) + " and cannot get 3733",
                        "change it or name another with --dir");
  }
  return fd;
}

std::vector<std::string> candidates() {
  std::vector<std::string> paths{"/run/tailrace", "/dev/shm/tailrace"};
  const char* runtime = ::secure_getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && runtime[0] == '/') paths.push_back(std::string(runtime) + "/tailrace");
  return paths;
}

// Tells an application of our own major version why it is refused. R1 is found by the region table as it is,
// bounded by the file; the words are the agent's, and a wrong place harms that application alone.
void tell_rejected(int fd, std::span<const std::uint8_t> page, std::uint64_t size, shm::RejectReason reason) {
  for (std::size_t i = 0; i < shm::kRegionsMax; ++i) {
    shm::Region region{};
    const std::size_t at = offsetof(shm::Identity, regions) + i * sizeof region;
    if (at + sizeof region > page.size()) return;
    std::memcpy(&region, page.data() + at, sizeof region);
    if (region.kind != static_cast<std::uint32_t>(shm::RegionKind::control) || region.offset == 0 ||
        region.offset % shm::kRegionAlign != 0 || size < sizeof(shm::Control) ||
        region.offset > size - sizeof(shm::Control)) {
      continue;
    }
    const auto agent = static_cast<off_t>(region.offset + offsetof(shm::Control, agent));
    const auto code = static_cast<std::uint32_t>(reason);
    const auto state = static_cast<std::uint32_t>(shm::AgentState::rejected);
    static_cast<void>(::pwrite(fd, &code, sizeof code, agent + off_t{offsetof(shm::ControlAgent, reason)}));
    static_cast<void>(::pwrite(fd, &state, sizeof state, agent + off_t{offsetof(shm::ControlAgent, agent_state)}));
    return;
  }
}

Status take_directory_lock(int fd, const std::string& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return system_error("directory " + path + " cannot be locked", "try again");
  struct stat self {};
  const pid_t holder = ::fstat(fd, &self) == 0 ? LockTable::read().holder(self.st_dev, self.st_ino) : 0;
  return Error{ErrorCode::kAlreadyExists,
               "directory " + path + " is served by another agent, " +
                   (holder != 0 ? "pid " + std::to_string(holder) : std::string("not visible from here")) +
                   "; stop it or name another directory with --dir"};
}

}  // namespace

bool is_segment_name(std::string_view name) {
  return name.size() == kIdDigits + kSuffix.size() && name.substr(kIdDigits) == kSuffix &&
         is_hex_id(name.substr(0, kIdDigits));
}

struct Directory::State {
  std::shared_ptr<DirectoryHandle> handle;
  DirectoryOptions options;
  Descriptor watch;
  std::map<std::string, std::uint64_t, std::less<>> refused;    // name → inode
  std::map<std::string, std::uint64_t, std::less<>> postponed;  // name → monotonic ns to try again at

  void remove_if_left(const std::string& name) const;
  Error refuse(const std::string& name, std::uint64_t inode, ErrorCode code, const std::string& why);
  Error postpone(const std::string& name, const std::string& why);
  Status count_in(AttachedSegment::State& segment);
  Result<std::unique_ptr<AttachedSegment::State>> open_file(const std::string& name);
};

Directory::Directory(std::unique_ptr<State> state) : state_(std::move(state)) {}
Directory::~Directory() = default;

const std::string& Directory::path() const { return state_->handle->path; }
int Directory::fd() const { return state_->handle->fd.get(); }
int Directory::watch_fd() const { return state_->watch.get(); }
std::size_t Directory::refused() const { return state_->refused.size(); }

Result<std::unique_ptr<Directory>> Directory::open(const DirectoryOptions& options) {
  FaultGuard::install();
  std::vector<std::string> paths = candidates();
  if (!options.path.empty()) paths = {options.path};
  std::string sentences;
  for (const std::string& path : paths) {
    Result<Descriptor> fd = open_one(path);
    if (!fd) {
      if (paths.size() == 1) return std::move(fd).error();
      sentences += (sentences.empty() ? "" : "; ") + fd.error().sentence;
      continue;
    }
    // Another agent in the first usable place is an answer, not a reason to go elsewhere: applications
    // would not follow.
    if (Status locked = take_directory_lock(fd->get(), path); !locked) return std::move(locked).error();
    auto state = std::make_unique<State>();
    state->options = options;
    state->handle = std::make_shared<DirectoryHandle>();
    state->handle->fd = std::move(*fd);
    state->handle->path = path;
    // Without a watch (limits of inotify) the rescan finds everything, later.
    state->watch = Descriptor(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    const std::string self = "/proc/self/fd/" + std::to_string(state->handle->fd.get());
    if (state->watch.valid() &&
        ::inotify_add_watch(state->watch.get(), self.c_str(), IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0) {
      state->watch.reset();
    }
    return std::unique_ptr<Directory>(new Directory(std::move(state)));
  }
  return Error{ErrorCode::kNotFound, "no directory for segments: " + sentences};
}

bool Directory::take_changes() {
  bool worth = false;
  alignas(inotify_event) char events[16 * 1024];
  while (state_->watch.valid()) {
    const ssize_t got = ::read(state_->watch.get(), events, sizeof events);
    if (got <= 0) break;
    for (const char* at = events; at < events + got;) {
      inotify_event event;
      std::memcpy(&event, at, sizeof event);
      const char* name = at + sizeof event;
      worth = worth || (event.mask & IN_Q_OVERFLOW) != 0 || (event.len != 0 && is_segment_name(name));
      at = name + event.len;
    }
  }
  return worth;
}

void Directory::State::remove_if_left(const std::string& name) const {
  const int directory = handle->fd.get();
  struct stat facts {};
  if (::fstatat(directory, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(facts.st_mode)) return;
  const std::uint64_t now_s = shm::realtime_ns() / 1'000'000'000;
  if (static_cast<std::uint64_t>(facts.st_mtime) + options.temporary_age_s > now_s) return;
  const Descriptor file(::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.valid() && ::flock(file.get(), LOCK_SH | LOCK_NB) == 0) ::unlinkat(directory, name.c_str(), 0);
}

std::vector<std::string> Directory::scan() {
  std::vector<std::string> names;
  std::set<std::string, std::less<>> present;
  const std::uint64_t now_ns = shm::monotonic_ns();
  const int copy = ::openat(fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* entries = copy < 0 ? nullptr : ::fdopendir(copy);
  if (entries == nullptr) {
    if (copy >= 0) ::close(copy);
    return names;
  }
  while (const dirent* entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (is_temporary_name(name)) state_->remove_if_left(std::string(name));
    if (!is_segment_name(name)) continue;
    present.emplace(name);
    const auto refusal = state_->refused.find(name);
    if (refusal != state_->refused.end()) {
      if (refusal->second == entry->d_ino) continue;
      state_->refused.erase(refusal);  // another file under the same name
    }
    const auto later = state_->postponed.find(name);
    if (later != state_->postponed.end() && later->second > now_ns) continue;
    if (names.size() < state_->options.segments_max) names.emplace_back(name);
  }
  ::closedir(entries);
  std::erase_if(state_->refused, [&present](const auto& item) { return !present.contains(item.first); });
  std::erase_if(state_->postponed, [&present](const auto& item) { return !present.contains(item.first); });
  std::sort(names.begin(), names.end());
  return names;
}

Error Directory::State::refuse(const std::string& name, std::uint64_t inode, ErrorCode code, const std::string& why) {
  refused[name] = inode;
  return Error{code, "segment " + name + ": " + why};
}

Error Directory::State::postpone(const std::string& name, const std::string& why) {
  postponed[name] = shm::monotonic_ns() + kPostponeNs;
  return Error{ErrorCode::kResourceExhausted, "segment " + name + ": " + why};
}

Status Directory::State::count_in(AttachedSegment::State& segment) {
  const std::lock_guard lock(handle->mutex);
  std::uint32_t& own = handle->segments_by_uid[segment.facts.st_uid];
  if (handle->segments >= options.segments_max || own >= options.segments_per_uid_max) {
    const std::string of_uid = std::to_string(segment.facts.st_uid);
    const std::string sentence = "already " + std::to_string(own) + " segments of uid " + of_uid + " and " +
                                 std::to_string(handle->segments) + " in all; it is tried again later";
    if (own == 0) handle->segments_by_uid.erase(segment.facts.st_uid);
    return postpone(segment.name, sentence);
  }
  ++own;
  ++handle->segments;
  segment.counted = true;
  return {};
}

// Everything up to the mapping: what kind of file it is, and whether its first page makes sense.
Result<std::unique_ptr<AttachedSegment::State>> Directory::State::open_file(const std::string& name) {
  auto segment = std::make_unique<AttachedSegment::State>();
  segment->directory = handle;
  segment->name = name;
  segment->fd = Descriptor(::openat(handle->fd.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!segment->fd.valid()) {
    const int number = errno;
    const std::string why = std::strerror(number);
    if (number == EMFILE || number == ENFILE || number == ENOMEM) {
      return postpone(name, why + "; raise the limit of open files");
    }
    struct stat facts {};
    if (number == ENOENT || ::fstatat(handle->fd.get(), name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
      return Error{ErrorCode::kNotFound, "segment " + name + ": gone before it was opened"};
    }
    if (S_ISLNK(facts.st_mode)) {
      return refuse(name, facts.st_ino, ErrorCode::kPermissionDenied, "a symbolic link; links are not followed");
    }
    return refuse(name, facts.st_ino, ErrorCode::kPermissionDenied,
                  "cannot be opened: " + why + "; is its group the directory's and its mode 0660?");
  }
  struct stat& facts = segment->facts;
  if (::fstat(segment->fd.get(), &facts) != 0) {
    return postpone(name, std::strerror(errno));
  }
  if (!S_ISREG(facts.st_mode)) {
    return refuse(name, facts.st_ino, ErrorCode::kInvalidArgument, "not a regular file");
  }
  if (facts.st_nlink == 0) {
    return Error{ErrorCode::kNotFound, "segment " + name + ": removed while it was opened"};
  }
  if (facts.st_nlink > 1) {
    return refuse(name, facts.st_ino, ErrorCode::kInvalidArgument,
                  std::to_string(facts.st_nlink) + " links; a segment has one name");
  }
  const auto size = static_cast<std::uint64_t>(facts.st_size);
  if (size > options.segment_bytes_max) {
    return refuse(name, facts.st_ino, ErrorCode::kInvalidArgument,
                  "size " + std::to_string(size) + " > " + std::to_string(options.segment_bytes_max));
  }
  std::array<std::uint8_t, shm::kIdentityBytes> page{};
  const ssize_t got = ::pread(segment->fd.get(), page.data(), page.size(), 0);
  if (got < 0) return postpone(name, std::strerror(errno));
  shm::GeometryResult parsed = shm::parse_identity({page.data(), static_cast<std::size_t>(got)}, size);
  if (!parsed.ok()) {
    const bool version =
        parsed.problem == shm::GeometryProblem::abi_major || parsed.problem == shm::GeometryProblem::features;
    if (parsed.problem == shm::GeometryProblem::features) {
      tell_rejected(segment->fd.get(), {page.data(), static_cast<std::size_t>(got)}, size, parsed.reject_reason());
    }
    return refuse(name, facts.st_ino, version ? ErrorCode::kUnsupported : ErrorCode::kCorrupt, parsed.sentence);
  }
  segment->geometry = parsed.geometry;
  return segment;
}

Result<std::unique_ptr<AttachedSegment>> Directory::open_segment(const std::string& name) {
  return open_segment(name, LockTable::read());
}

Result<std::unique_ptr<AttachedSegment>> Directory::open_segment(const std::string& name, const LockTable& locks) {
  if (!is_segment_name(name)) {
    return Error{ErrorCode::kInvalidArgument, "\"" + name + "\" is no segment's name, <16 hex digits>.seg is"};
  }
  Result<std::unique_ptr<AttachedSegment::State>> opened = state_->open_file(name);
  if (!opened) return std::move(opened).error();
  std::unique_ptr<AttachedSegment::State> segment = std::move(*opened);
  if (Status counted = state_->count_in(*segment); !counted) return std::move(counted).error();
  if (Status mapped = segment->map(); !mapped) return state_->postpone(name, mapped.error().sentence);
  segment->pid = locks.holder(segment->facts.st_dev, segment->facts.st_ino);
  state_->postponed.erase(name);
  return std::unique_ptr<AttachedSegment>(new AttachedSegment(std::move(segment)));
}

}  // namespace tailrace::agent
