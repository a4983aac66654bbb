// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's transports as Python objects, which are asyncio.Transport's, or
// asyncio.SubprocessTransport's.

#pragma once

#include <cstdint>
#include <span>

#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/py.h"
#include "weft/fibers/socket_address.h"
#include "weft/loop/transport.h"

namespace weft::python {

struct Link;

// By the kind of transport.
struct TransportTypes {
  PyTypeObject* stream = nullptr;
  PyTypeObject* subprocess = nullptr;
  PyTypeObject* datagram = nullptr;
  PyTypeObject* tls = nullptr;  // Derived from that of streams.
};
extern TransportTypes transport_types;

// A new object; it takes the link's file over, if there is a link. Null with a Python exception.
PyObject* wrap_transport(const loop::BaseTransport& transport, const Link* link);
loop::detail::TransportCore& core_of_transport(PyObject* transport);
// A class of asyncio.transports; a new reference, or null with a Python exception.
PyObject* asyncio_transport(const char* name);
// A type derived from `base`, with the methods that all have, and `own`. Null with a Python
// exception, which there is already if there is no base.
PyTypeObject* add_transport_type(PyObject* module, const char* name, PyObject* base,
                                 std::span<const PyMethodDef> own);
// A type derived from one of these, with methods that stay where they are. Null with a Python
// exception.
PyTypeObject* add_derived_transport_type(PyObject* module, const char* name, PyTypeObject* base,
                                         PyMethodDef* methods);
// write_eof(), and asyncio's NotImplementedError where there is none. Throws PythonError.
void end_writing(loop::detail::TransportCore& core);
// The Python file that stands for the transport's descriptor; borrowed, null if there is none.
PyObject* file_of(PyObject* transport);
// The object of a core; borrowed, null if it has none.
PyObject* transport_of(const loop::detail::TransportCore& core);

// As the module socket has addresses. A new reference; null with a Python exception.
PyObject* address_tuple(const fibers::SocketAddress& address);

bool add_transport_types(PyObject* module);
// How many have been made, and how many calls of sockets.
extern std::uint64_t transports_used;

}  // namespace weft::python
