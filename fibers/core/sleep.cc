// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/core/sleep.h"

#include "fibers/core/current_scheduler.h"
#include "fibers/core/returns.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {

using detail::Scheduler;
using detail::Sleeper;

// The wait is inlined into both: each frame above it costs a mispredicted return. See park.h.

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH void sleep_until(Instant deadline) {
  if (deadline == kForever) sleep_forever();
  Scheduler& scheduler = detail::scheduler_of_task();
  if (deadline <= scheduler.now()) return checkpoint();
  Sleeper sleeper(*scheduler.running(), deadline);
  detail::park(scheduler, &Sleeper::abort, &sleeper, sleeper.waiting_for());
}

WEFT_SWITCHES WEFT_RETURNS_AFTER_SWITCH void sleep(Duration length) {
  if (length < Duration::zero()) [[unlikely]]
    checkpoint_if_cancelled();
  if (detail::checked_timeout(length) == Duration::zero()) return checkpoint();
  Scheduler& scheduler = detail::scheduler_of_task();
  const Instant end = later(scheduler.now(), length);
  if (end == kForever) sleep_forever();
  Sleeper sleeper(*scheduler.running(), end);
  detail::park(scheduler, &Sleeper::abort, &sleeper, sleeper.waiting_for());
}

}  // namespace weft::fibers
