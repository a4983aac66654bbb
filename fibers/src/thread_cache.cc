// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/thread_cache.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "fibers/sys/sys.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"

namespace weft::fibers::detail {

namespace {

struct Worker {
  std::condition_variable has_work;
  std::unique_ptr<ThreadWork> work;  // Guarded by the cache's mutex.
  std::string name;                  // Likewise.
};

class ThreadCache {
 public:
  // Never destroyed: its threads may outlive main(). Nor do they survive a fork(): the child begins
  // with an empty cache, since the old one lists threads that are not there, and may be locked.
  static ThreadCache& instance() {
    static ThreadCache* cache = [] {
      ::pthread_atfork(nullptr, nullptr, [] { cache = new ThreadCache; });
      return new ThreadCache;
    }();
    return *cache;
  }

  void set_idle_timeout(std::chrono::nanoseconds timeout) {
    const std::lock_guard lock(mutex_);
    idle_timeout_ = timeout;
  }

  void start(std::unique_ptr<ThreadWork> work, std::string name) {
    if (reuse(work, name)) return;
    auto worker = std::make_unique<Worker>();
    worker->work = std::move(work);
    worker->name = std::move(name);
    sys::thread([this, worker = std::move(worker)] { serve(*worker); }).detach();
  }

 private:
  // Last in, first out: the rest stay idle long enough to end.
  bool reuse(std::unique_ptr<ThreadWork>& work, std::string& name) {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return false;
    Worker* worker = idle_.back();
    idle_.pop_back();
    worker->work = std::move(work);
    worker->name = std::move(name);
    worker->has_work.notify_one();
    return true;
  }

  void serve(Worker& worker) {
    while (std::unique_ptr<ThreadWork> work = next(worker)) {
      work->run();
      {
        const std::lock_guard lock(mutex_);
        idle_.push_back(&worker);
      }
      work->deliver();
    }
  }

  // Null: idle for too long. A worker that is given work in its last moment takes it: both happen
  // under the mutex.
  std::unique_ptr<ThreadWork> next(Worker& worker) {
    std::unique_lock lock(mutex_);
    if (!worker.has_work.wait_for(lock, idle_timeout_, [&] { return worker.work != nullptr; })) {
      std::erase(idle_, &worker);
      return nullptr;
    }
    const std::string name = worker.name.empty() ? "weft worker" : worker.name.substr(0, 15);
    sys::pthread_setname_np(::pthread_self(), name.c_str());
    return std::move(worker.work);
  }

  std::mutex mutex_;
  std::vector<Worker*> idle_;
  std::chrono::nanoseconds idle_timeout_ = kThreadIdleTimeout;
};

}  // namespace

void start_thread(std::unique_ptr<ThreadWork> work, std::string name) {
  ThreadCache::instance().start(std::move(work), std::move(name));
}

void set_thread_idle_timeout(std::chrono::nanoseconds timeout) {
  ThreadCache::instance().set_idle_timeout(timeout);
}

void report_failed_delivery(const std::exception_ptr& error) {
  log(LogLevel::kError, "the deliver function of start_thread_soon threw, and the error is lost: " +
                            describe_exception(error));
}

}  // namespace weft::fibers::detail
