// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/handle.h"

#include <cstddef>
#include <memory>
#include <new>

#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/loop.h"

namespace weft::python {

PyTypeObject* handle_type = nullptr;
PyTypeObject* timer_handle_type = nullptr;

namespace {

HandleObject& as_handle(PyObject* object) {
  return *reinterpret_cast<HandleObject*>(object);
}
PyObject* as_object(HandleObject& handle) {
  return reinterpret_cast<PyObject*>(&handle);
}

void link(HandleObject& handle) {
  LoopObject& loop = *handle.loop;
  handle.prev = nullptr;
  handle.next = loop.scheduled;
  if (handle.next != nullptr) handle.next->prev = &handle;
  loop.scheduled = &handle;
}

void unlink(HandleObject& handle) {
  (handle.prev != nullptr ? handle.prev->next : handle.loop->scheduled) = handle.next;
  if (handle.next != nullptr) handle.next->prev = handle.prev;
}

void drop_callback(HandleObject& handle) {
  const Py_ssize_t count = Py_SIZE(as_object(handle));
  PyObject* const callback = std::exchange(handle.callback, nullptr);
  if (callback == nullptr) return;
  for (Py_ssize_t i = 0; i < count; ++i) Py_CLEAR(handle.args[i]);
  Py_DECREF(callback);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  HandleObject& handle = as_handle(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<PyObject*>(handle.loop));
  Py_VISIT(handle.callback);
  Py_VISIT(handle.context);
  Py_VISIT(handle.traceback);
  if (handle.callback != nullptr) {
    for (Py_ssize_t i = 0; i < Py_SIZE(self); ++i) Py_VISIT(handle.args[i]);
  }
  return 0;
}

int clear(PyObject* self) {
  HandleObject& handle = as_handle(self);
  if (!handle.running) drop_callback(handle);
  Py_CLEAR(handle.traceback);
  return 0;
}

void dealloc(PyObject* self) {
  HandleObject& handle = as_handle(self);
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (handle.weak_refs != nullptr) PyObject_ClearWeakRefs(self);
  std::destroy_at(&handle.node);
  std::destroy_at(&handle.remote);
  drop_callback(handle);
  Py_CLEAR(handle.context);
  Py_CLEAR(handle.traceback);
  Py_CLEAR(handle.loop);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* repr(PyObject* self) {
  return PyObject_CallOneArg(helpers.handle_repr, self);
}

PyObject* cancel(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    cancel_handle(as_handle(self));
    return Py_NewRef(Py_None);
  });
}
PyObject* cancelled(PyObject* self, PyObject* /*none*/) {
  return PyBool_FromLong(is_cancelled(as_handle(self)) ? 1 : 0);
}
PyObject* get_cancelled(PyObject* self, void* /*closure*/) {
  return cancelled(self, nullptr);
}
PyObject* get_context(PyObject* self, PyObject* /*none*/) {
  return Py_NewRef(as_handle(self).context);
}
PyObject* when(PyObject* self, PyObject* /*none*/) {
  return PyFloat_FromDouble(as_handle(self).when);
}
PyObject* or_none(PyObject* object) {
  return Py_NewRef(object == nullptr ? Py_None : object);
}
PyObject* get_callback(PyObject* self, void* /*closure*/) {
  return or_none(as_handle(self).callback);
}
PyObject* get_args(PyObject* self, void* /*closure*/) {
  HandleObject& handle = as_handle(self);
  if (handle.callback == nullptr) return Py_NewRef(Py_None);
  PyObject* const tuple = PyTuple_New(Py_SIZE(self));
  if (tuple == nullptr) return nullptr;
  for (Py_ssize_t i = 0; i < Py_SIZE(self); ++i) {
    PyTuple_SET_ITEM(tuple, i, Py_NewRef(handle.args[i]));
  }
  return tuple;
}
PyObject* get_traceback(PyObject* self, void* /*closure*/) {
  return or_none(as_handle(self).traceback);
}
PyObject* get_loop(PyObject* self, void* /*closure*/) {
  return Py_NewRef(reinterpret_cast<PyObject*>(as_handle(self).loop));
}

PyMethodDef methods[] = {
    {"cancel", cancel, METH_NOARGS, nullptr},
    {"cancelled", cancelled, METH_NOARGS, nullptr},
    {"get_context", get_context, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyMethodDef timer_methods[] = {
    {"when", when, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
// The names that asyncio's own code and tests look at.
PyGetSetDef members[] = {
    {"_callback", get_callback, nullptr, nullptr, nullptr},
    {"_args", get_args, nullptr, nullptr, nullptr},
    {"_cancelled", get_cancelled, nullptr, nullptr, nullptr},
    {"_source_traceback", get_traceback, nullptr, nullptr, nullptr},
    {"_loop", get_loop, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMemberDef weak_list[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(HandleObject, weak_refs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(clear)},
    {Py_tp_repr, reinterpret_cast<void*>(repr)},
    {Py_tp_methods, methods},
    {Py_tp_getset, members},
    {Py_tp_members, weak_list},
    {0, nullptr},
};
PyType_Slot timer_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(clear)},
    {Py_tp_methods, timer_methods},
    {0, nullptr},
};
constexpr unsigned kFlags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                            Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_BASETYPE;
PyType_Spec spec = {"weft_core.Handle", offsetof(HandleObject, args), sizeof(PyObject*), kFlags,
                    slots};
PyType_Spec timer_spec = {"weft_core.TimerHandle", offsetof(HandleObject, args), sizeof(PyObject*),
                          kFlags, timer_slots};

// Null with a Python exception.
PyObject* error_context(HandleObject& handle, PyObject* error) {
  const Owned name(PyObject_CallOneArg(helpers.callback_text, as_object(handle)));
  if (!name) return nullptr;
  const Owned message(PyUnicode_FromFormat("Exception in callback %U", name.get()));
  if (!message) return nullptr;
  Owned context(Py_BuildValue("{sOsOsO}", "message", message.get(), "exception", error, "handle",
                              as_object(handle)));
  if (context && handle.traceback != nullptr &&
      PyDict_SetItemString(context.get(), "source_traceback", handle.traceback) < 0) {
    return nullptr;
  }
  return context.release();
}

// SystemExit and KeyboardInterrupt leave the loop; anything else is the exception handler's.
void report(HandleObject& handle) {
  if (PyErr_ExceptionMatches(PyExc_SystemExit) != 0 ||
      PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) != 0) {
    leave_loop(*handle.loop);
  }
  const Owned error(take_error());
  const Owned context(error_context(handle, error.get()));
  if (!context) leave_loop(*handle.loop);
  PyObject* const loop = reinterpret_cast<PyObject*>(handle.loop);
  const Owned done(PyObject_CallMethod(loop, "call_exception_handler", "O", context.get()));
  if (!done) leave_loop(*handle.loop);
}

// False with a Python exception.
bool invoke(HandleObject& handle, PyObject* context) {
  handle.running = true;
  const Owned result(
      call_in_context(context, handle.callback, handle.args, Py_SIZE(as_object(handle))));
  handle.running = false;
  return static_cast<bool>(result);
}

void call(HandleObject& handle) {
  const Owned kept(Py_NewRef(as_object(handle)));
  const Owned context(Py_NewRef(handle.context));
  if (!invoke(handle, context.get())) [[unlikely]]
    report(handle);
  if (std::exchange(handle.clear_after, false)) drop_callback(handle);
}

}  // namespace

HandleObject* make_handle(PyTypeObject* type, LoopObject& loop, PyObject* callback,
                          PyObject* const* args, Py_ssize_t count, PyObject* context) {
  Owned own_context(context == nullptr || context == Py_None ? PyContext_CopyCurrent()
                                                             : Py_NewRef(context));
  if (!own_context) return nullptr;
  Owned traceback(loop.debug ? PyObject_CallNoArgs(helpers.source_traceback) : nullptr);
  if (loop.debug && !traceback) return nullptr;
  PyObject* const object = type->tp_alloc(type, count);
  if (object == nullptr) return nullptr;
  HandleObject& handle = as_handle(object);
  ::new (&handle.node) loop::Handle();
  ::new (&handle.remote) loop::ThreadsafeHandle();
  handle.loop = reinterpret_cast<LoopObject*>(Py_NewRef(reinterpret_cast<PyObject*>(&loop)));
  handle.fd = -1;
  handle.context = own_context.release();
  handle.traceback = traceback.release();
  for (Py_ssize_t i = 0; i < count; ++i) handle.args[i] = Py_NewRef(args[i]);
  handle.callback = Py_NewRef(callback);
  return &handle;
}

void report_failed_call(LoopObject& loop, PyObject* callback, PyObject* const* args,
                        Py_ssize_t count, PyObject* context) {
  const Owned error(take_error());
  const Owned handle(
      reinterpret_cast<PyObject*>(make_handle(handle_type, loop, callback, args, count, context)));
  if (!handle) leave_loop(loop);
  set_error(error.get());
  report(as_handle(handle.get()));
}

bool is_cancelled(const HandleObject& handle) {
  return handle.remote ? handle.remote.cancelled() : handle.node && handle.node.cancelled();
}

// The arguments go at once, but not under a callback that runs.
void cancel_handle(HandleObject& handle) {
  const Owned kept(Py_NewRef(as_object(handle)));
  if (handle.remote) {
    handle.remote.cancel();
  } else if (handle.node) {
    handle.node.cancel();
  }
  if (handle.running) {
    handle.clear_after = true;
  } else {
    drop_callback(handle);
  }
}

HandleCall::HandleCall(HandleObject& handle) : handle_(&handle) {
  Py_INCREF(as_object(handle));
  link(handle);
}

HandleCall::~HandleCall() {
  if (handle_ == nullptr || Py_IsInitialized() == 0) return;
  const WithLock lock;
  unlink(*handle_);
  Py_DECREF(as_object(*handle_));
}

void HandleCall::operator()() const {
  if (handle_->callback == nullptr) return;
  note_called(*handle_->loop, as_object(*handle_));
  call(*handle_);
}

bool add_handle_types(PyObject* module) {
  handle_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (handle_type == nullptr) return false;
  const Owned base(PyTuple_Pack(1, handle_type));
  timer_handle_type =
      reinterpret_cast<PyTypeObject*>(PyType_FromSpecWithBases(&timer_spec, base.get()));
  return timer_handle_type != nullptr && PyModule_AddType(module, handle_type) == 0 &&
         PyModule_AddType(module, timer_handle_type) == 0;
}

}  // namespace weft::python
