// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Connections and pipes for Python, by weft's create_connection() and its siblings.

#include <memory>
#include <string>
#include <utility>

#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/endpoints.h"
#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/factory.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/py_protocol.h"
#include "tests/conformance/cpython/src/scheduling.h"
#include "tests/conformance/cpython/src/tls.h"
#include "weft/loop/event_loop.h"

namespace weft::python {

namespace {

// The pair that asyncio's calls return. The protocol was made by Python's factory.
constexpr auto kToPair = [](auto made) -> PyObject* {
  const PythonProtocol& protocol = *python_protocol(made.second.get());
  PyObject* const transport = protocol.link()->transport.get();
  return PyTuple_Pack(2, transport == nullptr ? Py_None : transport, protocol.object());
};

// connect_host(loop, factory, host, port, family, proto, flags, local_host, local_port,
//              happy_eyeballs_delay, interleave, all_errors, tls)
PyObject* connect_host(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* factory = nullptr;
  const char* host = nullptr;
  unsigned short port = 0;
  loop::ConnectionOptions options;
  const char* local_host = nullptr;
  unsigned short local_port = 0;
  PyObject* delay = nullptr;
  PyObject* interleave = nullptr;
  int all_errors = 0;
  PyObject* tls = nullptr;
  if (PyArg_ParseTuple(args, "O!OsHiiizHOOpO", loop_type, &loop, &factory, &host, &port,
                       &options.family, &options.proto, &options.flags, &local_host, &local_port,
                       &delay, &interleave, &all_errors, &tls) == 0) {
    return nullptr;
  }
  return guarded([&] {
    if (local_host != nullptr) options.local_host = local_host;
    options.local_port = local_port;
    options.all_errors = all_errors != 0;
    options.ssl = layer_of(tls);
    if (delay != Py_None) {
      options.happy_eyeballs_delay = to_instant(PyFloat_AsDouble(delay)).time_since_epoch();
    }
    if (interleave != Py_None) options.interleave = static_cast<int>(PyLong_AsLong(interleave));
    if (PyErr_Occurred() != nullptr) throw PythonError();
    return wrap_coro(
        loop,
        core_of(as_loop(loop))
            .create_connection(Factory(as_loop(loop), factory, tls), host, port, options),
        kToPair);
  });
}

// connect_path(loop, factory, path, tls)
PyObject* connect_path(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* factory = nullptr;
  const char* path = nullptr;
  Py_ssize_t size = 0;
  PyObject* tls = nullptr;
  if (PyArg_ParseTuple(args, "O!Oy#O", loop_type, &loop, &factory, &path, &size, &tls) == 0) {
    return nullptr;
  }
  return guarded([&] {
    loop::ConnectionOptions options;
    options.ssl = layer_of(tls);
    return wrap_coro(loop,
                     core_of(as_loop(loop))
                         .create_unix_connection(
                             Factory(as_loop(loop), factory, tls),
                             std::string_view(path, static_cast<std::size_t>(size)), options),
                     kToPair);
  });
}

// connect_fd(loop, factory, fd, file, info, accepted, tls): a socket that is connected. `fd` is
// taken over.
PyObject* connect_fd(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* factory = nullptr;
  int fd = -1;
  PyObject* file = nullptr;
  PyObject* info = nullptr;
  int accepted = 0;
  PyObject* tls = nullptr;
  if (PyArg_ParseTuple(args, "O!OiOOpO", loop_type, &loop, &factory, &fd, &file, &info, &accepted,
                       &tls) == 0) {
    return nullptr;
  }
  return guarded([&] {
    loop::ConnectionOptions options;
    options.ssl = layer_of(tls);
    Factory making(as_loop(loop), factory, std::make_shared<Link>(file, info), tls);
    loop::EventLoop& core = core_of(as_loop(loop));
    return accepted != 0
               ? wrap_coro(loop, core.connect_accepted_socket(std::move(making), fd, options),
                           kToPair)
               : wrap_coro(loop, core.create_connection(std::move(making), fd, options), kToPair);
  });
}

// connect_pipe(loop, factory, fd, file, reads)
PyObject* connect_pipe(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* factory = nullptr;
  int fd = -1;
  PyObject* file = nullptr;
  int reads = 0;
  if (PyArg_ParseTuple(args, "O!OiOp", loop_type, &loop, &factory, &fd, &file, &reads) == 0) {
    return nullptr;
  }
  return guarded([&] {
    Factory making(as_loop(loop), factory, std::make_shared<Link>(file, file));
    loop::EventLoop& core = core_of(as_loop(loop));
    return reads != 0 ? wrap_coro(loop, core.connect_read_pipe(std::move(making), fd), kToPair)
                      : wrap_coro(loop, core.connect_write_pipe(std::move(making), fd), kToPair);
  });
}

PyMethodDef functions[] = {
    {"connect_host", connect_host, METH_VARARGS, nullptr},
    {"connect_path", connect_path, METH_VARARGS, nullptr},
    {"connect_fd", connect_fd, METH_VARARGS, nullptr},
    {"connect_pipe", connect_pipe, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_connecting(PyObject* module) {
  return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace weft::python
