// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's TaskCore, with a Python coroutine as its code.

#pragma once

#include <cstdint>
#include <exception>

#include "tests/conformance/cpython/src/future.h"
#include "tests/conformance/cpython/src/py.h"
#include "weft/loop/detail/task_core.h"
#include "weft/loop/event_loop.h"

namespace weft::python {

struct TaskObject {
  FutureObject future;
  PyObject* coroutine;
  PyObject* context;   // A contextvars.Context.
  PyObject* awaited;   // What the coroutine has yielded, while it waits for that.
  PyObject* to_throw;  // In the next step: what it has yielded cannot be awaited.
  bool reports_loss;   // asyncio's _log_destroy_pending.
  bool initialized;    // Until then there is nothing to report.
};

// One step of it sends into the coroutine, or throws, and looks at what comes out.
class PyTask final : public PyFuture, public loop::detail::TaskCore {
 public:
  PyTask(loop::detail::LoopCore& loop, TaskObject& object)
      : PyFuture(loop, object.future, loop::detail::kIsTask),
        TaskCore(static_cast<PyFuture&>(*this), std::source_location::current()),
        object_(object) {}

  using PyFuture::loop;
  TaskObject& task_object() const { return object_; }
  bool cancel(std::exception_ptr payload) override;
  TaskCore* task() noexcept override { return this; }
  void finalize() noexcept override;
  // asyncio's tasks outlive their loop: whoever drops one is told of it.
  void abandon() noexcept override {}

 protected:
  void before_destroy() noexcept override {}
  void destroy() noexcept override;
  void describe(loop::ExceptionContext& context) const noexcept override;

  Step resume(std::exception_ptr error) override;
  void drop_code() noexcept override;
  void note_cancel(const std::exception_ptr& payload) noexcept override;
  bool cancel_elsewhere() noexcept override;

 private:
  PyObject* what_to_throw(const std::exception_ptr& error);
  PyObject* error_of_awaited();
  PySendResult run(PyObject* error, PyObject** result);
  Step ended(PyObject* result);
  Step failed();
  Step yielded(PyObject* result);
  Step awaits(PyObject* future);
  Step awaits_foreign(PyObject* future);
  Step refuse(PyObject* error);
  Step already_done(const std::exception_ptr& error);

  TaskObject& object_;
};

extern PyTypeObject* task_type;
extern std::uint64_t steps_run;

inline TaskObject& as_task(PyObject* object) {
  return *reinterpret_cast<TaskObject*>(object);
}
inline PyObject* as_object(TaskObject& task) {
  return reinterpret_cast<PyObject*>(&task);
}
inline PyTask& core_of(TaskObject& task) {
  return static_cast<PyTask&>(core_of(task.future));
}

// What is called when a future that is not weft's is done: the next step is queued. The loop's
// call_soon() recognizes it, so that the step has the place of that call. A new reference.
PyObject* wakeup_of(loop::detail::TaskCore& task);
// The task, if it is one of these; else null.
TaskObject* woken_by(PyObject* callable);
bool add_wakeup_type();

// Tasks that nobody but the ready queue refers to.
int traverse_ready_tasks(const loop::EventLoop& loop, visitproc visit, void* arg);
// Those of a loop that are not done: a list.
PyObject* tasks_of(PyObject* module, PyObject* loop);
// The one that weft steps at this moment, or None.
PyObject* stepped_task(PyObject* module, PyObject* none);

bool add_task_type(PyObject* module);

}  // namespace weft::python
