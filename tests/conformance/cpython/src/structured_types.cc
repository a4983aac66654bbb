// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The cores of timeout() and TaskGroup as Python objects. Their `async with` is the package's.

#include <memory>

#include "tests/conformance/cpython/src/holder.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/primitives.h"
#include "tests/conformance/cpython/src/scheduling.h"
#include "tests/conformance/cpython/src/task.h"
#include "weft/loop/detail/task_group_core.h"
#include "weft/loop/detail/timeout_core.h"

namespace weft::python {

namespace {

std::exception_ptr body_error(PyObject* error) {
  return error == Py_None ? nullptr : to_cpp(error, Raised::Keep::kOwned);
}

// --- Timeout. ---

using loop::detail::TimeoutCore;

// A number, or None for never. Nothing with a Python exception.
bool to_deadline(PyObject* when, fibers::Instant& result) {
  result = fibers::kForever;
  if (when == Py_None) return true;
  const double seconds = PyFloat_AsDouble(when);
  if (seconds == -1.0 && PyErr_Occurred() != nullptr) return false;
  result = to_instant(seconds);
  return true;
}

// The object keeps the number as it was given, for when().
int init_timeout(PyObject* self, PyObject* args, PyObject* /*words*/) {
  PyObject* when = nullptr;
  fibers::Instant deadline;
  if (PyArg_ParseTuple(args, "O", &when) == 0 || !to_deadline(when, deadline)) return -1;
  Py_XSETREF(as_holder(self).related, Py_NewRef(when));
  return hold<TimeoutCore>(self, deadline);
}
PyObject* enter_timeout(TimeoutCore& core) {
  core.enter();
  return Py_NewRef(Py_None);
}
// Whether it is to be a TimeoutError.
PyObject* leave_timeout(PyObject* self, PyObject* error) {
  return guarded([&] {
    try {
      held<TimeoutCore>(self).leave(body_error(error));
    } catch (const loop::TimeoutError&) {
      return Py_NewRef(Py_True);
    }
    return Py_NewRef(Py_False);
  });
}
PyObject* when(PyObject* self, PyObject* /*none*/) {
  return Py_NewRef(as_holder(self).related);
}
PyObject* reschedule(PyObject* self, PyObject* when) {
  return guarded([&]() -> PyObject* {
    fibers::Instant deadline;
    if (!to_deadline(when, deadline)) return nullptr;
    held<TimeoutCore>(self).reschedule(deadline);
    Py_XSETREF(as_holder(self).related, Py_NewRef(when));
    return Py_NewRef(Py_None);
  });
}
PyObject* expired(TimeoutCore& core) {
  return to_bool(core.expired());
}
PyObject* state_of(TimeoutCore& core) {
  return PyUnicode_FromString(core.state_name());
}
PyMethodDef timeout_methods[] = {
    {"_enter", method<TimeoutCore, enter_timeout>, METH_NOARGS, nullptr},
    {"_leave", leave_timeout, METH_O, nullptr},
    {"when", when, METH_NOARGS, nullptr},
    {"reschedule", reschedule, METH_O, nullptr},
    {"expired", method<TimeoutCore, expired>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef timeout_members[] = {
    {"_state_name", member<TimeoutCore, state_of>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// --- TaskGroup. ---

using Group = std::shared_ptr<loop::detail::TaskGroupCore>;

int init_group(PyObject* self, PyObject* args, PyObject* /*words*/) {
  if (PyArg_ParseTuple(args, "") == 0) return -1;
  return hold<Group>(self, std::make_shared<loop::detail::TaskGroupCore>());
}
PyObject* enter_group(Group& group) {
  group->enter();
  return Py_NewRef(Py_None);
}
// Awaited: raises what comes out of the group; true if it has swallowed the body's error.
PyObject* leave_group(PyObject* self, PyObject* error) {
  return guarded([&] {
    const bool failed = error != Py_None;
    return wrap_coro(self, loop::detail::leave_group(held<Group>(self), body_error(error)),
                     [failed] { return to_bool(failed); });
  });
}
PyObject* prepare(Group& group) {
  group->require_open();
  return Py_NewRef(reinterpret_cast<PyObject*>(
      &loop_with(loop::FutureAccess::core(group->loop().create_future<void>()).loop())));
}
// Calls `create`, and adds the task that it makes.
PyObject* make_task(PyObject* self, PyObject* create) {
  return guarded([&] {
    const Group group = held<Group>(self);
    loop::detail::TaskGroupCore::Room room(*group);
    Owned task(PyObject_CallNoArgs(create));
    if (!task) throw PythonError();
    if (PyObject_TypeCheck(task.get(), task_type) == 0) {
      PyErr_SetString(PyExc_TypeError, "weft's TaskGroup takes weft's tasks");
      throw PythonError();
    }
    loop::detail::FutureCore& core = static_cast<PyFuture&>(core_of(as_task(task.get())));
    core.retain();
    group->add(room, loop::TaskAccess::wrap(&core));
    return task.release();
  });
}
PyObject* tasks_in(Group& group) {
  return PyLong_FromSize_t(group->tasks());
}
PyObject* errors_in(Group& group) {
  return PyLong_FromSize_t(group->errors());
}
PyObject* entered(Group& group) {
  return to_bool(group->entered());
}
PyObject* aborting(Group& group) {
  return to_bool(group->aborting());
}
PyObject* cancel_group(Group& group) {
  group->cancel();
  return Py_NewRef(Py_None);
}
PyMethodDef group_methods[] = {
    {"_enter", method<Group, enter_group>, METH_NOARGS, nullptr},
    {"_leave", leave_group, METH_O, nullptr},
    {"_prepare", method<Group, prepare>, METH_NOARGS, nullptr},
    {"_make", make_task, METH_O, nullptr},
    {"cancel", method<Group, cancel_group>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef group_members[] = {
    {"_tasks_count", member<Group, tasks_in>, nullptr, nullptr, nullptr},
    {"_errors_count", member<Group, errors_in>, nullptr, nullptr, nullptr},
    {"_entered", member<Group, entered>, nullptr, nullptr, nullptr},
    {"_aborting", member<Group, aborting>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace

bool add_structured_types(PyObject* module) {
  return HolderType<TimeoutCore>::add(module, "weft_core.Timeout", init_timeout, timeout_methods,
                                      timeout_members) != nullptr &&
         HolderType<Group>::add(module, "weft_core.TaskGroup", init_group, group_methods,
                                group_members) != nullptr;
}

}  // namespace weft::python
