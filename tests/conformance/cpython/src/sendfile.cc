// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's sendfile() and sock_sendfile() for Python, of files that are Python's.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/endpoints.h"
#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/thread_call.h"
#include "tests/conformance/cpython/src/transport_object.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/loop_sendfile.h"

namespace weft::python {

namespace {

// A Python file. It is read, and may be destroyed, in a thread of the default executor.
class PythonFile final : public loop::SendfileSource {
 public:
  // `fd`: what the system may send from; -1 if it is not to.
  PythonFile(PyObject* file, int fd) : file_(Py_NewRef(file)), fd_(fd) {}
  ~PythonFile() override {
    if (const LateLock lock; lock) Py_DECREF(file_);
  }
  int fileno() override { return fd_; }
  std::size_t read(std::int64_t offset, std::span<std::byte> buffer) override {
    const LateLock lock;
    if (!lock) throw fibers::UsageError("the interpreter has ended before this file was read");
    const Owned count(read_at(offset, buffer));
    const Py_ssize_t size = count ? PyLong_AsSsize_t(count.get()) : -1;
    if (size >= 0 && PyErr_Occurred() == nullptr) {
      position_ = offset + size;
      return static_cast<std::size_t>(size);
    }
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_OSError, "readinto() read nothing");
    const Owned error(take_error());
    std::rethrow_exception(to_cpp(error.get(), Raised::Keep::kOwned));
  }
  void set_position(std::int64_t offset) noexcept override {
    const LateLock lock;
    if (!lock) return;
    const ErrorKept kept;
    if (!seek(offset)) PyErr_WriteUnraisable(file_);
  }

 private:
  // Files that cannot seek are read from where they are. False with a Python exception.
  bool seek(std::int64_t offset) {
    if (PyObject_HasAttrString(file_, "seek") == 0) return true;
    const Owned done(PyObject_CallMethod(file_, "seek", "L", static_cast<long long>(offset)));
    return static_cast<bool>(done);
  }
  // A new reference to what readinto() returns; null with a Python exception.
  PyObject* read_at(std::int64_t offset, std::span<std::byte> buffer) {
    if (position_ != offset && !seek(offset)) return nullptr;
    void* const bytes = buffer.data();
    const Owned view(PyMemoryView_FromMemory(static_cast<char*>(bytes),
                                             static_cast<Py_ssize_t>(buffer.size()), PyBUF_WRITE));
    if (!view) return nullptr;
    Owned count(PyObject_CallMethod(file_, "readinto", "O", view.get()));
    // The memory is weft's, and the file may have kept the view.
    const ErrorKept kept;
    const Owned released(PyObject_CallMethod(view.get(), "release", nullptr));
    if (!released) PyErr_WriteUnraisable(file_);
    return count.release();
  }

  PyObject* const file_;
  const int fd_;
  std::optional<std::int64_t> position_;  // Where it is known to be.
};

// What both are asked for.
struct Asked {
  PyObject* loop = nullptr;
  PyObject* file = nullptr;
  int fd = -1;
  long long offset = 0;
  PyObject* count = nullptr;
  int fallback = 0;

  // Throws PythonError.
  loop::SendfileOptions options() const {
    loop::SendfileOptions options{
        .offset = offset, .count = std::nullopt, .fallback = fallback != 0};
    if (count != Py_None) options.count = PyLong_AsLongLong(count);
    if (PyErr_Occurred() != nullptr) throw PythonError();
    return options;
  }
  std::shared_ptr<loop::SendfileSource> source() const {
    return std::make_shared<PythonFile>(file, fd);
  }
};

// sendfile(loop, transport, file, fd, offset, count, fallback)
PyObject* sendfile(PyObject* /*module*/, PyObject* args) {
  Asked asked;
  PyObject* transport = nullptr;
  if (PyArg_ParseTuple(args, "O!O!OiLOp", loop_type, &asked.loop, transport_types.stream,
                       &transport, &asked.file, &asked.fd, &asked.offset, &asked.count,
                       &asked.fallback) == 0) {
    return nullptr;
  }
  ++transports_used;
  return guarded([&] {
    auto coro =
        core_of(as_loop(asked.loop))
            .sendfile(loop::TransportAccess::share<loop::Transport>(core_of_transport(transport)),
                      asked.source(), asked.options());
    return wrap_coro(asked.loop, std::move(coro), PyLong_FromSize_t);
  });
}

// sock_sendfile(loop, socket, file, fd, offset, count, fallback)
PyObject* sock_sendfile(PyObject* /*module*/, PyObject* args) {
  Asked asked;
  int sock = -1;
  if (PyArg_ParseTuple(args, "O!iOiLOp", loop_type, &asked.loop, &sock, &asked.file, &asked.fd,
                       &asked.offset, &asked.count, &asked.fallback) == 0) {
    return nullptr;
  }
  ++transports_used;
  return guarded([&] {
    auto coro = core_of(as_loop(asked.loop)).sock_sendfile(sock, asked.source(), asked.options());
    return wrap_coro(asked.loop, std::move(coro), PyLong_FromSize_t);
  });
}

PyMethodDef functions[] = {
    {"sendfile", sendfile, METH_VARARGS, nullptr},
    {"sock_sendfile", sock_sendfile, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_sendfile(PyObject* module) {
  return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace weft::python
