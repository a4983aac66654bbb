// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What makes transports and servers, and what reads and writes sockets: functions of the module,
// whose first argument is a loop. weft/transports.py gives them asyncio's names and signatures.

#pragma once

#include <cstdint>

#include "tests/conformance/cpython/src/py.h"
#include "weft/fibers/socket_address.h"

namespace weft::python {

bool add_connecting(PyObject* module);
bool add_servers(PyObject* module);
bool add_sockets(PyObject* module);
bool add_children(PyObject* module);
bool add_processes(PyObject* module);
bool add_datagrams(PyObject* module);
bool add_sendfile(PyObject* module);

// How many children have been started as a Process.
extern std::uint64_t processes_used;

// A numeric address, as the module socket has it. Throws PythonError.
fibers::SocketAddress address_of(int family, PyObject* object);

}  // namespace weft::python
