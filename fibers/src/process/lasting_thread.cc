// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/process/lasting_thread.h"

#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <utility>

#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

namespace {

class LastingThread {
 public:
  // Never destroyed, for its thread waits in it to the end. A child of fork() has no such thread,
  // and begins with a new one.
  static LastingThread& instance() {
    static LastingThread* thread = [] {
      ::pthread_atfork(nullptr, nullptr, [] { thread = new LastingThread; });
      return new LastingThread;
    }();
    return *thread;
  }

  void call(const std::function<void()>& fn) {
    const std::lock_guard turn(turns_);
    if (!started_) start();
    std::unique_lock lock(mutex_);
    work_ = &fn;
    changed_.notify_all();
    changed_.wait(lock, [this] { return work_ == nullptr; });
  }

 private:
  // It inherits the mask.
  void start() {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    sys::pthread_sigmask(SIG_SETMASK, &all, &before);
    struct Restore {
      const sigset_t& mask;
      ~Restore() { sys::pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
    } const restore{before};
    sys::thread([this] { serve(); }).detach();
    started_ = true;
  }

  [[noreturn]] void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return work_ != nullptr; });
      (*work_)();
      work_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex turns_;  // One call at a time.
  bool started_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* work_ = nullptr;
};

}  // namespace

void call_in_lasting_thread(const std::function<void()>& fn) {
  LastingThread::instance().call(fn);
}

}  // namespace weft::fibers::detail
