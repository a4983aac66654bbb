// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/scheduling.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <optional>

#include "tests/conformance/cpython/src/handle.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/task.h"

namespace weft::python {

double to_seconds(fibers::Instant time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}
// To the nearest nanosecond; what does not fit never comes.
fibers::Instant to_instant(double seconds) {
  const double count = std::nearbyint(seconds * 1e9);
  if (!(count < 9.2e18)) return fibers::kForever;
  if (count < -9.2e18) return fibers::kLongAgo;
  return fibers::Instant(fibers::Duration(static_cast<std::int64_t>(count)));
}

bool to_duration(PyObject* seconds, fibers::Duration& result) {
  result = fibers::Duration::max();
  if (seconds == Py_None) return true;
  const double given = PyFloat_AsDouble(seconds);
  if (given == -1.0 && PyErr_Occurred() != nullptr) return false;
  const fibers::Instant end = to_instant(given);
  if (end != fibers::kForever) result = end.time_since_epoch();
  return true;
}

namespace {

// What a call_soon() is given, apart from `self`.
struct Call {
  PyObject* callback;
  PyObject* const* args;
  Py_ssize_t count;
  PyObject* context;
};

}  // namespace

// Nothing, with a Python exception, if they are wrong. `before`: how many arguments come before the
// callback.
static std::optional<Call> parse(LoopObject& loop, const char* name, PyObject* const* args,
                                 Py_ssize_t count, PyObject* words, Py_ssize_t before) {
  if (count <= before) {
    PyErr_Format(PyExc_TypeError, "%s() missing a required argument: 'callback'", name);
    return std::nullopt;
  }
  PyObject* context = nullptr;
  if (words != nullptr && PyTuple_GET_SIZE(words) > 0) {
    PyObject* const word = PyTuple_GET_ITEM(words, 0);
    if (PyTuple_GET_SIZE(words) > 1 || PyUnicode_CompareWithASCIIString(word, "context") != 0) {
      PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument", name);
      return std::nullopt;
    }
    context = args[count];
  }
  if (loop.debug) {
    PyObject* const self = reinterpret_cast<PyObject*>(&loop);
    const Owned good(PyObject_CallMethod(self, "_check_callback", "Os", args[before], name));
    if (!good) return std::nullopt;
  }
  return Call{args[before], args + before + 1, count - before - 1, context};
}

static HandleObject& make(PyTypeObject* type, LoopObject& loop, const Call& call) {
  HandleObject* const handle =
      make_handle(type, loop, call.callback, call.args, call.count, call.context);
  if (handle == nullptr) throw PythonError();
  return *handle;
}

PyObject* call_soon(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* words) {
  return guarded([&]() -> PyObject* {
    LoopObject& loop = as_loop(self);
    loop::EventLoop& core = core_of(loop);
    if (TaskObject* const task = count > 0 ? woken_by(args[0]) : nullptr) {
      core_of(*task).push();
      return Py_NewRef(Py_None);
    }
    const auto call = parse(loop, "call_soon", args, count, words, 0);
    if (!call) return nullptr;
    Owned handle(reinterpret_cast<PyObject*>(&make(handle_type, loop, *call)));
    auto& made = *reinterpret_cast<HandleObject*>(handle.get());
    made.node = core.call_soon(HandleCall(made));
    return handle.release();
  });
}

bool is_own_call_soon(PyObject* method) {
  const auto function = as_function(call_soon);
  return PyCFunction_Check(method) && PyCFunction_GET_FUNCTION(method) == function;
}

PyObject* call_soon_threadsafe(PyObject* self, PyObject* const* args, Py_ssize_t count,
                               PyObject* words) {
  return guarded([&]() -> PyObject* {
    LoopObject& loop = as_loop(self);
    loop::EventLoop& core = core_of(loop);
    const auto call = parse(loop, "call_soon_threadsafe", args, count, words, 0);
    if (!call) return nullptr;
    Owned handle(reinterpret_cast<PyObject*>(&make(handle_type, loop, *call)));
    auto& made = *reinterpret_cast<HandleObject*>(handle.get());
    made.remote = core.call_soon_threadsafe(HandleCall(made));
    return handle.release();
  });
}

static PyObject* schedule_at(LoopObject& loop, double when, const Call& call) {
  Owned handle(reinterpret_cast<PyObject*>(&make(timer_handle_type, loop, call)));
  auto& made = *reinterpret_cast<HandleObject*>(handle.get());
  made.when = when;
  made.node = core_of(loop).call_at(to_instant(when), HandleCall(made));
  return handle.release();
}

// False with a Python exception.
static bool to_double(PyObject* number, const char* none, double& result) {
  if (number == Py_None) {
    PyErr_SetString(PyExc_TypeError, none);
    return false;
  }
  result = PyFloat_AsDouble(number);
  return result != -1.0 || PyErr_Occurred() == nullptr;
}

PyObject* call_at(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* words) {
  return guarded([&]() -> PyObject* {
    LoopObject& loop = as_loop(self);
    core_of(loop);
    const auto call = parse(loop, "call_at", args, count, words, 1);
    double when = 0;
    if (!call || !to_double(args[0], "when cannot be None", when)) return nullptr;
    return schedule_at(loop, when, *call);
  });
}

PyObject* call_later(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* words) {
  return guarded([&]() -> PyObject* {
    LoopObject& loop = as_loop(self);
    const double now = to_seconds(core_of(loop).time());
    double delay = 0;
    if (count > 0 && !to_double(args[0], "delay must not be None", delay)) return nullptr;
    const auto call = parse(loop, "call_later", args, count, words, 1);
    return call ? schedule_at(loop, now + delay, *call) : nullptr;
  });
}

// --- Descriptors. ---

// As Python's selectors: a number, or whatever says its number. -1 with a Python exception.
static int descriptor_of(PyObject* file) {
  Owned asked(PyLong_Check(file) ? Py_NewRef(file) : PyObject_CallMethod(file, "fileno", nullptr));
  const Owned number(asked ? PyNumber_Long(asked.get()) : nullptr);
  const long fd = number ? PyLong_AsLong(number.get()) : -1;
  if (fd >= 0 && fd <= std::numeric_limits<int>::max()) return static_cast<int>(fd);
  PyErr_Clear();
  PyErr_Format(PyExc_ValueError, "Invalid file object: %R", file);
  return -1;
}

static PyObject* watch(PyObject* self, PyObject* const* args, Py_ssize_t count, const char* name,
                       bool reads) {
  return guarded([&]() -> PyObject* {
    LoopObject& loop = as_loop(self);
    loop::EventLoop& core = core_of(loop);
    const auto call = parse(loop, name, args, count, nullptr, 1);
    if (!call) return nullptr;
    const int fd = descriptor_of(args[0]);
    if (fd < 0) return nullptr;
    Owned handle(reinterpret_cast<PyObject*>(&make(handle_type, loop, *call)));
    auto& made = *reinterpret_cast<HandleObject*>(handle.get());
    made.fd = fd;
    made.reads = reads;
    made.node =
        reads ? core.add_reader(fd, HandleCall(made)) : core.add_writer(fd, HandleCall(made));
    return handle.release();
  });
}
PyObject* add_reader(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  return watch(self, args, count, "add_reader", true);
}
PyObject* add_writer(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  return watch(self, args, count, "add_writer", false);
}
static PyObject* unwatch(PyObject* self, PyObject* file, bool reads) {
  return guarded([&]() -> PyObject* {
    LoopObject& loop = as_loop(self);
    if (sync_of(loop).is_closed()) return Py_NewRef(Py_False);
    const int fd = descriptor_of(file);
    if (fd < 0) return nullptr;
    loop::EventLoop& core = core_of(loop);
    return PyBool_FromLong((reads ? core.remove_reader(fd) : core.remove_writer(fd)) ? 1 : 0);
  });
}
PyObject* remove_reader(PyObject* self, PyObject* file) {
  return unwatch(self, file, true);
}
PyObject* remove_writer(PyObject* self, PyObject* file) {
  return unwatch(self, file, false);
}

// The handles of a descriptor's reader and writer, for who looks into asyncio's selector.
PyObject* watching(PyObject* self, PyObject* number) {
  const long fd = PyLong_AsLong(number);
  if (fd < 0 && PyErr_Occurred() != nullptr) return nullptr;
  PyObject* found[] = {Py_None, Py_None};
  for (HandleObject* handle = as_loop(self).scheduled; handle != nullptr; handle = handle->next) {
    if (handle->fd >= 0 && handle->fd == fd && !is_cancelled(*handle)) {
      found[handle->reads ? 0 : 1] = reinterpret_cast<PyObject*>(handle);
    }
  }
  return PyTuple_Pack(2, found[0], found[1]);
}
PyObject* ready(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    loop::SyncLoop& sync = sync_of(as_loop(self));
    return PyLong_FromSize_t(sync.is_closed() ? 0 : sync.loop().statistics().ready);
  });
}

}  // namespace weft::python
