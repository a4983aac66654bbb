// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Handles of callbacks, as Python sees them. The object is the callback itself: what the loop's
// node holds is a reference to it, so that nothing stands between the loop and the call.

#pragma once

#include "tests/conformance/cpython/src/py.h"
#include "weft/loop/handle.h"

namespace weft::python {

struct LoopObject;

// asyncio.Handle, and TimerHandle with `when`. The arguments follow it in memory.
struct HandleObject {
  PyObject_VAR_HEAD LoopObject* loop;  // A reference.
  PyObject* callback;                  // Null once cancelled, as the arguments are.
  PyObject* context;                   // A contextvars.Context.
  PyObject* traceback;                 // In debug mode: where it was scheduled. Else null.
  PyObject* weak_refs;
  HandleObject* next;  // In the loop's list of what is scheduled, for the garbage collector.
  HandleObject* prev;
  double when;  // Of a timer.
  loop::Handle node;
  loop::ThreadsafeHandle remote;  // Instead of `node`, from call_soon_threadsafe.
  int fd;                         // Of a reader or writer; else -1.
  bool reads;
  bool running;
  bool clear_after;       // Cancelled while it runs.
  PyObject* before_args;  // For PY_VECTORCALL_ARGUMENTS_OFFSET.
  PyObject* args[1];
};

extern PyTypeObject* handle_type;
extern PyTypeObject* timer_handle_type;

// A new handle, not scheduled. `context` null: a copy of the current one. Null with a Python
// exception.
HandleObject* make_handle(PyTypeObject* type, LoopObject& loop, PyObject* callback,
                          PyObject* const* args, Py_ssize_t count, PyObject* context);
bool is_cancelled(const HandleObject& handle);
void cancel_handle(HandleObject& handle);

// What a callback without a handle has raised, which is set: SystemExit and KeyboardInterrupt leave
// the loop, anything else is the exception handler's.
void report_failed_call(LoopObject& loop, PyObject* callback, PyObject* const* args,
                        Py_ssize_t count, PyObject* context);

// What the loop calls.
class HandleCall {
 public:
  // Takes a reference of its own.
  explicit HandleCall(HandleObject& handle);
  HandleCall(HandleCall&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  HandleCall& operator=(HandleCall&&) = delete;
  ~HandleCall();
  // Throws fibers::KeyboardInterrupt for what has to leave the loop.
  void operator()() const;

 private:
  HandleObject* handle_;
};

bool add_handle_types(PyObject* module);

}  // namespace weft::python
