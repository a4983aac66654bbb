// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What `await future` goes through: yields the future once, unless it is done, and returns its
// result.

#include "tests/conformance/cpython/src/future.h"
#include "tests/conformance/cpython/src/gc_type.h"
#include "tests/conformance/cpython/src/throwing.h"

namespace weft::python {

namespace {

struct Iterator {
  PyObject_HEAD PyObject* future;  // Null once it has ended.
};
PyTypeObject* iterator_type = nullptr;

Iterator& as_iterator(PyObject* object) {
  return *reinterpret_cast<Iterator*>(object);
}

bool is_done(PyObject* future) {
  const Owned answer(PyObject_CallMethod(future, "done", nullptr));
  return answer.get() == Py_True;
}
PyObject* result_of_any(PyObject* future) {
  if (PyObject_TypeCheck(future, future_type) != 0) {
    return guarded([&] { return result_of(as_future(future)); });
  }
  return PyObject_CallMethod(future, "result", nullptr);
}

PySendResult send(PyObject* self, PyObject* /*value*/, PyObject** result) {
  Iterator& it = as_iterator(self);
  *result = nullptr;
  if (it.future == nullptr) {
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
  }
  FutureHead& head = *reinterpret_cast<FutureHead*>(it.future);
  const bool ours = PyObject_TypeCheck(it.future, future_type) != 0;
  if (!(ours ? as_future(it.future).core->done() : is_done(it.future))) {
    if (head.blocking) {
      PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
      return PYGEN_ERROR;
    }
    head.blocking = true;
    *result = Py_NewRef(it.future);
    return PYGEN_NEXT;
  }
  const Owned future(std::exchange(it.future, nullptr));
  *result = result_of_any(future.get());
  return *result != nullptr ? PYGEN_RETURN : PYGEN_ERROR;
}

PyObject* throw_method(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  const Owned error(error_to_throw(args, count));
  if (!error) return nullptr;
  Py_CLEAR(as_iterator(self).future);
  set_error(error.get());
  return nullptr;
}
PyObject* close(PyObject* self, PyObject* /*none*/) {
  Py_CLEAR(as_iterator(self).future);
  return Py_NewRef(Py_None);
}

}  // namespace

PyObject* make_future_iterator(PyObject* future) {
  auto* const it = PyObject_GC_New(Iterator, iterator_type);
  if (it == nullptr) return nullptr;
  it->future = Py_NewRef(future);
  PyObject_GC_Track(it);
  return reinterpret_cast<PyObject*>(it);
}

bool add_future_iterator_type(PyObject* /*module*/) {
  iterator_type = GcType<Iterator, &Iterator::future>::make(
      "weft_core.FutureIterator", GeneratorMethods<send, throw_method, close>::slots());
  return iterator_type != nullptr;
}

}  // namespace weft::python
