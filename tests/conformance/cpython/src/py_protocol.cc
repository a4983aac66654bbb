// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/py_protocol.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/streams.h"
#include "tests/conformance/cpython/src/transport_object.h"
#include "weft/loop/datagram_transport.h"
#include "weft/loop/subprocess_transport.h"

namespace weft::python {

namespace {

struct Names {
  PyObject* connection_made;
  PyObject* data_received;
  PyObject* eof_received;
  PyObject* connection_lost;
  PyObject* pause_writing;
  PyObject* resume_writing;
  PyObject* get_buffer;
  PyObject* buffer_updated;
  PyObject* pipe_data_received;
  PyObject* pipe_connection_lost;
  PyObject* process_exited;
  PyObject* datagram_received;
  PyObject* error_received;
};
Names names;
PyObject* buffered_protocol = nullptr;

}  // namespace

bool load_protocol_names() {
  const std::pair<PyObject**, const char*> all[] = {
      {&names.connection_made, "connection_made"},
      {&names.data_received, "data_received"},
      {&names.eof_received, "eof_received"},
      {&names.connection_lost, "connection_lost"},
      {&names.pause_writing, "pause_writing"},
      {&names.resume_writing, "resume_writing"},
      {&names.get_buffer, "get_buffer"},
      {&names.buffer_updated, "buffer_updated"},
      {&names.pipe_data_received, "pipe_data_received"},
      {&names.pipe_connection_lost, "pipe_connection_lost"},
      {&names.process_exited, "process_exited"},
      {&names.datagram_received, "datagram_received"},
      {&names.error_received, "error_received"},
  };
  for (const auto& [place, text] : all) {
    *place = PyUnicode_InternFromString(text);
    if (*place == nullptr) return false;
  }
  const Owned module(PyImport_ImportModule("asyncio.protocols"));
  if (!module) return false;
  buffered_protocol = PyObject_GetAttrString(module.get(), "BufferedProtocol");
  return buffered_protocol != nullptr;
}

static void close_file(PyObject* open) {
  if (open == nullptr || open == Py_None) return;
  const Owned closed(PyObject_CallMethod(open, "close", nullptr));
  if (!closed) PyErr_WriteUnraisable(open);
}

Link::~Link() {
  if (Py_IsInitialized() == 0) return;
  const WithLock lock;
  const ErrorKept kept;
  close_file(transport.get() == nullptr ? file.get() : file_of(transport.get()));
  for (const Ref& before : replaced) close_file(file_of(before.get()));
  replaced.clear();
}

PythonProtocol::PythonProtocol(LoopObject& loop, PyObject* protocol, std::shared_ptr<Link> link)
    : loop_(loop),
      protocol_(Py_NewRef(protocol)),
      context_(PyContext_CopyCurrent()),
      link_(std::move(link)) {}

PythonProtocol::~PythonProtocol() {
  if (Py_IsInitialized() == 0) return;
  const WithLock lock;
  link_.reset();
  Py_DECREF(protocol_);
  Py_XDECREF(context_);
}

void throw_raised(LoopObject& loop) {
  const Owned error(take_error());
  if (is_interrupt(error.get())) {
    set_error(error.get());
    leave_loop(loop);
  }
  std::rethrow_exception(to_cpp(error.get(), Raised::Keep::kOwned));
}

class PythonProtocol::Entered {
 public:
  explicit Entered(PythonProtocol& protocol)
      : protocol_(protocol), enters_(protocol.depth_ == 0 && protocol.context_ != nullptr) {
    if (enters_ && PyContext_Enter(protocol.context_) < 0) throw_raised(protocol.loop_);
    ++protocol.depth_;
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() {
    --protocol_.depth_;
    if (!enters_) return;
    const ErrorKept kept;
    if (PyContext_Exit(protocol_.context_) < 0) PyErr_WriteUnraisable(protocol_.protocol_);
  }

 private:
  PythonProtocol& protocol_;
  const bool enters_;
};

PyObject* PythonProtocol::call(PyObject* name, PyObject* arg, PyObject* second) {
  note_called(loop_, protocol_);
  PyObject* args[] = {protocol_, arg, second};
  const std::size_t count = arg == nullptr ? 1 : second == nullptr ? 2 : 3;
  Owned result(nullptr);
  {
    const Entered entered(*this);
    result.reset(PyObject_VectorcallMethod(name, args, count, nullptr));
  }
  if (!result) throw_raised(loop_);
  return result.release();
}

PyObject* PythonProtocol::call_here(PyObject* name) {
  PyObject* args[] = {protocol_};
  PyObject* const result = PyObject_VectorcallMethod(name, args, 1, nullptr);
  if (result == nullptr) throw_raised(loop_);
  return result;
}

void PythonProtocol::make_object(const loop::BaseTransport& transport) {
  if (link_->transport.get() != nullptr) return;
  PyObject* const object = wrap_transport(transport, link_.get());
  if (object == nullptr) throw_raised(loop_);
  link_->transport = Ref(object);
}

void PythonProtocol::made(const loop::BaseTransport& transport) {
  make_object(transport);
  const Owned done(call(names.connection_made, link_->transport.get()));
}

void PythonProtocol::lost(const std::exception_ptr& error) {
  const Owned python(error == nullptr ? Py_NewRef(Py_None) : to_python(error));
  const Owned done(call(names.connection_lost, python.get()));
}

bool PythonProtocol::eof() {
  const Owned answer(call(names.eof_received));
  const int keep_open = PyObject_IsTrue(answer.get());
  if (keep_open < 0) throw_raised(loop_);
  return keep_open != 0;
}

namespace {

// A new reference; throws PythonError.
PyObject* bytes_of(std::string_view data) {
  PyObject* const bytes =
      PyBytes_FromStringAndSize(data.data(), static_cast<Py_ssize_t>(data.size()));
  if (bytes == nullptr) throw PythonError();
  return bytes;
}
PyObject* number_of(std::int64_t number) {
  PyObject* const object = PyLong_FromLongLong(number);
  if (object == nullptr) throw PythonError();
  return object;
}

// What all kinds have in common. Kind: loop::Protocol, say.
template <class Kind>
class Wrapped : public Kind, public PythonProtocol {
 public:
  using PythonProtocol::PythonProtocol;
  void connection_lost(std::exception_ptr error) override { lost(error); }
  void pause_writing() override {
    link()->paused = true;
    const Owned done(call_here(names.pause_writing));
  }
  void resume_writing() override {
    link()->paused = false;
    const Owned done(call_here(names.resume_writing));
  }
};

class Plain final : public Wrapped<loop::Protocol> {
 public:
  using Wrapped::Wrapped;
  void connection_made(loop::Transport transport) override { made(transport); }
  void data_received(std::string_view data) override {
    const Owned bytes(bytes_of(data));
    const Owned done(call(names.data_received, bytes.get()));
  }
  bool eof_received() override { return eof(); }
};

// Python's buffer is held from get_buffer() to buffer_updated().
class Buffered final : public Wrapped<loop::BufferedProtocol> {
 public:
  using Wrapped::Wrapped;
  ~Buffered() override { let_go(); }
  void connection_made(loop::Transport transport) override { made(transport); }
  std::span<std::byte> get_buffer(std::size_t sizehint) override {
    let_go();
    const Owned hint(number_of(sizehint == 0 ? -1 : static_cast<std::int64_t>(sizehint)));
    const Owned given(call(names.get_buffer, hint.get()));
    if (PyObject_GetBuffer(given.get(), &buffer_, PyBUF_WRITABLE) < 0) {
      const Owned error(take_error());
      std::rethrow_exception(to_cpp(error.get(), Raised::Keep::kOwned));
    }
    held_ = true;
    return {static_cast<std::byte*>(buffer_.buf), static_cast<std::size_t>(buffer_.len)};
  }
  void buffer_updated(std::size_t count) override {
    let_go();
    const Owned number(number_of(static_cast<std::int64_t>(count)));
    const Owned done(call(names.buffer_updated, number.get()));
  }
  bool eof_received() override { return eof(); }

 private:
  void let_go() noexcept {
    if (!std::exchange(held_, false) || Py_IsInitialized() == 0) return;
    const WithLock lock;
    PyBuffer_Release(&buffer_);
  }
  Py_buffer buffer_{};
  bool held_ = false;
};

// weft's StreamReaderProtocol, without a detour through Python.
class Streams final : public Wrapped<loop::BufferedProtocol> {
 public:
  Streams(LoopObject& loop, PyObject* protocol, std::shared_ptr<Link> link,
          std::shared_ptr<loop::StreamReaderProtocol> streams)
      : Wrapped(loop, protocol, std::move(link)), streams_(std::move(streams)) {}
  void connection_made(loop::Transport transport) override {
    make_object(transport);
    note_called(loop(), object());
    const Entered entered(*this);
    streams_->connection_made(std::move(transport));
  }
  void connection_lost(std::exception_ptr error) override {
    streams_->connection_lost(std::move(error));
  }
  std::span<std::byte> get_buffer(std::size_t sizehint) override {
    return streams_->get_buffer(sizehint);
  }
  void buffer_updated(std::size_t count) override { streams_->buffer_updated(count); }
  bool eof_received() override { return streams_->eof_received(); }
  void pause_writing() override {
    link()->paused = true;
    streams_->pause_writing();
  }
  void resume_writing() override {
    link()->paused = false;
    streams_->resume_writing();
  }

 private:
  const std::shared_ptr<loop::StreamReaderProtocol> streams_;
};

class Subprocess final : public Wrapped<loop::SubprocessProtocol> {
 public:
  using Wrapped::Wrapped;
  void connection_made(loop::SubprocessTransport transport) override { made(transport); }
  void pipe_data_received(int fd, std::string_view data) override {
    const Owned number(number_of(fd));
    const Owned bytes(bytes_of(data));
    const Owned done(call(names.pipe_data_received, number.get(), bytes.get()));
  }
  void pipe_connection_lost(int fd, std::exception_ptr error) override {
    const Owned number(number_of(fd));
    const Owned python(error == nullptr ? Py_NewRef(Py_None) : to_python(error));
    const Owned done(call(names.pipe_connection_lost, number.get(), python.get()));
  }
  void process_exited() override { const Owned done(call(names.process_exited)); }
};

class Datagram final : public Wrapped<loop::DatagramProtocol> {
 public:
  using Wrapped::Wrapped;
  void connection_made(loop::DatagramTransport transport) override { made(transport); }
  void datagram_received(std::string_view data, const fibers::SocketAddress& from) override {
    const Owned bytes(bytes_of(data));
    const Owned address(from.empty() ? Py_NewRef(Py_None) : address_tuple(from));
    if (!address) throw PythonError();
    const Owned done(call(names.datagram_received, bytes.get(), address.get()));
  }
  void error_received(std::exception_ptr error) override {
    const Owned python(to_python(error));
    const Owned done(call(names.error_received, python.get()));
  }
};

}  // namespace

std::shared_ptr<loop::BaseProtocol> wrap_protocol(LoopObject& loop, PyObject* protocol,
                                                  std::shared_ptr<Link> link) {
  if (auto streams = stream_protocol_of(protocol)) {
    return std::make_shared<Streams>(loop, protocol, std::move(link), std::move(streams));
  }
  const int is_buffered = PyObject_IsInstance(protocol, buffered_protocol);
  if (is_buffered < 0) throw PythonError();
  if (is_buffered != 0) return std::make_shared<Buffered>(loop, protocol, std::move(link));
  return std::make_shared<Plain>(loop, protocol, std::move(link));
}
std::shared_ptr<loop::BaseProtocol> wrap_subprocess_protocol(LoopObject& loop, PyObject* protocol,
                                                             std::shared_ptr<Link> link) {
  return std::make_shared<Subprocess>(loop, protocol, std::move(link));
}

std::shared_ptr<loop::BaseProtocol> wrap_datagram_protocol(LoopObject& loop, PyObject* protocol,
                                                           std::shared_ptr<Link> link) {
  return std::make_shared<Datagram>(loop, protocol, std::move(link));
}
std::shared_ptr<loop::BaseProtocol> wrap_protocol_for(const loop::detail::TransportCore& core,
                                                      LoopObject& loop, PyObject* protocol,
                                                      std::shared_ptr<Link> link) {
  if (dynamic_cast<const loop::detail::SubprocessCore*>(&core) != nullptr) {
    return wrap_subprocess_protocol(loop, protocol, std::move(link));
  }
  if (dynamic_cast<const loop::detail::DatagramCore*>(&core) != nullptr) {
    return wrap_datagram_protocol(loop, protocol, std::move(link));
  }
  return wrap_protocol(loop, protocol, std::move(link));
}

PythonProtocol* python_protocol(loop::BaseProtocol* protocol) {
  return dynamic_cast<PythonProtocol*>(protocol);
}

}  // namespace weft::python
