// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A queue, and a limit to how many threads of the cache take from it. A thread that finds it empty
// goes back to the cache, so an idle executor has no threads of its own.

#include "weft/loop/thread_pool_executor.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/thread_cache.h"
#include "weft/fibers/thread_event.h"

namespace weft::loop {

namespace {

std::size_t default_workers() {
  constexpr std::size_t kMost = 32;
  return std::min<std::size_t>(kMost, std::thread::hardware_concurrency() + 4);
}

}  // namespace

struct ThreadPoolExecutor::State {
  explicit State(ThreadPoolOptions given)
      : prefix(std::move(given.thread_name_prefix)),
        busy(given.max_workers != 0 ? given.max_workers : default_workers()) {}

  const std::string prefix;
  fibers::ThreadEvent drained;  // No more jobs come, and none is left.

  std::mutex mutex;
  // Guarded by the mutex.
  std::deque<Job> queue;
  std::vector<bool> busy;  // By worker.
  std::size_t workers = 0;
  bool shut_down = false;

  // With the mutex: the number of a new worker.
  std::size_t add_worker() {
    const auto free = std::find(busy.begin(), busy.end(), false);
    *free = true;
    ++workers;
    return static_cast<std::size_t>(free - busy.begin());
  }
  void remove_worker(std::size_t number) {
    busy[number] = false;
    --workers;
  }
  bool is_drained() const { return shut_down && workers == 0; }

  // There is no thread for this worker. The others do its work; without any, nobody would: true,
  // and all jobs are dropped.
  bool do_without(std::size_t number) {
    std::deque<Job> dropped;
    std::unique_lock lock(mutex);
    remove_worker(number);
    if (workers > 0) return false;
    dropped.swap(queue);
    const bool last = is_drained();
    lock.unlock();
    if (last) drained.set();
    return true;
  }
};

namespace {
// The state that this thread works for.
constinit thread_local const void* working_for = nullptr;
}  // namespace

class ThreadPoolExecutor::Worker final : public fibers::detail::ThreadWork {
 public:
  Worker(std::shared_ptr<State> state, std::size_t number)
      : state_(std::move(state)), number_(number) {}

  void run() noexcept override {
    working_for = state_.get();
    while (std::optional<Job> job = next()) (*job)();
    working_for = nullptr;
  }
  void deliver() noexcept override {}

 private:
  std::optional<Job> next() {
    std::unique_lock lock(state_->mutex);
    if (!state_->queue.empty()) {
      std::optional<Job> job(std::move(state_->queue.front()));
      state_->queue.pop_front();
      return job;
    }
    state_->remove_worker(number_);
    const bool last = state_->is_drained();
    lock.unlock();
    if (last) state_->drained.set();
    return std::nullopt;
  }

  const std::shared_ptr<State> state_;
  const std::size_t number_;
};

ThreadPoolExecutor::ThreadPoolExecutor(ThreadPoolOptions options)
    : state_(std::make_shared<State>(std::move(options))) {}

ThreadPoolExecutor::~ThreadPoolExecutor() {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->shut_down) return;
  }
  const bool wait = working_for != state_.get();
  try {
    if (fibers::in_trio_task()) {
      fibers::CancelScope shield({.shield = true});
      shield.run([&] { shut_down({.wait = wait}); });
    } else {
      shut_down({.wait = wait});
    }
  } catch (...) {
    fibers::detail::log_quietly(fibers::LogLevel::kError, [] {
      return "a ThreadPoolExecutor was destroyed and could not wait for its jobs: " +
             fibers::describe_exception(std::current_exception());
    });
  }
}

void ThreadPoolExecutor::execute(Job job) {
  std::size_t number = 0;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->shut_down) {
      throw fibers::UsageError("cannot schedule new futures after shutdown; make a new executor");
    }
    state_->queue.push_back(std::move(job));
    if (state_->workers == state_->busy.size()) return;
    number = state_->add_worker();
  }
  try {
    std::string name = state_->prefix;
    if (!name.empty()) name += "_" + std::to_string(number);
    fibers::detail::start_thread(std::make_unique<Worker>(state_, number), std::move(name));
  } catch (...) {
    if (state_->do_without(number)) throw;
  }
}

void ThreadPoolExecutor::shut_down(const ShutdownOptions& options) {
  if (options.wait && working_for == state_.get()) {
    throw fibers::UsageError(
        "cannot join current thread: a job waits for its own executor; shut that down without "
        "waiting");
  }
  std::deque<Job> cancelled;
  bool drained = false;
  {
    const std::lock_guard lock(state_->mutex);
    state_->shut_down = true;
    if (options.cancel_futures) cancelled.swap(state_->queue);
    drained = state_->is_drained();
  }
  cancelled.clear();
  if (drained) state_->drained.set();
  if (options.wait) state_->drained.wait();
}

}  // namespace weft::loop
