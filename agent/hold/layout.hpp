// SPDX-License-Identifier: Apache-2.0
//
// The layout of the hold's file: what lies where, and what every word means.
//
//   ┌────────┬─────┬───────────┬───────┬────────────┬───────────────────────────────┐
//   │ header │ log │ processes │ slots │ page words │ pages, 4 KiB each             │
//   └────────┴─────┴───────────┴───────┴────────────┴───────────────────────────────┘
//   header      version, geometry, who runs, heartbeats, commit counter
//   log         one transaction: valid count, checksum, (offset, value) pairs
//   processes   2 KiB each: identity, general words, ledger of three signals
//   slots       64 B each: one chain of pages (a batch, a parked part, lane positions, a baseline)
//   page words  8 B each: whose page it is and which of that chain's; 0 = free
//
// Everything is a native u64, little-endian; zero-filled memory is a valid empty table. There is no
// pointer, lock, list or constructor state: what links the words together is private to the running
// agent and rebuilt by the next one. The drawing with reasons is docs/design/hold.md. Threads,
// ownership: none here, only numbers. Failure: check_geometry() says what does not fit.
#ifndef TAILRACE_AGENT_HOLD_LAYOUT_HPP_
#define TAILRACE_AGENT_HOLD_LAYOUT_HPP_

#include <cstddef>
#include <cstdint>
#include <span>

namespace tailrace::agent::hold_layout {

inline constexpr std::uint64_t kMagic = 0x31646c6f686c7254;  // "Trlhold1" read as little-endian bytes
inline constexpr std::uint64_t kVersion = 1;

inline constexpr std::uint64_t kPageBytes = 4096;
// Pages are committed in groups: few enough system calls, and a quiet agent stays small.
inline constexpr std::uint64_t kGroupPages = 64;
inline constexpr std::uint64_t kMinBytes = 512 * 1024;
inline constexpr std::uint64_t kMaxBytes = std::uint64_t{64} << 30;

// --- header, word indexes
// -------------------------------------------------------------------------
inline constexpr std::uint64_t kHeaderBytes = 4096;
enum HeaderWord : std::uint32_t {
  kHeaderMagic = 0,  // stored last when the file is made
  kHeaderVersion = 1,
  kHeaderFileBytes = 2,  // the rest of the geometry follows from it, and is repeated to be checked
  kHeaderLogEntries = 3,
  kHeaderProcessCount = 4,
  kHeaderSlotCount = 5,
  kHeaderPageCount = 6,
  kHeaderPagesOffset = 7,
  kHeaderCommits = 8,      // transactions applied; moves before the log is cleared
  kHeaderProcessHigh = 9,  // no process at or beyond this index is in use
  kHeaderSlotHigh = 10,    // no slot at or beyond this index is in use
  kHeaderAgentPid = 11,
  kHeaderAgentEpoch = 12,    // random, once a start
  kHeaderAgentStarted = 13,  // realtime, ns
  kHeaderStarts = 14,        // how often this file was opened by an agent
  kHeaderVersionText = 16,   // 32 bytes
  kHeaderThreads = 64,       // kThreadMax × kThreadWords
};
inline constexpr std::uint32_t kVersionTextBytes = 32;
inline constexpr std::uint32_t kThreadMax = 32;
enum ThreadWord : std::uint32_t { kThreadName = 0, kThreadBeat = 2, kThreadWords = 4 };
inline constexpr std::uint32_t kThreadNameBytes = 16;
static_assert((kHeaderThreads + kThreadMax * kThreadWords) * 8 <= kHeaderBytes);

// --- log
// -------------------------------------------------------------------------------------------
enum LogWord : std::uint32_t { kLogCount = 0, kLogChecksum = 1, kLogEntries = 2 };  // entries: offset, value

// --- process
// ---------------------------------------------------------------------------------------
inline constexpr std::uint32_t kProcessWords = 256;
inline constexpr std::uint64_t kProcessBytes = kProcessWords * 8;
enum ProcessOffset : std::uint32_t {
  kProcessState = 0,   // ProcessState
  kProcessUuid = 1,    // two words
  kProcessPidUid = 3,  // pid | uid << 32
  kProcessStartTicks = 4,
  kProcessAdded = 5,      // realtime, ns
  kProcessPositions = 6,  // slot + 1 of the chain of lane positions | lanes << 32
  kProcessBaseline = 7,   // slot + 1 of the metric baseline, 0 = none, kBaselineLost | times lost << 32
  kProcessDrain = 8,      // attempt word: see pack_drain
  kProcessDrainPosition = 9,
  kProcessGeneral = 16,  // kProcessWordCount words, agent/hold/hold.hpp names them
  kProcessService = 32,  // 128 bytes
  kProcessSegment = 48,  // 48 bytes
  kProcessLedger = 64,   // 3 × kLedgerWords
};
inline constexpr std::uint32_t kProcessWordCount = 16;
inline constexpr std::uint32_t kServiceBytes = 128;
inline constexpr std::uint32_t kSegmentBytes = 48;
enum ProcessState : std::uint64_t { kProcessFree = 0, kProcessLive = 1, kProcessGone = 2 };

inline constexpr std::uint32_t kLedgerSignals = 3;
inline constexpr std::uint32_t kSlotPriorities = 4;
inline constexpr std::uint32_t kLedgerWords = 64;
inline constexpr std::uint32_t kDropReasonMax = 24;
inline constexpr std::uint32_t kGrpcCodes = 17;
enum LedgerWord : std::uint32_t {
  kLedgerWritten = 0,   // the shim's own count, absolute
  kLedgerProduced = 1,  // what the agent made itself: metric points, unfinished spans
  kLedgerSeen = 2,      // taken by the agent
  kLedgerDelivered = 3,
  kLedgerRejected = 4,
  kLedgerDropped = 8,                                 // kDropReasonMax words
  kLedgerGrpcCode = kLedgerDropped + kDropReasonMax,  // kGrpcCodes words: what refused for good said
};
inline constexpr std::uint32_t kDropGroups = 5;
// Of these, critical records alone, so that a flush of them can be answered: delivered, rejected,
// dropped by group.
inline constexpr std::uint32_t kLedgerCritical = kLedgerGrpcCode + kGrpcCodes;
enum CriticalWord : std::uint32_t {
  kCriticalDelivered = 0,
  kCriticalRejected = 1,
  kCriticalDropped = 2,  // kDropGroups words
  kCriticalWords = kCriticalDropped + kDropGroups,
};
static_assert(kLedgerCritical + kCriticalWords <= kLedgerWords);
static_assert(kProcessLedger + kLedgerSignals * kLedgerWords == kProcessWords);
static_assert(kProcessGeneral + kProcessWordCount <= kProcessService);
static_assert(kProcessService * 8 + kServiceBytes <= kProcessSegment * 8);
static_assert(kProcessSegment * 8 + kSegmentBytes <= kProcessLedger * 8);

inline constexpr std::uint32_t kBaselineLost = ~std::uint32_t{0};

// The attempt word: bit 63 a pass is being decoded, bit 62 one record at a time, 32…47 lane, 0…15
// deaths.
inline constexpr std::uint64_t kDrainActive = std::uint64_t{1} << 63;
inline constexpr std::uint64_t kDrainCareful = std::uint64_t{1} << 62;

// --- slot
// ------------------------------------------------------------------------------------------
inline constexpr std::uint32_t kSlotWords = 8;
inline constexpr std::uint64_t kSlotBytes = kSlotWords * 8;
enum SlotOffset : std::uint32_t {
  kSlotState = 0,     // bytes 0…31 | records << 32 (28 bits) | state << 60
  kSlotOwner = 1,     // process | kind << 32 | signal << 40 | priority << 48
  kSlotRoute = 2,     // the key's route; a parked chain's span key
  kSlotNote = 3,      // the owner's word, given when the chain was opened; of a baseline its checksum
  kSlotOpened = 4,    // realtime, ns
  kSlotAttempts = 5,  // advisory
  kSlotDue = 6,       // advisory; realtime, ns
};
enum SlotState : std::uint64_t { kSlotFree = 0, kSlotOpen = 1, kSlotClosed = 2, kSlotHeld = 3 };
enum ChainKind : std::uint64_t { kKindBatch = 1, kKindParked = 2, kKindPositions = 3, kKindBaseline = 4 };
inline constexpr std::uint32_t kSlotRecordsMax = (1u << 28) - 1;

constexpr std::uint64_t pack_slot_state(std::uint64_t state, std::uint64_t records, std::uint64_t bytes) {
  return state << 60 | records << 32 | bytes;
}
constexpr std::uint64_t slot_state(std::uint64_t word) { return word >> 60; }
constexpr std::uint32_t slot_records(std::uint64_t word) {
  return static_cast<std::uint32_t>(word >> 32) & kSlotRecordsMax;
}
constexpr std::uint32_t slot_bytes(std::uint64_t word) { return static_cast<std::uint32_t>(word); }

constexpr std::uint64_t pack_slot_owner(std::uint32_t process, std::uint64_t kind, std::uint64_t signal,
                                        std::uint64_t priority) {
  return process | kind << 32 | signal << 40 | priority << 48;
}
constexpr std::uint32_t owner_process(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
constexpr std::uint32_t owner_kind(std::uint64_t word) { return word >> 32 & 0xff; }
constexpr std::uint32_t owner_signal(std::uint64_t word) { return word >> 40 & 0xff; }
constexpr std::uint32_t owner_priority(std::uint64_t word) { return word >> 48 & 0xff; }

// --- page word
// -------------------------------------------------------------------------------------
constexpr std::uint64_t pack_page(std::uint32_t slot, std::uint32_t index) {
  return (std::uint64_t{slot} + 1) | std::uint64_t{index} << 32;
}
constexpr std::uint32_t page_slot(std::uint64_t word) { return static_cast<std::uint32_t>(word) - 1; }
constexpr std::uint32_t page_index(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }
constexpr std::uint64_t pages_of(std::uint64_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes; }

inline constexpr std::uint32_t kLaneMax = 1024;
inline constexpr std::uint32_t kLanesPerPage = kPageBytes / 8;

// --- geometry
// -------------------------------------------------------------------------------------- Follows
// from the file's size alone, so that a header can be checked against the program's own idea.
struct Geometry {
  std::uint64_t file_bytes = 0;
  std::uint64_t log_entries = 0;
  std::uint64_t process_count = 0;
  std::uint64_t slot_count = 0;  // as many as pages: a chain has at least one, so slots never run out first
  std::uint64_t page_count = 0;

  std::uint64_t log_offset = 0;
  std::uint64_t processes_offset = 0;
  std::uint64_t slots_offset = 0;
  std::uint64_t page_words_offset = 0;
  std::uint64_t pages_offset = 0;  // also the size of header and tables together

  [[nodiscard]] std::uint64_t process(std::uint64_t index) const { return processes_offset + index * kProcessBytes; }
  [[nodiscard]] std::uint64_t slot(std::uint64_t index) const { return slots_offset + index * kSlotBytes; }
  [[nodiscard]] std::uint64_t page_word(std::uint64_t index) const { return page_words_offset + index * 8; }
  [[nodiscard]] std::uint64_t page(std::uint64_t index) const { return pages_offset + index * kPageBytes; }
};

// Rounded down to whole pages; file_bytes must be kMinBytes…kMaxBytes.
Geometry geometry_of(std::uint64_t file_bytes);

// nullptr if the header's words say exactly `geometry` in this version, else what does not fit.
const char* check_geometry(const std::uint64_t* header_words, const Geometry& geometry);

// Over count and pairs. Not cryptographic: it tells a log that was written whole from anything
// else.
std::uint64_t log_checksum(std::uint64_t count, const std::uint64_t* entries);

// Of a baseline's bytes, page by page: all but the last part must be whole words. Starts with 0.
std::uint64_t add_to_checksum(std::uint64_t sum, std::span<const std::byte> bytes);

}  // namespace tailrace::agent::hold_layout

#endif  // TAILRACE_AGENT_HOLD_LAYOUT_HPP_
