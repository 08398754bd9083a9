// SPDX-License-Identifier: Apache-2.0
//
// Wakeup: one thread sleeps until a time or until somebody has something for it.
//
// Threads: notify() from any, wait_until() by one. A notify() that comes before the wait is not lost.
// Failure: none.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace tailrace::agent {

class Wakeup {
 public:
  void notify() {
    {
      const std::lock_guard lock(mutex_);
      pending_ = true;
    }
    ready_.notify_one();
  }

  void wait_until(std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(mutex_);
    ready_.wait_until(lock, until, [this] { return pending_; });
    pending_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  bool pending_ = false;
};

}  // namespace tailrace::agent
