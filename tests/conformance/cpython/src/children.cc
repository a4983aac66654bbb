// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Children for Python, by weft's subprocess_exec().

#include "tests/conformance/cpython/src/children.h"

#include <optional>
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

// --- The transport. ---

loop::SubprocessTransport subprocess_in(PyObject* self) {
  return loop::TransportAccess::share<loop::SubprocessTransport>(core_of_transport(self));
}

PyObject* get_pid(PyObject* self, PyObject* /*none*/) {
  return guarded([&] { return PyLong_FromLong(subprocess_in(self).get_pid()); });
}
PyObject* get_returncode(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    const std::optional<int> code = subprocess_in(self).get_returncode();
    return code ? PyLong_FromLong(*code) : Py_NewRef(Py_None);
  });
}
// One object a pipe, made when it is first asked for: the pipe's protocol is not Python's.
PyObject* get_pipe_transport(PyObject* self, PyObject* number) {
  const long fd = PyLong_AsLong(number);
  if (fd == -1 && PyErr_Occurred() != nullptr) return nullptr;
  return guarded([&]() -> PyObject* {
    if (fd < 0 || fd > 2) return Py_NewRef(Py_None);
    const loop::Transport pipe = subprocess_in(self).get_pipe_transport(static_cast<int>(fd));
    if (!pipe) return Py_NewRef(Py_None);
    const std::string key = "_pipe" + std::to_string(fd);
    if (PyObject* const made = PyObject_GetAttrString(self, key.c_str())) return made;
    PyErr_Clear();
    Owned object(wrap_transport(pipe, nullptr));
    if (!object || PyObject_SetAttrString(self, key.c_str(), object.get()) < 0) return nullptr;
    return object.release();
  });
}

using Signals = SignalMethods<subprocess_in>;

loop::Coro<int> ended(loop::Future<int> code) {
  co_return co_await code;
}
PyObject* wait(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    auto& core = static_cast<loop::detail::SubprocessCore&>(core_of_transport(self));
    return wrap_coro(self, ended(core.wait()), [](int code) { return PyLong_FromLong(code); });
  });
}
const PyMethodDef kSubprocessMethods[] = {
    {"get_pid", get_pid, METH_NOARGS, nullptr},
    {"get_returncode", get_returncode, METH_NOARGS, nullptr},
    {"get_pipe_transport", get_pipe_transport, METH_O, nullptr},
    {"send_signal", Signals::send_signal, METH_O, nullptr},
    {"terminate", Signals::terminate, METH_NOARGS, nullptr},
    {"kill", Signals::kill, METH_NOARGS, nullptr},
    {"_wait", wait, METH_NOARGS, nullptr},
};

// --- Starting one. ---

// As the module subprocess has them: None, PIPE, STDOUT, DEVNULL, or a descriptor.
loop::Stdio stdio_of(PyObject* object) {
  if (object == Py_None) return loop::kInherit;
  const long number = PyLong_AsLong(object);
  if (PyErr_Occurred() != nullptr) throw PythonError();
  if (number == -1) return loop::kPipe;
  if (number == -2) return loop::kStdout;
  if (number == -3) return loop::kDevNull;
  return loop::Stdio::fd(static_cast<int>(number));
}

int int_of(PyObject* object) {
  const long number = PyLong_AsLong(object);
  if (PyErr_Occurred() != nullptr) throw PythonError();
  return static_cast<int>(number);
}

constexpr auto kToPair = [](auto made) -> PyObject* {
  const PythonProtocol& protocol = *python_protocol(made.second.get());
  return PyTuple_Pack(2, protocol.link()->transport.get(), protocol.object());
};

// spawn(loop, factory, request): see ChildRequest.
PyObject* spawn(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* factory = nullptr;
  PyObject* told = nullptr;
  if (PyArg_ParseTuple(args, "O!OO!", loop_type, &loop, &factory, &PyTuple_Type, &told) == 0) {
    return nullptr;
  }
  return guarded([&] {
    const ChildRequest request(told);
    SubprocessFactory making(as_loop(loop), factory);
    loop::EventLoop& core = core_of(as_loop(loop));
    if (request.is_for_shell()) {
      return wrap_coro(loop,
                       core.subprocess_shell(std::move(making), request.line(), request.options()),
                       kToPair);
    }
    return wrap_coro(loop,
                     core.subprocess_exec(std::move(making), request.command(), request.options()),
                     kToPair);
  });
}

PyMethodDef functions[] = {
    {"spawn", spawn, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

std::string text_of(PyObject* object) {
  PyObject* bytes = nullptr;
  if (PyUnicode_FSConverter(object, &bytes) == 0) throw PythonError();
  const Owned owned(bytes);
  return {PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))};
}

}  // namespace

ChildRequest::ChildRequest(PyObject* told) {
  PyObject* command = nullptr;
  PyObject* streams[3] = {};
  PyObject* cwd = nullptr;
  PyObject* env = nullptr;
  PyObject* executable = nullptr;
  PyObject* pass_fds = nullptr;
  PyObject* group = nullptr;
  int session = 0;
  int restore = 0;
  if (PyArg_ParseTuple(told, "OOOOOOOO!Opp", &command, &streams[0], &streams[1], &streams[2], &cwd,
                       &env, &executable, &PyList_Type, &pass_fds, &group, &session,
                       &restore) == 0) {
    throw PythonError();
  }
  options_.stdin = stdio_of(streams[0]);
  options_.stdout = stdio_of(streams[1]);
  options_.stderr = stdio_of(streams[2]);
  if (cwd != Py_None) cwd_ = text_of(cwd);
  options_.cwd = cwd_;
  if (env != Py_None) take_environment(env);
  if (executable != Py_None) executable_ = text_of(executable);
  options_.executable = executable_;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pass_fds); ++i) {
    passed_.push_back(int_of(PyList_GET_ITEM(pass_fds, i)));
  }
  options_.pass_fds = passed_;
  if (group != Py_None) options_.process_group = int_of(group);
  options_.start_new_session = session != 0;
  options_.restore_signals = restore != 0;
  if (PyList_Check(command) == 0) {
    line_ = text_of(command);
    return;
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(command); ++i) {
    words_.push_back(text_of(PyList_GET_ITEM(command, i)));
  }
}

void ChildRequest::take_environment(PyObject* env) {
  PyObject* key = nullptr;
  PyObject* value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(env, &at, &key, &value) != 0;) {
    environment_[text_of(key)] = text_of(value);
  }
  options_.env = &environment_;
}

bool add_children(PyObject* module) {
  const Owned base(asyncio_transport("SubprocessTransport"));
  transport_types.subprocess =
      add_transport_type(module, "weft_core.SubprocessTransport", base.get(), kSubprocessMethods);
  return transport_types.subprocess != nullptr && PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace weft::python
