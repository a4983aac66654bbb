// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/throwing.h"

#include "tests/conformance/cpython/src/errors.h"

namespace weft::python {

PyObject* error_to_throw(PyObject* const* args, Py_ssize_t count) {
  if (count < 1 || count > 3) {
    PyErr_SetString(PyExc_TypeError, "throw() takes one to three arguments");
    return nullptr;
  }
#if PY_VERSION_HEX >= 0x030C0000
  static constexpr const char* kOld =
      "the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature "
      "instead.";
  if (count > 1 && PyErr_WarnEx(PyExc_DeprecationWarning, kOld, 1) < 0) return nullptr;
#endif
  PyObject* const type = args[0];
  PyObject* const value = count > 1 && args[1] != Py_None ? args[1] : nullptr;
  PyObject* const traceback = count > 2 && args[2] != Py_None ? args[2] : nullptr;
  if (traceback != nullptr && !PyTraceBack_Check(traceback)) {
    PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback");
    return nullptr;
  }
  if (PyExceptionInstance_Check(type)) {
    if (value == nullptr) {
      if (traceback != nullptr) PyException_SetTraceback(type, traceback);
      return Py_NewRef(type);
    }
    PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
    return nullptr;
  }
  if (!PyExceptionClass_Check(type)) {
    PyErr_Format(PyExc_TypeError,
                 "exceptions must be classes deriving BaseException or instances of such a class, "
                 "not %s",
                 Py_TYPE(type)->tp_name);
    return nullptr;
  }
  PyErr_Restore(Py_NewRef(type), Py_XNewRef(value), Py_XNewRef(traceback));
  return take_error();
}

PySendResult throw_python(PyObject* coroutine, PyObject* error, PyObject** result) {
  *result = PyObject_CallMethod(coroutine, "throw", "O", error);
  if (*result != nullptr) return PYGEN_NEXT;
  if (PyErr_ExceptionMatches(PyExc_StopIteration) == 0) return PYGEN_ERROR;
  const Owned stop(take_error());
  *result = PyObject_GetAttrString(stop.get(), "value");
  return *result != nullptr ? PYGEN_RETURN : PYGEN_ERROR;
}

PyObject* next_by_send(PyObject* self, sendfunc send, PyObject* value) {
  PyObject* result = nullptr;
  switch (send(self, value, &result)) {
    case PYGEN_NEXT:
      return result;
    case PYGEN_ERROR:
      return nullptr;
    case PYGEN_RETURN:
      break;
  }
  const Owned returned(result);
  const Owned stop(PyObject_CallOneArg(PyExc_StopIteration, result));
  if (stop) PyErr_SetObject(PyExc_StopIteration, stop.get());
  return nullptr;
}

}  // namespace weft::python
