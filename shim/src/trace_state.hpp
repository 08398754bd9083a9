// SPDX-License-Identifier: Apache-2.0
// The text of a tracestate: its grammar, the own member, and the table in which texts live while contexts
// name them by a handle.
//
// Threads: the text functions work on memory of the caller; the table is for everybody, without a lock, in
// signal handlers too. Ownership: a handle is weak. What lasts (a span, an Activate) pins it; an unpinned
// text stays until its place is needed, and a handle of a place that was given away is found out by its
// generation, so that it names nothing rather than something else.
// Failure: what breaks the grammar is no tracestate; what does not fit is left out entry by entry; a table
// whose places are all pinned drops the text, and counts it as cut.
// Source: W3C Trace Context level 2, 3.3; OpenTelemetry "TraceState handling", "Probability sampling".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tailrace::shim {

inline constexpr std::size_t kTraceStateBytes = 512;  // the least that has to be carried on, and what is
inline constexpr unsigned kTraceStateMembers = 32;

// Members as they are sent: `key=value`, joined by commas, without optional white space.
struct TraceStateText {
  std::uint32_t size = 0;
  char bytes[kTraceStateBytes];
  std::string_view view() const noexcept { return {bytes, size}; }
  bool empty() const noexcept { return size == 0; }
};

// Reads the headers of one tracestate, one after the other. Nothing of a header is referred to afterwards.
class TraceStateParser {
 public:
  // False: the grammar is broken, a key is there twice or there are more than 32: all of it is void.
  bool add(std::string_view header) noexcept;
  // What is carried on. Too long, it loses whole entries: those over 128 characters first, then from the right.
  void finish(TraceStateText& out) const noexcept;
  bool good() const noexcept { return good_; }
  bool shortened() const noexcept;

 private:
  bool member(std::string_view text) noexcept;

  struct Entry {
    std::uint16_t at, size;
    bool stored, large;
  };
  char bytes_[2 * kTraceStateBytes];  // small entries and large ones: at most so many of each can be kept
  Entry entries_[kTraceStateMembers];
  std::uint64_t keys_[kTraceStateMembers];  // hashes
  std::size_t used_ = 0;
  std::size_t seen_ = 0;        // characters
  std::size_t stored_[2] = {};  // characters of small and of large entries, commas included
  bool closed_[2] = {};         // one of them was too much
  unsigned count_ = 0;
  bool good_ = true;
};

// The member `ot`: 56-bit rejection threshold and explicit randomness.
struct OwnMember {
  bool has_threshold = false;
  bool has_randomness = false;
  std::uint64_t threshold = 0;
  std::uint64_t randomness = 0;
};
OwnMember own_member(std::string_view trace_state) noexcept;

// Rewrites the own member with this threshold, or without one where null, and moves it first; all others keep
// their order. False: nothing changes.
bool set_threshold(TraceStateText& text, const std::uint64_t* threshold) noexcept;

// A handle: generation << 12 | place. 0: no tracestate.
std::uint32_t keep_trace_state(std::string_view text) noexcept;
bool read_trace_state(std::uint32_t handle, TraceStateText& out) noexcept;  // false: none, or gone
// In a context's entry and a span's handle there is room for 24 bits of a pinned handle.
std::uint32_t pin_trace_state(std::uint32_t handle) noexcept;  // those bits; 0: none, or gone
void unpin_trace_state(std::uint32_t pinned) noexcept;
std::uint32_t pinned_handle(std::uint32_t pinned) noexcept;
void trace_states_after_fork() noexcept;  // in the child: whatever the parent pinned is not pinned here

}  // namespace tailrace::shim
