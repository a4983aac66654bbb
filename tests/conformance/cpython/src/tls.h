// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's TLS for Python, with Python's contexts.

#pragma once

#include <cstdint>
#include <exception>
#include <memory>

#include "tests/conformance/cpython/src/py.h"
#include "weft/loop/transport.h"
#include "weft/loop/transport_layer.h"

namespace weft::python {

struct Link;

// What a TLSLayer of Python's holds; null for None. Throws PythonError for anything else.
loop::TransportLayer* layer_of(PyObject* object);
// A connection goes on by `made`, over the layer `tls`: its new Python object, a new reference.
// Null with a Python exception.
PyObject* replace_transport(Link& link, const loop::Transport& made, const Ref& tls);
// An ssl.SSLError and its kin; null if `error` is none of TLS. Null with a Python exception, too.
PyObject* tls_error(const std::exception_ptr& error);

// The types TLSLayer and SSLTransport, and start_tls().
bool add_tls(PyObject* module);
// How many connections have had a layer put on them.
extern std::uint64_t tls_used;

}  // namespace weft::python
