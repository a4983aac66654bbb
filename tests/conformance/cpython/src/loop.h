// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's SyncLoop as a Python object.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "tests/conformance/cpython/src/py.h"
#include "weft/fibers/clock.h"
#include "weft/loop/sync_loop.h"

namespace weft::python {

struct HandleObject;

// A clock that stands still unless it is told to move on.
class StandingClock final : public fibers::Clock {
 public:
  void advance(fibers::Duration by) { now_ += by; }
  fibers::Instant current_time() override { return now_; }
  // Nothing but a call from outside ends a wait.
  fibers::Duration deadline_to_sleep_time(fibers::Instant deadline) override {
    return deadline > now_ ? fibers::Duration::max() : fibers::Duration::zero();
  }

 private:
  fibers::Instant now_{};
};

struct LoopObject {
  PyObject_HEAD loop::SyncLoop* sync;      // Null before __init__.
  std::shared_ptr<loop::SyncLoop>* owner;  // Owned: shared with the runner.
  loop::Runner* runner;                    // Owned; null unless one has it: see runner.cc.
  loop::FutureBase* anchor;                // Owned: keeps the loop's core, also once it is closed.
  StandingClock* clock;                    // Owned; null: the machine's.
  HandleObject* scheduled;                 // All that the loop's core refers to.
  // In debug mode, for the hook of slow callbacks: a handle, a task or a callable, and how many
  // callbacks had run when it was called. A reference; null once that has been told, or the loop
  // stops.
  PyObject* last_called;
  std::uint64_t last_called_at;
  bool listed;  // In the list of all loops that are open.
  LoopObject* next;
  LoopObject* prev;
  PyObject* exit_type;  // The exception with which run_forever() is left.
  PyObject* exit_value;
  PyObject* exit_traceback;
  std::uint64_t callbacks_run;  // As note_callbacks() has seen it last.
  bool debug;
};

extern PyTypeObject* loop_type;

inline LoopObject& as_loop(PyObject* object) {
  return *reinterpret_cast<LoopObject*>(object);
}
// Throws UsageError before __init__.
loop::SyncLoop& sync_of(LoopObject& loop);
// Throws UsageError, "Event loop is closed", when it is.
loop::EventLoop& core_of(LoopObject& loop);

void keep_called(LoopObject& loop, PyObject* called);
// Before each call of Python's.
inline void note_called(LoopObject& loop, PyObject* called) {
  if (loop.debug) [[unlikely]]
    keep_called(loop, called);
}

// The Python exception that is set becomes the one that leaves the loop, at once.
[[noreturn]] void leave_loop(LoopObject& loop);
// The same, for whoever throws by itself.
void keep_exit(LoopObject& loop);
// Calls the loop's call_exception_handler(); what that raises leaves the loop.
void tell_exception_handler(LoopObject& loop, const loop::ExceptionContext& context);
// The one that is open and has this core. Throws UsageError if there is none.
LoopObject& loop_with(const loop::detail::LoopCore& core);
// Calls `fn`, which runs the loop; None, or null with what has left the loop.
PyObject* running(LoopObject& loop, const std::function<void()>& fn);
// How many callbacks it has run: that cannot be asked once it is closed.
void note_callbacks(LoopObject& loop);
// Throws UsageError before __init__.
loop::detail::LoopCore& loop_core(LoopObject& loop);

bool add_loop_type(PyObject* module);
// How many callbacks all loops of the process have run.
PyObject* callbacks_run(PyObject* module, PyObject* none);

}  // namespace weft::python
