// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The module weft_core: weft's loop for Python. See ../weft/__init__.py for the rest of it.

#include "tests/conformance/cpython/src/core_future.h"
#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/endpoints.h"
#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/future.h"
#include "tests/conformance/cpython/src/handle.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/primitives.h"
#include "tests/conformance/cpython/src/py.h"
#include "tests/conformance/cpython/src/streams.h"
#include "tests/conformance/cpython/src/task.h"
#include "tests/conformance/cpython/src/tls.h"
#include "tests/conformance/cpython/src/transport_object.h"

namespace weft::python {

Helpers helpers;

PyObject* call_in_context(PyObject* context, PyObject* callable, PyObject* const* args,
                          Py_ssize_t count) {
  if (PyContext_Enter(context) < 0) return nullptr;
  Owned result(PyObject_Vectorcall(
      callable, args, static_cast<std::size_t>(count) | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  if (result) [[likely]]
    return PyContext_Exit(context) == 0 ? result.release() : nullptr;
  // Leaves the context whatever the callable did, and keeps its exception.
  const ErrorKept kept;
  if (PyContext_Exit(context) < 0) PyErr_WriteUnraisable(callable);
  return nullptr;
}

namespace {

struct HelperName {
  const char* name;
  PyObject* Helpers::*place;
};
constexpr HelperName kHelperNames[] = {
    {"handle_repr", &Helpers::handle_repr},
    {"callback_text", &Helpers::callback_text},
    {"source_traceback", &Helpers::source_traceback},
    {"report_slow", &Helpers::report_slow},
    {"get_event_loop", &Helpers::get_event_loop},
    {"is_coroutine", &Helpers::is_coroutine},
    {"register_task", &Helpers::register_task},
    {"enter_task", &Helpers::enter_task},
    {"leave_task", &Helpers::leave_task},
    {"swap_task", &Helpers::swap_task},
    {"wrap_socket", &Helpers::wrap_socket},
};

// By their names; all of them.
PyObject* set_helpers(PyObject* /*module*/, PyObject* /*args*/, PyObject* words) {
  for (const HelperName& helper : kHelperNames) {
    PyObject* const given = words == nullptr ? nullptr : PyDict_GetItemString(words, helper.name);
    if (given == nullptr) {
      PyErr_Format(PyExc_TypeError, "set_helpers() needs %s", helper.name);
      return nullptr;
    }
    helpers.*helper.place = Py_NewRef(given);  // For ever.
  }
  return Py_NewRef(Py_None);
}

// How much weft has been at work.
PyObject* counts(PyObject* module, PyObject* none) {
  const Owned callbacks(callbacks_run(module, none));
  if (!callbacks) return nullptr;
  return Py_BuildValue("{sOsKsKsKsKsKsKsK}", "callbacks", callbacks.get(), "steps",
                       static_cast<unsigned long long>(steps_run), "futures",
                       static_cast<unsigned long long>(futures_made), "primitives",
                       static_cast<unsigned long long>(primitives_used), "transports",
                       static_cast<unsigned long long>(transports_used), "tls",
                       static_cast<unsigned long long>(tls_used), "streams",
                       static_cast<unsigned long long>(streams_used), "processes",
                       static_cast<unsigned long long>(processes_used));
}

PyMethodDef functions[] = {
    {"set_helpers", as_function(set_helpers), METH_VARARGS | METH_KEYWORDS, nullptr},
    {"callbacks_run", callbacks_run, METH_NOARGS, nullptr},
    {"counts", counts, METH_NOARGS, nullptr},
    {"tasks_of", tasks_of, METH_O, nullptr},
    {"stepped_task", stepped_task, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "weft_core", nullptr, -1, functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

}  // namespace weft::python

PyMODINIT_FUNC PyInit_weft_core() {  // NOLINT: CPython's name for it.
  using namespace weft::python;      // NOLINT(google-build-using-namespace)
  Owned module(PyModule_Create(&definition));
  const bool good =
      module && load_error_types() && add_handle_types(module.get()) &&
      add_loop_type(module.get()) && add_future_type(module.get()) &&
      add_future_iterator_type(module.get()) && add_core_future_type(module.get()) &&
      add_wakeup_type() && add_task_type(module.get()) && add_coro_type(module.get()) &&
      add_sync_types(module.get()) && add_queue_types(module.get()) &&
      add_structured_types(module.get()) && add_combinators(module.get()) &&
      add_executors(module.get()) && add_runner(module.get()) &&
      add_transport_types(module.get()) && add_connecting(module.get()) &&
      add_servers(module.get()) && add_sockets(module.get()) && add_children(module.get()) &&
      add_datagrams(module.get()) && add_sendfile(module.get()) && add_tls(module.get()) &&
      add_streams(module.get()) && add_processes(module.get());
  return good ? module.release() : nullptr;
}
