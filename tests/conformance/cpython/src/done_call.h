// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Callbacks of futures that are Python's.

#pragma once

#include "tests/conformance/cpython/src/py.h"
#include "weft/loop/detail/future_core.h"

namespace weft::python {

// What a future's node calls: the callable, with the future, in its context.
class DoneCall {
 public:
  // `subject`: the object that stands for the future; null if that is a PyFuture. Takes references
  // of its own.
  DoneCall(PyObject* fn, PyObject* context, PyObject* subject) noexcept
      : fn_(Py_NewRef(fn)), context_(Py_NewRef(context)), subject_(Py_XNewRef(subject)) {}
  DoneCall(DoneCall&& other) noexcept
      : fn_(std::exchange(other.fn_, nullptr)),
        context_(std::exchange(other.context_, nullptr)),
        subject_(std::exchange(other.subject_, nullptr)) {}
  DoneCall& operator=(DoneCall&&) = delete;
  ~DoneCall();

  PyObject* fn() const { return fn_; }
  PyObject* context() const { return context_; }
  void run(loop::detail::FutureCore& future) const;
  int traverse(visitproc visit, void* arg) const;

  // The one that is in a node; null if something else is.
  static DoneCall* in(loop::detail::HandleNode& node) noexcept;

 private:
  PyObject* fn_;
  PyObject* context_;
  PyObject* subject_;
};

// Schedules fn(future) for the end of the future. `context` null or None: a copy of the current
// one. Returns None, or null with a Python exception.
PyObject* add_done_call(loop::detail::FutureCore& future, PyObject* fn, PyObject* context,
                        PyObject* subject);
// The same, of what Python has called add_done_callback() with.
PyObject* parse_done_call(loop::detail::FutureCore& future, PyObject* const* args, Py_ssize_t count,
                          PyObject* words, PyObject* subject);
// Takes off all that are equal to `fn`; how many were, as a Python number.
PyObject* remove_done_calls(loop::detail::FutureCore& future, PyObject* fn);
// A list of pairs, the callable and its context; None if there are none.
PyObject* list_done_calls(loop::detail::FutureCore& future);
// What the callbacks of a future refer to, tasks that wait for it among them.
int traverse_callbacks(loop::detail::FutureCore& future, visitproc visit, void* arg);

}  // namespace weft::python
