// SPDX-License-Identifier: Apache-2.0
// What another process may send: lines of which the first character says the header (p traceparent, s tracestate,
// b baggage). What must hold whatever they are: nothing outside of them is read, what is sent on is within its
// bounds and read the same again, the own member is changed and no other, and a baggage stays one through every
// change.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <tailrace/tailrace.hpp>

#include "shim/src/trace_state.hpp"

namespace {

using namespace tailrace;
using Headers = std::vector<std::pair<std::string, std::string>>;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "propagation_fuzzer: %s\n", what);
  std::abort();
}

// Heap blocks of exact size, so that AddressSanitizer sees every byte too far.
struct Block {
  explicit Block(std::string_view text) : bytes(text.begin(), text.end()) {}
  std::string_view view() const { return {bytes.data(), bytes.size()}; }
  std::vector<char> bytes;
};
struct Lines {
  std::vector<std::pair<char, Block>> all;
};

auto carrier_of(const Lines& lines) {
  return carrier([&lines](std::string_view name, const auto& visit) {
    const char wanted = name == "traceparent" ? 'p' : name == "tracestate" ? 's' : 'b';
    for (const auto& [kind, block] : lines.all) {
      if (kind == wanted) visit(block.view());
    }
  });
}

std::vector<std::string_view> members_of(std::string_view text) {
  std::vector<std::string_view> members;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    members.push_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return members;
}
std::vector<std::string_view> others_of(std::string_view text) {
  std::vector<std::string_view> members = members_of(text);
  for (std::size_t i = members.size(); i-- > 0;) {
    if (members[i].substr(0, 3) == "ot=") members.erase(members.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return members;
}

std::string again(std::string_view text) {
  const Block block(text);
  shim::TraceStateParser parser;
  require(parser.add(block.view()), "a tracestate that is sent on is none");
  shim::TraceStateText out;
  parser.finish(out);
  return std::string(out.view());
}

void check_state(std::string_view text, std::uint64_t threshold) {
  require(text.size() <= shim::kTraceStateBytes, "a tracestate is too long");
  require(members_of(text).size() <= shim::kTraceStateMembers, "a tracestate has too many members");
  require(again(text) == text, "a tracestate is not read as it was sent");
  shim::TraceStateText changed;
  text.copy(changed.bytes, text.size());
  changed.size = static_cast<std::uint32_t>(text.size());
  shim::set_threshold(changed, &threshold);
  require(again(changed.view()) == changed.view(), "a changed tracestate is not read as it was sent");
  const std::vector<std::string_view> before = others_of(text), after = others_of(changed.view());
  std::size_t at = 0;
  for (const std::string_view member : after) {
    while (at < before.size() && before[at] != member) ++at;
    require(at++ < before.size(), "another member was changed or moved");
  }
  const shim::OwnMember own = shim::own_member(changed.view());
  // Rules for what is too long may take the own member too, if it is a long one.
  const bool kept = after.size() != members_of(changed.view()).size();
  require(!kept || (own.has_threshold && own.threshold == threshold), "the threshold is not what was set");
  shim::set_threshold(changed, nullptr);
  require(!shim::own_member(changed.view()).has_threshold, "the threshold was not erased");
}

void check_baggage(const Baggage& baggage, const Lines& lines) {
  require(baggage.header().size() <= Baggage::kBytes && baggage.size() <= Baggage::kMembers, "a baggage is too large");
  require(members_of(baggage.header()).size() == baggage.size(), "a baggage has lost count");
  const Block block(baggage.header());
  Baggage same;
  require(same.add(block.view()) && same.header() == baggage.header(), "a baggage is not read as it was sent");
  Baggage changing = baggage;
  int changes = 0;
  for (const auto& [kind, line] : lines.all) {
    if (++changes > 8) break;  // each one reads all of it again
    const std::string_view text = line.view();
    const std::size_t middle = text.size() / 2;
    const std::string_view key = text.substr(0, middle), value = text.substr(middle);
    if (changing.set(key, value)) {
      std::vector<char> room(value.size() * 3 + 1);
      const std::string_view back = changing.get(key, room.data(), room.size());
      require(back == value || back.find("\xef\xbf\xbd") != std::string_view::npos, "a value is not what was set");
    }
    if (kind == 'r') changing.remove(key);
    const Block now(changing.header());
    Baggage read;
    require(read.add(now.view()) && read.header() == changing.header(), "a changed baggage is not read as it was sent");
  }
  for (const std::string_view member : members_of(baggage.header())) {
    const std::string_view key = member.substr(0, member.find('='));
    std::vector<char> room(member.size() / 2);
    require(baggage.has(key) && baggage.get(key, room.data(), room.size()).size() <= room.size(),
            "a member is not found");
    require(changing.remove(key) || !changing.has(key), "a member cannot be removed");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Lines lines;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  for (std::size_t at = 0; at < size;) {
    const std::size_t end = all.find('\n', at);
    const std::string_view line = all.substr(at, end == std::string_view::npos ? end : end - at);
    if (!line.empty()) lines.all.emplace_back(line[0], Block(line.substr(1)));
    at = end == std::string_view::npos ? size : end + 1;
  }
  Baggage baggage;
  const Context context = extract(carrier_of(lines), &baggage);
  const TraceState state(context);
  require(context.valid() || state.empty(), "a tracestate without a context");
  std::uint64_t threshold = size;
  for (int i = 0; i < 7; ++i) threshold = threshold << 8 ^ threshold * 31 ^ (size > 7 ? data[i] : 0u);
  check_state(state.text(), threshold & ((1ull << 56) - 1));
  check_baggage(baggage, lines);

  Headers sent;
  inject(sent, context, baggage);
  Baggage baggage_again;
  const Context context_again = extract(sent, &baggage_again);
  Headers sent_again;
  inject(sent_again, context_again, baggage_again);
  require(sent == sent_again, "what was sent is not sent on as it is");
  return 0;
}
