// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The methods of a loop that schedule callbacks and watch descriptors, in the forms that CPython
// calls.

#pragma once

#include "tests/conformance/cpython/src/py.h"
#include "weft/fibers/clock.h"

namespace weft::python {

double to_seconds(fibers::Instant time);
// To the nearest nanosecond; what does not fit never comes.
fibers::Instant to_instant(double seconds);
// None is no limit. False with a Python exception.
bool to_duration(PyObject* seconds, fibers::Duration& result);

PyObject* call_soon(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* words);
// Whether it is that method, of any loop.
bool is_own_call_soon(PyObject* method);
PyObject* call_soon_threadsafe(PyObject* self, PyObject* const* args, Py_ssize_t count,
                               PyObject* words);
PyObject* call_at(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* words);
PyObject* call_later(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* words);

PyObject* add_reader(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* add_writer(PyObject* self, PyObject* const* args, Py_ssize_t count);
PyObject* remove_reader(PyObject* self, PyObject* file);
PyObject* remove_writer(PyObject* self, PyObject* file);

// For who looks into asyncio's selector: the handles of a descriptor's reader and writer, or None.
PyObject* watching(PyObject* self, PyObject* number);
// For who looks at its ready queue: how many callbacks are in it.
PyObject* ready(PyObject* self, PyObject* none);

}  // namespace weft::python
