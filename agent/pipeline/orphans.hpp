// SPDX-License-Identifier: Apache-2.0
//
// Orphans: processes that the hold knows and whose segment is gone (a reboot of the directory, a file
// removed by hand, an agent killed between its last two steps). Nothing can be drained for them any
// more: what waited for parts is given up and booked, and once the rest is sent they are retired.
//
// Threads: the housekeeper. Failure: none; a process that cannot be retired yet is tried again.
#pragma once

#include <functional>

#include "agent/hold/hold.hpp"
#include "agent/hold/pass.hpp"

namespace tailrace::agent {

class Orphans {
 public:
  explicit Orphans(Hold& hold) : hold_(hold), pass_(hold) {}

  // `has_session` tells whether a process's segment is here.
  void settle(const std::function<bool(ProcessIndex)>& has_session);

 private:
  void give_up_parked(ProcessIndex process);

  Hold& hold_;
  Pass pass_;
};

}  // namespace tailrace::agent
