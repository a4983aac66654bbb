// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/shared_wait.h"

#include "fibers/core/check.h"
#include "fibers/core/current_scheduler.h"
#include "fibers/core/scheduler.h"

namespace weft::fibers {

namespace {

detail::Poller& poller_to_share() {
  detail::Scheduler& run = detail::current_scheduler();
  WEFT_REQUIRE(!run.host().exists,
               "this run is a guest: its host does the waiting, so bring the other loop there");
  WEFT_REQUIRE(!run.poller().shares_waits(),
               "this run shares its waits with another loop already; end that first");
  return run.poller();
}

}  // namespace

SharedWait::SharedWait() : poller_(poller_to_share()), pollable_fd_(poller_.share_waits(this)) {}

SharedWait::~SharedWait() {
  static_cast<void>(poller_.share_waits(nullptr));
}

}  // namespace weft::fibers
