// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How a run asks a host that polls for a tick, if the host takes one on its own thread: a system
// call less than the wake-up. Apart from Scheduler, so that only guests bring guest.cc along.

#pragma once

namespace weft::fibers::detail {

class Guest;
class Scheduler;

struct HostCall {
  const Scheduler* run = nullptr;  // Null: there is no such host.
  // False if the host could not take it: the wake-up has to do.
  bool (*call)() noexcept = nullptr;
  // Good while the run's host is at leisure.
  Guest* guest = nullptr;
  bool noted = false;  // A TickHere has taken a call.
};
// Of this thread's guest run.
inline constinit thread_local HostCall host_call;

}  // namespace weft::fibers::detail
