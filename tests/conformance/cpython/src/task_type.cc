// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The type weft_core.Task, and what its methods do.

#include <cstddef>
#include <new>
#include <string>

#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/scheduling.h"
#include "tests/conformance/cpython/src/task.h"
#include "weft/loop/task.h"

namespace weft::python {

PyTypeObject* task_type = nullptr;

namespace {

// --- Making one. ---

struct Given {
  PyObject* coroutine = nullptr;
  PyObject* loop = nullptr;
  PyObject* name = nullptr;
  PyObject* context = nullptr;
  int eager = 0;
};

bool parse(PyObject* args, PyObject* words, Given& given) {
  static const char* names[] = {"coro", "loop", "name", "context", "eager_start", nullptr};
  return PyArg_ParseTupleAndKeywords(args, words, "O|$OOOp", const_cast<char**>(names),
                                     &given.coroutine, &given.loop, &given.name, &given.context,
                                     &given.eager) != 0;
}

bool require_coroutine(PyObject* object) {
  if (PyCoro_CheckExact(object)) return true;
  const Owned answer(PyObject_CallOneArg(helpers.is_coroutine, object));
  if (!answer) return false;
  if (PyObject_IsTrue(answer.get()) == 1) return true;
  PyErr_Format(PyExc_TypeError, "a coroutine was expected, got %R", object);
  return false;
}

bool set_name_of(TaskObject& task, PyObject* name) {
  const Owned text(PyObject_Str(name));
  if (!text) return false;
  Py_ssize_t size = 0;
  const char* const bytes = PyUnicode_AsUTF8AndSize(text.get(), &size);
  if (bytes == nullptr) return false;
  core_of(task).set_name(std::string(bytes, static_cast<std::size_t>(size)));
  return true;
}

// The first step comes by the loop's own queue. If somebody has put another call_soon() in the
// place of the loop's, that is asked.
bool start(TaskObject& task, bool eager) {
  PyTask& core = core_of(task);
  PyObject* const loop = reinterpret_cast<PyObject*>(task.future.head.loop);
  const Owned method(PyObject_GetAttrString(loop, "call_soon"));
  if (!method) return false;
  if (is_own_call_soon(method.get())) {
    if (eager) {
      core.start_eagerly();
    } else {
      core.start();
    }
    return true;
  }
  const Owned wakeup(wakeup_of(core));
  const Owned args(wakeup ? PyTuple_Pack(1, wakeup.get()) : nullptr);
  const Owned words(Py_BuildValue("{sO}", "context", task.context));
  if (!args || !words) return false;
  const Owned handle(PyObject_Call(method.get(), args.get(), words.get()));
  return static_cast<bool>(handle);
}

bool make(TaskObject& task, const Given& given) {
  give_core<PyTask>(task.future, loop_core(*task.future.head.loop), task);
  const bool named = given.name != nullptr && given.name != Py_None;
  if (named && !set_name_of(task, given.name)) return false;
  task.initialized = true;
  const Owned known(PyObject_CallOneArg(helpers.register_task, as_object(task)));
  return known && start(task, given.eager != 0);
}

int init(PyObject* self, PyObject* args, PyObject* words) {
  TaskObject& task = as_task(self);
  Given given;
  if (!parse(args, words, given) || !begin_future(task.future, given.loop)) return -1;
  if (!require_coroutine(given.coroutine)) return -1;
  const bool own = given.context == nullptr || given.context == Py_None;
  Owned context(own ? PyContext_CopyCurrent() : Py_NewRef(given.context));
  if (!context) return -1;
  Py_XSETREF(task.context, context.release());
  Py_XSETREF(task.coroutine, Py_NewRef(given.coroutine));
  Py_CLEAR(task.awaited);
  Py_CLEAR(task.to_throw);
  task.reports_loss = true;
  task.initialized = false;
  const Owned done(
      guarded([&]() -> PyObject* { return make(task, given) ? Py_NewRef(Py_None) : nullptr; }));
  return done ? 0 : -1;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  TaskObject& task = as_task(self);
  Py_VISIT(task.coroutine);
  Py_VISIT(task.context);
  Py_VISIT(task.awaited);
  Py_VISIT(task.to_throw);
  return traverse_future(self, visit, arg);
}
int clear(PyObject* self) {
  TaskObject& task = as_task(self);
  Py_CLEAR(task.coroutine);
  Py_CLEAR(task.context);
  Py_CLEAR(task.awaited);
  Py_CLEAR(task.to_throw);
  return clear_future(self);
}
void dealloc(PyObject* self) {
  if (PyObject_CallFinalizerFromDealloc(self) < 0) return;
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (as_future(self).weak_refs != nullptr) PyObject_ClearWeakRefs(self);
  clear(self);
  end_future(as_future(self));
  type->tp_free(self);
  Py_DECREF(type);
}

// --- Methods. ---

PyObject* refuse_result(PyObject* /*self*/, PyObject* /*value*/) {
  PyErr_SetString(PyExc_RuntimeError, "Task does not support set_result operation");
  return nullptr;
}
PyObject* refuse_exception(PyObject* /*self*/, PyObject* /*value*/) {
  PyErr_SetString(PyExc_RuntimeError, "Task does not support set_exception operation");
  return nullptr;
}
PyObject* cancelling(PyObject* self, PyObject* /*none*/) {
  return guarded([&] { return PyLong_FromUnsignedLong(core_of(as_task(self)).cancelling()); });
}
PyObject* uncancel(PyObject* self, PyObject* /*none*/) {
  return guarded([&] { return PyLong_FromUnsignedLong(core_of(as_task(self)).uncancel()); });
}
PyObject* get_name(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    const std::string name = core_of(as_task(self)).name();
    return PyUnicode_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size()));
  });
}
PyObject* set_name(PyObject* self, PyObject* name) {
  return guarded([&] { return set_name_of(as_task(self), name) ? Py_NewRef(Py_None) : nullptr; });
}
PyObject* or_none(PyObject* object) {
  return Py_NewRef(object == nullptr ? Py_None : object);
}
PyObject* get_coro(PyObject* self, PyObject* /*none*/) {
  return or_none(as_task(self).coroutine);
}
PyObject* get_context(PyObject* self, PyObject* /*none*/) {
  return or_none(as_task(self).context);
}

PyObject* get_coroutine_member(PyObject* self, void* /*closure*/) {
  return or_none(as_task(self).coroutine);
}
PyObject* get_awaited(PyObject* self, void* /*closure*/) {
  return or_none(as_task(self).awaited);
}
PyObject* get_must_cancel(PyObject* self, void* /*closure*/) {
  return guarded([&] { return PyBool_FromLong(core_of(as_task(self)).must_cancel() ? 1 : 0); });
}
PyObject* get_reports_loss(PyObject* self, void* /*closure*/) {
  return PyBool_FromLong(as_task(self).reports_loss ? 1 : 0);
}
int set_reports_loss(PyObject* self, PyObject* value, void* /*closure*/) {
  if (value == nullptr) {
    PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
    return -1;
  }
  const int on = PyObject_IsTrue(value);
  if (on < 0) return -1;
  as_task(self).reports_loss = on != 0;
  return 0;
}

PyMethodDef methods[] = {
    {"set_result", refuse_result, METH_O, nullptr},
    {"set_exception", refuse_exception, METH_O, nullptr},
    {"cancelling", cancelling, METH_NOARGS, nullptr},
    {"uncancel", uncancel, METH_NOARGS, nullptr},
    {"get_name", get_name, METH_NOARGS, nullptr},
    {"set_name", set_name, METH_O, nullptr},
    {"get_coro", get_coro, METH_NOARGS, nullptr},
    {"get_context", get_context, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef members[] = {
    {"_coro", get_coroutine_member, nullptr, nullptr, nullptr},
    {"_fut_waiter", get_awaited, nullptr, nullptr, nullptr},
    {"_must_cancel", get_must_cancel, nullptr, nullptr, nullptr},
    {"_log_destroy_pending", get_reports_loss, set_reports_loss, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_finalize, reinterpret_cast<void*>(finalize_future)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(clear)},
    {Py_tp_methods, methods},
    {Py_tp_getset, members},
    {0, nullptr},
};
PyType_Spec spec = {"weft_core.Task", sizeof(TaskObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

// The youngest first.
int traverse_ready_tasks(const loop::EventLoop& loop, visitproc visit, void* arg) {
  const loop::detail::TaskCore* task = loop::TaskAccess::first_of(loop);
  for (; task != nullptr; task = task->next_of_loop()) {
    const bool ready = task->awaiting() == nullptr && !task->elsewhere();
    if (ready && task->future().references() == 1) Py_VISIT(object_of(task->future()));
  }
  return 0;
}

PyObject* tasks_of(PyObject* /*module*/, PyObject* loop) {
  return guarded([&]() -> PyObject* {
    Owned list(PyList_New(0));
    if (!list) return nullptr;
    if (PyObject_TypeCheck(loop, loop_type) == 0) return list.release();
    const loop::SyncLoop& sync = sync_of(as_loop(loop));
    if (sync.is_closed()) return list.release();
    for (const loop::TaskBase& task : loop::all_tasks(sync.loop())) {
      PyObject* const object = object_of(loop::FutureAccess::core(task));
      if (object != nullptr && PyList_Append(list.get(), object) < 0) return nullptr;
    }
    return list.release();
  });
}

PyObject* stepped_task(PyObject* /*module*/, PyObject* /*none*/) {
  const loop::TaskBase task = loop::current_task();
  return or_none(task ? object_of(loop::FutureAccess::core(task)) : nullptr);
}

bool add_task_type(PyObject* module) {
  const Owned bases(PyTuple_Pack(1, future_type));
  task_type = bases ? reinterpret_cast<PyTypeObject*>(PyType_FromSpecWithBases(&spec, bases.get()))
                    : nullptr;
  return task_type != nullptr && PyModule_AddType(module, task_type) == 0;
}

}  // namespace weft::python
