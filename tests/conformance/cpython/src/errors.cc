// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/errors.h"

#include <new>
#include <system_error>

#include "tests/conformance/cpython/src/primitives.h"
#include "tests/conformance/cpython/src/streams.h"
#include "tests/conformance/cpython/src/thread_call.h"
#include "tests/conformance/cpython/src/tls.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"

namespace weft::python {

ErrorTypes error_types;

Raised::~Raised() {
  if (!owned_) return;
  if (const LateLock lock; lock) Py_DECREF(error_);
}

CancelMessage::~CancelMessage() {
  if (const LateLock lock; lock) Py_DECREF(message_);
}

PyObject* take_error() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
}

void set_error(PyObject* error) {
  PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(error))), Py_NewRef(error),
                PyException_GetTraceback(error));
}

bool is_interrupt(PyObject* error) {
  return PyErr_GivenExceptionMatches(error, PyExc_SystemExit) != 0 ||
         PyErr_GivenExceptionMatches(error, PyExc_KeyboardInterrupt) != 0;
}
bool is_cancellation(PyObject* error) {
  return PyErr_GivenExceptionMatches(error, error_types.cancelled) != 0;
}

std::exception_ptr to_cpp(PyObject* error, Raised::Keep keep) {
  if (is_cancellation(error)) return std::make_exception_ptr(RaisedCancelled(error, keep));
  if (is_interrupt(error)) return std::make_exception_ptr(RaisedInterrupt(error, keep));
  return std::make_exception_ptr(RaisedError(error, keep));
}

std::exception_ptr cancel_payload(PyObject* message) {
  if (message == nullptr || message == Py_None) return nullptr;
  return std::make_exception_ptr(CancelMessage(message));
}

PyObject* message_of(const std::exception_ptr& payload) {
  if (const auto* given = fibers::exception_cast<CancelMessage>(payload)) {
    return Py_NewRef(given->object());
  }
  if (const auto* error = fibers::exception_cast<loop::CancelledError>(payload);
      error != nullptr && !error->message().empty()) {
    if (PyObject* const text = PyUnicode_FromString(error->message().c_str())) return text;
    PyErr_Clear();
  }
  return Py_NewRef(Py_None);
}

namespace {

PyObject* make(PyObject* type, const std::string& text) {
  return PyObject_CallFunction(type, "s", text.c_str());
}

PyObject* make_cancelled(const std::exception_ptr& error) {
  const Owned message(message_of(error));
  if (message.get() == Py_None) return PyObject_CallNoArgs(error_types.cancelled);
  return PyObject_CallOneArg(error_types.cancelled, message.get());
}

PyObject* make_group(const fibers::BaseExceptionGroup& group) {
  const Owned members(PyList_New(0));
  if (!members) return nullptr;
  for (const std::exception_ptr& member : group.exceptions()) {
    const Owned error(to_python(member));
    if (PyList_Append(members.get(), error.get()) < 0) return nullptr;
  }
  // Makes an ExceptionGroup where it can.
  return PyObject_CallFunction(PyExc_BaseExceptionGroup, "sO", group.message().c_str(),
                               members.get());
}

PyObject* convert(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const loop::CancelledError&) {
    return make_cancelled(error);
  } catch (const loop::TimeoutError&) {
    return PyObject_CallNoArgs(PyExc_TimeoutError);
  } catch (const fibers::BaseExceptionGroup& group) {
    return make_group(group);
  } catch (const loop::InvalidStateError& e) {
    return make(error_types.invalid_state, e.what());
  } catch (const loop::SendfileNotAvailableError& e) {
    return make(error_types.no_sendfile, e.what());
  } catch (const fibers::UsageError& e) {
    return make(PyExc_RuntimeError, e.what());
  } catch (const std::system_error& e) {
    return PyObject_CallFunction(PyExc_OSError, "is", e.code().value(), e.what());
  } catch (const std::bad_alloc&) {
    return PyObject_CallNoArgs(PyExc_MemoryError);
  } catch (...) {
    return make(PyExc_RuntimeError, fibers::describe_exception(error));
  }
}

}  // namespace

PyObject* to_python(const std::exception_ptr& error) {
  if (const auto* raised = fibers::exception_cast<Raised>(error)) {
    return Py_NewRef(raised->error());
  }
  PyObject* known = primitive_error(error);
  if (known == nullptr && PyErr_Occurred() == nullptr) known = tls_error(error);
  if (known == nullptr && PyErr_Occurred() == nullptr) known = stream_error(error);
  PyObject* const made = known != nullptr || PyErr_Occurred() != nullptr ? known : convert(error);
  return made != nullptr ? made : take_error();
}

void raise_as_python() noexcept {
  const std::exception_ptr error = std::current_exception();
  if (fibers::holds<PythonError>(error)) return;
  const Owned python(to_python(error));
  set_error(python.get());
}

bool load_error_types() {
  const Owned module(PyImport_ImportModule("asyncio.exceptions"));
  if (!module) return false;
  error_types.cancelled = PyObject_GetAttrString(module.get(), "CancelledError");
  error_types.invalid_state = PyObject_GetAttrString(module.get(), "InvalidStateError");
  error_types.no_sendfile = PyObject_GetAttrString(module.get(), "SendfileNotAvailableError");
  return error_types.cancelled != nullptr && error_types.invalid_state != nullptr &&
         error_types.no_sendfile != nullptr;
}

}  // namespace weft::python
