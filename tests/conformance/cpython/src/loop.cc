// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/loop.h"

#include <unistd.h>

#include <chrono>
#include <memory>

#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/future.h"
#include "tests/conformance/cpython/src/handle.h"
#include "tests/conformance/cpython/src/scheduling.h"
#include "tests/conformance/cpython/src/task.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/instrument.h"
#include "weft/loop/runner.h"

namespace weft::python {

PyTypeObject* loop_type = nullptr;

namespace {

// All loops that are not closed, and what the others have run.
LoopObject* first_loop = nullptr;
std::uint64_t run_by_closed_loops = 0;

void restore_exit(LoopObject& loop) {
  PyErr_Restore(std::exchange(loop.exit_type, nullptr), std::exchange(loop.exit_value, nullptr),
                std::exchange(loop.exit_traceback, nullptr));
}

bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

// The interpreter's lock is let go while the loop waits. Signals are looked at when a wait is over:
// what a handler raises leaves the loop.
class LetGoOfLock final : public fibers::Instrument {
 public:
  explicit LetGoOfLock(LoopObject& loop) : loop_(loop) {}
  void before_io_wait(fibers::Duration timeout) override {
    if (timeout > fibers::Duration::zero()) state_ = PyEval_SaveThread();
  }
  void after_io_wait(fibers::Duration /*timeout*/) override {
    if (state_ == nullptr) return;
    // The interpreter ends threads that ask for its lock now, which a stack of weft's would not
    // survive.
    while (is_finalizing()) ::pause();
    PyEval_RestoreThread(std::exchange(state_, nullptr));
    if (PyErr_CheckSignals() == 0) return;
    keep_exit(loop_);
    loop_.sync->loop().call_soon([] { throw fibers::KeyboardInterrupt(); });
  }

 private:
  LoopObject& loop_;
  PyThreadState* state_ = nullptr;
};

std::uint64_t callbacks_until_now(LoopObject& loop) {
  return core_of(loop).statistics().callbacks_run;
}

// What was called last is another callback's if that is C++'s own: then its place is told.
void report_slow(LoopObject& loop, const loop::SlowCallback& slow) {
  const bool is_here =
      loop.last_called != nullptr && loop.last_called_at == callbacks_until_now(loop);
  const Owned before(std::exchange(loop.last_called, nullptr));
  const Owned called(is_here ? Py_NewRef(before.get())
                             : PyUnicode_FromFormat("<callback at %s:%u>", slow.source.file_name(),
                                                    unsigned{slow.source.line()}));
  const Owned done(called ? PyObject_CallFunction(helpers.report_slow, "Od", called.get(),
                                                  std::chrono::duration<double>(slow.took).count())
                          : nullptr);
  if (!done) PyErr_WriteUnraisable(reinterpret_cast<PyObject*>(&loop));
}

// --- Its life. ---

void enlist(LoopObject& loop) {
  loop.listed = true;
  loop.prev = nullptr;
  loop.next = first_loop;
  if (first_loop != nullptr) first_loop->prev = &loop;
  first_loop = &loop;
}
void delist(LoopObject& loop) {
  loop.listed = false;
  (loop.prev != nullptr ? loop.prev->next : first_loop) = loop.next;
  if (loop.next != nullptr) loop.next->prev = loop.prev;
}

// With 8 MiB stacks, Linux's usual: callbacks run on the caller's, steps of tasks on the loop's.
int init(PyObject* self, PyObject* args, PyObject* words) {
  LoopObject& loop = as_loop(self);
  static const char* names[] = {"standing_clock", "callbacks_on_task", nullptr};
  int standing = 0;
  int on_task = 0;
  if (PyArg_ParseTupleAndKeywords(args, words, "|$pp", const_cast<char**>(names), &standing,
                                  &on_task) == 0) {
    return -1;
  }
  if (loop.sync != nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "a loop is made once");
    return -1;
  }
  try {
    std::unique_ptr<StandingClock> clock(standing != 0 ? new StandingClock : nullptr);
    auto sync = std::make_shared<loop::SyncLoop>(loop::EventLoopOptions{
        .stack_size = std::size_t{8} << 20U,
        .clock = clock.get(),
        .callback_stack = on_task != 0 ? loop::CallbackStack::kTask : loop::CallbackStack::kCaller,
        .instruments = {std::make_shared<LetGoOfLock>(loop)},
        .handle_interrupt = false});
    loop.sync = sync.get();
    loop.owner = new std::shared_ptr<loop::SyncLoop>(std::move(sync));
    loop.clock = clock.release();
    loop.anchor = new loop::FutureBase(loop.sync->loop().create_future<void>());
    loop.sync->loop().set_exception_handler(
        [&loop](loop::EventLoop&, const loop::ExceptionContext& context) {
          tell_exception_handler(loop, context);
        });
    loop.sync->loop().set_slow_callback_handler(
        [&loop](loop::EventLoop&, const loop::SlowCallback& slow) { report_slow(loop, slow); });
  } catch (...) {
    raise_as_python();
    return -1;
  }
  enlist(loop);
  return 0;
}

// A runner may have closed it before.
void close(LoopObject& loop) {
  loop::SyncLoop& sync = sync_of(loop);
  if (!loop.listed) return;
  note_callbacks(loop);
  sync.close();
  delist(loop);
  run_by_closed_loops += loop.callbacks_run;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  LoopObject& loop = as_loop(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(loop.exit_type);
  Py_VISIT(loop.exit_value);
  Py_VISIT(loop.exit_traceback);
  Py_VISIT(loop.last_called);
  for (HandleObject* handle = loop.scheduled; handle != nullptr; handle = handle->next) {
    Py_VISIT(reinterpret_cast<PyObject*>(handle));
  }
  if (loop.sync == nullptr || loop.sync->is_closed()) return 0;
  return traverse_ready_tasks(loop.sync->loop(), visit, arg);
}

// What is scheduled goes when the loop is closed, by __del__ at the latest.
int clear(PyObject* self) {
  LoopObject& loop = as_loop(self);
  Py_CLEAR(loop.exit_type);
  Py_CLEAR(loop.exit_value);
  Py_CLEAR(loop.exit_traceback);
  Py_CLEAR(loop.last_called);
  return 0;
}

// A loop that another thread drops unclosed stays: its run can only be ended by its own.
void dealloc(PyObject* self) {
  LoopObject& loop = as_loop(self);
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (loop.sync != nullptr) {
    try {
      close(loop);
    } catch (...) {
      delist(loop);
      loop.owner = nullptr;
      loop.runner = nullptr;
      loop.clock = nullptr;
      loop.anchor = nullptr;
    }
    delete loop.anchor;
    delete loop.runner;
    delete loop.owner;
    delete loop.clock;
  }
  clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

// --- Running. ---

PyObject* run_forever(PyObject* self, PyObject* /*none*/) {
  LoopObject& loop = as_loop(self);
  return running(loop, [&] { sync_of(loop).run_forever(); });
}
PyObject* run_once(PyObject* self, PyObject* /*none*/) {
  LoopObject& loop = as_loop(self);
  return running(loop, [&] { sync_of(loop).run_once(); });
}
// asyncio's may be called on a closed loop.
PyObject* stop(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    loop::SyncLoop& sync = sync_of(as_loop(self));
    if (!sync.is_closed()) sync.stop();
    return Py_NewRef(Py_None);
  });
}
PyObject* is_running(PyObject* self, PyObject* /*none*/) {
  const LoopObject& loop = as_loop(self);
  return PyBool_FromLong(loop.sync != nullptr && loop.sync->is_running() ? 1 : 0);
}
PyObject* is_closed(PyObject* self, PyObject* /*none*/) {
  const LoopObject& loop = as_loop(self);
  return PyBool_FromLong(loop.sync == nullptr || loop.sync->is_closed() ? 1 : 0);
}
PyObject* close_core(PyObject* self, PyObject* /*none*/) {
  return guarded([&] {
    close(as_loop(self));
    return Py_NewRef(Py_None);
  });
}
PyObject* time(PyObject* self, PyObject* /*none*/) {
  return guarded([&] { return PyFloat_FromDouble(to_seconds(core_of(as_loop(self)).time())); });
}
PyObject* advance(PyObject* self, PyObject* seconds) {
  const double by = PyFloat_AsDouble(seconds);
  if (by == -1.0 && PyErr_Occurred() != nullptr) return nullptr;
  if (StandingClock* const clock = as_loop(self).clock) {
    clock->advance(to_instant(by).time_since_epoch());
    return Py_NewRef(Py_None);
  }
  PyErr_SetString(PyExc_RuntimeError, "this loop is on the machine's clock");
  return nullptr;
}
PyObject* set_debug(PyObject* self, PyObject* enabled) {
  const int on = PyObject_IsTrue(enabled);
  if (on < 0) return nullptr;
  return guarded([&] {
    LoopObject& loop = as_loop(self);
    loop.debug = on != 0;
    if (!sync_of(loop).is_closed()) core_of(loop).set_debug(loop.debug);
    return Py_NewRef(Py_None);
  });
}
// Calls `hook` before each wait of the loop.
PyObject* add_prepare(PyObject* self, PyObject* hook) {
  return guarded([&] {
    LoopObject& loop = as_loop(self);
    Py_INCREF(hook);
    core_of(loop).add_prepare([&loop, hook] {
      const Owned done(PyObject_CallNoArgs(hook));
      if (done) return;
      keep_exit(loop);
      loop.sync->loop().call_soon([] { throw fibers::KeyboardInterrupt(); });
    });
    return Py_NewRef(Py_None);
  });
}

PyObject* get_slow_callback_duration(PyObject* self, void* /*closure*/) {
  return guarded([&] {
    const fibers::Duration duration = core_of(as_loop(self)).slow_callback_duration();
    return PyFloat_FromDouble(std::chrono::duration<double>(duration).count());
  });
}
int set_slow_callback_duration(PyObject* self, PyObject* seconds, void* /*closure*/) {
  const double given = seconds == nullptr ? -1.0 : PyFloat_AsDouble(seconds);
  if (PyErr_Occurred() != nullptr) return -1;
  const Owned done(guarded([&] {
    core_of(as_loop(self)).set_slow_callback_duration(to_instant(given).time_since_epoch());
    return Py_NewRef(Py_None);
  }));
  return done ? 0 : -1;
}

constexpr int kWords = METH_FASTCALL | METH_KEYWORDS;

PyMethodDef methods[] = {
    {"call_soon", as_function(call_soon), kWords, nullptr},
    {"call_soon_threadsafe", as_function(call_soon_threadsafe), kWords, nullptr},
    {"call_at", as_function(call_at), kWords, nullptr},
    {"call_later", as_function(call_later), kWords, nullptr},
    {"time", time, METH_NOARGS, nullptr},
    {"stop", stop, METH_NOARGS, nullptr},
    {"is_running", is_running, METH_NOARGS, nullptr},
    {"is_closed", is_closed, METH_NOARGS, nullptr},
    {"_add_reader", as_function(add_reader), METH_FASTCALL, nullptr},
    {"_add_writer", as_function(add_writer), METH_FASTCALL, nullptr},
    {"_remove_reader", remove_reader, METH_O, nullptr},
    {"_remove_writer", remove_writer, METH_O, nullptr},
    // For the package.
    {"_core_run_forever", run_forever, METH_NOARGS, nullptr},
    {"_core_run_once", run_once, METH_NOARGS, nullptr},
    {"_core_close", close_core, METH_NOARGS, nullptr},
    {"_core_set_debug", set_debug, METH_O, nullptr},
    {"_core_advance", advance, METH_O, nullptr},
    {"_core_watching", watching, METH_O, nullptr},
    {"_core_ready", ready, METH_NOARGS, nullptr},
    {"_core_add_prepare", add_prepare, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef members[] = {
    {"slow_callback_duration", get_slow_callback_duration, set_slow_callback_duration, nullptr,
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
    {Py_tp_init, reinterpret_cast<void*>(init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(clear)},
    {Py_tp_methods, methods},
    {Py_tp_getset, members},
    {0, nullptr},
};
PyType_Spec spec = {"weft_core.Loop", sizeof(LoopObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

// A KeyboardInterrupt stands for the exception that was kept, or is a runner's own.
PyObject* running(LoopObject& loop, const std::function<void()>& fn) {
  struct AtEnd {
    LoopObject& loop;
    ~AtEnd() {
      const ErrorKept kept;
      Py_CLEAR(loop.last_called);
    }
  } const at_end{loop};
  try {
    fn();
  } catch (const fibers::KeyboardInterrupt&) {
    if (loop.exit_type == nullptr) {
      PyErr_SetNone(PyExc_KeyboardInterrupt);
    } else {
      restore_exit(loop);
    }
    return nullptr;
  } catch (...) {
    raise_as_python();
    return nullptr;
  }
  return Py_NewRef(Py_None);
}

void keep_called(LoopObject& loop, PyObject* called) {
  if (sync_of(loop).is_closed()) return;
  loop.last_called_at = callbacks_until_now(loop);
  Py_XSETREF(loop.last_called, Py_NewRef(called));
}

void note_callbacks(LoopObject& loop) {
  if (!sync_of(loop).is_closed()) {
    loop.callbacks_run = core_of(loop).statistics().callbacks_run;
  }
}

loop::SyncLoop& sync_of(LoopObject& loop) {
  if (loop.sync != nullptr) return *loop.sync;
  throw fibers::UsageError("the loop's __init__ was not called");
}
loop::EventLoop& core_of(LoopObject& loop) {
  return sync_of(loop).loop();
}

LoopObject& loop_with(const loop::detail::LoopCore& core) {
  LoopObject* loop = first_loop;
  while (loop != nullptr && &loop_core(*loop) != &core) loop = loop->next;
  if (loop != nullptr) return *loop;
  throw fibers::UsageError("Event loop is closed");
}

loop::detail::LoopCore& loop_core(LoopObject& loop) {
  sync_of(loop);
  return loop::FutureAccess::core(*loop.anchor).loop();
}

// Takes the Python exception that is set.
void keep_exit(LoopObject& loop) {
  Py_CLEAR(loop.exit_type);
  Py_CLEAR(loop.exit_value);
  Py_CLEAR(loop.exit_traceback);
  PyErr_Fetch(&loop.exit_type, &loop.exit_value, &loop.exit_traceback);
}

void leave_loop(LoopObject& loop) {
  keep_exit(loop);
  throw fibers::KeyboardInterrupt();
}

// What C++ reports: futures and tasks that were lost, a descriptor that cannot be watched any more.
void tell_exception_handler(LoopObject& loop, const loop::ExceptionContext& context) {
  const ErrorKept kept;
  const Owned dict(context_dict(context));
  if (!dict) leave_loop(loop);
  PyObject* const self = reinterpret_cast<PyObject*>(&loop);
  const Owned done(PyObject_CallMethod(self, "call_exception_handler", "O", dict.get()));
  if (!done) leave_loop(loop);
}

bool add_loop_type(PyObject* module) {
  loop_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return loop_type != nullptr && PyModule_AddType(module, loop_type) == 0;
}

PyObject* callbacks_run(PyObject* /*module*/, PyObject* /*none*/) {
  std::uint64_t count = run_by_closed_loops;
  for (LoopObject* loop = first_loop; loop != nullptr; loop = loop->next) {
    note_callbacks(*loop);
    count += loop->callbacks_run;
  }
  return PyLong_FromUnsignedLongLong(count);
}

}  // namespace weft::python
