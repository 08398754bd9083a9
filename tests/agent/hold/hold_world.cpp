// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/hold/hold_world.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <sstream>
#include <thread>

#include "agent/hold/hold.hpp"
#include "agent/hold/pass.hpp"
#include "agent/hold/status.hpp"

namespace tailrace::agent {
namespace {

using namespace hold_layout;

constexpr std::uint64_t kHoldBytes = 512 * 1024;
constexpr std::uint64_t kRecordStep = 8;  // of lane positions
constexpr std::uint32_t kHeadMagic = 0x44414548;
constexpr std::uint32_t kRecordMagic = 0x44524352;
constexpr std::uint32_t kPointMagic = 0x544e4f50;
constexpr std::uint32_t kBaselineMagic = 0x45534142;

// --- the records, which anybody can tell by their place alone

struct Place {
  std::uint32_t process = 0;
  std::uint32_t lane = 0;
  std::uint32_t record = 0;
  auto operator<=>(const Place&) const = default;
};

std::uint64_t hash_of(const World& world, const Place& place, std::uint64_t salt) {
  std::uint64_t hash = world.seed * 0x9e3779b97f4a7c15 + salt;
  for (const std::uint64_t part : {place.process, place.lane, place.record}) {
    hash = (hash ^ part) * 0xff51afd7ed558ccd;
    hash ^= hash >> 31;
  }
  return hash;
}

enum class Fate { batch, parked, part, filtered };
Fate fate_of(const World& world, const Place& place) {
  if (place.lane == kMetricLane) {
    return Fate::batch;
  }
  const std::uint64_t number = hash_of(world, place, 1) % 16;
  return number == 0 ? Fate::filtered : number <= 2 ? Fate::parked : number == 3 ? Fate::part : Fate::batch;
}
bool is_discarded(const World& world, const Place& place) { return hash_of(world, place, 2) % 4 == 0; }
std::uint32_t weight_of(const World& world, const Place& place) { return fate_of(world, place) == Fate::part ? 0 : 1; }
Signal signal_of(const World& world, const Place& place) {
  if (place.lane == kMetricLane) {
    return Signal::metrics;
  }
  const Fate fate = fate_of(world, place);
  return fate == Fate::batch && hash_of(world, place, 3) % 3 == 0 ? Signal::logs : Signal::traces;
}

struct RecordHead {
  std::uint32_t magic;
  std::uint32_t size;
  Place place;
  std::uint32_t until;  // of a point: the unit behind its last one; else 0
};

std::string record_of(const World& world, const Place& place) {
  const std::uint64_t dice = hash_of(world, place, 4);
  const std::uint64_t size = dice % 40 == 0 ? 9000 : dice % 8 == 0 ? 2500 : 40 + dice % 300;
  std::string text(sizeof(RecordHead) + size, static_cast<char>('a' + dice % 26));
  const RecordHead head{kRecordMagic, static_cast<std::uint32_t>(text.size()), place, 0};
  std::memcpy(text.data(), &head, sizeof head);
  return text;
}

// Units [from, until) of a process's counter.
std::string point_of(const World& world, std::uint32_t process, std::uint32_t from, std::uint32_t until) {
  const Place place{process, kMetricLane, from};
  const std::uint64_t dice = hash_of(world, place, 6);
  std::string text(sizeof(RecordHead) + dice % 1500, static_cast<char>('A' + dice % 26));
  const RecordHead head{kPointMagic, static_cast<std::uint32_t>(text.size()), place, until};
  std::memcpy(text.data(), &head, sizeof head);
  return text;
}

struct BaselineHead {
  std::uint32_t magic;
  std::uint32_t process;
  std::uint64_t value;
};
std::string baseline_of(const World& world, std::uint32_t process, std::uint64_t value) {
  const std::uint64_t dice = hash_of(world, {process, kMetricLane, 0}, 7 + value);
  std::string text(sizeof(BaselineHead) + dice % 9000, static_cast<char>('0' + dice % 10));
  const BaselineHead head{kBaselineMagic, process, value};
  std::memcpy(text.data(), &head, sizeof head);
  return text;
}

// The value a baseline says; nullopt if it is not one of that process.
std::optional<std::uint64_t> value_of(const World& world, std::uint32_t process, const std::string& text) {
  BaselineHead head{};
  if (text.size() < sizeof head) {
    return std::nullopt;
  }
  std::memcpy(&head, text.data(), sizeof head);
  if (head.value > kWorldRecords || text != baseline_of(world, process, head.value)) {
    return std::nullopt;
  }
  return head.value;
}

struct BatchHead {
  std::uint32_t magic;
  std::uint32_t size;  // patched when the batch is closed; 0 while it is open
};

// A record, or a unit of a point: the first one counts as the point.
struct Found {
  Place place;
  std::uint32_t weight = 0;
};

// The records of a chain's bytes; nullopt with a reason if they are not what was written.
std::optional<std::vector<Found>> parse(const World& world, const std::string& text, bool has_head, bool closed,
                                        std::string& why) {
  std::vector<Found> places;
  std::size_t at = 0;
  if (has_head) {
    BatchHead head{};
    if (text.size() < sizeof head) {
      why = "shorter than its head";
      return std::nullopt;
    }
    std::memcpy(&head, text.data(), sizeof head);
    if (head.magic != kHeadMagic || (closed && head.size != text.size())) {
      why = "head is " + std::to_string(head.size) + " of " + std::to_string(text.size());
      return std::nullopt;
    }
    at = sizeof head;
  }
  while (at < text.size()) {
    RecordHead head{};
    if (text.size() - at < sizeof head) {
      why = "torn at its end";
      return std::nullopt;
    }
    std::memcpy(&head, text.data() + at, sizeof head);
    const bool point = head.magic == kPointMagic && head.place.lane == kMetricLane && head.place.record < head.until &&
                       head.until <= kWorldRecords;
    if ((!point && (head.magic != kRecordMagic || head.place.lane >= kWorldLanes)) ||
        head.place.process >= kWorldProcesses || head.place.record >= kWorldRecords ||
        text.compare(at, head.size,
                     point ? point_of(world, head.place.process, head.place.record, head.until)
                           : record_of(world, head.place)) != 0) {
      why = "byte " + std::to_string(at) + " is not the record that was written";
      return std::nullopt;
    }
    places.push_back({head.place, point ? 1 : weight_of(world, head.place)});
    for (std::uint32_t unit = head.place.record + 1; point && unit < head.until; ++unit) {
      places.push_back({{head.place.process, kMetricLane, unit}, 0});
    }
    at += head.size;
  }
  return places;
}

Uuid uuid_of(std::uint32_t process) {
  Uuid uuid{};
  uuid[0] = static_cast<std::uint8_t>(process + 1);
  return uuid;
}

ByteSpan bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }

std::string text_of(const Hold& hold, BatchId batch) {
  std::vector<ByteSpan> pieces;
  hold.pieces(batch, pieces);
  std::string text;
  for (const ByteSpan piece : pieces) {
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return text;
}

// --- the agent

class WorldSink : public SettledSink {
 public:
  WorldSink(World& world, std::uint32_t process) : world_(world), process_(process) {}
  void settled(std::uint32_t lane, std::uint64_t position) override { world_.settled[process_][lane] = position; }

 private:
  World& world_;
  std::uint32_t process_;
};

struct Shared {
  World& world;
  Hold& hold;
  std::mutex mutex;
  std::deque<BatchId> closed;
  std::string wrong;

  void complain(const std::string& what) {
    const std::lock_guard lock(mutex);
    if (wrong.empty()) {
      wrong = what;
    }
  }
};

// Drains its own processes; sends anybody's batches.
class Worker {
 public:
  Worker(Shared& shared, std::uint32_t number)
      : shared_(shared),
        world_(shared.world),
        hold_(shared.hold),
        number_(number),
        random_(world_.seed * 977 + number + world_.starts * 7919),
        pass_(shared.hold, 8) {}

  void run() {
    take_up();
    for (int idle = 0; !finished() && idle < 100000; ++idle) {
      const std::uint64_t dice = random_() % 12;
      if (dice < 5) {
        drain();
      } else if (dice < 7) {
        close_some(false);
      } else if (dice < 10) {
        send();
      } else {
        collect();
      }
      retire();
    }
    if (!finished()) {
      shared_.complain("worker " + std::to_string(number_) + " came to no end");
    }
  }

 private:
  struct Mine {
    std::uint32_t number;
    ProcessIndex index = kNoProcess;
    std::unique_ptr<WorldSink> sink;
    std::vector<std::pair<BatchId, Place>> parked;
    bool retired = false;
  };

  void take_up() {
    for (std::uint32_t p = number_; p < kWorldProcesses; p += world_.threads) {
      Mine mine{p, kNoProcess, std::make_unique<WorldSink>(world_, p), {}, world_.retired[p]};
      mine_.push_back(std::move(mine));
    }
    for (Mine& mine : mine_) {
      mine.index = hold_.find(uuid_of(mine.number));
      if (mine.index == kNoProcess) {
        continue;
      }
      std::vector<std::uint64_t> old;
      for (const auto& word : world_.settled[mine.number]) {
        old.push_back(word);
      }
      hold_.attach(mine.index, mine.sink.get(), old);
      for (const BatchInfo& info : hold_.recovery().parked) {
        std::string why;
        const auto places = parse(world_, text_of(hold_, info.id), false, false, why);
        if (info.key.process == mine.index && places && places->size() == 1) {
          mine.parked.emplace_back(info.id, places->front().place);
        }
      }
    }
  }

  bool finished() const {
    return std::all_of(mine_.begin(), mine_.end(), [](const Mine& mine) { return mine.retired; });
  }

  Mine* pick() {
    // Two of a worker's processes live at a time.
    std::vector<Mine*> live;
    for (Mine& mine : mine_) {
      if (!mine.retired && live.size() < 2) {
        live.push_back(&mine);
      }
    }
    return live.empty() ? nullptr : live[random_() % live.size()];
  }

  bool ensure(Mine& mine) {
    if (mine.index != kNoProcess) {
      return true;
    }
    ProcessIdentity identity;
    identity.uuid = uuid_of(mine.number);
    identity.service = "service";
    identity.lanes = kWorldLanes;
    const auto added = hold_.add(identity);
    if (!added) {
      make_room();
      return false;
    }
    mine.index = *added;
    hold_.attach(mine.index, mine.sink.get(), {});
    return true;
  }

  BatchKey key_of(const Mine& mine, const Place& place) const {
    const std::uint64_t dice = hash_of(world_, place, 5);
    return {mine.index, signal_of(world_, place), static_cast<std::uint8_t>(dice % 2), dice / 2 % 2};
  }

  void drain() {
    Mine* mine = pick();
    if (mine == nullptr || !ensure(*mine)) {
      return;
    }
    if (!pass_.begin(mine->index)) {
      shared_.complain("a pass of one process does not begin");
      return;
    }
    bool full = false;
    std::vector<std::pair<BatchId, Place>> parked_now;
    join_some(*mine);  // first: parked chains may be what there is no room for
    std::array<std::uint64_t, kWorldLanes> tails{};
    for (std::uint32_t lane = 0; lane < kWorldLanes && !full; ++lane) {
      std::uint64_t position = hold_.position(mine->index, lane);
      const std::uint64_t want = random_() % 12;
      for (std::uint64_t i = 0; i < want && position / kRecordStep < kWorldRecords && !full; ++i) {
        const Place place{mine->number, lane, static_cast<std::uint32_t>(position / kRecordStep)};
        full = !take(*mine, place, {lane, position}, parked_now);
        position += full ? 0 : kRecordStep;
      }
      pass_.set_position(mine->index, lane, position);
      tails[lane] = position;
    }
    count_written(*mine);
    if (random_() % 16 == 0) {
      pass_.abandon();
      return;
    }
    for (const auto& [id, place] : joined_) {
      std::erase_if(mine->parked, [&, chain = id](const auto& parked) { return parked.first == chain; });
    }
    pass_.commit();
    mine->parked.insert(mine->parked.end(), parked_now.begin(), parked_now.end());
    for (std::uint32_t lane = 0; lane < kWorldLanes; ++lane) {
      if (tails[lane] != 0) {
        world_.tail[mine->number][lane] = tails[lane];
      }
    }
    joined_.clear();
    if (full) {
      make_room();
    }
  }

  // false: no room in the hold or in this pass.
  bool take(Mine& mine, const Place& place, Origin origin, std::vector<std::pair<BatchId, Place>>& parked_now) {
    const std::string record = record_of(world_, place);
    const Fate fate = fate_of(world_, place);
    if (fate == Fate::filtered) {
      pass_.drop(mine.index, signal_of(world_, place), DropReason::filtered);
      return true;
    }
    if (fate == Fate::parked || fate == Fate::part) {
      const Appended parked =
          pass_.park(mine.index, Signal::traces, place.record, bytes_of(record), origin, weight_of(world_, place));
      if (parked.status == AppendStatus::appended) {
        parked_now.emplace_back(parked.batch, place);
      }
      return parked.status == AppendStatus::appended;
    }
    return append(mine, place, record, origin, {}).status == AppendStatus::appended;
  }

  Appended append(const Mine& mine, const Place& place, const std::string& record, Origin origin,
                  std::span<const BatchId> parked) {
    const BatchHead head{kHeadMagic, 0};
    const ByteSpan head_bytes = std::as_bytes(std::span(&head, 1));
    return parked.empty() ? pass_.append(key_of(mine, place), head_bytes, place.lane, bytes_of(record), origin)
                          : pass_.join(key_of(mine, place), head_bytes, place.lane, bytes_of(record), origin,
                                       weight_of(world_, place), parked);
  }

  std::uint64_t collected(const Mine& mine) {
    std::vector<std::byte> bytes;
    if (hold_.baseline(mine.index, bytes) == BaselineState::none) {
      return 0;
    }
    const auto value = value_of(world_, mine.number, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (!value) {
      shared_.complain("the baseline read back is none");
    }
    return value.value_or(0);
  }

  // What the counter gained since the baseline, as one point or two in different batches.
  void collect() {
    Mine* mine = pick();
    if (mine == nullptr || !ensure(*mine)) {
      return;
    }
    const std::uint64_t from = collected(*mine);
    const std::uint64_t now = std::min<std::uint64_t>(kWorldRecords, world_.counter[mine->number] + random_() % 8);
    world_.counter[mine->number] = now;
    if (now == from) {
      return;
    }
    if (!pass_.begin(mine->index)) {
      shared_.complain("a pass of one process does not begin");
      return;
    }
    const BatchHead head{kHeadMagic, 0};
    const std::uint64_t middle = random_() % 2 == 0 ? from + (now - from) / 2 : from;
    AppendStatus status = AppendStatus::appended;
    for (const auto& [begin, end] : {std::pair(from, middle), std::pair(middle, now)}) {
      if (begin == end || status != AppendStatus::appended) {
        continue;
      }
      const std::string point =
          point_of(world_, mine->number, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end));
      status = pass_
                   .append({mine->index, Signal::metrics, 1, begin % 2}, std::as_bytes(std::span(&head, 1)), 0,
                           bytes_of(point), {})
                   .status;
      pass_.add_produced(mine->index, Signal::metrics, 1);
    }
    if (status == AppendStatus::appended) {
      status = pass_.set_baseline(mine->index, bytes_of(baseline_of(world_, mine->number, now)));
    }
    if (status != AppendStatus::appended || random_() % 16 == 0) {
      pass_.abandon();
      if (status == AppendStatus::full) {
        make_room();
      }
      return;
    }
    pass_.commit();
    world_.tail[mine->number][kMetricLane] = now * kRecordStep;
  }

  void join_some(Mine& mine) {
    joined_.clear();
    for (const auto& [id, place] : mine.parked) {
      if (random_() % 3 != 0) {
        continue;
      }
      if (is_discarded(world_, place)) {
        if (!pass_.discard(id, DropReason::corrupt)) {
          return;
        }
      } else if (append(mine, place, record_of(world_, place), {place.lane, place.record * kRecordStep}, {&id, 1})
                     .status != AppendStatus::appended) {
        return;
      }
      joined_.emplace_back(id, place);
    }
  }

  // What the application's own counters say: everything is in the lanes from the beginning.
  void count_written(const Mine& mine) {
    std::array<std::uint64_t, 2> written{};
    for (std::uint32_t lane = 0; lane < kWorldLanes; ++lane) {
      for (std::uint32_t record = 0; record < kWorldRecords; ++record) {
        const Place place{mine.number, lane, record};
        written[static_cast<std::size_t>(signal_of(world_, place))] += weight_of(world_, place);
      }
    }
    pass_.set_written(mine.index, Signal::traces, written[0]);
    pass_.set_written(mine.index, Signal::logs, written[1]);
  }

  void close_some(bool all) {
    std::vector<BatchInfo> open;
    pass_.open_batches(open);
    for (const BatchInfo& info : open) {
      if (all || info.bytes > 6000 || random_() % 3 == 0) {
        close(info);
      }
    }
  }
  void close(const BatchInfo& info) {
    const std::uint32_t size = info.bytes;
    const Patch patch{4, std::as_bytes(std::span(&size, 1))};
    if (const Status closed = hold_.close(info.id, {&patch, 1}); !closed) {
      shared_.complain(closed.error().sentence);
    }
    const std::lock_guard lock(shared_.mutex);
    shared_.closed.push_back(info.id);
  }

  void make_room() {
    close_some(true);
    for (int i = 0; i < 20; ++i) {
      send();
    }
  }

  void send() {
    std::vector<BatchId> request;
    {
      const std::lock_guard lock(shared_.mutex);
      for (std::uint64_t want = 1 + random_() % 4; want != 0 && !shared_.closed.empty(); --want) {
        request.push_back(shared_.closed.front());
        shared_.closed.pop_front();
      }
    }
    if (request.empty()) {
      return;
    }
    hold_.begin_send(request);
    std::vector<Outcome> outcomes;
    std::vector<Found> sent;
    const bool answered = random_() % 4 != 0;
    for (const BatchId id : request) {
      std::string why;
      const auto places = parse(world_, text_of(hold_, id), true, true, why);
      if (!places) {
        shared_.complain("batch to be sent: " + why);
        return;
      }
      Outcome outcome;
      outcome.batch = id;
      outcome.grpc_code = 3;
      for (const Found& found : *places) {
        const Place& place = found.place;
        World::Record& record = world_.records[place.process][place.lane][place.record];
        const std::uint64_t dice = random_() % 20;
        record.outcome = dice == 0 ? 'R' : dice == 1 ? 'X' : 'D';
        if (found.weight != 0) {
          record.begins = true;
          ++(dice == 0 ? outcome.rejected : dice == 1 ? outcome.dropped : outcome.delivered);
        }
        ++record.sent;
        record.allowed = static_cast<std::uint8_t>(record.allowed + (answered ? 0 : 1));
        sent.push_back(found);
      }
      outcomes.push_back(outcome);
    }
    if (!answered) {
      hold_.retry(request, 1 + static_cast<std::uint32_t>(random_() % 5), 1);
      const std::lock_guard lock(shared_.mutex);
      shared_.closed.insert(shared_.closed.end(), request.begin(), request.end());
      return;
    }
    if (const Status settled = hold_.settle(outcomes); !settled) {
      shared_.complain(settled.error().sentence);
    }
    for (const auto& [place, weight] : sent) {
      world_.records[place.process][place.lane][place.record].booked = true;
    }
  }

  void retire() {
    for (Mine& mine : mine_) {
      if (mine.retired || mine.index == kNoProcess || !mine.parked.empty()) {
        continue;
      }
      bool drained = true;
      for (std::uint32_t lane = 0; lane < kWorldLanes; ++lane) {
        drained &= hold_.position(mine.index, lane) == kWorldRecords * kRecordStep;
      }
      drained = drained && collected(mine) == kWorldRecords;
      if (!drained) {
        continue;
      }
      close_some(true);
      const Ledger ledger = hold_.ledger(mine.index);
      if (ledger[0].held + ledger[1].held + ledger[2].held == 0 && hold_.retire(mine.index).ok()) {
        mine.retired = true;
        world_.retired[mine.number] = true;
      }
    }
  }

  Shared& shared_;
  World& world_;
  Hold& hold_;
  std::uint32_t number_;
  std::mt19937_64 random_;
  Pass pass_;
  std::vector<Mine> mine_;
  std::vector<std::pair<BatchId, Place>> joined_;
};

}  // namespace

std::string run_agent(World& world, const std::string& path) {
  HoldOptions options;
  options.path = path;
  options.bytes = kHoldBytes;
  ++world.starts;
  auto opened = Hold::open(options);
  if (!opened) {
    return opened.error().sentence;
  }
  Hold& hold = **opened;
  if (!hold.recovery().baselines_lost.empty() || hold.recovery().chains_damaged != 0 ||
      hold.recovery().records_damaged != 0 || hold.recovery().renewed) {
    return "the agent found damage: " + hold.recovery().damage;
  }
  Shared shared{world, hold, {}, {}, {}};
  // A life may have ended between retire() and the word that says so.
  for (std::uint32_t p = 0; p < kWorldProcesses; ++p) {
    if (world.tail[p][0] != 0 && hold.find(uuid_of(p)) == kNoProcess) {
      world.retired[p] = true;
    }
  }
  for (const BatchInfo& info : hold.recovery().open) {
    const std::uint32_t size = info.bytes;
    const Patch patch{4, std::as_bytes(std::span(&size, 1))};
    if (const Status closed = hold.close(info.id, {&patch, 1}); !closed) {
      return closed.error().sentence;
    }
    shared.closed.push_back(info.id);
  }
  for (const BatchInfo& info : hold.recovery().closed) {
    shared.closed.push_back(info.id);
  }
  std::vector<std::unique_ptr<Worker>> workers;
  for (std::uint32_t i = 0; i < world.threads; ++i) {
    workers.push_back(std::make_unique<Worker>(shared, i));
  }
  if (world.threads == 1) {
    workers[0]->run();
  } else {
    std::vector<std::thread> threads;
    for (auto& worker : workers) {
      threads.emplace_back([&worker] { worker->run(); });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
  return shared.wrong;
}

// --- the look

namespace {

class Look {
 public:
  Look(World& world, const std::string& path, bool finished) : world_(world), path_(path), finished_(finished) {}

  std::vector<std::string> judge() {
    if (!load()) {
      return wrong_;
    }
    apply_log();
    read_processes();
    read_pages();
    read_chains();
    judge_records();
    judge_status();
    return wrong_;
  }

 private:
  struct Entry {
    std::uint32_t number = kWorldProcesses;
    bool gone = false;
    std::array<std::uint64_t, kWorldRows> positions{};  // and the baseline
    bool baseline_found = false;
    std::array<std::uint64_t, kProcessWords> words{};
    std::array<std::uint64_t, 3> held{};
  };

  void complain(const std::string& what) {
    if (wrong_.size() < 10) {
      wrong_.push_back(what);
    }
  }
  const std::uint64_t* at(std::uint64_t offset) const { return words_.data() + offset / 8; }

  bool load() {
    std::ifstream file(path_, std::ios::binary);
    std::stringstream content;
    content << file.rdbuf();
    const std::string image = content.str();
    words_.resize(image.size() / 8);
    if (!words_.empty()) std::memcpy(words_.data(), image.data(), words_.size() * 8);
    if (image.size() != kHoldBytes || words_[kHeaderMagic] != kMagic) {
      for (const auto& lanes : world_.tail) {
        for (const auto& tail : lanes) {
          if (tail != 0) {
            complain("the hold is gone, and a lane was drained already");
          }
        }
      }
      return false;
    }
    geometry_ = geometry_of(image.size());
    return true;
  }

  void apply_log() {
    const std::uint64_t* log = at(geometry_.log_offset);
    const std::uint64_t count = log[0];
    if (count != 0 && (count > geometry_.log_entries || log_checksum(count, log + 2) != log[1])) {
      complain("the log is valid and makes no sense");
      return;
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      words_[log[2 + 2 * i] / 8] = log[3 + 2 * i];
    }
  }

  void read_processes() {
    for (std::uint32_t i = 1; i < geometry_.process_count; ++i) {
      const std::uint64_t* words = at(geometry_.process(i));
      if (words[kProcessState] == kProcessFree) {
        continue;
      }
      Entry& entry = entries_[i];
      entry.number = static_cast<std::uint32_t>(words[kProcessUuid] & 0xff) - 1;
      entry.gone = words[kProcessState] == kProcessGone;
      std::copy_n(words, kProcessWords, entry.words.begin());
      if (entry.number >= kWorldProcesses || by_number_.count(entry.number) != 0) {
        complain("process entry " + std::to_string(i) + " is nobody's or another's");
        entries_.erase(i);
        continue;
      }
      by_number_[entry.number] = i;
    }
  }

  void read_pages() {
    for (std::uint32_t page = 0; page < geometry_.page_count; ++page) {
      const std::uint64_t owner = *at(geometry_.page_word(page));
      if (owner == 0) {
        continue;
      }
      const std::uint32_t slot = page_slot(owner);
      const std::uint64_t state = *at(geometry_.slot(slot));
      if (state == 0 || page_index(owner) >= pages_of(slot_bytes(state))) {
        if (finished_) {
          complain("page " + std::to_string(page) + " leaked");
        }
        continue;
      }
      if (!pages_.emplace(std::pair(slot, page_index(owner)), page).second) {
        complain("slot " + std::to_string(slot) + " has two pages " + std::to_string(page_index(owner)));
      }
    }
  }

  void read_chains() {
    for (std::uint32_t slot = 0; slot < geometry_.slot_count; ++slot) {
      const std::uint64_t* words = at(geometry_.slot(slot));
      if (slot_state(words[kSlotState]) == kSlotFree) {
        continue;
      }
      const std::uint64_t size = slot_bytes(words[kSlotState]);
      std::string text;
      for (std::uint32_t i = 0; i < pages_of(size); ++i) {
        const auto page = pages_.find({slot, i});
        if (page == pages_.end()) {
          complain("slot " + std::to_string(slot) + " lacks page " + std::to_string(i));
          text.clear();
          break;
        }
        text.append(reinterpret_cast<const char*>(at(geometry_.page(page->second))), kPageBytes);
      }
      if (text.empty()) {
        continue;
      }
      text.resize(size);
      read_chain(slot, words, text);
    }
    for (const auto& [index, entry] : entries_) {
      if (entry.words[kProcessBaseline] != 0 && !entry.baseline_found) {
        complain("the baseline of process " + std::to_string(entry.number) + " is lost");
      }
    }
  }

  void read_chain(std::uint32_t slot, const std::uint64_t* words, const std::string& text) {
    const auto entry = entries_.find(owner_process(words[kSlotOwner]));
    if (entry == entries_.end() || entry->second.gone) {
      complain("slot " + std::to_string(slot) + " is of no process");
      return;
    }
    const std::uint32_t kind = owner_kind(words[kSlotOwner]);
    if (kind == kKindPositions) {
      std::memcpy(entry->second.positions.data(), text.data(), kWorldLanes * 8);
      return;
    }
    if (kind == kKindBaseline) {
      const auto value = value_of(world_, entry->second.number, text);
      if (!value || entry->second.words[kProcessBaseline] != slot + 1) {
        complain("slot " + std::to_string(slot) + " is a baseline of nobody");
      }
      entry->second.positions[kMetricLane] = value.value_or(0) * kRecordStep;
      entry->second.baseline_found = true;
      return;
    }
    if (finished_) {
      complain("slot " + std::to_string(slot) + " leaked");
    }
    std::string why;
    const bool closed = slot_state(words[kSlotState]) == kSlotClosed;
    const auto places = parse(world_, text, kind == kKindBatch, closed, why);
    if (!places) {
      complain("slot " + std::to_string(slot) + ": " + why);
      return;
    }
    std::uint32_t records = 0;
    for (const auto& [place, weight] : *places) {
      records += weight;
      if (place.process != entry->second.number) {
        complain("slot " + std::to_string(slot) + " has another process's record");
      }
      if (!found_.emplace(place, weight).second) {
        complain("record " + name(place) + " is in two chains");
      }
    }
    if (records != slot_records(words[kSlotState])) {
      complain("slot " + std::to_string(slot) + " counts " + std::to_string(slot_records(words[kSlotState])) +
               " records and has " + std::to_string(records));
    }
    entry->second.held[owner_signal(words[kSlotOwner])] += records;
  }

  static std::string name(const Place& place) {
    return std::to_string(place.process) + "/" + std::to_string(place.lane) + "/" + std::to_string(place.record);
  }

  void judge_records() {
    for (std::uint32_t p = 0; p < kWorldProcesses; ++p) {
      const auto index = by_number_.find(p);
      const Entry* entry = index == by_number_.end() ? nullptr : &entries_.at(index->second);
      std::array<SignalLedger, 3> expected{};
      for (std::uint32_t lane = 0; lane < kWorldRows; ++lane) {
        const std::uint64_t committed = entry == nullptr ? 0
                                        : entry->gone    ? kWorldRecords * kRecordStep
                                                         : entry->positions[lane];
        if (committed < world_.tail[p][lane]) {
          complain("lane " + std::to_string(p) + "/" + std::to_string(lane) + " fell behind its tail");
        }
        if (finished_ && committed != kWorldRecords * kRecordStep) {
          complain("lane " + std::to_string(p) + "/" + std::to_string(lane) + " is not drained");
        }
        for (std::uint32_t record = 0; record < kWorldRecords; ++record) {
          judge_record({p, lane, record}, committed, expected);
        }
      }
      if (entry != nullptr) {
        judge_ledger(p, *entry, expected);
      }
    }
  }

  void judge_record(const Place& place, std::uint64_t committed, std::array<SignalLedger, 3>& expected) {
    World::Record& record = world_.records[place.process][place.lane][place.record];
    const std::uint64_t position = place.record * kRecordStep;
    const auto in_chain = found_.find(place);
    const bool held = in_chain != found_.end();
    if (position >= committed) {
      if (held || record.sent != 0) {
        complain("record " + name(place) + " is here and still in its lane");
      }
      return;
    }
    SignalLedger& ledger = expected[static_cast<std::size_t>(signal_of(world_, place))];
    const std::uint32_t weight = place.lane != kMetricLane ? weight_of(world_, place)
                                 : held                    ? in_chain->second
                                 : record.begins           ? 1
                                                           : 0;
    ledger.seen += weight;
    ledger.held += held ? weight : 0;
    if (record.sent > 1 + record.allowed) {
      complain("record " + name(place) + " was sent " + std::to_string(record.sent) + " times");
    }
    const bool dropped = fate_of(world_, place) == Fate::filtered ||
                         (fate_of(world_, place) != Fate::batch && is_discarded(world_, place));
    if (held) {
      if (record.booked) {
        complain("record " + name(place) + " was booked and is here again");
      }
      if (position < world_.settled[place.process][place.lane]) {
        complain("record " + name(place) + " lies before settled, and is not");
      }
      // Sent, and the agent died before the answer was booked: the one case of a second time.
      if (record.sent == 1 + record.allowed) {
        ++record.allowed;
      }
      return;
    }
    if (!dropped && record.sent == 0) {
      complain("record " + name(place) + " is lost");
    }
    if (fate_of(world_, place) == Fate::filtered) {
      ledger.dropped[static_cast<std::size_t>(DropReason::filtered)] += weight;
    } else if (dropped) {
      ledger.dropped[static_cast<std::size_t>(DropReason::corrupt)] += weight;
    } else {
      const char outcome = record.outcome;
      (outcome == 'D'   ? ledger.delivered
       : outcome == 'R' ? ledger.rejected
                        : ledger.dropped[static_cast<std::size_t>(DropReason::non_retryable)]) += weight;
    }
  }

  void judge_ledger(std::uint32_t process, const Entry& entry, const std::array<SignalLedger, 3>& expected) {
    for (std::uint32_t signal = 0; signal < 3; ++signal) {
      const std::uint64_t* words = entry.words.data() + kProcessLedger + signal * kLedgerWords;
      const SignalLedger& want = expected[signal];
      const auto compare = [&](const char* what, std::uint64_t is, std::uint64_t should) {
        if (is != should) {
          complain("process " + std::to_string(process) + " signal " + std::to_string(signal) + ": " + what + " is " +
                   std::to_string(is) + ", not " + std::to_string(should));
        }
      };
      compare("seen", words[kLedgerSeen], want.seen);
      compare("produced", words[kLedgerProduced], signal == 2 ? want.seen : 0);
      compare("delivered", words[kLedgerDelivered], want.delivered);
      compare("rejected", words[kLedgerRejected], want.rejected);
      compare("held", entry.held[signal], want.held);
      for (const DropReason reason :
           {DropReason::filtered, DropReason::corrupt, DropReason::non_retryable, DropReason::hold_damaged}) {
        const auto number = static_cast<std::uint32_t>(reason);
        compare("dropped", words[kLedgerDropped + number], want.dropped[number]);
      }
    }
  }

  void judge_status() {
    const auto status = read_status(path_);
    if (!status) {
      complain(status.error().sentence);
      return;
    }
    if (status->agent != AgentVerdict::dead || status->skipped != 0 || !status->consistent) {
      complain("status has another opinion of the agent, or skipped something");
    }
    for (const ProcessStatus& process : status->processes) {
      const auto entry = entries_.find(process.info.index);
      if (entry == entries_.end()) {
        complain("status shows a process that is not there");
        continue;
      }
      for (std::size_t signal = 0; signal < 3; ++signal) {
        const SignalLedger& ledger = process.ledger[signal];
        // Until the first commit of a process its counters are unknown.
        if (ledger.imbalance() != 0 || (ledger.written() != 0 && ledger.unaccounted() != 0) ||
            ledger.held != entry->second.held[signal]) {
          complain("status: process " + std::to_string(process.info.index) + " does not balance");
        }
      }
    }
  }

  World& world_;
  std::string path_;
  bool finished_;
  std::vector<std::uint64_t> words_;
  Geometry geometry_;
  std::map<std::uint32_t, Entry> entries_;  // by table index
  std::map<std::uint32_t, std::uint32_t> by_number_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> pages_;  // (slot, index) → page
  std::map<Place, std::uint32_t> found_;                                    // and its weight
  std::vector<std::string> wrong_;
};

}  // namespace

std::vector<std::string> look(World& world, const std::string& path, bool finished) {
  return Look(world, path, finished).judge();
}

}  // namespace tailrace::agent
