// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <new>

#include "lazy_table.hpp"
#include "propagation.hpp"
#include "runtime.hpp"
#include "trace_state.hpp"

namespace tailrace::shim {
namespace {

constexpr std::uint32_t kPlaces = 1024;
constexpr std::uint64_t kContextMark = 1ull << 63;  // tells these from the tops of a thread's stack

struct Active {
  std::uint32_t outer;   // 1 + place of what this one hides
  std::uint32_t dead;    // ended before what it is hidden by
  std::uint32_t serial;  // of this use; never 0
  std::uint32_t pinned;  // the context's tracestate
  Context context;
  Baggage baggage;  // only its used bytes are ever touched
};
struct Table {
  std::atomic<std::uint64_t> taken[kPlaces / 64];
  std::atomic<std::uint32_t> serial;
  Active places[kPlaces];
};

std::atomic<Table*> the_table;

// 1 + place of the innermost of each kind; 0: none.
__thread std::uint32_t innermost_context __attribute__((tls_model("initial-exec")));
__thread std::uint32_t innermost_baggage __attribute__((tls_model("initial-exec")));

Table* table() noexcept { return lazy_table(the_table); }

Active* take(std::uint32_t& index) noexcept {
  Table* t = table();
  for (std::uint32_t word = 0; t != nullptr && word < kPlaces / 64; ++word) {
    std::uint64_t taken = t->taken[word].load(std::memory_order_relaxed);
    while (taken != ~std::uint64_t{0}) {
      const auto bit = static_cast<std::uint32_t>(__builtin_ctzll(~taken));
      if (!t->taken[word].compare_exchange_weak(taken, taken | std::uint64_t{1} << bit, std::memory_order_acquire))
        continue;
      index = word * 64 + bit;
      Active& place = t->places[index];
      place.dead = 0;
      place.pinned = 0;
      do {
        place.serial = t->serial.fetch_add(1, std::memory_order_relaxed) + 1;
      } while (place.serial == 0);
      return &place;
    }
  }
  count_cut(tailrace_thread);
  return nullptr;
}

void give_back(Table& t, std::uint32_t index) noexcept {
  unpin_trace_state(t.places[index].pinned);
  t.places[index].serial = 0;
  t.taken[index / 64].fetch_and(~(std::uint64_t{1} << (index % 64)), std::memory_order_release);
}

// What is hidden by something that ends later is given back with that.
void leave(std::uint32_t& innermost, std::uint32_t place, std::uint32_t serial) noexcept {
  Table* t = the_table.load(std::memory_order_acquire);
  if (t == nullptr || place >= kPlaces || t->places[place].serial != serial) return;
  // Another thread's: its place stays taken until that thread leaves what lies outside of it.
  t->places[place].dead = 1;
  for (std::uint32_t left = kPlaces; innermost != 0 && left > 0 && t->places[innermost - 1].dead != 0; --left) {
    const std::uint32_t ended = innermost - 1;
    innermost = t->places[ended].outer;
    give_back(*t, ended);
  }
}

void keep_chain(Table& t, std::uint32_t innermost, std::uint64_t (&kept)[kPlaces / 64]) noexcept {
  for (std::uint32_t left = kPlaces; innermost != 0 && left > 0; --left) {
    const std::uint32_t index = innermost - 1;
    kept[index / 64] |= std::uint64_t{1} << (index % 64);
    Active& place = t.places[index];
    if (place.pinned != 0) place.pinned = pin_trace_state(pinned_handle(place.pinned));
    innermost = place.outer;
  }
}

}  // namespace

std::uint64_t activate_context(const Context& context) noexcept {
  std::uint32_t index = 0;
  Active* place = take(index);
  if (place == nullptr) return 0;
  place->context = context;
  place->pinned = pin_trace_state(context.trace_state);
  place->outer = innermost_context;
  innermost_context = index + 1;
  return kContextMark | std::uint64_t{place->serial} << 16 | index;
}

bool active_context(Context& out) noexcept {
  if (innermost_context == 0) return false;
  out = the_table.load(std::memory_order_acquire)->places[innermost_context - 1].context;
  return out.valid();
}

bool deactivate_context(std::uint64_t activation) noexcept {
  if ((activation & kContextMark) == 0) return false;
  leave(innermost_context, static_cast<std::uint32_t>(activation & 0xffff),
        static_cast<std::uint32_t>(activation >> 16));
  return true;
}

const Baggage* active_baggage() noexcept {
  if (innermost_baggage == 0) return nullptr;
  return &the_table.load(std::memory_order_acquire)->places[innermost_baggage - 1].baggage;
}

void activations_after_fork() noexcept {
  Table* t = the_table.load(std::memory_order_relaxed);
  if (t == nullptr) return;
  std::uint64_t kept[kPlaces / 64] = {};
  keep_chain(*t, innermost_context, kept);
  keep_chain(*t, innermost_baggage, kept);
  for (std::uint32_t word = 0; word < kPlaces / 64; ++word) t->taken[word].store(kept[word], std::memory_order_relaxed);
}

}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" std::uint64_t tailrace_baggage_activate(const Baggage* baggage) noexcept {
  std::uint32_t index = 0;
  Active* place = take(index);
  if (place == nullptr) return 0;
  new (&place->baggage) Baggage(*baggage);
  place->outer = innermost_baggage;
  innermost_baggage = index + 1;
  return std::uint64_t{place->serial} << 16 | index;
}

extern "C" void tailrace_baggage_deactivate(std::uint64_t activation) noexcept {
  leave(innermost_baggage, static_cast<std::uint32_t>(activation & 0xffff),
        static_cast<std::uint32_t>(activation >> 16));
}

extern "C" bool tailrace_baggage_current(Baggage* out) noexcept {
  const Baggage* current = active_baggage();
  if (current == nullptr) return false;
  *out = *current;
  return true;
}
