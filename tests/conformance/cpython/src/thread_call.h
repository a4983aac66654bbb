// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Python's functions as C++'s executors take them. Whatever a job holds is Python's, and a thread
// that knows nothing of the interpreter may be the last to have it: so each of these takes the
// interpreter's lock for what it does, and for its end, if it still can.

#pragma once

#include <memory>
#include <utility>

#include "tests/conformance/cpython/src/py.h"

namespace weft::python {

// The interpreter's lock, for a thread that may come after the interpreter has begun to end. It is
// not given to such a thread any more (see end_jobs()): the interpreter ends who asks for it then,
// by an unwinding that destructors do not let through. What it would have given back is left alone.
class LateLock {
 public:
  LateLock();
  LateLock(const LateLock&) = delete;
  LateLock& operator=(const LateLock&) = delete;
  ~LateLock();
  explicit operator bool() const { return has_; }

 private:
  bool has_ = false;
  bool entered_ = false;
  bool taken_ = false;
  PyGILState_STATE state_{};
};

// What a job returns. Moves.
class JobValue {
 public:
  // Takes over a reference.
  explicit JobValue(PyObject* object) noexcept : object_(object) {}
  JobValue(JobValue&& other) noexcept : object_(other.release()) {}
  JobValue& operator=(JobValue&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~JobValue();
  PyObject* object() const { return object_; }
  PyObject* release() noexcept { return std::exchange(object_, nullptr); }

 private:
  PyObject* object_;
};

// A function with its arguments. Moves. While one lives, the interpreter does not end: see
// join_jobs().
class ThreadCall {
 public:
  // `args`: a tuple. `words`: a dict or null. `context`: a contextvars.Context to call it in, or
  // null. Takes references of its own. Throws UsageError after end_jobs().
  ThreadCall(PyObject* fn, PyObject* args, PyObject* words, PyObject* context);
  ThreadCall(ThreadCall&& other) noexcept;
  ThreadCall& operator=(ThreadCall&&) = delete;
  ~ThreadCall();
  // Throws what the function raises, as a Raised.
  JobValue operator()();

 private:
  PyObject* call() const;

  PyObject* fn_;
  PyObject* args_;
  PyObject* words_;
  PyObject* context_;
};

// Once, before anything else. False with a Python exception.
bool load_convert_error();
// Waits until no job is left, without the lock. Null with what a handler of a signal has raised.
PyObject* join_jobs(PyObject* module, PyObject* none);
// The same as the interpreter begins to end; and then no thread but this one gets a LateLock.
PyObject* end_jobs(PyObject* module, PyObject* none);
// In a child after a fork, which has none of the threads.
PyObject* forget_jobs(PyObject* module, PyObject* none);

}  // namespace weft::python
