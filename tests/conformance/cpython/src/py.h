// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the extension's files share: references, the interpreter's lock, errors.

#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
// After that.
#include <structmember.h>

#include <utility>

namespace weft::python {

// Owns a reference. A resource.
class Owned {
 public:
  explicit Owned(PyObject* object) : object_(object) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { Py_XDECREF(object_); }
  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }
  // Takes over a reference, and gives up the one it has.
  void reset(PyObject* object) { Py_XDECREF(std::exchange(object_, object)); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_;
};

// The same as a value, for what C++ keeps: copies are references to the same object.
class Ref {
 public:
  // Takes over a reference.
  explicit Ref(PyObject* object) noexcept : object_(object) {}
  Ref(const Ref& other) noexcept : object_(Py_XNewRef(other.object_)) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (Py_IsInitialized() != 0) Py_XDECREF(object_);
  }
  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }

 private:
  PyObject* object_;
};

// Callables of the loop may be destroyed where the thread does not hold the lock: at its end.
class WithLock {
 public:
  WithLock() : held_(PyGILState_Check() != 0) {
    if (!held_) state_ = PyGILState_Ensure();
  }
  WithLock(const WithLock&) = delete;
  WithLock& operator=(const WithLock&) = delete;
  ~WithLock() {
    if (!held_) PyGILState_Release(state_);
  }

 private:
  const bool held_;
  PyGILState_STATE state_{};
};

// A Python exception that is set, on its way through C++ to where it is returned to Python.
struct PythonError {};

// Turns the C++ exception that is being handled into a Python one.
void raise_as_python() noexcept;

// Calls `fn`, which returns a new reference; what it throws becomes a Python exception.
template <class F>
PyObject* guarded(F&& fn) noexcept {
  try {
    return std::forward<F>(fn)();
  } catch (...) {
    raise_as_python();
    return nullptr;
  }
}

// As tables of methods have them, whatever else than PyCFunction's they take.
template <class F>
PyCFunction as_function(F* fn) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(fn));
}

// Calls it in a contextvars.Context. args[-1] may be written to.
PyObject* call_in_context(PyObject* context, PyObject* callable, PyObject* const* args,
                          Py_ssize_t count);

// Functions of the package and of asyncio that C calls. Set once, by the package: see
// weft/__init__.py.
struct Helpers {
  PyObject* handle_repr = nullptr;       // (handle) -> str
  PyObject* callback_text = nullptr;     // (handle) -> str
  PyObject* source_traceback = nullptr;  // () -> StackSummary
  PyObject* report_slow = nullptr;       // (handle, task or callable, seconds)
  PyObject* get_event_loop = nullptr;    // () -> the running loop, or the policy's
  PyObject* is_coroutine = nullptr;      // (object) -> bool
  PyObject* register_task = nullptr;     // (task)
  PyObject* enter_task = nullptr;        // (loop, task)
  PyObject* leave_task = nullptr;        // (loop, task)
  PyObject* wrap_socket =
      nullptr;  // (descriptor) -> a socket of a copy of it, and the same for looking at
  PyObject* swap_task = nullptr;  // (loop, task or None) -> the one before; None before 3.12
};
extern Helpers helpers;

}  // namespace weft::python
