// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/future.h"

#include <new>
#include <string>
#include <utility>

#include "tests/conformance/cpython/src/done_call.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/py_protocol.h"
#include "tests/conformance/cpython/src/transport_object.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/errors.h"

namespace weft::python {

std::uint64_t futures_made = 0;

// --- The core. ---

PyFuture::PyFuture(loop::detail::LoopCore& loop, FutureObject& object) noexcept
    : FutureBox<Ref>(loop, std::source_location::current()), object_(object) {
  ++futures_made;
}
PyFuture::PyFuture(loop::detail::LoopCore& loop, FutureObject& object,
                   loop::detail::IsTask task) noexcept
    : FutureBox<Ref>(loop, std::source_location::current(), task), object_(object) {
  ++futures_made;
}

void PyFuture::first_reference() noexcept {
  Py_INCREF(as_object(object_));
}
// A loop that nobody has closed ends after the interpreter, which has taken the object with it.
void PyFuture::last_reference_gone() noexcept {
  if (Py_IsInitialized() != 0) Py_DECREF(as_object(object_));
}

void PyFuture::destroy() noexcept {
  loop::detail::LoopCore& core = loop();
  this->~PyFuture();
  loop::detail::free_block(core, this, sizeof(PyFuture));
}

// Others may hold the C++ exception, and may need the Python one for longer.
void PyFuture::end() noexcept {
  const auto* const raised = fibers::exception_cast<Raised>(stored_exception());
  if (raised != nullptr && raised->error() == object_.error) {
    raised->take_over();
    object_.error = nullptr;
  }
  drop_callbacks();
  destroy();
}

void PyFuture::note_message(const std::exception_ptr& payload) noexcept {
  if (done()) return;
  Py_XSETREF(object_.cancel_message, message_of(payload));
}

bool PyFuture::cancel(std::exception_ptr payload) {
  note_message(payload);
  return FutureCore::cancel(std::move(payload));
}

void PyFuture::require_not_done() {
  if (task() == nullptr) return require_pending();
  if (done()) throw loop::InvalidStateError("invalid state: the task is done already");
}

void PyFuture::end_with_value(PyObject* object) {
  require_not_done();
  value.emplace(Py_NewRef(object));
  finish();
}

void PyFuture::end_with_error(PyObject* error) {
  require_not_done();
  Py_XSETREF(object_.error, Py_NewRef(error));
  Py_XSETREF(object_.error_traceback, PyException_GetTraceback(error));
  std::exception_ptr raised = to_cpp(error, Raised::Keep::kBorrowed);
  if (task() == nullptr) return set_exception(std::move(raised));
  complete_with(State::kFinished, std::move(raised));
}

void PyFuture::name_object(loop::ExceptionContext& context) const noexcept {
  if (context.exception == nullptr) return;
  try {
    const char* const name = Py_TYPE(as_object(object_))->tp_name;
    const std::string whole(name);
    context.message = whole.substr(whole.rfind('.') + 1) + " exception was never retrieved";
  } catch (const std::bad_alloc&) {
    // With the core's own message.
  }
}

void PyFuture::describe(loop::ExceptionContext& context) const noexcept {
  FutureCore::describe(context);
  name_object(context);
}

void PyFuture::report(const loop::ExceptionContext& context) {
  tell_exception_handler(*object_.head.loop, context);
}

PyObject* object_of(const loop::detail::FutureCore& core) {
  const auto* const future = dynamic_cast<const PyFuture*>(&core);
  return future == nullptr ? nullptr : as_object(future->object());
}

PyFuture& core_of(FutureObject& future) {
  if (future.core != nullptr) return *future.core;
  throw fibers::UsageError("Future object is not initialized.");
}

template <class Put>
static bool put_transport(const loop::ExceptionContext& context, const Put& put) {
  if (context.transport == nullptr) return true;
  PyObject* const transport =
      transport_of(*static_cast<const loop::detail::TransportCore*>(context.transport));
  auto* const protocol =
      context.protocol == nullptr
          ? nullptr
          : python_protocol(static_cast<loop::BaseProtocol*>(const_cast<void*>(context.protocol)));
  return put("transport", transport) &&
         put("protocol", protocol == nullptr ? nullptr : protocol->object());
}

PyObject* context_dict(const loop::ExceptionContext& context) {
  Owned dict(Py_BuildValue("{ss}", "message", context.message.c_str()));
  if (!dict) return nullptr;
  const auto put = [&dict](const char* key, PyObject* value) {
    return value == nullptr || PyDict_SetItemString(dict.get(), key, value) == 0;
  };
  const Owned error(context.exception == nullptr ? nullptr : to_python(context.exception));
  if (!put("exception", error.get()) || !put_transport(context, put)) return nullptr;
  if (context.future == nullptr) return dict.release();
  PyObject* const object = object_of(*static_cast<const loop::detail::FutureCore*>(context.future));
  if (object == nullptr) return dict.release();
  // asyncio calls a task a future when that is dropped with its exception, and else a task.
  const bool is_task =
      context.task != nullptr && !context.message.ends_with("exception was never retrieved");
  const bool good = put(is_task ? "task" : "future", object) &&
                    put("source_traceback", as_future(object).traceback);
  return good ? dict.release() : nullptr;
}

// --- Results. ---

PyObject* make_cancelled_error(FutureObject& future) {
  if (future.cancelled_error != nullptr) return std::exchange(future.cancelled_error, nullptr);
  // C++ may have cancelled it.
  const Owned message(future.cancel_message != nullptr || future.core == nullptr
                          ? Py_XNewRef(future.cancel_message)
                          : message_of(future.core->stored_exception()));
  return !message || message.get() == Py_None
             ? PyObject_CallNoArgs(error_types.cancelled)
             : PyObject_CallOneArg(error_types.cancelled, message.get());
}

// C++ may have ended it: then its error becomes a Python object now.
static PyObject* error_of(FutureObject& future) {
  const std::exception_ptr& stored = future.core->stored_exception();
  if (stored == nullptr) return nullptr;
  if (future.error == nullptr) {
    future.error = to_python(stored);
    future.error_traceback = PyException_GetTraceback(future.error);
  }
  return future.error;
}

PyObject* take_error_of(FutureObject& future) {
  PyFuture& core = core_of(future);
  if (core.state() == PyFuture::State::kCancelled) {
    PyObject* const error = make_cancelled_error(future);
    return error != nullptr ? error : take_error();
  }
  PyObject* const error = error_of(future);
  if (error == nullptr) return nullptr;
  core.forget_unretrieved();
  // As it was: each raise adds to it.
  PyException_SetTraceback(error,
                           future.error_traceback != nullptr ? future.error_traceback : Py_None);
  return Py_NewRef(error);
}

static void require_done(const PyFuture& core, const char* what) {
  if (!core.done()) throw loop::InvalidStateError(what);
}

PyObject* value_of(FutureObject& future) {
  const auto& value = future.core->value;
  return Py_NewRef(value ? value->get() : Py_None);
}

PyObject* result_of(FutureObject& future) {
  require_done(core_of(future), "Result is not set.");
  const Owned error(take_error_of(future));
  if (!error) return value_of(future);
  set_error(error.get());
  return nullptr;
}

// --- Its life. ---

bool begin_future(FutureObject& future, PyObject* loop) {
  Owned own(loop == nullptr || loop == Py_None ? PyObject_CallNoArgs(helpers.get_event_loop)
                                               : Py_NewRef(loop));
  if (!own) return false;
  if (PyObject_TypeCheck(own.get(), loop_type) == 0) {
    PyErr_Format(PyExc_TypeError, "weft's futures and tasks belong to loops of weft's, not to %R",
                 own.get());
    return false;
  }
  if (future.core != nullptr && future.core->references() > 0) {
    PyErr_SetString(PyExc_RuntimeError, "a future that is in use cannot be made anew");
    return false;
  }
  LoopObject& whose = as_loop(own.get());
  Owned traceback(whose.debug ? PyObject_CallNoArgs(helpers.source_traceback) : nullptr);
  if (whose.debug && !traceback) return false;
  end_future(future);
  future.traceback = traceback.release();
  future.head.loop = reinterpret_cast<LoopObject*>(own.release());
  return true;
}

int traverse_future(PyObject* self, visitproc visit, void* arg) {
  FutureObject& future = as_future(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<PyObject*>(future.head.loop));
  Py_VISIT(future.error);
  Py_VISIT(future.error_traceback);
  Py_VISIT(future.cancel_message);
  Py_VISIT(future.cancelled_error);
  Py_VISIT(future.traceback);
  Py_VISIT(future.dict);
  if (future.core == nullptr) return 0;
  if (future.core->value) Py_VISIT(future.core->value->get());
  return traverse_callbacks(*future.core, visit, arg);
}

int clear_future(PyObject* self) {
  FutureObject& future = as_future(self);
  if (future.core != nullptr) {
    future.core->forget_callbacks();
    // Moved out first: what it destroys may look at the future.
    const auto value = std::exchange(future.core->value, std::nullopt);
  }
  Py_CLEAR(future.error_traceback);
  Py_CLEAR(future.cancel_message);
  Py_CLEAR(future.cancelled_error);
  Py_CLEAR(future.traceback);
  Py_CLEAR(future.dict);
  return 0;
}

void finalize_future(PyObject* self) {
  const ErrorKept kept;
  if (PyFuture* const core = as_future(self).core) core->finalize();
}

void end_future(FutureObject& future) {
  if (PyFuture* const core = std::exchange(future.core, nullptr)) core->end();
  Py_CLEAR(future.error);
  Py_CLEAR(future.error_traceback);
  Py_CLEAR(future.cancel_message);
  Py_CLEAR(future.cancelled_error);
  Py_CLEAR(future.traceback);
  Py_CLEAR(future.head.loop);
}

}  // namespace weft::python
