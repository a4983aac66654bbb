// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Endpoints for datagrams for Python, by weft's create_datagram_endpoint().

#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/endpoints.h"
#include "tests/conformance/cpython/src/factory.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/transport_object.h"
#include "weft/loop/event_loop.h"

namespace weft::python {

namespace {

loop::detail::DatagramCore& endpoint_in(PyObject* self) {
  return static_cast<loop::detail::DatagramCore&>(core_of_transport(self));
}
int family_of(PyObject* self) {
  const std::any own = endpoint_in(self).extra_info("sockname");
  const auto* const address = std::any_cast<fibers::SocketAddress>(&own);
  return address == nullptr ? AF_UNIX : address->family();
}

// sendto(data, addr=None)
PyObject* sendto(PyObject* self, PyObject* args) {
  Py_buffer view{};
  PyObject* address = Py_None;
  if (PyArg_ParseTuple(args, "y*|O", &view, &address) == 0) return nullptr;
  PyObject* const done = guarded([&] {
    const std::string_view data(static_cast<const char*>(view.buf),
                                static_cast<std::size_t>(view.len));
    if (address == Py_None) {
      endpoint_in(self).sendto(data, nullptr);
    } else {
      const fibers::SocketAddress to = address_of(family_of(self), address);
      endpoint_in(self).sendto(data, &to);
    }
    return Py_NewRef(Py_None);
  });
  PyBuffer_Release(&view);
  return done;
}

const PyMethodDef kMethods[] = {{"sendto", sendto, METH_VARARGS, nullptr}};

constexpr auto kToPair = [](auto made) -> PyObject* {
  const PythonProtocol& protocol = *python_protocol(made.second.get());
  return PyTuple_Pack(2, protocol.link()->transport.get(), protocol.object());
};

// None, (host, port), or bytes: a path. `text` keeps what the address refers to.
loop::EndpointAddress endpoint_of(PyObject* object, std::string& text) {
  if (object == Py_None) return {};
  if (PyBytes_Check(object)) {
    text.assign(PyBytes_AS_STRING(object), static_cast<std::size_t>(PyBytes_GET_SIZE(object)));
    return {text};
  }
  const char* host = nullptr;
  unsigned short port = 0;
  if (PyArg_ParseTuple(object, "sH", &host, &port) == 0) throw PythonError();
  text = host;
  return {text, port};
}

// datagram_endpoint(loop, factory, local, remote, family, proto, flags, reuse_port,
//                   allow_broadcast)
PyObject* datagram_endpoint(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* factory = nullptr;
  PyObject* local = nullptr;
  PyObject* remote = nullptr;
  loop::DatagramOptions options;
  int reuse_port = 0;
  int broadcast = 0;
  if (PyArg_ParseTuple(args, "O!OOOiiipp", loop_type, &loop, &factory, &local, &remote,
                       &options.family, &options.proto, &options.flags, &reuse_port,
                       &broadcast) == 0) {
    return nullptr;
  }
  return guarded([&] {
    std::string local_text;
    std::string remote_text;
    options.local_addr = endpoint_of(local, local_text);
    options.remote_addr = endpoint_of(remote, remote_text);
    options.reuse_port = reuse_port != 0;
    options.allow_broadcast = broadcast != 0;
    DatagramFactory making(as_loop(loop), factory);
    return wrap_coro(
        loop, core_of(as_loop(loop)).create_datagram_endpoint(std::move(making), options), kToPair);
  });
}

// datagram_fd(loop, factory, fd, file, info). `fd` is taken over.
PyObject* datagram_fd(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* factory = nullptr;
  loop::DatagramOptions options;
  PyObject* file = nullptr;
  PyObject* info = nullptr;
  if (PyArg_ParseTuple(args, "O!OiOO", loop_type, &loop, &factory, &options.sock, &file, &info) ==
      0) {
    return nullptr;
  }
  return guarded([&] {
    DatagramFactory making(as_loop(loop), factory, std::make_shared<Link>(file, info));
    return wrap_coro(
        loop, core_of(as_loop(loop)).create_datagram_endpoint(std::move(making), options), kToPair);
  });
}

PyMethodDef functions[] = {
    {"datagram_endpoint", datagram_endpoint, METH_VARARGS, nullptr},
    {"datagram_fd", datagram_fd, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

// As asyncio's own, it is a Transport, too.
bool add_datagrams(PyObject* module) {
  const Owned stream(asyncio_transport("_FlowControlMixin"));
  const Owned datagram(asyncio_transport("DatagramTransport"));
  if (!stream || !datagram) return false;
  const Owned base(PyObject_CallFunction(reinterpret_cast<PyObject*>(&PyType_Type), "s(OO){s()}",
                                         "DatagramBase", stream.get(), datagram.get(),
                                         "__slots__"));
  transport_types.datagram =
      add_transport_type(module, "weft_core.DatagramTransport", base.get(), kMethods);
  return transport_types.datagram != nullptr && PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace weft::python
