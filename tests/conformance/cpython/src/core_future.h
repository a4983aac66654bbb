// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Futures that C++ has made, for Python to wait for: those of a Lock's line, say.

#pragma once

#include "tests/conformance/cpython/src/future.h"
#include "tests/conformance/cpython/src/py.h"
#include "weft/loop/detail/future_core.h"

namespace weft::python {

// An object that refers to the future, about to be awaited. Whatever it ends with is C++'s concern:
// its result is None.
PyObject* wrap_core_future(LoopObject& loop, loop::detail::FutureCore& future);
bool is_core_future(PyObject* object);
loop::detail::FutureCore& core_future_of(PyObject* object);
bool add_core_future_type(PyObject* module);

}  // namespace weft::python
