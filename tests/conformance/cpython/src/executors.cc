// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// weft's run_in_executor and to_thread, of Python's functions; and Python's executors as the
// loop's default one.

#include <memory>
#include <source_location>

#include "tests/conformance/cpython/src/coro_object.h"
#include "tests/conformance/cpython/src/errors.h"
#include "tests/conformance/cpython/src/future.h"
#include "tests/conformance/cpython/src/gc_type.h"
#include "tests/conformance/cpython/src/loop.h"
#include "tests/conformance/cpython/src/primitives.h"
#include "tests/conformance/cpython/src/scheduling.h"
#include "tests/conformance/cpython/src/thread_call.h"
#include "weft/loop/detail/executor_choice.h"
#include "weft/loop/detail/wrapped_core.h"
#include "weft/loop/executor.h"
#include "weft/loop/to_thread.h"

namespace weft::python {

namespace {

// --- A job. ---

// The Python future of a job.
class JobFuture final : public PyFuture, public loop::detail::WrappedCore {
 public:
  using Source = loop::detail::ConcurrentBox<JobValue>;
  JobFuture(loop::detail::LoopCore& loop, FutureObject& object, Source& source)
      : PyFuture(loop, object),
        WrappedCore(static_cast<PyFuture&>(*this), counted(source)),
        source_(source) {}
  bool cancel(std::exception_ptr payload) override {
    note_message(payload);
    return WrappedCore::request_cancel(std::move(payload));
  }

 private:
  static Source& counted(Source& source) {
    source.retain();
    return source;
  }
  void take_value() override { set_value(Ref(source_.value->release())); }
  void destroy() noexcept override {
    loop::detail::LoopCore& core = PyFuture::loop();
    this->~JobFuture();
    loop::detail::free_block(core, this, sizeof(JobFuture));
  }

  Source& source_;
};

// run_in_executor(loop, fn, args): in the default executor.
PyObject* run_in_executor(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* fn = nullptr;
  PyObject* given = nullptr;
  if (PyArg_ParseTuple(args, "O!OO!", loop_type, &loop, &fn, &PyTuple_Type, &given) == 0) {
    return nullptr;
  }
  return guarded([&] {
    ++primitives_used;
    loop::detail::LoopCore& core = loop_core(as_loop(loop));
    loop::Executor& executor = loop::detail::choose_executor(core, nullptr);
    const auto job = loop::ConcurrentFutureAccess::wrap(
        loop::detail::make_job(ThreadCall(fn, given, nullptr, nullptr)));
    auto& box = loop::ConcurrentFutureAccess::box(job);
    auto& future = make_future<JobFuture>(as_loop(loop), box);
    Owned object(as_object(future.object()));
    future.begin(true, std::source_location::current());
    executor.submit_job(box);
    return object.release();
  });
}

// to_thread(fn, args, words), awaited: in the running loop's default executor, and in a copy of the
// context of whoever calls this.
PyObject* to_thread(PyObject* /*module*/, PyObject* args) {
  PyObject* fn = nullptr;
  PyObject* given = nullptr;
  PyObject* words = nullptr;
  if (PyArg_ParseTuple(args, "OO!O!", &fn, &PyTuple_Type, &given, &PyDict_Type, &words) == 0) {
    return nullptr;
  }
  const Owned context(PyContext_CopyCurrent());
  if (!context) return nullptr;
  return guarded([&] {
    return wrap_coro(nullptr, loop::to_thread(ThreadCall(fn, given, words, context.get())),
                     [](JobValue value) { return value.release(); });
  });
}

// --- Python's executors. ---

// A job, for Python to call once.
struct JobObject {
  PyObject_HEAD PyObject* executor;  // Which is to call it.
  loop::Executor::Job* job;          // Owned. Null once called.
};
PyTypeObject* job_type = nullptr;

void drop_job(JobObject& object) {
  delete std::exchange(object.job, nullptr);
}
PyObject* call_job(PyObject* self, PyObject* /*args*/, PyObject* /*words*/) {
  const std::unique_ptr<loop::Executor::Job> job(
      std::exchange(reinterpret_cast<JobObject*>(self)->job, nullptr));
  if (job != nullptr) (*job)();
  return Py_NewRef(Py_None);
}

// A concurrent.futures.Executor.
class PythonExecutor final : public loop::Executor {
 public:
  explicit PythonExecutor(PyObject* executor) : executor_(Py_NewRef(executor)) {}

 private:
  [[noreturn]] static void throw_raised() {
    const Owned error(take_error());
    std::rethrow_exception(to_cpp(error.get(), Raised::Keep::kOwned));
  }
  void execute(Job job) override {
    const WithLock lock;
    auto* const object = PyObject_GC_New(JobObject, job_type);
    if (object == nullptr) throw_raised();
    const Owned callable(reinterpret_cast<PyObject*>(object));
    object->executor = Py_NewRef(executor_.object());
    object->job = nullptr;
    PyObject_GC_Track(object);
    object->job = new Job(std::move(job));
    const Owned future(PyObject_CallMethod(executor_.object(), "submit", "O", callable.get()));
    if (!future) throw_raised();
  }
  void shut_down(const loop::ShutdownOptions& options) override {
    const WithLock lock;
    const Owned method(PyObject_GetAttrString(executor_.object(), "shutdown"));
    const Owned none(PyTuple_New(0));
    const Owned words(Py_BuildValue("{sOsO}", "wait", options.wait ? Py_True : Py_False,
                                    "cancel_futures", options.cancel_futures ? Py_True : Py_False));
    if (!method || !none || !words) throw_raised();
    const Owned done(PyObject_Call(method.get(), none.get(), words.get()));
    if (!done) throw_raised();
  }

  const JobValue executor_;  // It may go in any thread.
};

// set_default_executor(loop, executor)
PyObject* set_default_executor(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* executor = nullptr;
  if (PyArg_ParseTuple(args, "O!O", loop_type, &loop, &executor) == 0) return nullptr;
  return guarded([&] {
    core_of(as_loop(loop)).set_default_executor(std::make_shared<PythonExecutor>(executor));
    return Py_NewRef(Py_None);
  });
}

// shutdown_default_executor(loop, timeout), awaited.
PyObject* shutdown_default_executor(PyObject* /*module*/, PyObject* args) {
  PyObject* loop = nullptr;
  PyObject* timeout = nullptr;
  fibers::Duration limit{};
  if (PyArg_ParseTuple(args, "O!O", loop_type, &loop, &timeout) == 0 ||
      !to_duration(timeout, limit)) {
    return nullptr;
  }
  return guarded([&] {
    return wrap_coro(loop, core_of(as_loop(loop)).shutdown_default_executor(limit), to_none);
  });
}

PyMethodDef functions[] = {
    {"run_in_executor", run_in_executor, METH_VARARGS, nullptr},
    {"to_thread", to_thread, METH_VARARGS, nullptr},
    {"set_default_executor", set_default_executor, METH_VARARGS, nullptr},
    {"shutdown_default_executor", shutdown_default_executor, METH_VARARGS, nullptr},
    {"join_jobs", join_jobs, METH_NOARGS, nullptr},
    {"end_jobs", end_jobs, METH_NOARGS, nullptr},
    {"forget_jobs", forget_jobs, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_executors(PyObject* module) {
  job_type = GcType<JobObject, &JobObject::executor, drop_job>::make(
      "weft_core.Job", {{Py_tp_call, reinterpret_cast<void*>(call_job)}});
  return job_type != nullptr && load_convert_error() &&
         PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace weft::python
