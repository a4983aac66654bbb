// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/core_future.h"

#include "tests/conformance/cpython/src/done_call.h"
#include "tests/conformance/cpython/src/loop.h"

namespace weft::python {

namespace {

struct CoreFutureObject {
  FutureHead head;
  loop::detail::FutureCore* core;  // A reference.
};
PyTypeObject* core_future_type = nullptr;

CoreFutureObject& as_wrapper(PyObject* object) {
  return *reinterpret_cast<CoreFutureObject*>(object);
}

PyObject* result(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    if (!as_wrapper(self).core->done()) throw loop::InvalidStateError("Result is not set.");
    return Py_NewRef(Py_None);
  });
}
PyObject* done(PyObject* self, PyObject* /*none*/) {
  return PyBool_FromLong(as_wrapper(self).core->done() ? 1 : 0);
}
PyObject* cancelled(PyObject* self, PyObject* /*none*/) {
  const auto state = as_wrapper(self).core->state();
  return PyBool_FromLong(state == loop::detail::FutureCore::State::kCancelled ? 1 : 0);
}
PyObject* cancel(PyObject* self, PyObject* args, PyObject* words) {
  static const char* names[] = {"msg", nullptr};
  PyObject* message = nullptr;
  if (PyArg_ParseTupleAndKeywords(args, words, "|O", const_cast<char**>(names), &message) == 0) {
    return nullptr;
  }
  return guarded([&] {
    return PyBool_FromLong(as_wrapper(self).core->cancel(cancel_payload(message)) ? 1 : 0);
  });
}
PyObject* add_done_callback(PyObject* self, PyObject* const* args, Py_ssize_t count,
                            PyObject* words) {
  return parse_done_call(*as_wrapper(self).core, args, count, words, self);
}
PyObject* remove_done_callback(PyObject* self, PyObject* fn) {
  return guarded([&] { return remove_done_calls(*as_wrapper(self).core, fn); });
}
PyObject* get_loop(PyObject* self, PyObject* /*none*/) {
  return Py_NewRef(reinterpret_cast<PyObject*>(as_wrapper(self).head.loop));
}
PyObject* get_blocking(PyObject* self, void* /*closure*/) {
  return PyBool_FromLong(as_wrapper(self).head.blocking ? 1 : 0);
}
int set_blocking(PyObject* self, PyObject* value, void* /*closure*/) {
  const int on = value == nullptr ? 0 : PyObject_IsTrue(value);
  if (on < 0) return -1;
  as_wrapper(self).head.blocking = on != 0;
  return 0;
}

// The core is not this object's alone: what waits for it is not this object's, either.
int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<PyObject*>(as_wrapper(self).head.loop));
  return 0;
}
void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  as_wrapper(self).core->release();
  Py_CLEAR(as_wrapper(self).head.loop);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"result", result, METH_NOARGS, nullptr},
    {"add_done_callback", as_function(add_done_callback), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"remove_done_callback", remove_done_callback, METH_O, nullptr},
    {"cancel", as_function(cancel), METH_VARARGS | METH_KEYWORDS, nullptr},
    {"cancelled", cancelled, METH_NOARGS, nullptr},
    {"done", done, METH_NOARGS, nullptr},
    {"get_loop", get_loop, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef members[] = {
    {"_asyncio_future_blocking", get_blocking, set_blocking, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
    {Py_am_await, reinterpret_cast<void*>(make_future_iterator)},
    {Py_tp_iter, reinterpret_cast<void*>(make_future_iterator)},
    {Py_tp_methods, methods},
    {Py_tp_getset, members},
    {0, nullptr},
};
PyType_Spec spec = {"weft_core.CoreFuture", sizeof(CoreFutureObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                    slots};

}  // namespace

PyObject* wrap_core_future(LoopObject& loop, loop::detail::FutureCore& future) {
  auto* const wrapper = PyObject_GC_New(CoreFutureObject, core_future_type);
  if (wrapper == nullptr) return nullptr;
  future.retain();
  wrapper->core = &future;
  wrapper->head.blocking = true;
  wrapper->head.loop = reinterpret_cast<LoopObject*>(Py_NewRef(reinterpret_cast<PyObject*>(&loop)));
  PyObject_GC_Track(wrapper);
  return reinterpret_cast<PyObject*>(wrapper);
}

bool is_core_future(PyObject* object) {
  return Py_IS_TYPE(object, core_future_type);
}
loop::detail::FutureCore& core_future_of(PyObject* object) {
  return *as_wrapper(object).core;
}

bool add_core_future_type(PyObject* /*module*/) {
  core_future_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return core_future_type != nullptr;
}

}  // namespace weft::python
