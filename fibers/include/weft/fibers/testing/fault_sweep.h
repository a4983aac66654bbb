// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Makes every system call and every allocation of a body fail, one after the other.
//
//   fault_sweep([] {
//     SocketStream stream = open_tcp_stream("127.0.0.1", port);
//     stream.send_all("hello");
//   });
//
// The body runs once to count the system calls that weft makes and the allocations that any code
// makes. Then it runs once for each of them and each error that the call may plausibly give, with
// only that one failing. A read() is interrupted, or takes only a part, or finds the connection
// reset; an accept() finds no free descriptor; a `new` throws std::bad_alloc. A run fails if it
// waits for what can never happen any more, if it leaves a task, a stack, a descriptor, a child
// process or memory behind, if it throws something that the error does not explain, or if `check`
// throws.
//
// An error explains a std::system_error with its code, or std::bad_alloc if an allocation failed;
// an exception with one of these nested in it; and groups of those. Interruptions and partial reads
// and writes explain nothing: a body should not notice them. (As in Python: PEP 475.)
//
// The error names the call, the task, and a token: with WEFT_FAULT=read.3.EIO in the environment
// only that fault comes, in a debugger if you like. If a fault ends the process, the token is on
// stderr.
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
  // If there are more faults, some are left out evenly.
  std::size_t most = 5000;
  // Which kinds of faults to try.
  bool calls = true;
  bool allocations = true;
  // Called after each run. Throws if something is wrong.
  std::function<void()> check = nullptr;
  // What the body may throw besides what the fault explains. Called for each exception of a group.
  std::function<bool(const std::exception_ptr&)> allowed = nullptr;
  // The body may throw anything, as long as it ends.
  bool may_throw = false;
  // Whether the body is the main task of a run. If not, it is just called, and makes its own run.
  bool in_run = true;
  // Whether each run has a thread of its own, so that what weft keeps for a thread, such as its
  // stacks, is made again each time. Signals need the main thread.
  bool own_thread = true;
  // In real time. A run that takes longer counts as hanging, and ends the process.
  Duration time_limit = std::chrono::seconds(30);
  // Bytes of a task's stack.
  std::size_t stack_size = 256 * 1024;
  // How many failures to look for. The error has all of them.
  std::size_t failures = 1;
  // A token: only that call fails. Empty: the environment variable WEFT_FAULT decides.
  std::string replay = {};
};

struct FaultSweepResult {
  std::size_t calls = 0;        // System calls of a run without a fault,
  std::size_t allocations = 0;  // and its allocations: 0 without weft::fail_allocations.
  std::size_t runs = 0;         // Runs with a fault.
};

// A fault broke the body. The text says what happened.
class FaultSweepError : public std::runtime_error {
 public:
  FaultSweepError(const std::string& what, std::string token)
      : std::runtime_error(what), token_(std::move(token)) {}
  // For FaultSweepOptions::replay. Of the first.
  const std::string& token() const { return token_; }

 private:
  std::string token_;
};

// Throws FaultSweepError if a fault breaks the body; what the body throws without a fault;
// UsageError for an invalid token. `body` must do the same each time it runs. Only one sweep may
// run at a time.
//
// Blocks: the thread, until all runs are over.
// Cancel: does not apply.
// Threads: any, outside a run.
FaultSweepResult fault_sweep(const std::function<void()>& body,
                             const FaultSweepOptions& options = {});

}  // namespace weft::fibers::testing
