// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's Runner over a loop that Python has made. The loop's object owns it.

#include "weft/loop/runner.h"

#include <memory>
#include <string>
#include <utility>

#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/primitives.h"
#include "tests/conformance/cpython/src/task.h"

namespace weft::python {

namespace {

loop::Coro<void> finish_both(LoopObject& loop, loop::Coro<void> own, loop::Future<Ref> python) {
  co_await std::move(own);
  co_await std::move(python);
  note_callbacks(loop);
}

// The signal is Python's, which passes it on.
class LoopRunner final : public loop::Runner {
 public:
  explicit LoopRunner(LoopObject& loop)
      : Runner({.loop_factory = [&loop] { return *loop.owner; }, .handle_interrupt = false}),
        loop_(loop) {}
  LoopRunner(const LoopRunner&) = delete;
  LoopRunner& operator=(const LoopRunner&) = delete;
  // A loop that is dropped unclosed is closed as one without a runner.
  ~LoopRunner() override { abandon(); }

 protected:
  // Python's own, too, which the loop's object knows.
  loop::Coro<void> shut_down_generators() override {
    PyObject* const loop = reinterpret_cast<PyObject*>(&loop_);
    const Owned coroutine(PyObject_CallMethod(loop, "shutdown_asyncgens", nullptr));
    const Owned args(coroutine ? PyTuple_Pack(1, coroutine.get()) : nullptr);
    const Owned words(Py_BuildValue("{sO}", "loop", loop));
    if (!args || !words) throw PythonError();
    PyObject* const type = reinterpret_cast<PyObject*>(task_type);
    const Owned task(PyObject_Call(type, args.get(), words.get()));
    if (!task) throw PythonError();
    PyFuture& core = core_of(as_future(task.get()));
    core.retain();
    return finish_both(loop_, Runner::shut_down_generators(), loop::FutureAccess::wrap<Ref>(&core));
  }

 private:
  LoopObject& loop_;
};

loop::Runner& runner_of(LoopObject& loop) {
  if (loop.runner != nullptr) return *loop.runner;
  throw fibers::UsageError("no runner has this loop; runner_begin() gives it one");
}

// require_may_run(name of the call)
PyObject* require_may_run(PyObject* /*module*/, PyObject* name) {
  const char* const text = PyUnicode_AsUTF8(name);
  if (text == nullptr) return nullptr;
  return guarded([&] {
    const std::string refusal = std::string(text) + " cannot be called from a running event loop";
    loop::Runner::require_may_run(refusal.c_str());
    return Py_NewRef(Py_None);
  });
}
// runner_begin(loop): the runner takes it over.
PyObject* runner_begin(PyObject* /*module*/, PyObject* loop) {
  if (PyObject_TypeCheck(loop, loop_type) == 0) {
    return PyErr_Format(PyExc_TypeError, "a loop of weft's was expected, got %R", loop);
  }
  return guarded([&] {
    LoopObject& object = as_loop(loop);
    sync_of(object);
    delete std::exchange(object.runner, nullptr);
    object.runner = new LoopRunner(object);
    object.runner->get_loop();
    return Py_NewRef(Py_None);
  });
}
// runner_run(loop, task): runs until the task is done.
PyObject* runner_run(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* task = nullptr;
  if (PyArg_ParseTuple(args, "O!O!", loop_type, &loop, task_type, &task) == 0) return nullptr;
  return running(as_loop(loop), [&] {
    ++primitives_used;
    loop::detail::FutureCore& core = static_cast<PyFuture&>(core_of(as_task(task)));
    core.retain();
    runner_of(as_loop(loop)).run_task(loop::TaskAccess::wrap(&core));
  });
}
// runner_interrupt(loop): what Ctrl-C does.
PyObject* runner_interrupt(PyObject* /*module*/, PyObject* loop) {
  if (PyObject_TypeCheck(loop, loop_type) == 0) {
    return PyErr_Format(PyExc_TypeError, "a loop of weft's was expected, got %R", loop);
  }
  return running(as_loop(loop), [&] { runner_of(as_loop(loop)).interrupt(); });
}
// runner_close(loop): ends all that is left, and closes the loop's core.
PyObject* runner_close(PyObject* /*module*/, PyObject* loop) {
  if (PyObject_TypeCheck(loop, loop_type) == 0) {
    return PyErr_Format(PyExc_TypeError, "a loop of weft's was expected, got %R", loop);
  }
  return running(as_loop(loop), [&] {
    ++primitives_used;
    runner_of(as_loop(loop)).close();
  });
}

PyMethodDef functions[] = {
    {"require_may_run", require_may_run, METH_O, nullptr},
    {"runner_begin", runner_begin, METH_O, nullptr},
    {"runner_run", runner_run, METH_VARARGS, nullptr},
    {"runner_interrupt", runner_interrupt, METH_O, nullptr},
    {"runner_close", runner_close, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_runner(PyObject* module) {
  return PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace weft::python
