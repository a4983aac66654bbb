// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Lets every system call and every allocation of a body fail, one after the other.
//
//   fault_sweep([] {
//     SocketStream stream = open_tcp_stream("127.0.0.1", port);
//     stream.send_all("hello");
//   });
//
// The body is run once to count the system calls that weft makes and the allocations that anybody
// makes; then once for each of them and each error that this call may plausibly give, with that one
// failing: a read() is interrupted, or takes a part only, or finds the connection reset; an
// accept() finds no free descriptor; a `new` throws std::bad_alloc. A run fails if it waits for
// what can never happen any more, if it leaves a task, a stack, a descriptor, a child process or
// memory behind, if it throws what that error does not explain, or by what `check` says.
//
// An error explains a std::system_error with its code, std::bad_alloc where memory was lacking, an
// exception with one of these nested in it, and groups of such. Interruptions and partial reads and
// writes explain nothing: a body does not notice them. (Python does so: PEP 475.)
//
// The error names the call and the task, and a token: with WEFT_FAULT=read.3.EIO in the environment
// that fault alone comes, under a debugger if wanted. Where a fault ends the process instead, the
// token is on stderr.
//
// Allocations fail in programs that link weft::fail_allocations, which replaces operator new.
//
// With WEFT_FAULT_SWEEP=1 in the environment each FIBER_TEST is swept too, after it has passed.

#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "weft/fibers/clock.h"

namespace weft::fibers::testing {

struct FaultSweepOptions {
  // Faults beyond this many are left out evenly.
  std::size_t most = 5000;
  // Which kinds of faults there are.
  bool calls = true;
  bool allocations = true;
  // Asked after each run; throws if something is not as it has to be.
  std::function<void()> check = nullptr;
  // What may come out of the body beside what the fault explains. Asked for each exception of a
  // group.
  std::function<bool(const std::exception_ptr&)> allowed = nullptr;
  // Whether whatever the body throws is no failure, as long as it ends.
  bool may_throw = false;
  // Whether the body is the main task of a run; else it is called as it is, and makes its own.
  bool in_run = true;
  // Whether each run has a thread of its own, so that what weft keeps for a thread, such as its
  // stacks, is made anew each time. Signals need the main thread.
  bool own_thread = true;
  // In real time: a run that takes longer hangs. The process then ends.
  Duration time_limit = std::chrono::seconds(30);
  // Bytes of a task's stack.
  std::size_t stack_size = 256 * 1024;
  // How many failures are looked for. All are in the error.
  std::size_t failures = 1;
  // A token: let that alone fail. Empty: what the environment's WEFT_FAULT says.
  std::string replay = {};
};

struct FaultSweepResult {
  std::size_t calls = 0;        // System calls of a run without a fault,
  std::size_t allocations = 0;  // and its allocations: 0 without weft::fail_allocations.
  std::size_t runs = 0;         // In which a fault has come.
};

// The body did not take a fault well; what happened is in the text.
class FaultSweepError : public std::runtime_error {
 public:
  FaultSweepError(const std::string& what, std::string token)
      : std::runtime_error(what), token_(std::move(token)) {}
  // For FaultSweepOptions::replay. Of the first.
  const std::string& token() const { return token_; }

 private:
  std::string token_;
};

// Throws FaultSweepError if something is wrong at some place; what the body throws without a fault;
// UsageError for a token that is none. `body` must do the same each time it is run. One sweep at a
// time.
//
// Blocks: the thread, until all runs are over.
// Cancel: does not apply.
// Threads: any, outside a run.
FaultSweepResult fault_sweep(const std::function<void()>& body,
                             const FaultSweepOptions& options = {});

}  // namespace weft::fibers::testing
