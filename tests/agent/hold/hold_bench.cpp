// SPDX-License-Identifier: Apache-2.0
//
// What the hold costs: a record appended and committed, by records a pass and by how much is
// waiting; a settlement; a start on a full hold. Compare with one reserved heap string, which keeps
// nothing.
#include <benchmark/benchmark.h>
#include <filesystem>
#include <memory>
#include <stdlib.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "agent/hold/hold.hpp"
#include "agent/hold/pass.hpp"
#include "agent/hold/status.hpp"

namespace {

using namespace tailrace::agent;

constexpr std::size_t kRecordBytes = 200;
constexpr std::uint32_t kBatchBytes = 512 * 1024;

// Printed in units of a second: 8.1n is 8.1 ns.
benchmark::Counter per_record(const benchmark::State& state) {
  return {static_cast<double>(state.iterations() * state.range(0)),
          benchmark::Counter::kIsRate | benchmark::Counter::kInvert};
}

class BenchHold {
 public:
  explicit BenchHold(std::uint64_t bytes) : bytes_(bytes) {
    std::string folder = "/dev/shm/hold-bench-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) {
      std::abort();
    }
    folder_ = folder;
    start();
  }
  ~BenchHold() {
    hold_ = nullptr;
    std::filesystem::remove_all(folder_);
  }
  void start() {
    HoldOptions options;
    options.path = path();
    options.bytes = bytes_;
    auto opened = Hold::open(options);
    if (!opened) {
      std::abort();
    }
    hold_ = std::move(opened).value();
  }
  void stop() { hold_ = nullptr; }
  [[nodiscard]] std::string path() const { return folder_ + "/hold"; }
  [[nodiscard]] Hold& hold() { return *hold_; }
  ProcessIndex add(std::uint8_t number) {
    ProcessIdentity identity;
    identity.uuid[0] = number;
    identity.lanes = 256;
    const auto added = hold_->add(identity);
    return added.ok() ? added.value() : kNoProcess;
  }

 private:
  std::uint64_t bytes_;
  std::string folder_;
  std::unique_ptr<Hold> hold_;
};

const std::vector<std::byte> kRecord(kRecordBytes, std::byte{0x55});

// One worker's endless stream: passes of `per_pass` records into one batch, which is closed at 512
// KiB and settled when `waiting` bytes are ahead of it.
class Stream {
 public:
  Stream(Hold& hold, ProcessIndex process, std::uint64_t waiting)
      : hold_(hold), process_(process), pass_(hold), depth_(waiting / kBatchBytes) {}

  void pass(std::int64_t per_pass) {
    if (!pass_.begin(process_)) {
      std::abort();
    }
    Appended last;
    for (std::int64_t i = 0; i < per_pass; ++i) {
      last = pass_.append({process_, Signal::traces, 1, 0}, {}, 0, kRecord, {0, position_});
      position_ += kRecordBytes;
    }
    pass_.set_position(process_, 0, position_);
    pass_.set_written(process_, Signal::traces, position_ / kRecordBytes);
    pass_.commit();
    if (last.status != AppendStatus::appended) {
      std::abort();
    }
    if (last.bytes >= kBatchBytes) {
      static_cast<void>(hold_.close(last.batch, {}).ok());
      queue_.push_back({last.batch, last.records});
      if (queue_.size() > depth_) {
        static_cast<void>(hold_.settle({&queue_.front(), 1}).ok());
        queue_.erase(queue_.begin());
      }
    }
  }

 private:
  Hold& hold_;
  ProcessIndex process_;
  Pass pass_;
  std::uint64_t depth_;
  std::uint64_t position_ = 0;
  std::vector<Outcome> queue_;
};

void AppendAndCommit(benchmark::State& state) {
  BenchHold bench(std::uint64_t{128} << 20);
  Stream stream(bench.hold(), bench.add(1), static_cast<std::uint64_t>(state.range(1)) << 20);
  for (int i = 0; i < 300'000 / state.range(0); ++i) {  // memory committed, the queue as long as it will be
    stream.pass(state.range(0));
  }
  for (auto _ : state) {
    stream.pass(state.range(0));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["ns_per_record"] = per_record(state);
}
BENCHMARK(AppendAndCommit)->ArgNames({"records", "waiting_MiB"})->ArgsProduct({{1, 10, 100, 1000}, {0, 32}});

void HeapString(benchmark::State& state) {
  const std::size_t depth = (static_cast<std::size_t>(state.range(0)) << 20) / kBatchBytes + 1;
  std::vector<std::string> strings(depth);
  for (std::string& text : strings) {
    text.reserve(kBatchBytes + kRecordBytes);
    text.append(kBatchBytes, 'x');
    text.clear();
  }
  std::size_t current = 0;
  for (auto _ : state) {
    std::string& text = strings[current];
    text.append(reinterpret_cast<const char*>(kRecord.data()), kRecord.size());
    benchmark::DoNotOptimize(text.data());
    if (text.size() >= kBatchBytes) {
      current = (current + 1) % depth;
      strings[current].clear();
    }
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(HeapString)->ArgNames({"waiting_MiB"})->Arg(0)->Arg(32);

// Two workers flat out on one hold.
void TwoWorkers(benchmark::State& state) {
  BenchHold bench(std::uint64_t{128} << 20);
  Stream first(bench.hold(), bench.add(1), 0);
  Stream second(bench.hold(), bench.add(2), 0);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> others{0};
  std::thread other([&] {
    while (!stop) {
      second.pass(state.range(0));
      others += static_cast<std::uint64_t>(state.range(0));
    }
  });
  for (auto _ : state) {
    first.pass(state.range(0));
  }
  stop = true;
  other.join();
  state.counters["ns_per_record"] = per_record(state);
}
BENCHMARK(TwoWorkers)->ArgNames({"records"})->Arg(1)->Arg(10)->Arg(100)->UseRealTime();

// A request of `batches` batches of `KiB` each.
void Settle(benchmark::State& state) {
  BenchHold bench(std::uint64_t{128} << 20);
  const ProcessIndex process = bench.add(1);
  Pass pass(bench.hold(), 512);
  const std::vector<std::byte> record(static_cast<std::size_t>(state.range(1)) * 1024);
  std::uint64_t position = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<Outcome> outcomes;
    static_cast<void>(pass.begin(process));
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      const Appended appended =
          pass.append({process, Signal::traces, 1, static_cast<std::uint64_t>(i)}, {}, 0, record, {0, position += 8});
      outcomes.push_back({appended.batch, 1});
    }
    pass.commit();
    for (const Outcome& outcome : outcomes) {
      static_cast<void>(bench.hold().close(outcome.batch, {}).ok());
    }
    state.ResumeTiming();
    if (!bench.hold().settle(outcomes).ok()) {
      std::abort();
    }
  }
}
BENCHMARK(Settle)->ArgNames({"batches", "KiB"})->Args({1, 4})->Args({8, 512})->Args({100, 4});

// From exec to batches listed, on a hold full of 512 KiB batches; the lock and the mapping
// included.
void StartOnAFullHold(benchmark::State& state) {
  BenchHold bench(std::uint64_t{128} << 20);
  {
    const ProcessIndex process = bench.add(1);
    Pass pass(bench.hold());
    std::uint64_t position = 0;
    for (bool full = false; !full;) {
      static_cast<void>(pass.begin(process));
      Appended last;
      for (int i = 0; i < 1000 && !full; ++i) {
        const Appended appended =
            pass.append({process, Signal::traces, 1, position % 8}, {}, 0, kRecord, {0, position});
        position += 1;
        full = appended.status == AppendStatus::full;
        last = full ? last : appended;
      }
      pass.commit();
      if (last.bytes >= static_cast<std::uint32_t>(state.range(0)) * 1024) {
        std::vector<BatchInfo> open;
        pass.open_batches(open);
        for (const BatchInfo& info : open) {
          static_cast<void>(bench.hold().close(info.id, {}).ok());
        }
      }
    }
  }
  std::uint64_t records = 0;
  for (auto _ : state) {
    state.PauseTiming();
    bench.stop();
    state.ResumeTiming();
    bench.start();
    records = bench.hold().recovery().records;
  }
  state.counters["records"] = static_cast<double>(records);
}
BENCHMARK(StartOnAFullHold)->ArgNames({"batch_KiB"})->Arg(512)->Arg(16)->Unit(benchmark::kMillisecond);

void ReadStatus(benchmark::State& state) {
  BenchHold bench(std::uint64_t{128} << 20);
  Stream stream(bench.hold(), bench.add(1), std::uint64_t{32} << 20);
  for (int i = 0; i < 3000; ++i) {
    stream.pass(100);
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(read_status(bench.path()).ok());
  }
}
BENCHMARK(ReadStatus)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
