// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/coro_object.h"

#include "tests/conformance/cpython/src/core_future.h"
#include "tests/conformance/cpython/src/gc_type.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/throwing.h"

namespace weft::python {

std::uint64_t primitives_used = 0;

namespace {

struct CoroObject {
  PyObject_HEAD PyObject* owner;
  CoroBody* body;                   // Owned. Null once it has ended.
  std::shared_ptr<Passed>* passed;  // Owned; null: nothing is passed on.
  bool begun;
  bool running;
};
PyTypeObject* coro_type = nullptr;

CoroObject& as_coro(PyObject* object) {
  return *reinterpret_cast<CoroObject*>(object);
}

void drop(CoroObject& coro) {
  delete std::exchange(coro.body, nullptr);
  delete std::exchange(coro.passed, nullptr);
}

// What the coroutine has yielded, if that came from a Python one inside; else None.
PyObject* yielded_object(CoroObject& coro) {
  PyObject* const inside = coro.passed == nullptr ? nullptr : (*coro.passed)->object.release();
  return inside != nullptr ? inside : Py_NewRef(Py_None);
}

// A future of Python's is awaited as it is.
PyObject* awaited_object(loop::detail::FutureCore& core) {
  if (PyObject* const object = object_of(core)) {
    as_future(object).head.blocking = true;
    return Py_NewRef(object);
  }
  return wrap_core_future(loop_with(core.loop()), core);
}

PyObject* end(CoroObject& coro) {
  const std::unique_ptr<CoroBody> body(std::exchange(coro.body, nullptr));
  return guarded([&] { return body->result(); });
}

PySendResult resume(CoroObject& coro, std::exception_ptr error, PyObject** result) {
  *result = nullptr;
  if (coro.body == nullptr || coro.running) {
    PyErr_SetString(PyExc_RuntimeError, coro.running ? "coroutine already executing"
                                                     : "cannot reuse already awaited coroutine");
    return PYGEN_ERROR;
  }
  coro.begun = true;
  coro.running = true;
  const auto stop = coro.body->resume(std::move(error));
  coro.running = false;
  switch (stop) {
    case loop::detail::CoroDriver::Stop::kYields:
      *result = yielded_object(coro);
      return PYGEN_NEXT;
    case loop::detail::CoroDriver::Stop::kAwaits:
      *result = guarded([&] { return awaited_object(coro.body->awaited()); });
      return *result != nullptr ? PYGEN_NEXT : PYGEN_ERROR;
    case loop::detail::CoroDriver::Stop::kElsewhere:
      drop(coro);
      PyErr_SetString(PyExc_RuntimeError, "the coroutine awaits what is not the loop's");
      return PYGEN_ERROR;
    case loop::detail::CoroDriver::Stop::kEnded:
      break;
  }
  *result = end(coro);
  return *result != nullptr ? PYGEN_RETURN : PYGEN_ERROR;
}

PySendResult send(PyObject* self, PyObject* /*value*/, PyObject** result) {
  return resume(as_coro(self), nullptr, result);
}
PySendResult throw_into(PyObject* self, PyObject* error, PyObject** result) {
  CoroObject& coro = as_coro(self);
  if (coro.begun || coro.body == nullptr) {
    return resume(coro, to_cpp(error, Raised::Keep::kOwned), result);
  }
  drop(coro);
  set_error(error);
  return PYGEN_ERROR;
}
PyObject* throw_method(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  const Owned error(error_to_throw(args, count));
  return error ? next_by_send(self, &throw_into, error.get()) : nullptr;
}
PyObject* close(PyObject* self, PyObject* /*none*/) {
  drop(as_coro(self));
  return Py_NewRef(Py_None);
}

}  // namespace

// Sends None, or throws. True: it has ended, with a value in `result`; else it has yielded that.
// What it raises comes out.
static bool advance(PyObject* coroutine, const std::exception_ptr& error, Ref& result) {
  PyObject* out = nullptr;
  PySendResult sent = PYGEN_ERROR;
  if (error == nullptr) {
    sent = PyIter_Send(coroutine, Py_None, &out);
  } else {
    const Owned python(to_python(error));
    sent = throw_python(coroutine, python.get(), &out);
  }
  if (sent == PYGEN_ERROR) {
    const Owned raised(take_error());
    std::rethrow_exception(to_cpp(raised.get(), Raised::Keep::kOwned));
  }
  result = Ref(out);
  return sent == PYGEN_RETURN;
}

namespace {

// A bare yield, which returns what is thrown there.
struct PassOn {
  bool await_ready() const noexcept { return false; }
  template <loop::detail::IsPromise P>
  void await_suspend(std::coroutine_handle<P> waits) {
    driver = &waits.promise().driver();
    driver->yield(waits);
  }
  std::exception_ptr await_resume() const {
    try {
      driver->throw_error();
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }
  loop::detail::CoroDriver* driver = nullptr;
};

}  // namespace

loop::Coro<Ref> await_python(Ref coroutine, std::shared_ptr<Passed> passed) {
  std::exception_ptr error;
  for (;;) {
    Ref result(nullptr);
    if (advance(coroutine.get(), error, result)) co_return result;
    passed->object = std::move(result);
    error = co_await PassOn{};
  }
}

PyObject* wrap_body(PyObject* owner, std::unique_ptr<CoroBody> body) {
  return wrap_body(owner, std::move(body), nullptr);
}

PyObject* wrap_body(PyObject* owner, std::unique_ptr<CoroBody> body,
                    std::shared_ptr<Passed> passed) {
  ++primitives_used;
  auto* const coro = PyObject_GC_New(CoroObject, coro_type);
  if (coro == nullptr) return nullptr;
  coro->owner = Py_XNewRef(owner);
  coro->body = body.release();
  coro->passed = passed == nullptr ? nullptr : new std::shared_ptr<Passed>(std::move(passed));
  coro->begun = false;
  coro->running = false;
  PyObject_GC_Track(coro);
  return reinterpret_cast<PyObject*>(coro);
}

bool add_coro_type(PyObject* /*module*/) {
  auto slots = GeneratorMethods<send, throw_method, close>::slots();
  slots.push_back({Py_am_await, reinterpret_cast<void*>(PyObject_SelfIter)});
  coro_type =
      GcType<CoroObject, &CoroObject::owner, drop>::make("weft_core.Coro", std::move(slots));
  return coro_type != nullptr;
}

}  // namespace weft::python
