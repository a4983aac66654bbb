// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What wakes a task from outside: see task.h.

#include "tests/conformance/cpython/src/gc_type.h"
#include "tests/conformance/cpython/src/task.h"

namespace weft::python {

namespace {

struct Wakeup {
  PyObject_HEAD TaskObject* task;  // A reference; null once the garbage collector has taken it.
};
PyTypeObject* wakeup_type = nullptr;

Wakeup& as_wakeup(PyObject* object) {
  return *reinterpret_cast<Wakeup*>(object);
}

PyObject* call(PyObject* self, PyObject* /*args*/, PyObject* /*words*/) {
  if (TaskObject* const task = as_wakeup(self).task) core_of(*task).push();
  return Py_NewRef(Py_None);
}
// The same each time one is made: it is seen in the repr() of futures.
PyObject* repr(PyObject* /*self*/) {
  return PyUnicode_FromString("<TaskWakeup>");
}

}  // namespace

PyObject* wakeup_of(loop::detail::TaskCore& task) {
  auto* const wakeup = PyObject_GC_New(Wakeup, wakeup_type);
  if (wakeup == nullptr) return nullptr;
  PyObject* const object = object_of(task.future());
  wakeup->task = reinterpret_cast<TaskObject*>(Py_XNewRef(object));
  PyObject_GC_Track(wakeup);
  return reinterpret_cast<PyObject*>(wakeup);
}

TaskObject* woken_by(PyObject* callable) {
  return Py_IS_TYPE(callable, wakeup_type) ? as_wakeup(callable).task : nullptr;
}

bool add_wakeup_type() {
  wakeup_type = GcType<Wakeup, &Wakeup::task>::make("weft_core.TaskWakeup",
                                                    {
                                                        {Py_tp_call, reinterpret_cast<void*>(call)},
                                                        {Py_tp_repr, reinterpret_cast<void*>(repr)},
                                                    });
  return wakeup_type != nullptr;
}

}  // namespace weft::python
