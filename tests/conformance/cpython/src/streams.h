// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's StreamReader, StreamReaderProtocol and StreamWriter for Python.

#pragma once

#include <cstdint>
#include <exception>
#include <memory>

#include "tests/conformance/cpython/src/py.h"
#include "weft/loop/stream_protocol.h"
#include "weft/loop/stream_reader.h"
#include "weft/loop/stream_writer.h"

namespace weft::python {

// weft's protocol in an object of its StreamReaderProtocol. Null of other objects, and of those
// whose class has methods of its own for what a transport tells. Throws PythonError.
std::shared_ptr<loop::StreamReaderProtocol> stream_protocol_of(PyObject* protocol);

// A reader or writer that weft has made, as an object of weft_core's. Null with a Python exception.
PyObject* wrap_reader(const loop::StreamReader& reader);
PyObject* wrap_writer(const loop::StreamWriter& writer);

// asyncio.IncompleteReadError or asyncio.LimitOverrunError; null if `error` is neither. Null with a
// Python exception, too.
PyObject* stream_error(const std::exception_ptr& error);

bool add_streams(PyObject* module);
// How many readers, protocols and writers have been made.
extern std::uint64_t streams_used;

}  // namespace weft::python
