// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waiting for descriptors that belong to somebody else: a library's socket, a pipe. For sockets of
// weft's own see socket.h; for callbacks on readiness, fd_watch.h.

#pragma once

namespace weft::fibers {

// Suspends until `fd` is readable (or at its end, or in error). Level-like: returns at once, after
// a checkpoint, if it already is. One waiting task a direction: BusyResourceError for a second one.
// Survives that the owner closes the descriptor and the number comes back as another one.
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

// Tells the run that `fd` is about to be closed: tasks that wait for it get ClosedResourceError.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
void notify_closing(int fd);

}  // namespace weft::fibers
