// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What awaitables have in common with generators.

#pragma once

#include "tests/conformance/cpython/src/py.h"

namespace weft::python {

// The exception that throw() was called with: one argument, or the three of old.
PyObject* error_to_throw(PyObject* const* args, Py_ssize_t count);
// What __next__ and send() do, by the slot am_send.
PyObject* next_by_send(PyObject* self, sendfunc send, PyObject* value);

// Throws into a generator or coroutine; the other half of PyIter_Send.
PySendResult throw_python(PyObject* coroutine, PyObject* error, PyObject** result);

}  // namespace weft::python
