// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's FutureCore as a Python object.

#pragma once

#include <cstdint>
#include <exception>
#include <new>
#include <utility>

#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/py.h"
#include "weft/loop/detail/future_box.h"
#include "weft/loop/exception_context.h"

namespace weft::python {

struct FutureObject;

// The core of a Future. A Python object and its core live and die together: all of C++'s references
// to the core are one reference to the object.
class PyFuture : public loop::detail::FutureBox<Ref> {
 public:
  PyFuture(loop::detail::LoopCore& loop, FutureObject& object) noexcept;

  FutureObject& object() const { return object_; }
  bool cancel(std::exception_ptr payload) override;
  // Ends it, also if it is a task's: Python's Future.set_result(task) does that. Throws
  // InvalidStateError.
  void end_with_value(PyObject* object);
  void end_with_error(PyObject* error);
  // The object is about to go, or may be: reports what is lost.
  virtual void finalize() noexcept { report_lost(); }
  // The object goes.
  void end() noexcept;
  void forget_callbacks() noexcept { drop_callbacks(); }

 protected:
  PyFuture(loop::detail::LoopCore& loop, FutureObject& object, loop::detail::IsTask) noexcept;
  void note_message(const std::exception_ptr& payload) noexcept;
  void name_object(loop::ExceptionContext& context) const noexcept;
  void first_reference() noexcept override;
  void last_reference_gone() noexcept override;
  void destroy() noexcept override;
  void describe(loop::ExceptionContext& context) const noexcept override;
  // Also once the loop is closed.
  void report(const loop::ExceptionContext& context) override;

 private:
  void require_not_done();
  FutureObject& object_;
};

// What everything that stands for a future begins with.
struct FutureHead {
  PyObject_HEAD LoopObject* loop;  // A reference; null before __init__.
  bool blocking;                   // asyncio's _asyncio_future_blocking.
};

struct FutureObject {
  FutureHead head;
  PyFuture* core;   // Null before __init__.
  PyObject* error;  // What it has ended with: see Raised.
  PyObject* error_traceback;
  PyObject* cancel_message;
  PyObject* cancelled_error;  // What a task's code has ended with, for the first who asks.
  PyObject* traceback;        // In debug mode: where it was made.
  PyObject* dict;
  PyObject* weak_refs;
};

extern PyTypeObject* future_type;

inline FutureObject& as_future(PyObject* object) {
  return *reinterpret_cast<FutureObject*>(object);
}
inline PyObject* as_object(FutureObject& future) {
  return reinterpret_cast<PyObject*>(&future);
}
// The object of a core; null if that is C++'s own.
PyObject* object_of(const loop::detail::FutureCore& core);
// Throws UsageError before __init__.
PyFuture& core_of(FutureObject& future);

// The value, or None; a new reference.
PyObject* value_of(FutureObject& future);
// The result, or what it has ended with is raised.
PyObject* result_of(FutureObject& future);
// What it has ended with, a new reference; null if that is a value. It is done.
PyObject* take_error_of(FutureObject& future);
PyObject* make_cancelled_error(FutureObject& future);

// The parts that Task shares.
bool begin_future(FutureObject& future, PyObject* loop);  // False with a Python exception.
int traverse_future(PyObject* self, visitproc visit, void* arg);
int clear_future(PyObject* self);
void finalize_future(PyObject* self);
void end_future(FutureObject& future);

// The iterator of __await__: of a FutureHead.
PyObject* make_future_iterator(PyObject* future);
bool add_future_iterator_type(PyObject* module);

// What an exception handler is told. Null with a Python exception.
PyObject* context_dict(const loop::ExceptionContext& context);

// Puts the core into a future that begin_future() has begun. Its first reference is nobody's.
template <class Core, class... Args>
Core& give_core(FutureObject& future, loop::detail::LoopCore& loop, Args&&... args) {
  void* const block = loop::detail::allocate_block(loop, sizeof(Core));
  auto* const core = ::new (block) Core(loop, std::forward<Args>(args)...);
  Py_INCREF(as_object(future));
  future.core = core;
  static_cast<loop::detail::FutureCore&>(*future.core).release();
  return *core;
}
// A new weft_core.Future with another core than usual, which is made of the object and of `args`.
// The reference is the caller's.
template <class Core, class... Args>
Core& make_future(LoopObject& loop, Args&&... args) {
  PyObject* const object = future_type->tp_alloc(future_type, 0);
  if (object == nullptr || !begin_future(as_future(object), reinterpret_cast<PyObject*>(&loop))) {
    Py_XDECREF(object);
    throw PythonError();
  }
  return give_core<Core>(as_future(object), loop_core(loop), as_future(object),
                         std::forward<Args>(args)...);
}

bool add_future_type(PyObject* module);
extern std::uint64_t futures_made;

}  // namespace weft::python
