// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's sock_ calls for Python. Buffers are held while a call goes on.

#include <arpa/inet.h>
#include <netinet/in.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/endpoints.h"
#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/transport_object.h"
#include "weft/loop/event_loop.h"

namespace weft::python {

namespace {

// Taken over from PyArg_ParseTuple.
class HeldBuffer {
 public:
  explicit HeldBuffer(const Py_buffer& view) : view_(view) {}
  HeldBuffer(const HeldBuffer&) = delete;
  HeldBuffer& operator=(const HeldBuffer&) = delete;
  ~HeldBuffer() {
    if (Py_IsInitialized() == 0) return;
    const WithLock lock;
    PyBuffer_Release(&view_);
  }
  std::string_view text() const {
    return {static_cast<const char*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }
  std::span<std::byte> room() const {
    return {static_cast<std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_;
};

PyObject* to_bytes(const std::string& data) {
  return PyBytes_FromStringAndSize(data.data(), static_cast<Py_ssize_t>(data.size()));
}
PyObject* with_address(PyObject* value, const fibers::SocketAddress& address) {
  const Owned first(value);
  const Owned from(address.empty() ? Py_NewRef(Py_None) : address_tuple(address));
  return first && from ? PyTuple_Pack(2, first.get(), from.get()) : nullptr;
}

// sock_recv(loop, fd, size)
PyObject* sock_recv(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  int fd = -1;
  Py_ssize_t size = 0;
  if (PyArg_ParseTuple(args, "O!in", loop_type, &loop, &fd, &size) == 0) return nullptr;
  ++transports_used;
  return guarded([&] {
    return wrap_coro(loop, core_of(as_loop(loop)).sock_recv(fd, static_cast<std::size_t>(size)),
                     to_bytes);
  });
}
// sock_recvfrom(loop, fd, size)
PyObject* sock_recvfrom(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  int fd = -1;
  Py_ssize_t size = 0;
  if (PyArg_ParseTuple(args, "O!in", loop_type, &loop, &fd, &size) == 0) return nullptr;
  ++transports_used;
  return guarded([&] {
    return wrap_coro(loop, core_of(as_loop(loop)).sock_recvfrom(fd, static_cast<std::size_t>(size)),
                     [](const auto& got) { return with_address(to_bytes(got.first), got.second); });
  });
}
// sock_recv_into(loop, fd, buffer), which is not empty.
PyObject* sock_recv_into(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  int fd = -1;
  Py_buffer view{};
  if (PyArg_ParseTuple(args, "O!iw*", loop_type, &loop, &fd, &view) == 0) return nullptr;
  ++transports_used;
  return guarded([&] {
    auto held = std::make_shared<HeldBuffer>(view);
    auto coro = core_of(as_loop(loop)).sock_recv_into(fd, held->room());
    return wrap_coro(loop, std::move(coro),
                     [held](std::size_t count) { return PyLong_FromSize_t(count); });
  });
}
// sock_recvfrom_into(loop, fd, buffer, size)
PyObject* sock_recvfrom_into(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  int fd = -1;
  Py_buffer view{};
  Py_ssize_t size = 0;
  if (PyArg_ParseTuple(args, "O!iw*n", loop_type, &loop, &fd, &view, &size) == 0) return nullptr;
  ++transports_used;
  return guarded([&] {
    auto held = std::make_shared<HeldBuffer>(view);
    std::span<std::byte> room = held->room();
    if (size > 0) room = room.first(std::min(room.size(), static_cast<std::size_t>(size)));
    auto coro = core_of(as_loop(loop)).sock_recvfrom_into(fd, room);
    return wrap_coro(loop, std::move(coro), [held](const auto& got) {
      return with_address(PyLong_FromSize_t(got.first), got.second);
    });
  });
}
// sock_sendall(loop, fd, data)
PyObject* sock_sendall(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  int fd = -1;
  Py_buffer view{};
  if (PyArg_ParseTuple(args, "O!iy*", loop_type, &loop, &fd, &view) == 0) return nullptr;
  ++transports_used;
  return guarded([&] {
    auto held = std::make_shared<HeldBuffer>(view);
    auto coro = core_of(as_loop(loop)).sock_sendall(fd, held->text());
    return wrap_coro(loop, std::move(coro), [held] { return Py_NewRef(Py_None); });
  });
}
// sock_sendto(loop, fd, data, family, address)
PyObject* sock_sendto(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  int fd = -1;
  Py_buffer view{};
  int family = 0;
  PyObject* address = nullptr;
  if (PyArg_ParseTuple(args, "O!iy*iO", loop_type, &loop, &fd, &view, &family, &address) == 0) {
    return nullptr;
  }
  ++transports_used;
  return guarded([&] {
    auto held = std::make_shared<HeldBuffer>(view);
    auto coro = core_of(as_loop(loop)).sock_sendto(fd, held->text(), address_of(family, address));
    return wrap_coro(loop, std::move(coro),
                     [held](std::size_t count) { return PyLong_FromSize_t(count); });
  });
}
// sock_connect(loop, fd, family, address)
PyObject* sock_connect(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  int fd = -1;
  int family = 0;
  PyObject* address = nullptr;
  if (PyArg_ParseTuple(args, "O!iiO", loop_type, &loop, &fd, &family, &address) == 0) {
    return nullptr;
  }
  ++transports_used;
  return guarded([&] {
    auto coro = core_of(as_loop(loop)).sock_connect(fd, address_of(family, address));
    return wrap_coro(loop, std::move(coro), to_none);
  });
}
// sock_accept(loop, fd): the new descriptor, and the peer's address.
PyObject* sock_accept(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  int fd = -1;
  if (PyArg_ParseTuple(args, "O!i", loop_type, &loop, &fd) == 0) return nullptr;
  ++transports_used;
  return guarded([&] {
    return wrap_coro(loop, core_of(as_loop(loop)).sock_accept(fd), [](const auto& got) {
      return with_address(PyLong_FromLong(got.first), got.second);
    });
  });
}

PyMethodDef functions[] = {
    {"sock_recv", sock_recv, METH_VARARGS, nullptr},
    {"sock_recvfrom", sock_recvfrom, METH_VARARGS, nullptr},
    {"sock_recv_into", sock_recv_into, METH_VARARGS, nullptr},
    {"sock_recvfrom_into", sock_recvfrom_into, METH_VARARGS, nullptr},
    {"sock_sendall", sock_sendall, METH_VARARGS, nullptr},
    {"sock_sendto", sock_sendto, METH_VARARGS, nullptr},
    {"sock_connect", sock_connect, METH_VARARGS, nullptr},
    {"sock_accept", sock_accept, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

fibers::SocketAddress address_of(int family, PyObject* object) {
  if (family == AF_UNIX) {
    const Owned bytes(PyBytes_Check(object) ? Py_NewRef(object)
                                            : PyUnicode_EncodeFSDefault(object));
    if (!bytes) throw PythonError();
    return fibers::SocketAddress::from_path(
        {PyBytes_AS_STRING(bytes.get()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.get()))});
  }
  const char* host = nullptr;
  unsigned short port = 0;
  unsigned flow = 0;
  unsigned scope = 0;
  if (!PyTuple_Check(object) ||
      PyArg_ParseTuple(object, "sH|II", &host, &port, &flow, &scope) == 0) {
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_TypeError, "an address is a tuple");
    throw PythonError();
  }
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_flowinfo = htonl(flow);
  v6.sin6_scope_id = scope;
  if (family == AF_INET && inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
    return {reinterpret_cast<const sockaddr*>(&v4), sizeof v4};
  }
  if (family == AF_INET6 && inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
    return {reinterpret_cast<const sockaddr*>(&v6), sizeof v6};
  }
  PyErr_Format(PyExc_ValueError, "%s is no numeric address of this socket's family", host);
  throw PythonError();
}

bool add_sockets(PyObject* module) {
  return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace weft::python
