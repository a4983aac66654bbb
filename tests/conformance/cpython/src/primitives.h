// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The types of primitives, queues and combinators, executors and the runner.

#pragma once

#include <exception>

#include "tests/conformance/cpython/src/py.h"

namespace weft::python {

bool add_sync_types(PyObject* module);
bool add_queue_types(PyObject* module);
bool add_structured_types(PyObject* module);
bool add_combinators(PyObject* module);
bool add_executors(PyObject* module);
bool add_runner(PyObject* module);

// asyncio's exceptions of those: as C++ throws them, a new reference. Null for others.
PyObject* primitive_error(const std::exception_ptr& error);

}  // namespace weft::python
