// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's Server as a Python object, and what makes one.

#include <string_view>
#include <utility>
#include <vector>

#include "tests/conformance/cpython/src/endpoints.h"
#include "tests/conformance/cpython/src/factory.h"
#include "tests/conformance/cpython/src/holder.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/tls.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/server.h"

namespace weft::python {

namespace {

using loop::Server;
PyTypeObject* server_type = nullptr;

PyObject* descriptors(Server& server) {
  const std::vector<int> sockets = server.sockets();
  Owned list(PyList_New(0));
  for (const int fd : sockets) {
    const Owned number(PyLong_FromLong(fd));
    if (!list || !number || PyList_Append(list.get(), number.get()) < 0) throw PythonError();
  }
  return list.release();
}
PyObject* is_serving(Server& server) {
  return to_bool(server.is_serving());
}
template <auto fn>
PyObject* act(Server& server) {
  (server.*fn)();
  return Py_NewRef(Py_None);
}
template <auto fn>
PyObject* await(Server& server, PyObject* self) {
  return wrap_coro(self, (server.*fn)(), to_none);
}

PyMethodDef methods[] = {
    {"descriptors", method<Server, descriptors>, METH_NOARGS, nullptr},
    {"is_serving", method<Server, is_serving>, METH_NOARGS, nullptr},
    {"close", method<Server, act<&Server::close>>, METH_NOARGS, nullptr},
    {"close_clients", method<Server, act<&Server::close_clients>>, METH_NOARGS, nullptr},
    {"abort_clients", method<Server, act<&Server::abort_clients>>, METH_NOARGS, nullptr},
    {"start_serving", method_of<Server, await<&Server::start_serving>>, METH_NOARGS, nullptr},
    {"serve_forever", method_of<Server, await<&Server::serve_forever>>, METH_NOARGS, nullptr},
    {"wait_closed", method_of<Server, await<&Server::wait_closed>>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef members[] = {{nullptr, nullptr, nullptr, nullptr, nullptr}};

int init(PyObject* /*self*/, PyObject* /*args*/, PyObject* /*words*/) {
  PyErr_SetString(PyExc_TypeError, "servers are made by a loop");
  return -1;
}

constexpr auto kToServer = [](Server server) -> PyObject* {
  PyObject* const object = server_type->tp_alloc(server_type, 0);
  if (object != nullptr) as_holder(object).held = new Server(std::move(server));
  return object;
};

// What all kinds of servers are asked for, last.
struct Asked {
  PyObject* loop = nullptr;
  PyObject* factory = nullptr;
  loop::ServerOptions options;
  int start_serving = 1;
  PyObject* tls = nullptr;

  // Throws PythonError.
  Factory making() {
    options.start_serving = start_serving != 0;
    options.ssl = layer_of(tls);
    return Factory(as_loop(loop), factory, tls);
  }
};

// serve_hosts(loop, factory, [host...], port, family, flags, backlog, reuse_address, reuse_port,
//             start_serving, tls)
PyObject* serve_hosts(PyObject* /*module*/, PyObject* args) {
  Asked asked;
  PyObject* list = nullptr;
  unsigned short port = 0;
  int reuse_address = 0;
  int reuse_port = 0;
  if (PyArg_ParseTuple(args, "O!OO!HiiipppO", loop_type, &asked.loop, &asked.factory, &PyList_Type,
                       &list, &port, &asked.options.family, &asked.options.flags,
                       &asked.options.backlog, &reuse_address, &reuse_port, &asked.start_serving,
                       &asked.tls) == 0) {
    return nullptr;
  }
  return guarded([&] {
    asked.options.reuse_address = reuse_address != 0;
    asked.options.reuse_port = reuse_port != 0;
    std::vector<std::string_view> hosts;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
      const char* const host = PyUnicode_AsUTF8(PyList_GET_ITEM(list, i));
      if (host == nullptr) throw PythonError();
      hosts.emplace_back(host);
    }
    Factory making = asked.making();
    return wrap_coro(
        asked.loop,
        core_of(as_loop(asked.loop)).create_server(std::move(making), hosts, port, asked.options),
        kToServer);
  });
}

// serve_fd(loop, factory, fd, backlog, start_serving, tls): a socket that is bound. `fd` is taken
// over.
PyObject* serve_fd(PyObject* /*module*/, PyObject* args) {
  Asked asked;
  int fd = -1;
  if (PyArg_ParseTuple(args, "O!OiipO", loop_type, &asked.loop, &asked.factory, &fd,
                       &asked.options.backlog, &asked.start_serving, &asked.tls) == 0) {
    return nullptr;
  }
  return guarded([&] {
    Factory making = asked.making();
    return wrap_coro(
        asked.loop,
        core_of(as_loop(asked.loop)).create_server(std::move(making), fd, asked.options),
        kToServer);
  });
}

// serve_path(loop, factory, path, backlog, cleanup, start_serving, tls)
PyObject* serve_path(PyObject* /*module*/, PyObject* args) {
  Asked asked;
  const char* path = nullptr;
  Py_ssize_t size = 0;
  int cleanup = 0;
  if (PyArg_ParseTuple(args, "O!Oy#ippO", loop_type, &asked.loop, &asked.factory, &path, &size,
                       &asked.options.backlog, &cleanup, &asked.start_serving, &asked.tls) == 0) {
    return nullptr;
  }
  return guarded([&] {
    asked.options.cleanup_socket = cleanup != 0;
    Factory making = asked.making();
    return wrap_coro(asked.loop,
                     core_of(as_loop(asked.loop))
                         .create_unix_server(std::move(making),
                                             std::string_view(path, static_cast<std::size_t>(size)),
                                             asked.options),
                     kToServer);
  });
}

PyMethodDef functions[] = {
    {"serve_hosts", serve_hosts, METH_VARARGS, nullptr},
    {"serve_fd", serve_fd, METH_VARARGS, nullptr},
    {"serve_path", serve_path, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_servers(PyObject* module) {
  server_type = HolderType<Server>::add(module, "weft_core.Server", init, methods, members);
  return server_type != nullptr && PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace weft::python
