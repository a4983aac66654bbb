// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// explore() where the run is a guest in somebody else's loop, which is then part of what is
// explored: its callbacks between the ticks, and what it does when the guest is over.
//
//   explore_guest(
//       [](const std::function<void()>& main, const RunOptions& options) {
//         uv_loop_t loop;
//         uv_loop_init(&loop);
//         weft::uv::run(&loop, main, options);
//         if (uv_loop_close(&loop) != 0) throw std::logic_error("something is left in the loop");
//       },
//       [] { open_nursery(...); });
//
// The host makes no choices: in the same schedule it has to do the same. So it sees no other
// process, no other thread and no real time. A clock that jumps does so although the host may have
// something to do: a deadline of the body's meets what the host does in that very turn.

#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include "weft/fibers/run.h"
#include "weft/fibers/testing/explore.h"

namespace weft::fibers::testing {

// Starts `main` as a guest run with exactly these options, turns the host's loop until `main` has
// ended, and throws what it throws.
using ExploreHost =
    std::function<void(const std::function<void()>& main, const RunOptions& options)>;

namespace detail {
ExploreResult explore_guest_erased(const ExploreHost& host,
                                   const std::function<void(Exploration&)>& body,
                                   const ExploreOptions& options);
}

// Calls `host` once for each schedule, with a main that is `body`. Otherwise as explore(); an error
// of the host's own is a failure of the schedule, too. Throws UsageError also for a host that
// returns before `body` has ended.
//
// Blocks: the thread, until all schedules have been run.
// Cancel: does not apply.
// Threads: any, outside a run.
template <class Body>
ExploreResult explore_guest(const ExploreHost& host, Body&& body,
                            const ExploreOptions& options = {}) {
  if constexpr (std::is_invocable_v<Body&, Exploration&>) {
    return detail::explore_guest_erased(host, std::ref(body), options);
  } else {
    return detail::explore_guest_erased(
        host, [&](Exploration&) { body(); }, options);
  }
}

}  // namespace weft::fibers::testing
