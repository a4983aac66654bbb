// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/streams.h"

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/cpython/src/buffer.h"
#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/future.h"
#include "tests/conformance/cpython/src/holder.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/py_protocol.h"
#include "tests/conformance/cpython/src/task.h"
#include "tests/conformance/cpython/src/tls.h"
#include "tests/conformance/cpython/src/transport_object.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/detail/stream_access.h"

namespace weft::python {

std::uint64_t streams_used = 0;

namespace {

PyObject* to_bytes(std::string_view data) {
  return PyBytes_FromStringAndSize(data.data(), static_cast<Py_ssize_t>(data.size()));
}

// In __init__: -1 with a Python exception.
template <class F>
int initialized(F&& fn) {
  ++streams_used;
  const Owned done(
      guarded([&] { return std::forward<F>(fn)() == 0 ? Py_NewRef(Py_None) : nullptr; }));
  return done ? 0 : -1;
}

// Throws PythonError.
std::size_t to_count(PyObject* object) {
  const Py_ssize_t count = PyLong_AsSsize_t(object);
  if (count == -1 && PyErr_Occurred() != nullptr) throw PythonError();
  return static_cast<std::size_t>(count);
}

// Throws PythonError.
template <class T>
T transport_in(PyObject* object) {
  if (PyObject_TypeCheck(object, transport_types.stream) == 0) {
    PyErr_Format(PyExc_TypeError, "a transport of weft's was expected, got %R", object);
    throw PythonError();
  }
  return loop::TransportAccess::share<T>(core_of_transport(object));
}

// What a connection has broken by, from Python.
std::exception_ptr error_in(PyObject* object) {
  if (object == Py_None) return nullptr;
  if (PyExceptionInstance_Check(object) == 0) {
    PyErr_Format(PyExc_TypeError, "an exception was expected, got %R", object);
    throw PythonError();
  }
  return to_cpp(object, Raised::Keep::kOwned);
}

// --- StreamReader. ---

using Reader = loop::StreamReader;
PyTypeObject* reader_type = nullptr;

loop::detail::StreamReaderCore& core_in(Reader& reader) {
  return *loop::StreamAccess::core(reader);
}

// StreamReader(loop, limit), StreamReader(reader): the same one.
int init_reader(PyObject* self, PyObject* args, PyObject* /*words*/) {
  PyObject* loop = nullptr;
  Py_ssize_t limit = 0;
  if (PyTuple_GET_SIZE(args) == 1 &&
      PyObject_TypeCheck(PyTuple_GET_ITEM(args, 0), reader_type) != 0) {
    return initialized([&] { return hold<Reader>(self, held<Reader>(PyTuple_GET_ITEM(args, 0))); });
  }
  if (PyArg_ParseTuple(args, "O!n", loop_type, &loop, &limit) == 0) return -1;
  return initialized(
      [&] { return hold<Reader>(self, core_of(as_loop(loop)), static_cast<std::size_t>(limit)); });
}

PyObject* read(PyObject* self, PyObject* most) {
  return guarded(
      [&] { return wrap_coro(self, held<Reader>(self).read_view(to_count(most)), to_bytes); });
}
PyObject* read_all(Reader& reader, PyObject* self) {
  return wrap_coro(self, reader.read(), [](const std::string& all) { return to_bytes(all); });
}
PyObject* readline(Reader& reader, PyObject* self) {
  return wrap_coro(self, reader.readline_view(), to_bytes);
}
PyObject* readexactly(PyObject* self, PyObject* count) {
  return guarded([&] {
    return wrap_coro(self, held<Reader>(self).readexactly_view(to_count(count)), to_bytes);
  });
}
PyObject* readuntil(PyObject* self, PyObject* separators) {
  return guarded([&] {
    if (PyTuple_Check(separators) == 0) {
      const Buffer only(separators);
      return wrap_coro(self, held<Reader>(self).readuntil_view(only.text()), to_bytes);
    }
    const Buffers several(separators);
    return wrap_coro(self, held<Reader>(self).readuntil(several.pieces()),
                     [](const std::string& message) { return to_bytes(message); });
  });
}

PyObject* feed_data(PyObject* self, PyObject* data) {
  return guarded([&] {
    const Buffer buffer(data);
    held<Reader>(self).feed_data(buffer.text());
    return Py_NewRef(Py_None);
  });
}
PyObject* feed_eof(Reader& reader) {
  reader.feed_eof();
  return Py_NewRef(Py_None);
}
PyObject* at_eof(Reader& reader) {
  return to_bool(reader.at_eof());
}
PyObject* set_exception(PyObject* self, PyObject* error) {
  return guarded([&] {
    held<Reader>(self).set_exception(error_in(error));
    return Py_NewRef(Py_None);
  });
}
PyObject* exception(Reader& reader) {
  const std::exception_ptr error = reader.exception();
  return error == nullptr ? Py_NewRef(Py_None) : to_python(error);
}
PyObject* set_transport(PyObject* self, PyObject* transport) {
  return guarded([&] {
    held<Reader>(self).set_transport(transport_in<loop::ReadTransport>(transport));
    return Py_NewRef(Py_None);
  });
}

PyObject* buffer_of(Reader& reader) {
  return to_bytes(core_in(reader).data());
}
PyObject* limit_of(Reader& reader) {
  return PyLong_FromSize_t(core_in(reader).limit());
}
PyObject* has_ended(Reader& reader) {
  return to_bool(core_in(reader).eof());
}
PyObject* is_paused(Reader& reader) {
  return to_bool(core_in(reader).paused());
}
PyObject* waited_for(Reader& reader) {
  return to_bool(core_in(reader).waited_for());
}

PyMethodDef reader_methods[] = {
    {"_read", read, METH_O, nullptr},
    {"_read_all", method_of<Reader, read_all>, METH_NOARGS, nullptr},
    {"_readline", method_of<Reader, readline>, METH_NOARGS, nullptr},
    {"_readexactly", readexactly, METH_O, nullptr},
    {"_readuntil", readuntil, METH_O, nullptr},
    {"feed_data", feed_data, METH_O, nullptr},
    {"feed_eof", method<Reader, feed_eof>, METH_NOARGS, nullptr},
    {"at_eof", method<Reader, at_eof>, METH_NOARGS, nullptr},
    {"set_exception", set_exception, METH_O, nullptr},
    {"exception", method<Reader, exception>, METH_NOARGS, nullptr},
    {"set_transport", set_transport, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef reader_members[] = {
    {"_buffer", member<Reader, buffer_of>, nullptr, nullptr, nullptr},
    {"_limit", member<Reader, limit_of>, nullptr, nullptr, nullptr},
    {"_eof", member<Reader, has_ended>, nullptr, nullptr, nullptr},
    {"_paused", member<Reader, is_paused>, nullptr, nullptr, nullptr},
    {"_waited_for", member<Reader, waited_for>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// --- StreamReaderProtocol. ---

struct Protocol {
  Reader reader;
  std::shared_ptr<loop::StreamReaderProtocol> streams;
};
PyTypeObject* protocol_type = nullptr;

// The task that serves the connection, if Python's callback wants one; else None. `self` is a
// StreamReaderProtocol.
Ref begin_to_serve(LoopObject& loop, PyObject* self, loop::StreamWriter writer) {
  PyObject* const transport = transport_of(loop::TransportAccess::core(writer.transport()));
  const Owned given(wrap_writer(writer));
  Ref task(given && transport != nullptr
               ? PyObject_CallMethod(self, "_serve", "OO", transport, given.get())
               : nullptr);
  if (task.get() == nullptr) throw_raised(loop);
  return task;
}

// `self` is borrowed: the first step is a part of its own connection_made().
loop::Coro<void> serve(LoopObject& loop, PyObject* self, loop::StreamWriter writer) {
  const Ref task = begin_to_serve(loop, self, std::move(writer));
  if (PyObject_TypeCheck(task.get(), future_type) == 0) co_return;
  PyFuture& core = core_of(as_future(task.get()));
  core.retain();
  const loop::Future<Ref> served = loop::FutureAccess::wrap<Ref>(&core);
  co_await served;
}

// StreamReaderProtocol(loop, reader, serves): a server's calls _serve(writer).
int init_protocol(PyObject* self, PyObject* args, PyObject* /*words*/) {
  PyObject* loop = nullptr;
  PyObject* reader = nullptr;
  int serves = 0;
  if (PyArg_ParseTuple(args, "O!O!p", loop_type, &loop, reader_type, &reader, &serves) == 0) {
    return -1;
  }
  return initialized([&] {
    const Reader& from = held<Reader>(reader);
    loop::ClientConnected connected;
    if (serves != 0) {
      connected = [&its = as_loop(loop), self](const Reader&, loop::StreamWriter writer) {
        return serve(its, self, std::move(writer));
      };
    }
    auto streams = std::make_shared<loop::StreamReaderProtocol>(core_of(as_loop(loop)), from,
                                                                std::move(connected));
    return hold<Protocol>(self, Protocol{from, std::move(streams)});
  });
}

PyObject* connection_made(PyObject* self, PyObject* transport) {
  return guarded([&] {
    held<Protocol>(self).streams->connection_made(transport_in<loop::Transport>(transport));
    return Py_NewRef(Py_None);
  });
}
PyObject* connection_lost(PyObject* self, PyObject* error) {
  return guarded([&] {
    held<Protocol>(self).streams->connection_lost(error_in(error));
    return Py_NewRef(Py_None);
  });
}
PyObject* data_received(PyObject* self, PyObject* data) {
  return guarded([&] {
    const Buffer buffer(data);
    held<Protocol>(self).reader.feed_data(buffer.text());
    return Py_NewRef(Py_None);
  });
}
PyObject* eof_received(Protocol& protocol) {
  return to_bool(protocol.streams->eof_received());
}
PyObject* pause_writing(Protocol& protocol) {
  protocol.streams->pause_writing();
  return Py_NewRef(Py_None);
}
PyObject* resume_writing(Protocol& protocol) {
  protocol.streams->resume_writing();
  return Py_NewRef(Py_None);
}

PyMethodDef protocol_methods[] = {
    {"connection_made", connection_made, METH_O, nullptr},
    {"connection_lost", connection_lost, METH_O, nullptr},
    {"data_received", data_received, METH_O, nullptr},
    {"eof_received", method<Protocol, eof_received>, METH_NOARGS, nullptr},
    {"pause_writing", method<Protocol, pause_writing>, METH_NOARGS, nullptr},
    {"resume_writing", method<Protocol, resume_writing>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef protocol_members[] = {{nullptr, nullptr, nullptr, nullptr, nullptr}};

// Whether a class has one of the methods from weft_core.
bool is_inherited(PyTypeObject* type, const char* name) {
  const Owned here(PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), name));
  const Owned there(PyObject_GetAttrString(reinterpret_cast<PyObject*>(protocol_type), name));
  if (!here || !there) throw PythonError();
  return here.get() == there.get();
}

// --- StreamWriter. ---

using Writer = loop::StreamWriter;
PyTypeObject* writer_type = nullptr;

// StreamWriter(transport, protocol, reader), StreamWriter(writer): the same one.
int init_writer(PyObject* self, PyObject* args, PyObject* /*words*/) {
  PyObject* first = nullptr;
  PyObject* protocol = nullptr;
  PyObject* reader = nullptr;
  if (PyArg_ParseTuple(args, "O|O!O!", &first, protocol_type, &protocol, reader_type, &reader) ==
      0) {
    return -1;
  }
  return initialized([&] {
    if (PyObject_TypeCheck(first, writer_type) != 0) {
      return hold<Writer>(self, Writer(held<Writer>(first)));
    }
    if (reader == nullptr) {
      throw fibers::UsageError("a StreamWriter is made of a transport, its protocol and a reader");
    }
    return hold<Writer>(
        self, loop::StreamAccess::wrap(loop::detail::make_counted<loop::detail::StreamWriterCore>(
                  transport_in<loop::Transport>(first), held<Protocol>(protocol).streams,
                  loop::StreamAccess::core(held<Reader>(reader)))));
  });
}

PyObject* write(PyObject* self, PyObject* data) {
  return guarded([&] {
    const Buffer buffer(data);
    held<Writer>(self).write(buffer.text());
    return Py_NewRef(Py_None);
  });
}
PyObject* writelines(PyObject* self, PyObject* list) {
  return guarded([&] {
    const Buffers buffers(list);
    held<Writer>(self).writelines(buffers.pieces());
    return Py_NewRef(Py_None);
  });
}
PyObject* write_eof(Writer& writer) {
  end_writing(loop::TransportAccess::core(writer.transport()));
  return Py_NewRef(Py_None);
}
PyObject* can_write_eof(Writer& writer) {
  return to_bool(writer.can_write_eof());
}
PyObject* close(Writer& writer) {
  writer.close();
  return Py_NewRef(Py_None);
}
PyObject* is_closing(Writer& writer) {
  return to_bool(writer.is_closing());
}
PyObject* drain(Writer& writer, PyObject* self) {
  return wrap_coro(self, writer.drain(), to_none);
}
PyObject* wait_closed(Writer& writer, PyObject* self) {
  return wrap_coro(self, writer.wait_closed(), to_none);
}

// Awaited: the transport's new Python object. Its protocol is the one of before, which is Python's
// around weft's.
PyObject* start_tls(PyObject* self, PyObject* tls) {
  return guarded([&] {
    Writer& writer = held<Writer>(self);
    loop::detail::StreamWriterCore& core = loop::StreamAccess::core(writer);
    const std::shared_ptr<loop::BaseProtocol> protocol =
        loop::TransportAccess::core(core.transport).protocol();
    const PythonProtocol* const python = python_protocol(protocol.get());
    if (python == nullptr)
      throw fibers::UsageError("the connection's protocol is none of Python's");
    loop::TransportLayer* const layer = layer_of(tls);
    if (layer == nullptr) throw fibers::UsageError("start_tls() needs a TLSLayer");
    return wrap_coro(self, writer.start_tls(*layer),
                     [&core, protocol, link = python->link(), kept = Ref(Py_NewRef(tls))] {
                       loop::TransportAccess::core(core.transport).set_protocol(protocol);
                       return replace_transport(*link, core.transport, kept);
                     });
  });
}

PyMethodDef writer_methods[] = {
    {"write", write, METH_O, nullptr},
    {"writelines", writelines, METH_O, nullptr},
    {"write_eof", method<Writer, write_eof>, METH_NOARGS, nullptr},
    {"can_write_eof", method<Writer, can_write_eof>, METH_NOARGS, nullptr},
    {"close", method<Writer, close>, METH_NOARGS, nullptr},
    {"is_closing", method<Writer, is_closing>, METH_NOARGS, nullptr},
    {"drain", method_of<Writer, drain>, METH_NOARGS, nullptr},
    {"wait_closed", method_of<Writer, wait_closed>, METH_NOARGS, nullptr},
    {"_start_tls", start_tls, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef writer_members[] = {{nullptr, nullptr, nullptr, nullptr, nullptr}};

// A new object of weft_core's, which holds `value`.
template <class T>
PyObject* make_object(PyTypeObject* type, const T& value) {
  Owned object(type->tp_alloc(type, 0));
  if (!object || initialized([&] { return hold<T>(object.get(), value); }) < 0) return nullptr;
  return object.release();
}

// asyncio's exceptions.
struct {
  PyObject* incomplete;
  PyObject* overrun;
} errors;

}  // namespace

std::shared_ptr<loop::StreamReaderProtocol> stream_protocol_of(PyObject* protocol) {
  if (PyObject_TypeCheck(protocol, protocol_type) == 0) return nullptr;
  for (const PyMethodDef* told = protocol_methods; told->ml_name != nullptr; ++told) {
    if (!is_inherited(Py_TYPE(protocol), told->ml_name)) return nullptr;
  }
  return held<Protocol>(protocol).streams;
}

PyObject* wrap_reader(const loop::StreamReader& reader) {
  return make_object(reader_type, reader);
}
PyObject* wrap_writer(const loop::StreamWriter& writer) {
  return make_object(writer_type, writer);
}

PyObject* stream_error(const std::exception_ptr& error) {
  if (const auto* incomplete = fibers::exception_cast<loop::IncompleteReadError>(error)) {
    const Owned partial(to_bytes(incomplete->partial()));
    const std::optional<std::size_t> expected = incomplete->expected();
    const Owned count(expected ? PyLong_FromSize_t(*expected) : Py_NewRef(Py_None));
    if (!partial || !count) return nullptr;
    return PyObject_CallFunctionObjArgs(errors.incomplete, partial.get(), count.get(), nullptr);
  }
  if (const auto* overrun = fibers::exception_cast<loop::LimitOverrunError>(error)) {
    return PyObject_CallFunction(errors.overrun, "sn", overrun->what(),
                                 static_cast<Py_ssize_t>(overrun->consumed()));
  }
  return nullptr;
}

bool add_streams(PyObject* module) {
  const Owned exceptions(PyImport_ImportModule("asyncio.exceptions"));
  if (!exceptions) return false;
  errors.incomplete = PyObject_GetAttrString(exceptions.get(), "IncompleteReadError");
  errors.overrun = PyObject_GetAttrString(exceptions.get(), "LimitOverrunError");
  reader_type = HolderType<Reader>::add(module, "weft_core.StreamReader", init_reader,
                                        reader_methods, reader_members);
  protocol_type = HolderType<Protocol>::add(module, "weft_core.StreamReaderProtocol", init_protocol,
                                            protocol_methods, protocol_members);
  writer_type = HolderType<Writer>::add(module, "weft_core.StreamWriter", init_writer,
                                        writer_methods, writer_members);
  return errors.incomplete != nullptr && errors.overrun != nullptr && reader_type != nullptr &&
         protocol_type != nullptr && writer_type != nullptr;
}

}  // namespace weft::python
