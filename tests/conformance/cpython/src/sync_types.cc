// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's Lock, Event, Condition, Semaphore, BoundedSemaphore and Barrier as Python objects.

#include "tests/conformance/cpython/src/holder.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/primitives.h"
#include "weft/loop/barrier.h"
#include "weft/loop/condition.h"
#include "weft/loop/event.h"
#include "weft/loop/lock.h"
#include "weft/loop/semaphore.h"

#include "tests/conformance/cpython/src/core_future.h"

namespace weft::python {

namespace {

using loop::detail::SyncAccess;

// What tests look at: a list of the futures of those who wait.
PyObject* list_waiters(const loop::detail::Waiters& waiters) {
  Owned list(PyList_New(0));
  if (!list) return nullptr;
  bool good = true;
  waiters.for_each([&](const loop::Future<void>& future) {
    loop::detail::FutureCore& core = loop::FutureAccess::core(future);
    const Owned wrapped(wrap_core_future(loop_with(core.loop()), core));
    good = good && wrapped && PyList_Append(list.get(), wrapped.get()) == 0;
  });
  // Those who have been woken are counted until they run; their futures are done.
  while (good && static_cast<std::size_t>(PyList_GET_SIZE(list.get())) < waiters.size()) {
    good = PyList_Append(list.get(), Py_None) == 0;
  }
  return good ? list.release() : nullptr;
}
// asyncio's _loop: tests bind a primitive to another loop.
template <class T>
int bind(PyObject* self, PyObject* loop, void* /*closure*/) {
  if (loop == nullptr || PyObject_TypeCheck(loop, loop_type) == 0) {
    PyErr_SetString(PyExc_TypeError, "a loop of weft's was expected");
    return -1;
  }
  const Owned done(guarded([&] {
    SyncAccess::bind(held<T>(self), core_of(as_loop(loop)));
    return Py_NewRef(Py_None);
  }));
  return done ? 0 : -1;
}
template <class T>
PyObject* waiters_of(T& primitive) {
  return list_waiters(SyncAccess::waiters(primitive));
}
// What is loop-bound is no argument.
bool no_arguments(PyObject* args, PyObject* words) {
  return PyArg_ParseTuple(args, "") != 0 &&
         (words == nullptr || PyDict_GET_SIZE(words) == 0 ||
          (PyErr_SetString(PyExc_TypeError, "no arguments are taken"), false));
}

// --- What a Lock, a Condition and a Semaphore have in common. ---

template <class T>
PyObject* acquire(T& primitive, PyObject* self) {
  return wrap_coro(self, primitive.acquire(), to_true);
}
template <class T>
PyObject* release(T& primitive) {
  primitive.release();
  return Py_NewRef(Py_None);
}
template <class T>
PyObject* locked(T& primitive) {
  return to_bool(primitive.locked());
}

template <class T>
constexpr PyMethodDef kAcquire = {"acquire", method_of<T, acquire<T>>, METH_NOARGS, nullptr};
template <class T>
constexpr PyMethodDef kRelease = {"release", method<T, release<T>>, METH_NOARGS, nullptr};
template <class T>
constexpr PyMethodDef kLocked = {"locked", method<T, locked<T>>, METH_NOARGS, nullptr};
template <class T>
constexpr PyGetSetDef kWaiters = {"_waiters", member<T, waiters_of<T>>, nullptr, nullptr, nullptr};
template <class T>
constexpr PyGetSetDef kLoop = {"_loop", nullptr, bind<T>, nullptr, nullptr};
constexpr PyMethodDef kNoMethod = {nullptr, nullptr, 0, nullptr};
constexpr PyGetSetDef kNoMember = {nullptr, nullptr, nullptr, nullptr, nullptr};

// --- Lock. ---

using loop::Lock;
PyTypeObject* lock_type = nullptr;

int init_lock(PyObject* self, PyObject* args, PyObject* words) {
  return no_arguments(args, words) ? hold<Lock>(self) : -1;
}
PyMethodDef lock_methods[] = {kAcquire<Lock>, kRelease<Lock>, kLocked<Lock>, kNoMethod};
PyGetSetDef lock_members[] = {kWaiters<Lock>, kLoop<Lock>, kNoMember};

// --- Event. ---

using loop::Event;

int init_event(PyObject* self, PyObject* args, PyObject* words) {
  return no_arguments(args, words) ? hold<Event>(self) : -1;
}
PyObject* is_set(Event& event) {
  return to_bool(event.is_set());
}
PyObject* set(Event& event) {
  event.set();
  return Py_NewRef(Py_None);
}
PyObject* clear(Event& event) {
  event.clear();
  return Py_NewRef(Py_None);
}
PyObject* wait_for_event(Event& event, PyObject* self) {
  return wrap_coro(self, event.wait(), to_true);
}
PyMethodDef event_methods[] = {
    {"is_set", method<Event, is_set>, METH_NOARGS, nullptr},
    {"set", method<Event, set>, METH_NOARGS, nullptr},
    {"clear", method<Event, clear>, METH_NOARGS, nullptr},
    {"wait", method_of<Event, wait_for_event>, METH_NOARGS, nullptr},
    kNoMethod,
};
PyGetSetDef event_members[] = {kWaiters<Event>, kNoMember};

// --- Condition. ---

using loop::Condition;

int init_condition(PyObject* self, PyObject* args, PyObject* /*words*/) {
  PyObject* lock = nullptr;
  if (PyArg_ParseTuple(args, "O!", lock_type, &lock) == 0) return -1;
  const Owned good(guarded([&] { return held<Lock>(lock), Py_NewRef(Py_None); }));
  if (!good) return -1;
  Py_XSETREF(as_holder(self).related, Py_NewRef(lock));
  return hold<Condition>(self, held<Lock>(lock));
}
PyObject* wait_for_condition(Condition& condition, PyObject* self) {
  return wrap_coro(self, condition.wait(), to_true);
}

// What a predicate has returned.
struct Truth {
  Ref value;
  bool truth;
  explicit operator bool() const { return truth; }
};
struct Predicate {
  Ref fn;
  Truth operator()() const {
    Ref value(PyObject_CallNoArgs(fn.get()));
    const int truth = value.get() == nullptr ? -1 : PyObject_IsTrue(value.get());
    if (truth < 0) {
      const Owned error(take_error());
      std::rethrow_exception(to_cpp(error.get(), Raised::Keep::kOwned));
    }
    return {std::move(value), truth != 0};
  }
};
PyObject* wait_for_predicate(PyObject* self, PyObject* predicate) {
  return guarded([&] {
    auto coro = held<Condition>(self).wait_for(Predicate{Ref(Py_NewRef(predicate))});
    return wrap_coro(self, std::move(coro), [](Truth truth) { return truth.value.release(); });
  });
}
PyObject* notify(PyObject* self, PyObject* args, PyObject* words) {
  static const char* names[] = {"n", nullptr};
  Py_ssize_t n = 1;
  if (PyArg_ParseTupleAndKeywords(args, words, "|n", const_cast<char**>(names), &n) == 0) {
    return nullptr;
  }
  return guarded([&] {
    held<Condition>(self).notify(n < 0 ? 0 : static_cast<std::size_t>(n));
    return Py_NewRef(Py_None);
  });
}
PyObject* notify_all(Condition& condition) {
  condition.notify_all();
  return Py_NewRef(Py_None);
}
PyObject* lock_of(PyObject* self, void* /*closure*/) {
  PyObject* const lock = as_holder(self).related;
  return Py_NewRef(lock == nullptr ? Py_None : lock);
}
PyMethodDef condition_methods[] = {
    kAcquire<Condition>,
    kRelease<Condition>,
    kLocked<Condition>,
    {"wait", method_of<Condition, wait_for_condition>, METH_NOARGS, nullptr},
    {"wait_for", wait_for_predicate, METH_O, nullptr},
    {"notify", as_function(notify), METH_VARARGS | METH_KEYWORDS, nullptr},
    {"notify_all", method<Condition, notify_all>, METH_NOARGS, nullptr},
    kNoMethod,
};
PyGetSetDef condition_members[] = {kWaiters<Condition>,
                                   kLoop<Condition>,
                                   {"_lock", lock_of, nullptr, nullptr, nullptr},
                                   kNoMember};

// --- Semaphores. ---

using loop::BoundedSemaphore;
using loop::Semaphore;

// The usage error of a negative value is asyncio's ValueError.
template <class T>
int init_semaphore(PyObject* self, PyObject* args, PyObject* /*words*/) {
  Py_ssize_t value = 1;
  if (PyArg_ParseTuple(args, "|n", &value) == 0) return -1;
  if (value < 0) {
    PyErr_SetString(PyExc_ValueError, "Semaphore initial value must be >= 0");
    return -1;
  }
  return hold<T>(self, value);
}
template <class T>
PyObject* value_of_semaphore(T& semaphore) {
  return PyLong_FromSsize_t(SyncAccess::value(static_cast<const Semaphore&>(semaphore)));
}
PyMethodDef semaphore_methods[] = {kAcquire<Semaphore>, kRelease<Semaphore>, kLocked<Semaphore>,
                                   kNoMethod};
PyMethodDef bounded_methods[] = {kAcquire<BoundedSemaphore>,
                                 kLocked<BoundedSemaphore>,
                                 {"release",
                                  [](PyObject* self, PyObject* /*none*/) -> PyObject* {
                                    try {
                                      held<BoundedSemaphore>(self).release();
                                    } catch (const fibers::UsageError& error) {
                                      PyErr_SetString(PyExc_ValueError, error.what());
                                      return nullptr;
                                    } catch (...) {
                                      raise_as_python();
                                      return nullptr;
                                    }
                                    return Py_NewRef(Py_None);
                                  },
                                  METH_NOARGS, nullptr},
                                 kNoMethod};
PyGetSetDef semaphore_members[] = {
    kWaiters<Semaphore>,
    {"_value", member<Semaphore, value_of_semaphore<Semaphore>>, nullptr, nullptr, nullptr},
    kNoMember};
PyGetSetDef bounded_members[] = {
    kWaiters<BoundedSemaphore>,
    {"_value", member<BoundedSemaphore, value_of_semaphore<BoundedSemaphore>>, nullptr, nullptr,
     nullptr},
    kNoMember};

// --- Barrier. ---

using loop::Barrier;

int init_barrier(PyObject* self, PyObject* args, PyObject* /*words*/) {
  Py_ssize_t parties = 0;
  if (PyArg_ParseTuple(args, "n", &parties) == 0) return -1;
  if (parties < 1) {
    PyErr_SetString(PyExc_ValueError, "parties must be > 0");
    return -1;
  }
  return hold<Barrier>(self, parties);
}
PyObject* wait_at(Barrier& barrier, PyObject* self) {
  return wrap_coro(self, barrier.wait(), [](std::size_t i) { return PyLong_FromSize_t(i); });
}
PyObject* reset(Barrier& barrier, PyObject* self) {
  return wrap_coro(self, barrier.reset(), to_none);
}
PyObject* abort_barrier(Barrier& barrier, PyObject* self) {
  return wrap_coro(self, barrier.abort(), to_none);
}
PyObject* parties_of(Barrier& barrier) {
  return PyLong_FromSize_t(barrier.parties());
}
PyObject* waiting_at(Barrier& barrier) {
  return PyLong_FromSize_t(barrier.n_waiting());
}
PyObject* broken(Barrier& barrier) {
  return to_bool(barrier.broken());
}
PyObject* count_of(Barrier& barrier) {
  return PyLong_FromSize_t(SyncAccess::count(barrier));
}
PyObject* state_of(Barrier& barrier) {
  return PyUnicode_FromString(SyncAccess::state_name(barrier));
}
PyMethodDef barrier_methods[] = {
    {"wait", method_of<Barrier, wait_at>, METH_NOARGS, nullptr},
    {"reset", method_of<Barrier, reset>, METH_NOARGS, nullptr},
    {"abort", method_of<Barrier, abort_barrier>, METH_NOARGS, nullptr},
    kNoMethod,
};
PyGetSetDef barrier_members[] = {
    {"parties", member<Barrier, parties_of>, nullptr, nullptr, nullptr},
    {"n_waiting", member<Barrier, waiting_at>, nullptr, nullptr, nullptr},
    {"broken", member<Barrier, broken>, nullptr, nullptr, nullptr},
    {"_count", member<Barrier, count_of>, nullptr, nullptr, nullptr},
    {"_state", member<Barrier, state_of>, nullptr, nullptr, nullptr},
    kNoMember,
};

}  // namespace

bool add_sync_types(PyObject* module) {
  lock_type =
      HolderType<Lock>::add(module, "weft_core.Lock", init_lock, lock_methods, lock_members);
  return lock_type != nullptr &&
         HolderType<Event>::add(module, "weft_core.Event", init_event, event_methods,
                                event_members) != nullptr &&
         HolderType<Condition>::add(module, "weft_core.Condition", init_condition,
                                    condition_methods, condition_members) != nullptr &&
         HolderType<Semaphore>::add(module, "weft_core.Semaphore", init_semaphore<Semaphore>,
                                    semaphore_methods, semaphore_members) != nullptr &&
         HolderType<BoundedSemaphore>::add(module, "weft_core.BoundedSemaphore",
                                           init_semaphore<BoundedSemaphore>, bounded_methods,
                                           bounded_members) != nullptr &&
         HolderType<Barrier>::add(module, "weft_core.Barrier", init_barrier, barrier_methods,
                                  barrier_members) != nullptr;
}

}  // namespace weft::python
