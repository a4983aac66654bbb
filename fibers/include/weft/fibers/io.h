// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waiting for descriptors that belong to somebody else: a library's socket, a pipe. For sockets of
// weft's own see socket.h; for callbacks on readiness, fd_watch.h.

#pragma once

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {

// Suspends until `fd` is readable (or at its end, or in error). Level-like: returns at once, after
// a checkpoint, if it already is. One waiting task a direction: BusyResourceError for a second one.
// If the owner closes the descriptor meanwhile without notify_closing(), the task waits on until
// it is cancelled, or until the end of a copy becomes readable (a dup, a child's). The number may
// come back as another descriptor: that one is waited for anew, and nothing of the old one arrives.
// (Trio: lowlevel.wait_readable.)
//
// Blocks: yes, always a checkpoint.
// Cancel: no data is consumed in any case.
// Threads: the run's own only.
void wait_readable(int fd);
// Blocks: yes, always a checkpoint.
// Cancel: no data is consumed in any case.
// Threads: the run's own only.
void wait_writable(int fd);

// Which directions of a descriptor are ready. An error or a hang-up concerns both.
struct FdReadiness {
  bool readable = false;
  bool writable = false;
};

// Suspends until `fd` is readable or writable, whichever comes first, and returns which: at least
// one of the two. For libraries that say which of both they want (libpq while it sends, libssh2).
// The task counts as the waiting task of both directions: BusyResourceError if either has one.
//
// Blocks: yes, always a checkpoint.
// Cancel: no data is consumed in any case.
// Threads: the run's own only.
FdReadiness wait_readable_or_writable(int fd);

// Tells the run that `fd` is about to be closed: tasks that wait for it get ClosedResourceError.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void notify_closing(int fd);

}  // namespace weft::fibers
