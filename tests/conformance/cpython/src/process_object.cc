// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's Process for Python.

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/conformance/cpython/src/buffer.h"
#include "tests/conformance/cpython/src/children.h"
#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/endpoints.h"
#include "tests/conformance/cpython/src/holder.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/streams.h"
#include "tests/conformance/cpython/src/transport_object.h"
#include "weft/loop/subprocess.h"

namespace weft::python {

std::uint64_t processes_used = 0;

namespace {

using loop::Process;
PyTypeObject* process_type = nullptr;

// Process(process): the same one.
int init(PyObject* self, PyObject* args, PyObject* /*words*/) {
  PyObject* other = nullptr;
  if (PyArg_ParseTuple(args, "O!", process_type, &other) == 0) return -1;
  try {
    return hold<Process>(self, held<Process>(other));
  } catch (...) {
    raise_as_python();
    return -1;
  }
}

PyObject* to_process(const Process& process) {
  Owned object(process_type->tp_alloc(process_type, 0));
  if (!object || hold<Process>(object.get(), process) < 0) return nullptr;
  ++processes_used;
  return object.release();
}

// What the child has written; None if the stream is no pipe.
PyObject* output_of(const std::optional<loop::StreamReader>& stream, const std::string& output) {
  if (!stream) return Py_NewRef(Py_None);
  return PyBytes_FromStringAndSize(output.data(), static_cast<Py_ssize_t>(output.size()));
}
PyObject* communicate(PyObject* self, PyObject* input) {
  return guarded([&] {
    const Process& process = held<Process>(self);
    std::optional<Buffer> buffer;
    std::optional<std::string_view> text;
    if (input != Py_None) text = buffer.emplace(input).text();
    return wrap_coro(self, process.communicate(text),
                     [&process](const std::pair<std::string, std::string>& outputs) -> PyObject* {
                       const Owned out(output_of(process.stdout, outputs.first));
                       const Owned err(output_of(process.stderr, outputs.second));
                       return out && err ? PyTuple_Pack(2, out.get(), err.get()) : nullptr;
                     });
  });
}
PyObject* wait(Process& process, PyObject* self) {
  return wrap_coro(self, process.wait(), [](int code) { return PyLong_FromLong(code); });
}

using Signals = SignalMethods<held<Process>>;

PyObject* pid(Process& process) {
  return PyLong_FromLong(process.pid());
}
PyObject* returncode(Process& process) {
  const std::optional<int> code = process.returncode();
  return code ? PyLong_FromLong(*code) : Py_NewRef(Py_None);
}
PyObject* input(Process& process) {
  return process.stdin ? wrap_writer(*process.stdin) : Py_NewRef(Py_None);
}
PyObject* output(Process& process) {
  return process.stdout ? wrap_reader(*process.stdout) : Py_NewRef(Py_None);
}
PyObject* errors(Process& process) {
  return process.stderr ? wrap_reader(*process.stderr) : Py_NewRef(Py_None);
}
// A new object each time.
PyObject* transport(Process& process) {
  return wrap_transport(process.transport(), nullptr);
}

PyMethodDef methods[] = {
    {"_communicate", communicate, METH_O, nullptr},
    {"wait", method_of<Process, wait>, METH_NOARGS, nullptr},
    {"send_signal", Signals::send_signal, METH_O, nullptr},
    {"terminate", Signals::terminate, METH_NOARGS, nullptr},
    {"kill", Signals::kill, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef members[] = {
    {"pid", member<Process, pid>, nullptr, nullptr, nullptr},
    {"returncode", member<Process, returncode>, nullptr, nullptr, nullptr},
    {"_stdin", member<Process, input>, nullptr, nullptr, nullptr},
    {"_stdout", member<Process, output>, nullptr, nullptr, nullptr},
    {"_stderr", member<Process, errors>, nullptr, nullptr, nullptr},
    {"_own_transport", member<Process, transport>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// create_process(loop, limit, request): see ChildRequest.
PyObject* create_process(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  Py_ssize_t limit = 0;
  PyObject* told = nullptr;
  if (PyArg_ParseTuple(args, "O!nO!", loop_type, &loop, &limit, &PyTuple_Type, &told) == 0) {
    return nullptr;
  }
  return guarded([&] {
    const ChildRequest request(told);
    loop::EventLoop& core = core_of(as_loop(loop));
    const auto most = static_cast<std::size_t>(limit);
    return wrap_coro(
        loop,
        request.is_for_shell()
            ? loop::create_subprocess_shell(core, request.line(), request.options(), most)
            : loop::create_subprocess_exec(core, request.command(), request.options(), most),
        to_process);
  });
}

PyMethodDef functions[] = {
    {"create_process", create_process, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_processes(PyObject* module) {
  process_type = HolderType<Process>::add(module, "weft_core.Process", init, methods, members);
  return process_type != nullptr && PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace weft::python
