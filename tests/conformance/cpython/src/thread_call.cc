// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/conformance/cpython/src/thread_call.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <new>
#include <optional>
#include <thread>

#include "tests/conformance/cpython/src/errors.h"
#include "weft/fibers/errors.h"

namespace weft::python {

namespace {

// How many jobs have not ended, and who is about to take the interpreter's lock. Never destroyed:
// threads may come back when the process ends.
struct LiveJobs {
  std::mutex mutex;
  std::condition_variable none_left;
  // Guarded by the mutex.
  std::size_t count = 0;
  std::size_t entered = 0;
  std::optional<std::thread::id> ended_by;

  void add() {
    const std::lock_guard lock(mutex);
    if (ended_by) {
      throw fibers::UsageError("cannot schedule new futures after interpreter shutdown");
    }
    ++count;
  }
  void remove() {
    const std::lock_guard lock(mutex);
    if (count > 0 && --count == 0) none_left.notify_all();
  }
  bool enter() {
    const std::lock_guard lock(mutex);
    if (ended_by) return false;
    ++entered;
    return true;
  }
  void leave() {
    const std::lock_guard lock(mutex);
    if (entered > 0 && --entered == 0) none_left.notify_all();
  }
  bool ended_by_this_thread() {
    const std::lock_guard lock(mutex);
    return ended_by == std::this_thread::get_id();
  }
};
LiveJobs& live_jobs() {
  static auto* const jobs = new LiveJobs;
  return *jobs;
}

PyObject* counted(PyObject* fn) {
  live_jobs().add();
  return fn;
}

// asyncio's: makes its own exceptions of those of concurrent.futures.
PyObject* convert_error = nullptr;

// Lets nobody in any more, if `end` says so, as soon as nobody is left or a signal's handler
// raises.
PyObject* wait_for_jobs(bool end) {
  constexpr std::chrono::milliseconds kSignals{50};  // How often Ctrl-C is looked at.
  LiveJobs& jobs = live_jobs();
  for (bool left = true; left;) {
    const bool interrupted = PyErr_CheckSignals() != 0;
    Py_BEGIN_ALLOW_THREADS;
    {
      std::unique_lock lock(jobs.mutex);
      const auto idle = [&] { return jobs.count == 0 && jobs.entered == 0; };
      left = !interrupted && !jobs.none_left.wait_for(lock, kSignals, idle);
      if (end && !left) jobs.ended_by = std::this_thread::get_id();
    }
    Py_END_ALLOW_THREADS;
    if (interrupted) return nullptr;
  }
  return Py_NewRef(Py_None);
}

}  // namespace

bool load_convert_error() {
  const Owned module(PyImport_ImportModule("asyncio.futures"));
  if (!module) return false;
  convert_error = PyObject_GetAttrString(module.get(), "_convert_future_exc");
  return convert_error != nullptr;
}

LateLock::LateLock() : entered_(live_jobs().enter()) {
  has_ = (entered_ || live_jobs().ended_by_this_thread()) && Py_IsInitialized() != 0;
  if (!has_ || PyGILState_Check() != 0) return;
  state_ = PyGILState_Ensure();
  taken_ = true;
}
LateLock::~LateLock() {
  if (taken_) PyGILState_Release(state_);
  if (entered_) live_jobs().leave();
}

JobValue::~JobValue() {
  if (object_ == nullptr) return;
  if (const LateLock lock; lock) Py_DECREF(object_);
}

ThreadCall::ThreadCall(PyObject* fn, PyObject* args, PyObject* words, PyObject* context)
    : fn_(Py_NewRef(counted(fn))),
      args_(Py_NewRef(args)),
      words_(Py_XNewRef(words)),
      context_(Py_XNewRef(context)) {}

ThreadCall::ThreadCall(ThreadCall&& other) noexcept
    : fn_(std::exchange(other.fn_, nullptr)),
      args_(other.args_),
      words_(other.words_),
      context_(other.context_) {}

ThreadCall::~ThreadCall() {
  if (fn_ == nullptr) return;
  if (const LateLock lock; lock) {
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
  const LateLock lock;
  if (!lock) throw fibers::UsageError("the interpreter has ended before this job has begun");
  if (PyObject* const result = call()) return JobValue(result);
  const Owned raised(take_error());
  Owned error(PyObject_CallOneArg(convert_error, raised.get()));
  if (!error) error.reset(take_error());
  std::rethrow_exception(to_cpp(error.get(), Raised::Keep::kOwned));
}

PyObject* join_jobs(PyObject* /*module*/, PyObject* /*none*/) {
  return wait_for_jobs(false);
}
PyObject* end_jobs(PyObject* /*module*/, PyObject* /*none*/) {
  return wait_for_jobs(true);
}

PyObject* forget_jobs(PyObject* /*module*/, PyObject* /*none*/) {
  // The mutex may have been another thread's at the fork.
  LiveJobs& jobs = *::new (&live_jobs()) LiveJobs;
  jobs.count = 0;
  return Py_NewRef(Py_None);
}

}  // namespace weft::python
