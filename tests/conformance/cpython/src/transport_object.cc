// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/transport_object.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "tests/conformance/cpython/src/buffer.h"
#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/py_protocol.h"
#include "weft/fibers/errors.h"
#include "weft/loop/detail/datagram_core.h"
#include "weft/loop/detail/subprocess_core.h"
#include "weft/loop/extra_info.h"
#include "weft/loop_tls/ssl_layer.h"

namespace weft::python {

std::uint64_t transports_used = 0;
TransportTypes transport_types;

namespace {

// What stands behind the fields that asyncio's class has.
struct Data {
  loop::Transport* transport;  // Owned; a SubprocessTransport's, too.
  PyObject* file;
  PyObject* info;
  PyObject* dict;
  PyObject* weak_refs;
};

Data& data_of(PyObject* self) {
  const Py_ssize_t offset = Py_TYPE(self)->tp_basicsize - Py_ssize_t{sizeof(Data)};
  return *reinterpret_cast<Data*>(reinterpret_cast<char*>(self) + offset);
}
loop::Transport& transport_in(PyObject* self) {
  if (data_of(self).transport == nullptr) throw fibers::UsageError("transports are made by a loop");
  return *data_of(self).transport;
}
loop::detail::TransportCore& core_in(PyObject* self) {
  return loop::TransportAccess::core(transport_in(self));
}
// --- Its life. The fields of asyncio's class are not used. ---

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(data_of(self).file);
  Py_VISIT(data_of(self).info);
  Py_VISIT(data_of(self).dict);
  return 0;
}
int clear(PyObject* self) {
  Py_CLEAR(data_of(self).file);
  Py_CLEAR(data_of(self).info);
  Py_CLEAR(data_of(self).dict);
  return 0;
}
void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (data_of(self).weak_refs != nullptr) PyObject_ClearWeakRefs(self);
  delete std::exchange(data_of(self).transport, nullptr);
  clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

// --- What both kinds have. ---

template <auto fn>
PyObject* simple(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    fn(self);
    return Py_NewRef(Py_None);
  });
}
template <auto fn>
PyObject* question(PyObject* self, PyObject* /*none*/) {
  return guarded([&] { return PyBool_FromLong(fn(self) ? 1 : 0); });
}

PyObject* force_close(PyObject* self, PyObject* error) {
  return guarded([&] {
    core_in(self).force_close(error == Py_None ? nullptr : to_cpp(error, Raised::Keep::kOwned));
    return Py_NewRef(Py_None);
  });
}

PyObject* set_protocol(PyObject* self, PyObject* protocol) {
  return guarded([&] {
    loop::detail::TransportCore& core = core_in(self);
    if (PythonProtocol* const before = python_protocol(core.protocol().get())) {
      LoopObject& loop = before->loop();
      core.set_protocol(wrap_protocol_for(core, loop, protocol, before->link()));
    }
    return Py_NewRef(Py_None);
  });
}
PyObject* get_protocol(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    const std::shared_ptr<loop::BaseProtocol> held = core_in(self).protocol();
    const PythonProtocol* const protocol = python_protocol(held.get());
    return Py_NewRef(protocol == nullptr ? Py_None : protocol->object());
  });
}

PyObject* file_info(PyObject* self, int fd) {
  Data& data = data_of(self);
  if (data.info == nullptr) {
    const Owned pair(PyObject_CallFunction(helpers.wrap_socket, "i", fd));
    PyObject* file = nullptr;
    PyObject* info = nullptr;
    if (!pair || PyArg_ParseTuple(pair.get(), "OO", &file, &info) == 0) throw PythonError();
    data.file = Py_NewRef(file);
    data.info = Py_NewRef(info);
  }
  return Py_NewRef(data.info);
}

PyObject* extra_info_of(PyObject* self, std::string_view name) {
  const loop::Transport& transport = transport_in(self);
  Data& data = data_of(self);
  if (name == "socket" || name == "pipe") {
    const auto fd = name == "socket" ? transport.get_extra_info(loop::extra_info::socket)
                                     : transport.get_extra_info(loop::extra_info::pipe);
    if (fd) return file_info(self, *fd);
    // It is over: what was asked for before is a closed one.
    const bool is_pipe = data.info != nullptr && data.info == data.file;
    return data.info != nullptr && is_pipe == (name == "pipe") ? Py_NewRef(data.info) : nullptr;
  }
  std::optional<fibers::SocketAddress> address;
  if (name == "peername") address = transport.get_extra_info(loop::extra_info::peername);
  if (name == "sockname") address = transport.get_extra_info(loop::extra_info::sockname);
  return address ? address_tuple(*address) : nullptr;
}
PyObject* get_extra_info(PyObject* self, PyObject* args, PyObject* words) {
  static const char* keys[] = {"name", "default", nullptr};
  const char* name = nullptr;
  PyObject* otherwise = Py_None;
  if (PyArg_ParseTupleAndKeywords(args, words, "s|O", const_cast<char**>(keys), &name,
                                  &otherwise) == 0) {
    return nullptr;
  }
  return guarded([&]() -> PyObject* {
    PyObject* const found = extra_info_of(self, name);
    if (found != nullptr) return found;
    return PyErr_Occurred() != nullptr ? nullptr : Py_NewRef(otherwise);
  });
}

// --- Bytes. ---

PyObject* write(PyObject* self, PyObject* data) {
  return guarded([&] {
    const Buffer buffer(data);
    transport_in(self).write(buffer.text());
    return Py_NewRef(Py_None);
  });
}
PyObject* writelines(PyObject* self, PyObject* list) {
  return guarded([&] {
    const Buffers buffers(list);
    transport_in(self).writelines(buffers.pieces());
    return Py_NewRef(Py_None);
  });
}

// False with a Python exception.
bool to_size(PyObject* object, std::optional<std::size_t>& size) {
  if (object == nullptr || object == Py_None) return true;
  const Py_ssize_t number = PyLong_AsSsize_t(object);
  if (number < 0) {
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_ValueError, "high must be >= low >= 0");
    return false;
  }
  size = static_cast<std::size_t>(number);
  return true;
}
PyObject* set_write_buffer_limits(PyObject* self, PyObject* args, PyObject* words) {
  static const char* keys[] = {"high", "low", nullptr};
  PyObject* high = nullptr;
  PyObject* low = nullptr;
  std::optional<std::size_t> high_size;
  std::optional<std::size_t> low_size;
  if (PyArg_ParseTupleAndKeywords(args, words, "|OO", const_cast<char**>(keys), &high, &low) == 0 ||
      !to_size(high, high_size) || !to_size(low, low_size)) {
    return nullptr;
  }
  if (high_size && low_size && *high_size < *low_size) {
    PyErr_Format(PyExc_ValueError, "high (%R) must be >= low (%R) must be >= 0", high, low);
    return nullptr;
  }
  return guarded([&] {
    transport_in(self).set_write_buffer_limits(high_size, low_size);
    return Py_NewRef(Py_None);
  });
}
PyObject* get_write_buffer_limits(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    const auto [low, high] = transport_in(self).get_write_buffer_limits();
    return Py_BuildValue("nn", static_cast<Py_ssize_t>(low), static_cast<Py_ssize_t>(high));
  });
}
PyObject* get_write_buffer_size(PyObject* self, PyObject* /*none*/) {
  return guarded([&] { return PyLong_FromSize_t(transport_in(self).get_write_buffer_size()); });
}

PyObject* repr(PyObject* self) {
  return guarded([&] {
    const char* const state = core_in(self).is_closing() ? "closing" : "open";
    return PyUnicode_FromFormat("<%s %s %s>", Py_TYPE(self)->tp_name, core_in(self).kind(), state);
  });
}
PyObject* start_tls_compatible(PyObject* self, void* /*closure*/) {
  return guarded([&] { return PyBool_FromLong(core_in(self).start_tls_compatible() ? 1 : 0); });
}

// The name of one of asyncio's constants._SendfileMode.
PyObject* sendfile_mode(PyObject* self, void* /*closure*/) {
  return guarded([&] {
    switch (core_in(self).sendfile_mode()) {
      case loop::detail::SendfileMode::kTryNative:
        return PyUnicode_FromString("TRY_NATIVE");
      case loop::detail::SendfileMode::kFallback:
        return PyUnicode_FromString("FALLBACK");
      case loop::detail::SendfileMode::kUnsupported:
        break;
    }
    return PyUnicode_FromString("UNSUPPORTED");
  });
}

constexpr auto kClose = [](PyObject* self) { core_in(self).close(); };
constexpr auto kAbort = [](PyObject* self) { core_in(self).abort(); };
constexpr auto kIsClosing = [](PyObject* self) { return core_in(self).is_closing(); };
constexpr auto kPause = [](PyObject* self) { core_in(self).pause_reading(); };
constexpr auto kResume = [](PyObject* self) { core_in(self).resume_reading(); };
constexpr auto kIsReading = [](PyObject* self) { return core_in(self).is_reading(); };
constexpr auto kWriteEof = [](PyObject* self) { end_writing(core_in(self)); };
constexpr auto kCanWriteEof = [](PyObject* self) { return core_in(self).can_write_eof(); };

constexpr int kWords = METH_VARARGS | METH_KEYWORDS;
const PyMethodDef kCommon[] = {
    {"close", simple<kClose>, METH_NOARGS, nullptr},
    {"abort", simple<kAbort>, METH_NOARGS, nullptr},
    {"is_closing", question<kIsClosing>, METH_NOARGS, nullptr},
    {"set_protocol", set_protocol, METH_O, nullptr},
    {"get_protocol", get_protocol, METH_NOARGS, nullptr},
    {"get_extra_info", as_function(get_extra_info), kWords, nullptr},
    {"set_write_buffer_limits", as_function(set_write_buffer_limits), kWords, nullptr},
    {"get_write_buffer_limits", get_write_buffer_limits, METH_NOARGS, nullptr},
    {"get_write_buffer_size", get_write_buffer_size, METH_NOARGS, nullptr},
};
const PyMethodDef kStreamMethods[] = {
    {"pause_reading", simple<kPause>, METH_NOARGS, nullptr},
    {"resume_reading", simple<kResume>, METH_NOARGS, nullptr},
    {"is_reading", question<kIsReading>, METH_NOARGS, nullptr},
    {"write", write, METH_O, nullptr},
    {"writelines", writelines, METH_O, nullptr},
    {"write_eof", simple<kWriteEof>, METH_NOARGS, nullptr},
    {"can_write_eof", question<kCanWriteEof>, METH_NOARGS, nullptr},
    {"_force_close", force_close, METH_O, nullptr},
};

// --- Types. ---

// What asyncio's sendfile asks for: as pause_writing() and resume_writing() have been called.
PyObject* protocol_paused(PyObject* self, void* /*closure*/) {
  return guarded([&] {
    const std::shared_ptr<loop::BaseProtocol> held = core_in(self).protocol();
    const PythonProtocol* const protocol = python_protocol(held.get());
    return PyBool_FromLong(protocol != nullptr && protocol->link()->paused ? 1 : 0);
  });
}

// While it has a protocol.
PyObject* loop_of(PyObject* self, void* /*closure*/) {
  return guarded([&] {
    const std::shared_ptr<loop::BaseProtocol> held = core_in(self).protocol();
    const PythonProtocol* const protocol = python_protocol(held.get());
    return Py_NewRef(protocol == nullptr ? Py_None
                                         : reinterpret_cast<PyObject*>(&protocol->loop()));
  });
}

PyGetSetDef transport_members[] = {
    {"_loop", loop_of, nullptr, nullptr, nullptr},
    {"_protocol_paused", protocol_paused, nullptr, nullptr, nullptr},
    {"_start_tls_compatible", start_tls_compatible, nullptr, nullptr, nullptr},
    {"_sendfile_mode", sendfile_mode, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyGetSetDef no_members[] = {{nullptr, nullptr, nullptr, nullptr, nullptr}};

// Derived from a class of asyncio's, behind whose fields Data has its place.
PyTypeObject* make_type(PyObject* module, const char* name, PyObject* base,
                        std::span<const PyMethodDef> own, PyGetSetDef* members) {
  if (base == nullptr) return nullptr;
  // A type's methods stay where they are for ever.
  auto* const methods = new std::vector<PyMethodDef>(std::begin(kCommon), std::end(kCommon));
  methods->insert(methods->end(), own.begin(), own.end());
  methods->push_back({nullptr, nullptr, 0, nullptr});
  const Py_ssize_t data_offset = reinterpret_cast<PyTypeObject*>(base)->tp_basicsize;
  PyMemberDef places[] = {
      {"__weaklistoffset__", T_PYSSIZET, data_offset + Py_ssize_t{offsetof(Data, weak_refs)},
       READONLY, nullptr},
      {"__dictoffset__", T_PYSSIZET, data_offset + Py_ssize_t{offsetof(Data, dict)}, READONLY,
       nullptr},
      {nullptr, 0, 0, 0, nullptr},
  };
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(clear)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_methods, methods->data()},
      {Py_tp_getset, members},
      {Py_tp_members, places},
      {0, nullptr},
  };
  PyType_Spec spec = {name, static_cast<int>(data_offset + Py_ssize_t{sizeof(Data)}), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
                          Py_TPFLAGS_DISALLOW_INSTANTIATION,
                      slots};
  const Owned bases(PyTuple_Pack(1, base));
  auto* const type = reinterpret_cast<PyTypeObject*>(PyType_FromSpecWithBases(&spec, bases.get()));
  return type != nullptr && PyModule_AddType(module, type) == 0 ? type : nullptr;
}

}  // namespace

PyTypeObject* add_transport_type(PyObject* module, const char* name, PyObject* base,
                                 std::span<const PyMethodDef> own) {
  return make_type(module, name, base, own, no_members);
}

PyTypeObject* add_derived_transport_type(PyObject* module, const char* name, PyTypeObject* base,
                                         PyMethodDef* methods) {
  if (base == nullptr) return nullptr;
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(clear)},
      {Py_tp_methods, methods},
      {0, nullptr},
  };
  PyType_Spec spec = {name, static_cast<int>(base->tp_basicsize), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                      slots};
  const Owned bases(PyTuple_Pack(1, base));
  auto* const type = reinterpret_cast<PyTypeObject*>(PyType_FromSpecWithBases(&spec, bases.get()));
  return type != nullptr && PyModule_AddType(module, type) == 0 ? type : nullptr;
}

loop::detail::TransportCore& core_of_transport(PyObject* transport) {
  return core_in(transport);
}

static PyTypeObject* type_for(const loop::detail::TransportCore& core) {
  if (dynamic_cast<const loop::detail::SubprocessCore*>(&core) != nullptr) {
    return transport_types.subprocess;
  }
  if (dynamic_cast<const loop::detail::DatagramCore*>(&core) != nullptr) {
    return transport_types.datagram;
  }
  const bool has_tls = core.extra_info(loop::extra_info::sslcontext.name).has_value();
  return has_tls ? transport_types.tls : transport_types.stream;
}

PyObject* wrap_transport(const loop::BaseTransport& transport, const Link* link) {
  loop::detail::TransportCore& core = loop::TransportAccess::core(transport);
  PyTypeObject* const type = type_for(core);
  PyObject* const object = type->tp_alloc(type, 0);
  if (object == nullptr) return nullptr;
  Data& data = data_of(object);
  data.transport = new loop::Transport(loop::TransportAccess::share(core));
  if (link != nullptr && link->file.get() != Py_None) {
    data.file = Py_NewRef(link->file.get());
    data.info = Py_NewRef(link->info.get());
  }
  ++transports_used;
  if (type == transport_types.tls && link != nullptr &&
      PyObject_SetAttrString(object, "_layer", link->tls.get()) < 0) {
    Py_DECREF(object);
    return nullptr;
  }
  return object;
}

void end_writing(loop::detail::TransportCore& core) {
  if (core.can_write_eof()) return core.write_eof();
  PyErr_Format(PyExc_NotImplementedError,
               "write_eof() is not for a transport like this one, of %s: can_write_eof() says so",
               core.kind());
  throw PythonError();
}

PyObject* file_of(PyObject* transport) {
  return data_of(transport).file;
}

PyObject* transport_of(const loop::detail::TransportCore& core) {
  const std::shared_ptr<loop::BaseProtocol> held = core.protocol();
  const PythonProtocol* const protocol = python_protocol(held.get());
  return protocol == nullptr ? nullptr : protocol->link()->transport.get();
}

PyObject* address_tuple(const fibers::SocketAddress& address) {
  if (address.family() == AF_INET) {
    return Py_BuildValue("si", address.host().c_str(), int{address.port()});
  }
  if (address.family() == AF_INET6) {
    const auto& in6 = *reinterpret_cast<const sockaddr_in6*>(address.data());
    return Py_BuildValue("siII", address.host().c_str(), int{address.port()},
                         ntohl(in6.sin6_flowinfo), in6.sin6_scope_id);
  }
  if (address.family() != AF_UNIX) return Py_NewRef(Py_None);
  const auto& un = *reinterpret_cast<const sockaddr_un*>(address.data());
  const std::size_t most = address.size() > offsetof(sockaddr_un, sun_path)
                               ? address.size() - offsetof(sockaddr_un, sun_path)
                               : 0;
  if (most > 0 && un.sun_path[0] == '\0') {
    return PyBytes_FromStringAndSize(un.sun_path, static_cast<Py_ssize_t>(most));
  }
  return PyUnicode_DecodeFSDefaultAndSize(
      un.sun_path,
      static_cast<Py_ssize_t>(std::find(un.sun_path, un.sun_path + most, '\0') - un.sun_path));
}

PyObject* asyncio_transport(const char* name) {
  const Owned transports(PyImport_ImportModule("asyncio.transports"));
  return transports ? PyObject_GetAttrString(transports.get(), name) : nullptr;
}

bool add_transport_types(PyObject* module) {
  const Owned base(asyncio_transport("_FlowControlMixin"));
  transport_types.stream =
      make_type(module, "weft_core.Transport", base.get(), kStreamMethods, transport_members);
  return transport_types.stream != nullptr && load_protocol_names();
}

}  // namespace weft::python
