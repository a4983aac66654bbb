// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The type weft_core.Future, and what its methods do.

#include <cstddef>
#include <new>

#include "tests/conformance/cpython/src/done_call.h"
#include "tests/conformance/cpython/src/future.h"
#include "tests/conformance/cpython/src/loop.h"

namespace weft::python {

PyTypeObject* future_type = nullptr;

namespace {

int init(PyObject* self, PyObject* args, PyObject* words) {
  static const char* names[] = {"loop", nullptr};
  PyObject* loop = nullptr;
  if (PyArg_ParseTupleAndKeywords(args, words, "|$O", const_cast<char**>(names), &loop) == 0) {
    return -1;
  }
  FutureObject& future = as_future(self);
  if (!begin_future(future, loop)) return -1;
  const Owned done(guarded([&] {
    give_core<PyFuture>(future, loop_core(*future.head.loop), future);
    return Py_NewRef(Py_None);
  }));
  return done ? 0 : -1;
}

void dealloc(PyObject* self) {
  if (PyObject_CallFinalizerFromDealloc(self) < 0) return;
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (as_future(self).weak_refs != nullptr) PyObject_ClearWeakRefs(self);
  end_future(as_future(self));
  Py_CLEAR(as_future(self).dict);
  type->tp_free(self);
  Py_DECREF(type);
}

// --- Methods. ---

PyObject* result(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    if (as_future(self).core == nullptr) throw loop::InvalidStateError("Result is not set.");
    return result_of(as_future(self));
  });
}

PyObject* exception(PyObject* self, PyObject* /*none*/) {
  return guarded([&]() -> PyObject* {
    FutureObject& future = as_future(self);
    if (future.core == nullptr || !future.core->done()) {
      throw loop::InvalidStateError("Exception is not set.");
    }
    const bool cancelled = future.core->state() == PyFuture::State::kCancelled;
    Owned error(take_error_of(future));
    if (!cancelled) return error ? error.release() : Py_NewRef(Py_None);
    set_error(error.get());
    return nullptr;
  });
}

PyObject* set_result(PyObject* self, PyObject* value) {
  return guarded([&] {
    core_of(as_future(self)).end_with_value(value);
    return Py_NewRef(Py_None);
  });
}

// At first a StopIteration was refused; since 3.12.2 it is the cause of a RuntimeError.
PyObject* instance_of(PyObject* given) {
  Owned error(PyExceptionClass_Check(given) ? PyObject_CallNoArgs(given) : Py_NewRef(given));
  if (!error) return nullptr;
  if (PyExceptionInstance_Check(error.get()) == 0) {
    PyErr_SetString(PyExc_TypeError, "invalid exception object");
    return nullptr;
  }
  if (!PyErr_GivenExceptionMatches(error.get(), PyExc_StopIteration)) return error.release();
#if PY_VERSION_HEX >= 0x030C0200
  Owned wrapped(PyObject_CallFunction(PyExc_RuntimeError, "s",
                                      "StopIteration interacts badly with generators and cannot "
                                      "be raised into a Future"));
  if (!wrapped) return nullptr;
  PyException_SetCause(wrapped.get(), Py_NewRef(error.get()));
  PyException_SetContext(wrapped.get(), error.release());
  return wrapped.release();
#else
  PyErr_SetString(PyExc_TypeError,
                  "StopIteration interacts badly with generators and cannot be raised into a "
                  "Future");
  return nullptr;
#endif
}

PyObject* set_exception(PyObject* self, PyObject* given) {
  return guarded([&]() -> PyObject* {
    PyFuture& core = core_of(as_future(self));
    if (core.done()) throw loop::InvalidStateError("invalid state: the future is done already");
    const Owned error(instance_of(given));
    if (!error) return nullptr;
    core.end_with_error(error.get());
    return Py_NewRef(Py_None);
  });
}

PyObject* add_done_callback(PyObject* self, PyObject* const* args, Py_ssize_t count,
                            PyObject* words) {
  return guarded(
      [&] { return parse_done_call(core_of(as_future(self)), args, count, words, nullptr); });
}
PyObject* remove_done_callback(PyObject* self, PyObject* fn) {
  return guarded([&] { return remove_done_calls(core_of(as_future(self)), fn); });
}

PyObject* cancel(PyObject* self, PyObject* args, PyObject* words) {
  static const char* names[] = {"msg", nullptr};
  PyObject* message = nullptr;
  if (PyArg_ParseTupleAndKeywords(args, words, "|O", const_cast<char**>(names), &message) == 0) {
    return nullptr;
  }
  return guarded([&] {
    return PyBool_FromLong(core_of(as_future(self)).cancel(cancel_payload(message)) ? 1 : 0);
  });
}

bool is_in(PyObject* self, PyFuture::State state) {
  const PyFuture* const core = as_future(self).core;
  return core != nullptr && core->state() == state;
}
PyObject* cancelled(PyObject* self, PyObject* /*none*/) {
  return PyBool_FromLong(is_in(self, PyFuture::State::kCancelled) ? 1 : 0);
}
PyObject* done(PyObject* self, PyObject* /*none*/) {
  const PyFuture* const core = as_future(self).core;
  return PyBool_FromLong(core != nullptr && core->done() ? 1 : 0);
}
PyObject* get_loop(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    core_of(as_future(self));
    return Py_NewRef(reinterpret_cast<PyObject*>(as_future(self).head.loop));
  });
}
PyObject* make_cancelled(PyObject* self, PyObject* /*none*/) {
  return make_cancelled_error(as_future(self));
}
PyObject* iterate(PyObject* self) {
  return guarded([&] {
    core_of(as_future(self));
    return make_future_iterator(self);
  });
}

// --- What asyncio's own code and tests look at. ---

PyObject* or_none(PyObject* object) {
  return Py_NewRef(object == nullptr ? Py_None : object);
}
PyObject* get_state(PyObject* self, void* /*closure*/) {
  if (is_in(self, PyFuture::State::kCancelled)) return PyUnicode_FromString("CANCELLED");
  return PyUnicode_FromString(is_in(self, PyFuture::State::kFinished) ? "FINISHED" : "PENDING");
}
PyObject* get_blocking(PyObject* self, void* /*closure*/) {
  return PyBool_FromLong(as_future(self).head.blocking ? 1 : 0);
}
int set_blocking(PyObject* self, PyObject* value, void* /*closure*/) {
  if (value == nullptr) {
    PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
    return -1;
  }
  const int on = PyObject_IsTrue(value);
  if (on < 0) return -1;
  as_future(self).head.blocking = on != 0;
  return 0;
}
PyObject* get_loop_member(PyObject* self, void* /*closure*/) {
  return or_none(reinterpret_cast<PyObject*>(as_future(self).head.loop));
}
PyObject* get_callbacks(PyObject* self, void* /*closure*/) {
  return guarded([&] { return list_done_calls(core_of(as_future(self))); });
}
PyObject* get_value(PyObject* self, void* /*closure*/) {
  return is_in(self, PyFuture::State::kFinished) ? value_of(as_future(self)) : Py_NewRef(Py_None);
}
PyObject* get_error(PyObject* self, void* /*closure*/) {
  if (!is_in(self, PyFuture::State::kFinished)) return Py_NewRef(Py_None);
  const std::exception_ptr& stored = as_future(self).core->stored_exception();
  return stored == nullptr ? Py_NewRef(Py_None) : to_python(stored);
}
PyObject* get_log_traceback(PyObject* self, void* /*closure*/) {
  const PyFuture* const core = as_future(self).core;
  return PyBool_FromLong(core != nullptr && core->unretrieved() ? 1 : 0);
}
int set_log_traceback(PyObject* self, PyObject* value, void* /*closure*/) {
  if (value == nullptr) {
    PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
    return -1;
  }
  const int on = PyObject_IsTrue(value);
  if (on < 0) return -1;
  if (on != 0) {
    PyErr_SetString(PyExc_ValueError, "_log_traceback can only be set to False");
    return -1;
  }
  if (PyFuture* const core = as_future(self).core) core->forget_unretrieved();
  return 0;
}
PyObject* get_traceback(PyObject* self, void* /*closure*/) {
  return or_none(as_future(self).traceback);
}
PyObject* get_message(PyObject* self, void* /*closure*/) {
  return or_none(as_future(self).cancel_message);
}
int set_message(PyObject* self, PyObject* value, void* /*closure*/) {
  Py_XSETREF(as_future(self).cancel_message, Py_XNewRef(value));
  return 0;
}

PyMethodDef methods[] = {
    {"result", result, METH_NOARGS, nullptr},
    {"exception", exception, METH_NOARGS, nullptr},
    {"set_result", set_result, METH_O, nullptr},
    {"set_exception", set_exception, METH_O, nullptr},
    {"add_done_callback", as_function(add_done_callback), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"remove_done_callback", remove_done_callback, METH_O, nullptr},
    {"cancel", as_function(cancel), METH_VARARGS | METH_KEYWORDS, nullptr},
    {"cancelled", cancelled, METH_NOARGS, nullptr},
    {"done", done, METH_NOARGS, nullptr},
    {"get_loop", get_loop, METH_NOARGS, nullptr},
    {"_make_cancelled_error", make_cancelled, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef members[] = {
    {"_state", get_state, nullptr, nullptr, nullptr},
    {"_asyncio_future_blocking", get_blocking, set_blocking, nullptr, nullptr},
    {"_loop", get_loop_member, nullptr, nullptr, nullptr},
    {"_callbacks", get_callbacks, nullptr, nullptr, nullptr},
    {"_result", get_value, nullptr, nullptr, nullptr},
    {"_exception", get_error, nullptr, nullptr, nullptr},
    {"_log_traceback", get_log_traceback, set_log_traceback, nullptr, nullptr},
    {"_source_traceback", get_traceback, nullptr, nullptr, nullptr},
    {"_cancel_message", get_message, set_message, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMemberDef places[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(FutureObject, weak_refs), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(FutureObject, dict), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
    {Py_tp_init, reinterpret_cast<void*>(init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_finalize, reinterpret_cast<void*>(finalize_future)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse_future)},
    {Py_tp_clear, reinterpret_cast<void*>(clear_future)},
    {Py_tp_iter, reinterpret_cast<void*>(iterate)},
    {Py_am_await, reinterpret_cast<void*>(iterate)},
    {Py_tp_methods, methods},
    {Py_tp_getset, members},
    {Py_tp_members, places},
    {0, nullptr},
};
PyType_Spec spec = {"weft_core.Future", sizeof(FutureObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

bool add_future_type(PyObject* module) {
  future_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return future_type != nullptr && PyModule_AddType(module, future_type) == 0;
}

}  // namespace weft::python
