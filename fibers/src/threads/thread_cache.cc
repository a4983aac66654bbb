// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/thread_cache.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <mutex>
#include <utility>
#include <vector>

#include "fibers/sys/sys.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"

namespace weft::fibers::detail {

namespace {

// A thread of the cache. What it is to do next lies here before the semaphore is raised, by whoever
// has taken it off the list of idle ones: nobody else touches it then, and it does not end.
struct Worker {
  explicit Worker(ThreadWork* first) : work(first) { ::sem_init(&has_work, 0, 1); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { ::sem_destroy(&has_work); }

  sem_t has_work;
  std::atomic<ThreadWork*> work;  // Owned. Atomic only because TSan does not know the semaphore.
  std::string name;               // Of `work`.
  // The thread's own.
  std::string present_name;
  std::chrono::nanoseconds patience{};
};

timespec monotonic_after(std::chrono::nanoseconds delay) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto at = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec) + delay;
  const auto whole = std::chrono::floor<std::chrono::seconds>(at);
  return {whole.count(), (at - whole).count()};
}

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
    if (Worker* idle = take_idle()) {
      idle->name = std::move(name);
      idle->work.store(work.release(), std::memory_order_release);
      sys::sem_post(&idle->has_work);
      return;
    }
    auto worker = std::make_unique<Worker>(work.get());
    worker->name = std::move(name);
    make_room();
    sys::thread([this, worker = std::move(worker)] { serve(*worker); }).detach();
    static_cast<void>(work.release());  // Not before: there may be no thread to be had.
  }

 private:
  // For one worker more to be idle: a worker has nobody to tell that there is no memory for that.
  void make_room() {
    const std::lock_guard lock(mutex_);
    idle_.reserve(++most_workers_);
  }

  // Last in, first out: the rest stay idle long enough to end. The mutex, because any thread may
  // start work; it is free again before the worker is woken, which would only wait for it.
  Worker* take_idle() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return nullptr;
    Worker* worker = idle_.back();
    idle_.pop_back();
    return worker;
  }

  void serve(Worker& worker) {
    while (const std::unique_ptr<ThreadWork> work = next(worker)) {
      work->run();
      add_idle(worker);
      work->deliver();
    }
  }

  void add_idle(Worker& worker) {
    const std::lock_guard lock(mutex_);
    worker.patience = idle_timeout_;
    idle_.push_back(&worker);
  }

  // Null: idle for too long.
  std::unique_ptr<ThreadWork> next(Worker& worker) {
    if (!wait_for_work(worker)) return nullptr;
    std::unique_ptr<ThreadWork> work(worker.work.exchange(nullptr, std::memory_order_acquire));
    // So short a text needs no memory, which a worker could not do without.
    std::string name = (worker.name.empty() ? kDefaultName : worker.name).substr(0, 15);
    if (name != worker.present_name) {  // Nearly never: it is a system call.
      sys::pthread_setname_np(::pthread_self(), name.c_str());
      worker.present_name = std::move(name);
    }
    return work;
  }

  bool wait_for_work(Worker& worker) {
    const timespec until = monotonic_after(worker.patience);
    while (sys::sem_clockwait(&worker.has_work, CLOCK_MONOTONIC, &until) != 0) {
      if (errno == ETIMEDOUT && leave(worker)) return false;
    }
    return true;
  }

  // False: whoever has just taken it off the list is about to give it work.
  bool leave(const Worker& worker) {
    const std::lock_guard lock(mutex_);
    if (std::erase(idle_, &worker) == 0) return false;
    --most_workers_;
    return true;
  }

  inline static const std::string kDefaultName = "weft worker";

  std::mutex mutex_;
  std::vector<Worker*> idle_;
  std::size_t most_workers_ = 0;  // How many there are now, at most.
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
