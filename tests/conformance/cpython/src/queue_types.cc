// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's Queue, PriorityQueue and LifoQueue, of Python objects, as Python objects. Their items are
// not seen by the garbage collector.

#include "tests/conformance/cpython/src/holder.h"
#include "tests/conformance/cpython/src/primitives.h"
#include "weft/fibers/exception_group.h"
#include "weft/loop/barrier.h"
#include "weft/loop/queue.h"

namespace weft::python {

namespace {

using loop::detail::SyncAccess;

struct Less {
  bool operator()(const Ref& a, const Ref& b) const {
    const int less = PyObject_RichCompareBool(a.get(), b.get(), Py_LT);
    if (less >= 0) return less != 0;
    const Owned error(take_error());
    std::rethrow_exception(to_cpp(error.get(), Raised::Keep::kOwned));
  }
};

// The methods of one kind of queue.
template <class Q>
struct QueueType {
  static int init(PyObject* self, PyObject* args, PyObject* words) {
    static const char* names[] = {"maxsize", nullptr};
    Py_ssize_t maxsize = 0;
    if (PyArg_ParseTupleAndKeywords(args, words, "|n", const_cast<char**>(names), &maxsize) == 0) {
      return -1;
    }
    return hold<Q>(self, maxsize);
  }
  static PyObject* put(PyObject* self, PyObject* item) {
    return guarded(
        [&] { return wrap_coro(self, held<Q>(self).put(Ref(Py_NewRef(item))), to_none); });
  }
  static PyObject* put_nowait(PyObject* self, PyObject* item) {
    return guarded([&] {
      held<Q>(self).put_nowait(Ref(Py_NewRef(item)));
      return Py_NewRef(Py_None);
    });
  }
  static PyObject* get(Q& queue, PyObject* self) {
    return wrap_coro(self, queue.get(), [](Ref item) { return item.release(); });
  }
  static PyObject* get_nowait(Q& queue) { return queue.get_nowait().release(); }
  // asyncio's ValueError.
  static PyObject* task_done(Q& queue) {
    if (SyncAccess::core(queue).unfinished() > 0) {
      queue.task_done();
      return Py_NewRef(Py_None);
    }
    PyErr_SetString(PyExc_ValueError, "task_done() called too many times");
    return nullptr;
  }
  static PyObject* join(Q& queue, PyObject* self) { return wrap_coro(self, queue.join(), to_none); }
  static PyObject* shutdown(PyObject* self, PyObject* args, PyObject* words) {
    static const char* names[] = {"immediate", nullptr};
    int immediate = 0;
    if (PyArg_ParseTupleAndKeywords(args, words, "|p", const_cast<char**>(names), &immediate) ==
        0) {
      return nullptr;
    }
    return guarded([&] {
      held<Q>(self).shutdown(immediate != 0);
      return Py_NewRef(Py_None);
    });
  }
  static PyObject* qsize(Q& queue) { return PyLong_FromSize_t(queue.qsize()); }
  static PyObject* empty(Q& queue) { return to_bool(queue.empty()); }
  static PyObject* full(Q& queue) { return to_bool(queue.full()); }
  static PyObject* maxsize(Q& queue) { return PyLong_FromSsize_t(queue.maxsize()); }
  static PyObject* getters(Q& queue) {
    return PyLong_FromSize_t(SyncAccess::core(queue).getters());
  }
  static PyObject* putters(Q& queue) {
    return PyLong_FromSize_t(SyncAccess::core(queue).putters());
  }
  static PyObject* unfinished(Q& queue) {
    return PyLong_FromSize_t(SyncAccess::core(queue).unfinished());
  }

  static PyObject* is_shut_down(Q& queue) { return to_bool(SyncAccess::core(queue).shut_down()); }

  static bool add(PyObject* module, const char* name) {
    static PyMethodDef methods[] = {
        {"put", put, METH_O, nullptr},
        {"put_nowait", put_nowait, METH_O, nullptr},
        {"get", method_of<Q, get>, METH_NOARGS, nullptr},
        {"get_nowait", method<Q, get_nowait>, METH_NOARGS, nullptr},
        {"task_done", method<Q, task_done>, METH_NOARGS, nullptr},
        {"join", method_of<Q, join>, METH_NOARGS, nullptr},
        {"shutdown", as_function(shutdown), METH_VARARGS | METH_KEYWORDS, nullptr},
        {"qsize", method<Q, qsize>, METH_NOARGS, nullptr},
        {"empty", method<Q, empty>, METH_NOARGS, nullptr},
        {"full", method<Q, full>, METH_NOARGS, nullptr},
        {nullptr, nullptr, 0, nullptr},
    };
    static PyGetSetDef members[] = {
        {"maxsize", member<Q, maxsize>, nullptr, nullptr, nullptr},
        {"_getters_count", member<Q, getters>, nullptr, nullptr, nullptr},
        {"_putters_count", member<Q, putters>, nullptr, nullptr, nullptr},
        {"_unfinished_tasks", member<Q, unfinished>, nullptr, nullptr, nullptr},
        {"_is_shutdown", member<Q, is_shut_down>, nullptr, nullptr, nullptr},
        {nullptr, nullptr, nullptr, nullptr, nullptr},
    };
    return HolderType<Q>::add(module, name, init, methods, members) != nullptr;
  }
};

struct {
  PyObject* empty;
  PyObject* full;
  PyObject* shut_down;  // From 3.13.
  PyObject* broken_barrier;
} errors;

bool load_errors() {
  const Owned asyncio(PyImport_ImportModule("asyncio"));
  if (!asyncio) return false;
  errors.empty = PyObject_GetAttrString(asyncio.get(), "QueueEmpty");
  errors.full = PyObject_GetAttrString(asyncio.get(), "QueueFull");
  errors.broken_barrier = PyObject_GetAttrString(asyncio.get(), "BrokenBarrierError");
  errors.shut_down = PyObject_GetAttrString(asyncio.get(), "QueueShutDown");
  if (errors.shut_down == nullptr) {
    PyErr_Clear();
    errors.shut_down = Py_NewRef(PyExc_RuntimeError);
  }
  return errors.empty != nullptr && errors.full != nullptr && errors.broken_barrier != nullptr;
}

}  // namespace

PyObject* primitive_error(const std::exception_ptr& error) {
  if (fibers::holds<loop::QueueEmpty>(error)) return PyObject_CallNoArgs(errors.empty);
  if (fibers::holds<loop::QueueFull>(error)) return PyObject_CallNoArgs(errors.full);
  if (fibers::holds<loop::QueueShutDown>(error)) return PyObject_CallNoArgs(errors.shut_down);
  if (const auto* broken = fibers::exception_cast<loop::BrokenBarrierError>(error)) {
    return PyObject_CallFunction(errors.broken_barrier, "s", broken->what());
  }
  return nullptr;
}

bool add_queue_types(PyObject* module) {
  return load_errors() && QueueType<loop::Queue<Ref>>::add(module, "weft_core.Queue") &&
         QueueType<loop::LifoQueue<Ref>>::add(module, "weft_core.LifoQueue") &&
         QueueType<loop::PriorityQueue<Ref, Less>>::add(module, "weft_core.PriorityQueue");
}

}  // namespace weft::python
