// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/process_sample.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace tailrace::agent {
namespace {

constexpr std::size_t kFileBytesMax = 8192;  // `status` has a line of all groups
using FileBytes = std::array<char, kFileBytesMax>;

std::string_view read_file(const std::string& path, FileBytes& bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return {};
  const ssize_t got = ::read(fd, bytes.data(), bytes.size());
  ::close(fd);
  return got > 0 ? std::string_view(bytes.data(), static_cast<std::size_t>(got)) : std::string_view();
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Fields of /proc/PID/stat by their number there. The name in field 2 may hold spaces and brackets, so
// counting starts behind its last bracket.
constexpr std::size_t kFirstField = 3;
constexpr std::size_t kLastField = 24;
using Fields = std::array<std::string_view, kLastField + 1>;

bool split(std::string_view stat, Fields& fields) {
  const std::size_t bracket = stat.rfind(')');
  if (bracket == stat.npos || bracket + 2 > stat.size()) return false;
  stat.remove_prefix(bracket + 2);
  for (std::size_t field = kFirstField; field <= kLastField; ++field) {
    const std::size_t end = stat.find_first_of(" \n");
    if (end == stat.npos || end == 0) return false;
    fields[field] = stat.substr(0, end);
    stat.remove_prefix(end + 1);
  }
  return true;
}

bool take_stat(std::string_view stat, ProcessSample& sample) {
  Fields fields;
  if (!split(stat, fields)) return false;
  const char state = fields[3].front();
  if (state == 'Z' || state == 'X' || state == 'x') return false;
  const auto minor = number(fields[10]);
  const auto major = number(fields[12]);
  const auto user = number(fields[14]);
  const auto system = number(fields[15]);
  const auto threads = number(fields[20]);
  const auto start = number(fields[22]);
  const auto size = number(fields[23]);
  const auto pages = number(fields[24]);
  if (!minor || !major || !user || !system || !threads || !start || !size || !pages) return false;
  static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  sample.minor_faults = *minor;
  sample.major_faults = *major;
  sample.user_ticks = *user;
  sample.system_ticks = *system;
  sample.threads = *threads;
  sample.start_ticks = *start;
  sample.virtual_bytes = *size;
  sample.resident_bytes = *pages * page_bytes;
  return true;
}

// The number in the line "name:\t12"; lines begin with their names.
std::optional<std::uint64_t> line_of(std::string_view status, std::string_view name) {
  while (!status.empty()) {
    const std::size_t end = status.find('\n');
    if (end == status.npos) break;  // cut short
    std::string_view line = status.substr(0, end);
    if (line.starts_with(name)) {
      line.remove_prefix(name.size());
      line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
      return number(line);
    }
    status.remove_prefix(end + 1);
  }
  return std::nullopt;
}

// Linux 6.2 and later say it as the folder's size, whoever asks; walking through it may take long.
std::optional<std::uint64_t> descriptors_of(const std::string& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0 || info.st_size <= 0) return std::nullopt;
  return static_cast<std::uint64_t>(info.st_size);
}

}  // namespace

std::optional<ProcessSample> read_process_sample(pid_t pid, const std::string& root) {
  if (pid <= 0) return std::nullopt;
  const std::string folder = root + "/proc/" + std::to_string(pid);
  FileBytes bytes;
  ProcessSample sample;
  if (!take_stat(read_file(folder + "/stat", bytes), sample)) return std::nullopt;
  const std::string_view status = read_file(folder + "/status", bytes);
  sample.voluntary_switches = line_of(status, "voluntary_ctxt_switches:");
  sample.involuntary_switches = line_of(status, "nonvoluntary_ctxt_switches:");
  sample.descriptors = descriptors_of(folder + "/fd");
  return sample;
}

std::uint64_t ticks_per_second() {
  static const auto rate = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return rate;
}

std::uint64_t age_ns_of(std::uint64_t start_ticks) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const std::uint64_t up = static_cast<std::uint64_t>(now.tv_sec) * kSecond + static_cast<std::uint64_t>(now.tv_nsec);
  const std::uint64_t rate = ticks_per_second();
  const std::uint64_t start = start_ticks / rate * kSecond + start_ticks % rate * (kSecond / rate);
  return up > start ? up - start : 0;
}

}  // namespace tailrace::agent
