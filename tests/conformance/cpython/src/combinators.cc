// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's gather, shield, wait, as_completed and wait_for, of futures that are Python's.

#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/holder.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/primitives.h"
#include "tests/conformance/cpython/src/scheduling.h"
#include "tests/conformance/cpython/src/task.h"
#include "weft/loop/as_completed.h"
#include "weft/loop/detail/gathering_core.h"
#include "weft/loop/shield.h"
#include "weft/loop/wait.h"
#include "weft/loop/wait_for.h"

namespace weft::python {

namespace {

// False with a Python exception.
bool is_ours(PyObject* object) {
  if (PyObject_TypeCheck(object, future_type) != 0 && as_future(object).core != nullptr)
    return true;
  PyErr_Format(PyExc_TypeError, "a future of weft's was expected, got %R", object);
  return false;
}
loop::FutureBase shared(PyObject* future) {
  return loop::FutureAccess::share(core_of(as_future(future)));
}
loop::Future<Ref> typed(PyObject* future) {
  PyFuture& core = core_of(as_future(future));
  core.retain();
  return loop::FutureAccess::wrap<Ref>(&core);
}
// Throws PythonError.
std::vector<loop::FutureBase> all_of(PyObject* list) {
  std::vector<loop::FutureBase> futures;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    PyObject* const object = PyList_GET_ITEM(list, i);
    if (!is_ours(object)) throw PythonError();
    futures.push_back(shared(object));
  }
  return futures;
}

// --- gather. ---

class PyGather final : public PyFuture, public loop::detail::GatheringCore {
 public:
  PyGather(loop::detail::LoopCore& loop, FutureObject& object, bool return_exceptions)
      : PyFuture(loop, object), GatheringCore(static_cast<PyFuture&>(*this), return_exceptions) {}
  bool cancel(std::exception_ptr payload) override {
    note_message(payload);
    return GatheringCore::request_cancel(payload);
  }

 private:
  // Of a child that is done: its value, or with return_exceptions its error.
  static PyObject* result_of_child(const loop::FutureBase& child) {
    FutureObject& future = as_future(object_of(loop::FutureAccess::core(child)));
    if (child.cancelled()) {
      const Owned message(message_of(future.core->stored_exception()));
      return message.get() == Py_None ? PyObject_CallFunction(error_types.cancelled, "s", "")
                                      : PyObject_CallOneArg(error_types.cancelled, message.get());
    }
    PyObject* const error = take_error_of(future);
    return error != nullptr ? error : value_of(future);
  }
  void put_results() override {
    Owned results(PyList_New(static_cast<Py_ssize_t>(size())));
    if (!results) throw PythonError();
    for (std::size_t i = 0; i < size(); ++i) {
      PyObject* const result = result_of_child(child(i));
      if (result == nullptr) throw PythonError();
      PyList_SET_ITEM(results.get(), static_cast<Py_ssize_t>(i), result);
    }
    set_value(results.release());
  }
  void destroy() noexcept override {
    loop::detail::LoopCore& core = PyFuture::loop();
    this->~PyGather();
    loop::detail::free_block(core, this, sizeof(PyGather));
  }
};

// gather(loop, futures, return_exceptions)
PyObject* gather(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* list = nullptr;
  int return_exceptions = 0;
  if (PyArg_ParseTuple(args, "O!O!p", loop_type, &loop, &PyList_Type, &list, &return_exceptions) ==
      0) {
    return nullptr;
  }
  return guarded([&] {
    ++primitives_used;
    std::vector<loop::FutureBase> children = all_of(list);
    auto& core = make_future<PyGather>(as_loop(loop), return_exceptions != 0);
    Owned outer(as_object(core.object()));
    core.begin(std::move(children));
    return outer.release();
  });
}

// --- shield. ---

// shield(inner), which is not done.
PyObject* shield(PyObject* /*module*/, PyObject* inner) {
  return guarded([&]() -> PyObject* {
    if (!is_ours(inner)) return nullptr;
    ++primitives_used;
    PyFuture& outer = make_future<PyFuture>(*as_future(inner).head.loop);
    Owned object(as_object(outer.object()));
    shared(inner).add_done_callback(loop::detail::ShieldLink(loop::FutureAccess::share(outer),
                                                             &loop::detail::transfer_value<Ref>));
    return object.release();
  });
}

// --- wait. ---

PyObject* list_of(const std::vector<loop::FutureBase>& futures) {
  Owned list(PyList_New(0));
  if (!list) return nullptr;
  for (const loop::FutureBase& future : futures) {
    PyObject* const object = object_of(loop::FutureAccess::core(future));
    if (PyList_Append(list.get(), object) < 0) return nullptr;
  }
  return list.release();
}
PyObject* to_lists(const loop::WaitResult<loop::FutureBase>& result) {
  const Owned done(list_of(result.done));
  const Owned pending(list_of(result.pending));
  return done && pending ? PyTuple_Pack(2, done.get(), pending.get()) : nullptr;
}

// wait(futures, timeout, return_when): awaited, gives the done and the pending ones.
PyObject* wait(PyObject* /*module*/, PyObject* args) {
  PyObject* list = nullptr;
  PyObject* timeout = nullptr;
  const char* when = nullptr;
  loop::WaitOptions options;
  if (PyArg_ParseTuple(args, "O!Os", &PyList_Type, &list, &timeout, &when) == 0 ||
      !to_duration(timeout, options.timeout)) {
    return nullptr;
  }
  const std::string name(when);
  if (name == "FIRST_COMPLETED") options.return_when = loop::ReturnWhen::kFirstCompleted;
  if (name == "FIRST_EXCEPTION") options.return_when = loop::ReturnWhen::kFirstException;
  return guarded([&] { return wrap_coro(nullptr, loop::wait(all_of(list), options), to_lists); });
}

// --- as_completed. ---

using Row = std::shared_ptr<loop::detail::AsCompletedState<loop::FutureBase>>;

// AsCompleted(futures, timeout), which are not the same.
int init_row(PyObject* self, PyObject* args, PyObject* /*words*/) {
  PyObject* list = nullptr;
  PyObject* timeout = nullptr;
  fibers::Duration limit{};
  if (PyArg_ParseTuple(args, "O!O", &PyList_Type, &list, &timeout) == 0 ||
      !to_duration(timeout, limit)) {
    return -1;
  }
  const Owned done(guarded([&]() -> PyObject* {
    auto row = std::make_shared<Row::element_type>();
    row->futures = all_of(list);
    row->core.begin(row->futures, limit);
    return hold<Row>(self, std::move(row)) == 0 ? Py_NewRef(Py_None) : nullptr;
  }));
  return done ? 0 : -1;
}
// Awaited: the one that has ended next.
PyObject* next_in_row(Row& row, PyObject* self) {
  return wrap_coro(self, Row::element_type::next(row), [](const loop::FutureBase& future) {
    return Py_NewRef(object_of(loop::FutureAccess::core(future)));
  });
}
PyMethodDef row_methods[] = {
    {"next", method_of<Row, next_in_row>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// --- wait_for. ---

PyObject* to_object(Ref value) {
  return value.release();
}

// wait_for(future or coroutine, timeout): awaited, gives its result. A coroutine runs in the task
// that awaits this, which is one of weft's.
PyObject* wait_for(PyObject* /*module*/, PyObject* args) {
  PyObject* what = nullptr;
  PyObject* timeout = nullptr;
  fibers::Duration limit{};
  if (PyArg_ParseTuple(args, "OO", &what, &timeout) == 0 || !to_duration(timeout, limit)) {
    return nullptr;
  }
  return guarded([&]() -> PyObject* {
    if (PyObject_TypeCheck(what, future_type) == 0) {
      auto passed = std::make_shared<Passed>();
      auto coro = loop::wait_for(await_python(Ref(Py_NewRef(what)), passed), limit);
      return wrap_body(
          what,
          std::make_unique<ConvertedCoro<Ref, decltype(&to_object)>>(std::move(coro), &to_object),
          std::move(passed));
    }
    return wrap_coro(what, loop::wait_for(typed(what), limit), &to_object);
  });
}

PyMethodDef functions[] = {
    {"gather", gather, METH_VARARGS, nullptr},
    {"shield", shield, METH_O, nullptr},
    {"wait", wait, METH_VARARGS, nullptr},
    {"wait_for", wait_for, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_combinators(PyObject* module) {
  return PyModule_AddFunctions(module, functions) == 0 &&
         HolderType<Row>::add(module, "weft_core.AsCompleted", init_row, row_methods, nullptr) !=
             nullptr;
}

}  // namespace weft::python
