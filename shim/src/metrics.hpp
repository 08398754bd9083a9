// SPDX-License-Identifier: Apache-2.0
// The registry of metrics: instruments and series, private to the process and inherited by its children.
//
// Like the mirror of the strings it is there before init(); a segment that is born, in the first process or
// in a child, takes over every descriptor at the same index with cells at the same offsets, from zero.
// Registration holds one lock; look-ups take none: tables only grow, an entry is published last.
// Failure: no memory, full tables, a full tmpfs: no series, and calls are counted.
#pragma once

#include <tailrace/detail/metrics.hpp>

#include "runtime.hpp"

namespace tailrace::shim {

using detail::Cell;
using detail::kNoCell;

inline constexpr std::uint32_t kInstrumentsMax = 2048;
inline constexpr std::uint32_t kInstrumentTable = 2 * kInstrumentsMax;
inline constexpr std::uint32_t kSeriesTable = 2 * shm::kMetricDescriptorsMax;
inline constexpr std::uint32_t kTableBytes = 4u << 20;  // bounds, thresholds
inline constexpr std::uint32_t kNone = 0xffffffffu;
inline constexpr std::uint32_t kBlobBytes = 4096;  // of an attribute set

// Beyond what the header knows of it.
struct InstrumentRecord {
  detail::Instrument instrument;  // first: a pointer to one is a pointer to the other
  std::atomic<Cell> overflow;     // kNoCell: none yet
  std::uint32_t name;             // string ids
  std::uint32_t unit;
  std::uint32_t description;
  std::uint32_t bounds;
  std::atomic<std::uint32_t> first_series;  // kNone: no series yet
  std::uint32_t limit;
  std::atomic<std::uint32_t> sets;  // series but for the overflow one
  std::uint32_t complained;
  std::uint32_t overflow_tick;  // observables: when overflow_sum began
  std::uint64_t overflow_sum;
};

enum class CallbackState : std::uint32_t { free = 0, filling = 1, ready = 2, running = 3, dying = 4 };
struct Callback {
  std::atomic<CallbackState> state;
  std::uint32_t generation;  // tells registrations of one place apart
  const detail::Instrument* instrument;
  bool (*run)(void* state, const detail::Instrument* instrument);
  void (*drop)(void* state);
  void* user;
};
inline constexpr std::uint32_t kCallbacksMax = 1024;

struct Registry {
  InstrumentRecord instruments[kInstrumentsMax];
  std::atomic<std::uint32_t> instrument_table[kInstrumentTable];  // 1 + index
  shm::MetricDescriptor series[shm::kMetricDescriptorsMax];
  std::atomic<std::uint32_t> series_table[kSeriesTable];  // 1 + index
  std::uint32_t table_used;
  std::uint64_t lane_words;    // of a lane's cells
  std::uint64_t shared_words;  // of metric_shared
  Callback callbacks[kCallbacksMax];
  std::uint32_t seen[shm::kMetricDescriptorsMax];  // the tick that observed the series last
  alignas(64) unsigned char tables[kTableBytes];
};

// Takes over every series into a segment that is being born. The caller holds g.metrics_lock from here until
// it said that the segment is ready. Without space there are no metrics: calls are counted.
bool lock_metrics() noexcept;
void copy_metrics(Private& p, const shm::SegmentMap& map) noexcept;

// Cells of a lane that is taken, as many as there are series; what is missing stays with the shared lane.
void commit_cells(ThreadBlock& block, unsigned attempts) noexcept;
bool grow_block_cells(ThreadBlock& block, std::uint32_t lane, std::uint64_t words) noexcept;  // under the lock

// The series with these attributes, made now unless the limit says overflow; kNoCell: none to be had.
// `settled`: it will be the same for ever.
Cell resolve(const detail::Instrument* instrument, const Attribute* attributes, std::size_t size,
             bool& settled) noexcept;

// The same by way of the thread's cache. `block` may be null.
Cell look_up(ThreadBlock* block, const detail::Instrument* instrument, const Attribute* attributes,
             std::size_t size) noexcept;

InstrumentRecord& record_of(const detail::Instrument* instrument) noexcept;
Registry* registry() noexcept;  // null: no memory

// The opt-in thread that runs observables.
bool start_ticking(std::uint32_t interval_ms) noexcept;
void forget_ticking() noexcept;  // in a forked child

// Said now, or at the end of init() where nobody knows yet whether anything may be said.
void complain(const char* sentence) noexcept;
void say_complaint() noexcept;

// Bounds and thresholds of a histogram. False: no memory. `why`: what was wrong with the options, and is replaced.
bool fill_buckets(const detail::InstrumentData& data, Registry& registry, detail::Instrument& instrument, char* why,
                  std::size_t room) noexcept;

}  // namespace tailrace::shim
