// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Python objects that hold one of weft's.

#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/py.h"
#include "weft/fibers/errors.h"

namespace weft::python {

// The memory of every such object.
struct Holder {
  PyObject_HEAD void* held;  // Null before __init__.
  PyObject* related;         // Another one that it refers to, or null.
  PyObject* dict;
  PyObject* weak_refs;
};

inline Holder& as_holder(PyObject* object) {
  return *reinterpret_cast<Holder*>(object);
}

// The object of weft's inside. Throws UsageError before __init__.
template <class T>
T& held(PyObject* self) {
  if (as_holder(self).held == nullptr) throw fibers::UsageError("its __init__ was not called");
  return *static_cast<T*>(as_holder(self).held);
}

// In __init__: makes it of `args`. -1 with a Python exception.
template <class T, class... Args>
int hold(PyObject* self, Args&&... args) {
  const Owned done(guarded([&] {
    if (as_holder(self).held != nullptr) throw fibers::UsageError("it is made once");
    as_holder(self).held = new T(std::forward<Args>(args)...);
    ++primitives_used;
    return Py_NewRef(Py_None);
  }));
  return done ? 0 : -1;
}

template <class T>
struct HolderType {
  static void dealloc(PyObject* self) {
    PyTypeObject* const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (as_holder(self).weak_refs != nullptr) PyObject_ClearWeakRefs(self);
    delete static_cast<T*>(std::exchange(as_holder(self).held, nullptr));
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
  }
  static int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(as_holder(self).related);
    Py_VISIT(as_holder(self).dict);
    return 0;
  }
  static int clear(PyObject* self) {
    Py_CLEAR(as_holder(self).related);
    Py_CLEAR(as_holder(self).dict);
    return 0;
  }

  // Adds the type to the module. `name`: "weft_core.Lock", say.
  static PyTypeObject* add(PyObject* module, const char* name, initproc init, PyMethodDef* methods,
                           PyGetSetDef* members) {
    static PyMemberDef places[] = {
        {"__weaklistoffset__", T_PYSSIZET, offsetof(Holder, weak_refs), READONLY, nullptr},
        {"__dictoffset__", T_PYSSIZET, offsetof(Holder, dict), READONLY, nullptr},
        {nullptr, 0, 0, 0, nullptr},
    };
    PyType_Slot slots[] = {
        {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
        {Py_tp_init, reinterpret_cast<void*>(init)},
        {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
        {Py_tp_clear, reinterpret_cast<void*>(clear)},
        {Py_tp_methods, methods},
        {Py_tp_getset, members},
        {Py_tp_members, places},
        {0, nullptr},
    };
    PyType_Spec spec = {name, sizeof(Holder), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, slots};
    auto* const type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    if (type == nullptr || PyModule_AddType(module, type) < 0) return nullptr;
    return type;
  }
};

// A method without arguments: `fn(T&)` returns a new reference.
template <class T, auto fn>
PyObject* method(PyObject* self, PyObject* /*none*/) {
  return guarded([&] { return fn(held<T>(self)); });
}
// The same, of what has to know its own object: `fn(T&, self)`.
template <class T, auto fn>
PyObject* method_of(PyObject* self, PyObject* /*none*/) {
  return guarded([&] { return fn(held<T>(self), self); });
}
template <class T, auto fn>
PyObject* member(PyObject* self, void* /*closure*/) {
  return guarded([&] { return fn(held<T>(self)); });
}

inline PyObject* to_bool(bool value) {
  return PyBool_FromLong(value ? 1 : 0);
}

}  // namespace weft::python
