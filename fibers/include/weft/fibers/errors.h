// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The exceptions of weft that report an error, under Trio's names. The ones that steer control
// flow, Cancelled and KeyboardInterrupt, are in cancelled.h.

#pragma once

#include <stdexcept>
#include <string>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

// The caller's mistake: the text says what was wrong and what to do instead. Checked in all builds.
class UsageError : public std::logic_error {
  using std::logic_error::logic_error;
};

// An invariant of the runtime is broken, or a system task crashed. (Trio: TrioInternalError.)
class InternalError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The run that a token belongs to is over.
class RunFinishedError : public std::runtime_error {
 public:
  RunFinishedError() : std::runtime_error("the run is over") {}
};

// A `_nowait` call would have had to wait.
class WouldBlock : public std::runtime_error {
 public:
  WouldBlock() : std::runtime_error("the operation would block") {}
};

// Somebody else is using the resource in a way that allows one user at a time.
class BusyResourceError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The resource was closed by this side.
class ClosedResourceError : public std::runtime_error {
 public:
  ClosedResourceError() : std::runtime_error("the resource is closed") {}
  using std::runtime_error::runtime_error;
};

// The resource was broken by something outside: the peer, the network, a lock's owner that died.
class BrokenResourceError : public std::runtime_error {
 public:
  BrokenResourceError() : std::runtime_error("the resource is broken") {}
  using std::runtime_error::runtime_error;
};

// No more data will ever come.
class EndOfChannel : public std::runtime_error {
 public:
  EndOfChannel() : std::runtime_error("end of channel") {}
};

// A fail_after or fail_at ran out of time.
class TooSlowError : public std::runtime_error {
 public:
  TooSlowError() : std::runtime_error("the time is up") {}
};

// Nothing in this run can ever happen again: every task waits and no deadline is set. The text
// says who waits for whom (dump_waits) and holds the task tree. Raised in the main task, only in
// runs whose clock jumps (testing::MockClock): elsewhere a signal may still act, see
// deadlock_report.h. While a descriptor is waited for, or somebody holds a Token, it may here too,
// and the run waits ten seconds of real time first.
class DeadlockError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace weft::fibers
