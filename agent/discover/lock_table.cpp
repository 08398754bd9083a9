// SPDX-License-Identifier: Apache-2.0
#include "agent/discover/lock_table.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "agent/discover/descriptor.hpp"

namespace tailrace::agent {
namespace {

// Takes the next word of the line; empty at its end.
std::string_view take_word(std::string_view& line) {
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

template <class T>
bool take_number(std::string_view text, int base, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

LockTable LockTable::read() {
  std::string text;
  const Descriptor file(::open("/proc/locks", O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return {};
  char block[32 * 1024];
  for (;;) {
    const ssize_t got = ::read(file.get(), block, sizeof block);
    if (got <= 0) break;
    text.append(block, static_cast<std::size_t>(got));
  }
  return parse(text);
}

// 3: FLOCK  ADVISORY  WRITE 4711 00:1a:5678 0 EOF       (waiters have "->" behind the number)
LockTable LockTable::parse(std::string_view text) {
  LockTable table;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    take_word(line);
    if (take_word(line) != "FLOCK") continue;
    take_word(line);
    take_word(line);
    Entry entry{};
    if (!take_number(take_word(line), 10, entry.pid) || entry.pid <= 0) continue;
    const std::string_view file = take_word(line);
    const std::size_t first = file.find(':');
    const std::size_t second = first == file.npos ? file.npos : file.find(':', first + 1);
    if (second == file.npos || !take_number(file.substr(0, first), 16, entry.major) ||
        !take_number(file.substr(first + 1, second - first - 1), 16, entry.minor) ||
        !take_number(file.substr(second + 1), 10, entry.inode)) {
      continue;
    }
    table.entries_.push_back(entry);
  }
  std::stable_sort(table.entries_.begin(), table.entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.inode < b.inode; });
  return table;
}

pid_t LockTable::holder(dev_t device, ino_t inode) const {
  auto at = std::lower_bound(entries_.begin(), entries_.end(), inode,
                             [](const Entry& entry, ino_t wanted) { return entry.inode < wanted; });
  for (; at != entries_.end() && at->inode == inode; ++at) {
    if (at->major == major(device) && at->minor == minor(device)) return at->pid;
  }
  return 0;
}

}  // namespace tailrace::agent
