// SPDX-License-Identifier: Apache-2.0
// A thread that was cancelled goes on until it has left the library: what it has taken would stay taken. Wanted only
// around calls of libc that are cancellation points (open, writev, nanosleep …); recording has none.
#pragma once

#include <pthread.h>

namespace tailrace::shim {

class NoCancel {
 public:
  NoCancel() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NoCancel() { pthread_setcancelstate(before_, nullptr); }
  NoCancel(const NoCancel&) = delete;
  NoCancel& operator=(const NoCancel&) = delete;

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace tailrace::shim
