// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/thread_call.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <new>

#include "tests/conformance/cpython/src/errors.h"

namespace weft::python {

namespace {

// How many jobs have not ended. Never destroyed: threads may come back when the process ends.
struct LiveJobs {
  std::mutex mutex;
  std::condition_variable none_left;
  std::size_t count = 0;  // Guarded by the mutex.

  void add() {
    const std::lock_guard lock(mutex);
    ++count;
  }
  void remove() {
    const std::lock_guard lock(mutex);
    if (count > 0 && --count == 0) none_left.notify_all();
  }
};
LiveJobs& live_jobs() {
  static auto* const jobs = new LiveJobs;
  return *jobs;
}

// asyncio's: makes its own exceptions of those of concurrent.futures.
PyObject* convert_error = nullptr;

}  // namespace

bool load_convert_error() {
  const Owned module(PyImport_ImportModule("asyncio.futures"));
  if (!module) return false;
  convert_error = PyObject_GetAttrString(module.get(), "_convert_future_exc");
  return convert_error != nullptr;
}

JobValue::~JobValue() {
  if (object_ == nullptr || Py_IsInitialized() == 0) return;
  const WithLock lock;
  Py_DECREF(object_);
}

ThreadCall::ThreadCall(PyObject* fn, PyObject* args, PyObject* words, PyObject* context)
    : fn_(Py_NewRef(fn)),
      args_(Py_NewRef(args)),
      words_(Py_XNewRef(words)),
      context_(Py_XNewRef(context)) {
  live_jobs().add();
}

ThreadCall::ThreadCall(ThreadCall&& other) noexcept
    : fn_(std::exchange(other.fn_, nullptr)),
      args_(other.args_),
      words_(other.words_),
      context_(other.context_) {}

ThreadCall::~ThreadCall() {
  if (fn_ == nullptr) return;
  if (Py_IsInitialized() != 0) {
    const WithLock lock;
    Py_DECREF(fn_);
    Py_DECREF(args_);
    Py_XDECREF(words_);
    Py_XDECREF(context_);
  }
  live_jobs().remove();  // Not before the lock is let go: the interpreter may end then.
}

PyObject* ThreadCall::call() const {
  if (context_ != nullptr && PyContext_Enter(context_) < 0) return nullptr;
  Owned result(PyObject_Call(fn_, args_, words_));
  if (context_ == nullptr) return result.release();
  const ErrorKept kept;
  if (PyContext_Exit(context_) < 0) PyErr_WriteUnraisable(fn_);
  return result.release();
}

JobValue ThreadCall::operator()() {
  const WithLock lock;
  if (PyObject* const result = call()) return JobValue(result);
  const Owned raised(take_error());
  Owned error(PyObject_CallOneArg(convert_error, raised.get()));
  if (!error) error.reset(take_error());
  std::rethrow_exception(to_cpp(error.get(), Raised::Keep::kOwned));
}

PyObject* join_jobs(PyObject* /*module*/, PyObject* /*none*/) {
  constexpr std::chrono::milliseconds kSignals{50};  // How often Ctrl-C is looked at.
  LiveJobs& jobs = live_jobs();
  for (bool left = true; left;) {
    Py_BEGIN_ALLOW_THREADS;
    {
      std::unique_lock lock(jobs.mutex);
      left = !jobs.none_left.wait_for(lock, kSignals, [&] { return jobs.count == 0; });
    }
    Py_END_ALLOW_THREADS;
    if (PyErr_CheckSignals() != 0) return nullptr;
  }
  return Py_NewRef(Py_None);
}

PyObject* forget_jobs(PyObject* /*module*/, PyObject* /*none*/) {
  // The mutex may have been another thread's at the fork.
  LiveJobs& jobs = *::new (&live_jobs()) LiveJobs;
  jobs.count = 0;
  return Py_NewRef(Py_None);
}

}  // namespace weft::python
