// SPDX-License-Identifier: Apache-2.0
//
// HoldFixture: a hold in a folder of its own on tmpfs, and the words tests speak about it.
#ifndef TAILRACE_TESTS_AGENT_HOLD_HOLD_FIXTURE_HPP_
#define TAILRACE_TESTS_AGENT_HOLD_HOLD_FIXTURE_HPP_

#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <stdlib.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "agent/hold/core.hpp"
#include "agent/hold/hold.hpp"
#include "agent/hold/pass.hpp"

namespace tailrace::agent {

inline std::string make_folder() {
  std::string name = std::filesystem::exists("/dev/shm") ? "/dev/shm/hold-test-XXXXXX" : "/tmp/hold-test-XXXXXX";
  return ::mkdtemp(name.data()) != nullptr ? name : std::string();
}

inline ByteSpan bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

inline Uuid uuid(std::uint8_t number) {
  Uuid id{};
  id[0] = number;
  id[15] = 0xee;
  return id;
}

inline ProcessIdentity identity(std::uint8_t number, std::uint32_t lanes) {
  return {uuid(number), 1000u + number, 42, 99, "checkout", "4f1a000000000000.seg", lanes};
}

inline std::string text_of(const Hold& hold, BatchId batch) {
  std::vector<ByteSpan> pieces;
  hold.pieces(batch, pieces);
  std::string text;
  for (const ByteSpan piece : pieces) {
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return text;
}

class Sink : public SettledSink {
 public:
  void settled(std::uint32_t lane, std::uint64_t position) override { last[lane] = position; }
  std::map<std::uint32_t, std::uint64_t> last;
};

class HoldFixture : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kBytes = 512 * 1024;

  void SetUp() override {
    folder_ = make_folder();
    ASSERT_FALSE(folder_.empty());
    path_ = folder_ + "/hold";
    reset(kBytes);
  }
  void TearDown() override {
    hold_ = nullptr;
    std::filesystem::remove_all(folder_);
  }

  void reset(std::uint64_t size, bool remove = true) {
    hold_ = nullptr;
    if (remove) {
      remove_file();
    }
    bytes_ = size;
    open();
  }
  void remove_file() { std::filesystem::remove(path_); }
  void open() {
    HoldOptions options;
    options.path = path_;
    options.bytes = bytes_;
    options.version = "0.0-test";
    auto opened = Hold::open(options);
    ASSERT_TRUE(opened.ok()) << opened.error().sentence;
    hold_ = std::move(opened).value();
  }
  // A start after an orderly end. The pass, if any, loses its hold: it must have nothing
  // uncommitted.
  void reopen(Pass* pass = nullptr) {
    if (pass != nullptr) {
      pass->~Pass();
      hold_ = nullptr;
      open();
      new (pass) Pass(*hold_);
      return;
    }
    hold_ = nullptr;
    open();
  }
  // As after kill -9: what is private is never destroyed; the file goes on from a copy, since the
  // lock stays with the lost hold.
  void lose() {
    static std::vector<Hold*>* const kLost = new std::vector<Hold*>;  // reachable: no leak to be reported
    kLost->push_back(hold_.release());
    const std::string old = path_;
    path_ = folder_ + "/hold" + std::to_string(kLost->size());
    std::filesystem::copy_file(old, path_);
    std::filesystem::permissions(path_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    open();
  }

  // Stays behind with the hold that lose() loses.
  Pass& lost_pass() {
    static std::vector<Pass*>* const kLost = new std::vector<Pass*>;
    kLost->push_back(new Pass(*hold_));
    return *kLost->back();
  }

  ProcessIndex add(std::uint8_t number = 1, std::uint32_t lanes = 16) {
    auto added = hold_->add(identity(number, lanes));
    EXPECT_TRUE(added.ok()) << added.error().sentence;
    return added.ok() ? *added : kNoProcess;
  }
  static BatchKey key(ProcessIndex process, std::uint64_t route = 0) { return {process, Signal::traces, 1, route}; }
  // One record of 8 bytes of its lane, in a pass of its own.
  BatchId put(Pass& pass, ProcessIndex process, const std::string& record, Origin origin, std::uint64_t route = 0) {
    EXPECT_TRUE(pass.begin(process));
    const Appended appended = pass.append(key(process, route), {}, 0, bytes(record), origin);
    EXPECT_EQ(appended.status, AppendStatus::appended);
    pass.set_position(process, origin.lane, origin.position + 8);
    pass.commit();
    return appended.batch;
  }
  void settle_all(BatchId batch, std::uint64_t records) {
    if (hold_->info(batch)->state == BatchState::open) {
      EXPECT_TRUE(hold_->close(batch, {}).ok());
    }
    const Outcome outcome{batch, records};
    const Status settled = hold_->settle({&outcome, 1});
    EXPECT_TRUE(settled.ok()) << settled.error().sentence;
  }
  std::string content(BatchId batch) const { return text_of(*hold_, batch); }
  void expect_balance(ProcessIndex process, Signal signal) const {
    const SignalLedger ledger = hold_->ledger(process)[static_cast<std::size_t>(signal)];
    EXPECT_EQ(ledger.imbalance(), 0);
    EXPECT_EQ(ledger.unaccounted(), 0);
    EXPECT_EQ(ledger.written(), ledger.delivered + ledger.rejected + ledger.dropped_total() + ledger.pending());
  }

  std::string folder_;
  std::string path_;
  std::uint64_t bytes_ = kBytes;
  std::unique_ptr<Hold> hold_;
};

}  // namespace tailrace::agent

#endif  // TAILRACE_TESTS_AGENT_HOLD_HOLD_FIXTURE_HPP_
