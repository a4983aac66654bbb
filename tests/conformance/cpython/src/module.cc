// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The module weft_core: weft's loop for Python. See ../weft/__init__.py for the rest of it.

#include <string>
#include <system_error>

#include "tests/conformance/cpython/src/handle.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/py.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"

namespace weft::python {

Helpers helpers;

void raise_as_python() noexcept {
  try {
    throw;
  } catch (const PythonError&) {
  } catch (const fibers::UsageError& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  } catch (const std::system_error& error) {
    errno = error.code().value();
    PyErr_SetFromErrno(PyExc_OSError);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError,
                    fibers::describe_exception(std::current_exception()).c_str());
  }
}

namespace {

PyObject* set_helpers(PyObject* /*module*/, PyObject* args, PyObject* words) {
  static const char* names[] = {"handle_repr", "callback_text", "source_traceback", "report_slow",
                                nullptr};
  Helpers given;
  if (PyArg_ParseTupleAndKeywords(args, words, "OOOO", const_cast<char**>(names),
                                  &given.handle_repr, &given.callback_text, &given.source_traceback,
                                  &given.report_slow) == 0) {
    return nullptr;
  }
  for (PyObject* helper :
       {given.handle_repr, given.callback_text, given.source_traceback, given.report_slow}) {
    Py_INCREF(helper);  // For ever.
  }
  helpers = given;
  return Py_NewRef(Py_None);
}

PyMethodDef functions[] = {
    {"set_helpers", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(set_helpers)),
     METH_VARARGS | METH_KEYWORDS, nullptr},
    {"callbacks_run", callbacks_run, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "weft_core", nullptr, -1, functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

}  // namespace weft::python

PyMODINIT_FUNC PyInit_weft_core() {  // NOLINT: CPython's name for it.
  using namespace weft::python;      // NOLINT(google-build-using-namespace)
  Owned module(PyModule_Create(&definition));
  if (!module || !add_handle_types(module.get()) || !add_loop_type(module.get())) return nullptr;
  return module.release();
}
