// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/resource.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <fstream>

#include "agent/decode/owned.hpp"
#include "shm/reader/utf8.hpp"

namespace tailrace::agent {
namespace {

constexpr std::size_t kFileBytesMax = 64 * 1024;
constexpr std::uint32_t kResourceBytesMax = 64 * 1024;  // it is repeated with every batch
constexpr std::size_t kContainerIdDigits = 64;
constexpr std::string_view kSdkName = "tailrace";
constexpr std::string_view kSdkLanguage = "cpp";

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  if (!file) return text;
  text.resize(kFileBytesMax);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

// The first line, without its end, as valid UTF-8.
std::string first_line(const std::string& text) {
  std::string scratch;
  return std::string(shm::repair_utf8(std::string_view(text).substr(0, text.find('\n')), scratch));
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

template <class T>
T number_at(std::string_view text) {
  T value{};
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Field 22 of /proc/PID/stat. The name in field 2 may hold spaces and brackets, so counting starts behind
// its last bracket, where field 3 follows.
std::uint64_t start_ticks_of(std::string_view stat) {
  const std::size_t bracket = stat.rfind(')');
  if (bracket == stat.npos) return 0;
  stat.remove_prefix(bracket + 1);
  for (int field = 2; field < 21; ++field) {
    const std::size_t space = stat.find(' ', 1);
    if (space == stat.npos) return 0;
    stat.remove_prefix(space);
  }
  return number_at<std::uint64_t>(stat);
}

std::string iso_8601(std::uint64_t boot_s, std::uint64_t ticks) {
  const auto rate = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const auto seconds = static_cast<std::time_t>(boot_s + ticks / rate);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, ticks % rate * 1000 / rate);
}

std::string owner_of(uid_t uid, const std::string& root) {
  std::FILE* file = std::fopen((root + "/etc/passwd").c_str(), "re");
  if (file == nullptr) return std::to_string(uid);
  std::string name;
  char buffer[4096];
  passwd entry{};
  passwd* found = nullptr;
  while (::fgetpwent_r(file, &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) {
    if (entry.pw_uid != uid) continue;
    name = entry.pw_name;
    break;
  }
  std::fclose(file);
  return name.empty() ? std::to_string(uid) : name;
}

// OpenTelemetry's names of architectures.
std::string arch_of(std::string_view machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  if (machine.starts_with("arm")) return "arm32";
  if (machine == "ppc64le" || machine == "ppc64") return "ppc64";
  if (machine.size() == 4 && machine.front() == 'i' && machine.ends_with("86")) return "x86";
  return std::string(machine);
}

std::string uuid_text(const Uuid& uuid) {
  std::string text;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid[i]);
  }
  return text;
}

// What only the agent may say.
bool is_reserved(std::string_view key) {
  return key == "process.pid" || key == "process.owner" || key == "process.uid" || key == "process.user.id" ||
         key == "container.id" || key == "os.type" || key.starts_with("host.");
}

}  // namespace

std::string container_id_of(std::string_view cgroup_file) {
  std::string id;
  std::size_t run = 0;
  for (std::size_t i = 0; i <= cgroup_file.size(); ++i) {
    const char c = i < cgroup_file.size() ? cgroup_file[i] : '\n';
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (hex) {
      ++run;
      continue;
    }
    // The last one counts: a pod's path names its container last.
    if (run == kContainerIdDigits) id = std::string(cgroup_file.substr(i - run, run));
    run = 0;
  }
  return id;
}

HostFacts HostFacts::read(const std::string& root) {
  HostFacts facts;
  utsname system{};
  if (::uname(&system) == 0) {
    facts.name = first_line(system.nodename);
    facts.arch = arch_of(system.machine);
  }
  const bool contained = exists(root + "/.dockerenv") || exists(root + "/run/.containerenv") ||
                         !container_id_of(read_file(root + "/proc/1/cgroup")).empty();
  if (contained) return facts;
  facts.id = first_line(read_file(root + "/etc/machine-id"));
  if (facts.id.empty()) facts.id = first_line(read_file(root + "/var/lib/dbus/machine-id"));
  return facts;
}

ProcessFacts ProcessFacts::read(pid_t pid, uid_t uid, const std::string& root) {
  ProcessFacts facts;
  facts.owner = owner_of(uid, root);
  if (pid <= 0) return facts;
  const std::string folder = root + "/proc/" + std::to_string(pid);
  facts.start_ticks = start_ticks_of(read_file(folder + "/stat"));
  if (facts.start_ticks == 0) return facts;
  facts.pid = pid;
  facts.executable = first_line(read_file(folder + "/comm"));
  facts.container_id = container_id_of(read_file(folder + "/cgroup"));
  const std::string kernel = read_file(root + "/proc/stat");
  const std::size_t boot = kernel.find("btime ");
  if (boot != kernel.npos) {
    const auto boot_s = number_at<std::uint64_t>(std::string_view(kernel).substr(boot + 6));
    facts.creation_time = iso_8601(boot_s, facts.start_ticks);
  }
  return facts;
}

struct ProcessResource::State {
  Owned owned;
  std::vector<otlp::KeyValue> attributes;
  otlp::ResourceView view;
  std::string_view service;
  std::string_view instance;

  [[nodiscard]] const otlp::KeyValue* find(std::string_view key) const {
    const auto at = std::find_if(attributes.begin(), attributes.end(),
                                 [key](const otlp::KeyValue& attribute) { return attribute.key == key; });
    return at == attributes.end() ? nullptr : &*at;
  }
  [[nodiscard]] std::string_view text(std::string_view key) const {
    const otlp::KeyValue* attribute = find(key);
    return attribute != nullptr && attribute->value.type == otlp::Value::Type::string ? attribute->value.text()
                                                                                      : std::string_view();
  }
  // Replaces what the application said.
  void set(std::string_view key, const otlp::Value& value) {
    std::erase_if(attributes, [key](const otlp::KeyValue& attribute) { return attribute.key == key; });
    attributes.push_back({owned.text(key), owned.value(value)});
  }
  void set_text(std::string_view key, std::string_view value) {
    if (!value.empty()) set(key, otlp::Value::string(value));
  }
  void set_text_if_absent(std::string_view key, std::string_view value) {
    if (text(key).empty()) set_text(key, value);
  }
};

ProcessResource::ProcessResource(const SegmentDecoder::Blob& app, const Uuid& uuid, const ProcessFacts& process,
                                 const HostFacts& host)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  if (app.sound) {
    for (const otlp::KeyValue& attribute : app.attributes) {
      if (is_reserved(attribute.key)) continue;
      s.attributes.push_back({s.owned.text(attribute.key), s.owned.value(attribute.value)});
    }
    s.view.dropped_attributes = app.dropped_attributes;
    s.view.schema_url = s.owned.text(app.schema_url);
  }
  s.set_text_if_absent("process.executable.name", process.executable);
  const std::string_view executable = s.text("process.executable.name");
  s.set_text_if_absent("service.name", executable.empty() ? std::string("unknown_service")
                                                          : "unknown_service:" + std::string(executable));
  s.set_text_if_absent("service.instance.id", uuid_text(uuid));
  s.set_text_if_absent("telemetry.sdk.name", kSdkName);
  s.set_text_if_absent("telemetry.sdk.language", kSdkLanguage);
  s.set_text_if_absent("telemetry.sdk.version", TAILRACE_VERSION);
  if (process.pid != 0) s.set("process.pid", otlp::Value::of(std::int64_t{process.pid}));
  s.set_text("process.creation.time", process.creation_time);
  s.set_text("process.owner", process.owner);
  s.set_text("container.id", process.container_id);
  s.set_text("host.name", host.name);
  s.set_text("host.arch", host.arch);
  s.set_text("host.id", host.id);
  s.set_text("os.type", "linux");
  s.view.attributes = s.attributes;
  s.service = s.text("service.name");
  s.instance = s.text("service.instance.id");
}

ProcessResource::~ProcessResource() = default;
ProcessResource::ProcessResource(ProcessResource&&) noexcept = default;
ProcessResource& ProcessResource::operator=(ProcessResource&&) noexcept = default;

const otlp::ResourceView& ProcessResource::view() const { return state_->view; }
std::string_view ProcessResource::service() const { return state_->service; }
std::string_view ProcessResource::instance() const { return state_->instance; }

ProcessResource read_resource(AttachedSegment& segment, SegmentDecoder& decoder, const HostFacts& host) {
  ProcessFacts facts = ProcessFacts::read(segment.pid(), segment.uid());
  // Whoever has this pid now is the one we asked about only if the lock was held all the time.
  if (facts.pid != 0 && segment.lock_is_free()) facts = ProcessFacts::read(0, segment.uid());
  const shm::Geometry& geometry = segment.geometry();
  SegmentDecoder::Blob app;
  if (geometry.resource_length <= kResourceBytesMax) {
    app = decoder.decode_blob(decoder.strings().blob_at(geometry.resource_offset, geometry.resource_length));
  }
  return ProcessResource(app, segment.uuid(), facts, host);
}

}  // namespace tailrace::agent
