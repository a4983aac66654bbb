// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Small types that only the extension makes objects of, and the garbage collector sees into.

#pragma once

#include <vector>

#include "tests/conformance/cpython/src/py.h"
#include "tests/conformance/cpython/src/throwing.h"

namespace weft::python {

// Of objects like T, whose member `kReference` is a reference to another object, or null. What else
// one owns, `kDrop` gives up: when it is destroyed, or when the garbage collector breaks a cycle.
template <class T, auto kReference, void (*kDrop)(T&) = nullptr>
struct GcType {
  static int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(reinterpret_cast<PyObject*>(of(self).*kReference));
    return 0;
  }
  static int clear(PyObject* self) {
    if constexpr (kDrop != nullptr) kDrop(of(self));
    Py_CLEAR(of(self).*kReference);
    return 0;
  }
  static void dealloc(PyObject* self) {
    PyTypeObject* const type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
  }

  // `name`: "weft_core.Coro", say. `slots`: what the type can do. Null with a Python exception.
  static PyTypeObject* make(const char* name, std::vector<PyType_Slot> slots) {
    slots.push_back({Py_tp_dealloc, reinterpret_cast<void*>(dealloc)});
    slots.push_back({Py_tp_traverse, reinterpret_cast<void*>(traverse)});
    slots.push_back({Py_tp_clear, reinterpret_cast<void*>(clear)});
    slots.push_back({0, nullptr});
    PyType_Spec spec = {name, sizeof(T), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                        slots.data()};
    return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  }

 private:
  static T& of(PyObject* self) { return *reinterpret_cast<T*>(self); }
};

// The methods of what is driven as generators are.
template <PySendResult (*kSend)(PyObject*, PyObject*, PyObject**), auto kThrow, PyCFunction kClose>
struct GeneratorMethods {
  static PyObject* next(PyObject* self) { return next_by_send(self, kSend, Py_None); }
  static PyObject* send(PyObject* self, PyObject* value) {
    return next_by_send(self, kSend, value);
  }
  static inline PyMethodDef methods[] = {
      {"send", send, METH_O, nullptr},
      {"throw", as_function(kThrow), METH_FASTCALL, nullptr},
      {"close", kClose, METH_NOARGS, nullptr},
      {nullptr, nullptr, 0, nullptr},
  };

  static std::vector<PyType_Slot> slots() {
    return {
        {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
        {Py_tp_iternext, reinterpret_cast<void*>(next)},
        {Py_am_send, reinterpret_cast<void*>(kSend)},
        {Py_tp_methods, methods},
    };
  }
};

}  // namespace weft::python
