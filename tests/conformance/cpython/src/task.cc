// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The steps of a Python coroutine.

#include "tests/conformance/cpython/src/task.h"

#include <string>
#include <utility>

#include "tests/conformance/cpython/src/core_future.h"
#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/handle.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/throwing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"

namespace weft::python {

std::uint64_t steps_run = 0;

void PyTask::destroy() noexcept {
  loop::detail::LoopCore& core = loop();
  this->~PyTask();
  loop::detail::free_block(core, this, sizeof(PyTask));
}

bool PyTask::cancel(std::exception_ptr payload) {
  return TaskCore::request_cancel(std::move(payload));
}

void PyTask::note_cancel(const std::exception_ptr& payload) noexcept {
  note_message(payload);
}

void PyTask::finalize() noexcept {
  report_lost();
  if (done() || !object_.initialized) return;
  if (object_.reports_loss) {
    TaskCore::before_destroy();
  } else {
    leave_list();
  }
}

void PyTask::describe(loop::ExceptionContext& context) const noexcept {
  TaskCore::describe(context);
  name_object(context);
}

void PyTask::drop_code() noexcept {
  Py_CLEAR(object_.coroutine);
}

// As asyncio does, whatever the other future makes of it.
bool PyTask::cancel_elsewhere() noexcept {
  if (object_.awaited == nullptr) return false;
  const Owned awaited(Py_NewRef(object_.awaited));
  PyObject* const message = object_.future.cancel_message;
  const bool plain = message == nullptr || message == Py_None;
  const Owned answer(plain ? PyObject_CallMethod(awaited.get(), "cancel", nullptr)
                           : PyObject_CallMethod(awaited.get(), "cancel", "O", message));
  if (!answer) {
    PyErr_WriteUnraisable(awaited.get());
    return false;
  }
  return PyObject_IsTrue(answer.get()) == 1;
}

// --- A step. ---

loop::detail::TaskCore::Step PyTask::resume(std::exception_ptr error) {
  ++steps_run;
  if (done()) return already_done(error);
  const Owned to_throw(what_to_throw(error));
  PyObject* result = nullptr;
  switch (run(to_throw.get(), &result)) {
    case PYGEN_RETURN:
      return ended(result);
    case PYGEN_NEXT:
      return yielded(result);
    case PYGEN_ERROR:
      break;
  }
  return failed();
}

// Python's Future.set_result(task) has ended it.
loop::detail::TaskCore::Step PyTask::already_done(const std::exception_ptr& error) {
  const Owned given(error == nullptr ? Py_NewRef(Py_None) : to_python(error));
  PyErr_Format(error_types.invalid_state, "_step(): already done: %R %R", as_object(object_),
               given.get());
  LoopObject& loop = *object_.future.head.loop;
  const Owned wakeup(wakeup_of(*this));
  report_failed_call(loop, wakeup.get(), nullptr, 0, object_.context);
  return Step::kElsewhere;
}

// What the future that it has awaited ended with is thrown, too: not everything that yields a
// future asks it afterwards.
PyObject* PyTask::what_to_throw(const std::exception_ptr& error) {
  Owned refused(std::exchange(object_.to_throw, nullptr));
  if (error == nullptr) return refused ? refused.release() : error_of_awaited();
  const Owned awaited(std::exchange(object_.awaited, nullptr));
  if (fibers::holds<loop::CancelledError>(error)) {
    PyObject* const cancelled = make_cancelled_error(object_.future);
    return cancelled != nullptr ? cancelled : take_error();
  }
  return to_python(error);
}

PyObject* PyTask::error_of_awaited() {
  const Owned awaited(std::exchange(object_.awaited, nullptr));
  if (!awaited) return nullptr;
  if (Py_IS_TYPE(awaited.get(), future_type) || Py_IS_TYPE(awaited.get(), task_type)) {
    FutureObject& future = as_future(awaited.get());
    return future.core->done() ? take_error_of(future) : nullptr;
  }
  const Owned result(PyObject_CallMethod(awaited.get(), "result", nullptr));
  return result ? nullptr : take_error();
}

namespace {

// asyncio's own functions find the task that is stepped.
class Entered {
 public:
  Entered(TaskObject& task, PyObject* context)
      : loop_(reinterpret_cast<PyObject*>(task.future.head.loop)),
        task_(as_object(task)),
        context_(context) {
    if (helpers.swap_task != Py_None) {
      PyObject* args[] = {nullptr, loop_, task_};
      before_ = PyObject_Vectorcall(helpers.swap_task, args + 1, 2 | kOffset, nullptr);
      entered_ = before_ != nullptr;
    } else {
      entered_ = call(helpers.enter_task);
    }
    if (entered_ && PyContext_Enter(context_) < 0) {
      const ErrorKept kept;
      leave_task();
      entered_ = false;
    }
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() {
    if (!entered_) return;
    const ErrorKept kept;
    if (PyContext_Exit(context_) < 0) PyErr_WriteUnraisable(task_);
    leave_task();
  }
  explicit operator bool() const { return entered_; }

 private:
  static constexpr std::size_t kOffset = PY_VECTORCALL_ARGUMENTS_OFFSET;
  bool call(PyObject* function) {
    PyObject* args[] = {nullptr, loop_, task_};
    const Owned done(PyObject_Vectorcall(function, args + 1, 2 | kOffset, nullptr));
    return static_cast<bool>(done);
  }
  void leave_task() {
    if (before_ == nullptr) {
      if (!call(helpers.leave_task)) PyErr_WriteUnraisable(task_);
      return;
    }
    PyObject* args[] = {nullptr, loop_, before_};
    const Owned me(PyObject_Vectorcall(helpers.swap_task, args + 1, 2 | kOffset, nullptr));
    if (!me) PyErr_WriteUnraisable(task_);
    Py_CLEAR(before_);
  }

  PyObject* const loop_;
  PyObject* const task_;
  PyObject* const context_;
  PyObject* before_ = nullptr;
  bool entered_ = false;
};

}  // namespace

PySendResult PyTask::run(PyObject* error, PyObject** result) {
  const Owned coroutine(Py_NewRef(object_.coroutine));
  const Owned context(Py_NewRef(object_.context));
  note_called(*object_.future.head.loop, as_object(object_));
  const Entered entered(object_, context.get());
  if (!entered) return PYGEN_ERROR;
  if (error == nullptr) return PyIter_Send(coroutine.get(), Py_None, result);
  return throw_python(coroutine.get(), error, result);
}

loop::detail::TaskCore::Step PyTask::ended(PyObject* result) {
  value.emplace(result);
  return Step::kReturned;
}

// A cancellation is told on without the Python exception, which the first who asks gets.
loop::detail::TaskCore::Step PyTask::failed() {
  const Owned error(take_error());
  FutureObject& future = object_.future;
  if (is_cancellation(error.get())) {
    const Owned args(PyObject_GetAttrString(error.get(), "args"));
    const bool has_message = args && PyTuple_Check(args.get()) && PyTuple_GET_SIZE(args.get()) > 0;
    std::exception_ptr payload =
        has_message ? cancel_payload(PyTuple_GET_ITEM(args.get(), 0)) : nullptr;
    step_error = payload != nullptr ? payload : std::make_exception_ptr(loop::CancelledError());
    Py_XSETREF(future.cancelled_error, Py_NewRef(error.get()));
    return Step::kRaised;
  }
  if (is_interrupt(error.get())) {
    set_error(error.get());
    keep_exit(*future.head.loop);
  }
  Py_XSETREF(future.error, Py_NewRef(error.get()));
  Py_XSETREF(future.error_traceback, PyException_GetTraceback(error.get()));
  step_error = to_cpp(error.get(), Raised::Keep::kBorrowed);
  return Step::kRaised;
}

loop::detail::TaskCore::Step PyTask::refuse(PyObject* error) {
  Py_XSETREF(object_.to_throw, error != nullptr ? error : take_error());
  return Step::kYields;
}

static PyObject* runtime_error(const char* format, PyObject* task, PyObject* result) {
  const Owned text(PyUnicode_FromFormat(format, task, result));
  return text ? PyObject_CallOneArg(PyExc_RuntimeError, text.get()) : nullptr;
}

loop::detail::TaskCore::Step PyTask::yielded(PyObject* given) {
  const Owned result(given);
  if (given == Py_None) return Step::kYields;
  if (Py_IS_TYPE(given, future_type) || Py_IS_TYPE(given, task_type) || is_core_future(given)) {
    return awaits(given);
  }
  Owned blocking(nullptr);
  if (PyObject* found = PyObject_GetAttrString(given, "_asyncio_future_blocking")) {
    blocking.reset(found);
  } else {
    PyErr_Clear();
  }
  PyObject* const me = as_object(object_);
  if (blocking && blocking.get() != Py_None) {
    if (PyObject_IsTrue(blocking.get()) == 1) return awaits_foreign(given);
    return refuse(
        runtime_error("yield was used instead of yield from in task %R with %R", me, given));
  }
  if (PyGen_CheckExact(given)) {
    return refuse(runtime_error(
        "yield was used instead of yield from for generator in task %R with %R", me, given));
  }
  const Owned text(PyUnicode_FromFormat("Task got bad yield: %R", given));
  return refuse(text ? PyObject_CallOneArg(PyExc_RuntimeError, text.get()) : nullptr);
}

loop::detail::TaskCore::Step PyTask::awaits(PyObject* future) {
  auto& head = *reinterpret_cast<FutureHead*>(future);
  PyObject* const me = as_object(object_);
  if (!std::exchange(head.blocking, false)) {
    return refuse(
        runtime_error("yield was used instead of yield from in task %R with %R", me, future));
  }
  if (head.loop != object_.future.head.loop) {
    return refuse(runtime_error("Task %R got Future %R attached to a different loop", me, future));
  }
  Py_XSETREF(object_.awaited, Py_NewRef(future));
  step_future = is_core_future(future) ? &core_future_of(future) : as_future(future).core;
  return Step::kAwaits;
}

// A future of somebody else's, or a subclass of ours, which is asked by its methods.
loop::detail::TaskCore::Step PyTask::awaits_foreign(PyObject* future) {
  PyObject* const me = as_object(object_);
  Owned loop(PyObject_CallMethod(future, "get_loop", nullptr));
  if (!loop) {
    if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) return refuse(nullptr);
    PyErr_Clear();
    loop.reset(PyObject_GetAttrString(future, "_loop"));
    if (!loop) return refuse(nullptr);
  }
  if (loop.get() != reinterpret_cast<PyObject*>(object_.future.head.loop)) {
    return refuse(runtime_error("Task %R got Future %R attached to a different loop", me, future));
  }
  if (future == me) return refuse(runtime_error("Task cannot await on itself: %R", me, me));
  if (PyObject_SetAttrString(future, "_asyncio_future_blocking", Py_False) < 0) {
    return refuse(nullptr);
  }
  const Owned wakeup(wakeup_of(*this));
  const Owned method(PyObject_GetAttrString(future, "add_done_callback"));
  const Owned args(wakeup ? PyTuple_Pack(1, wakeup.get()) : nullptr);
  const Owned words(Py_BuildValue("{sO}", "context", object_.context));
  if (!method || !args || !words) return refuse(nullptr);
  const Owned added(PyObject_Call(method.get(), args.get(), words.get()));
  if (!added) return refuse(nullptr);
  Py_XSETREF(object_.awaited, Py_NewRef(future));
  return Step::kElsewhere;
}

}  // namespace weft::python
