// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/to_thread.h"

#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "fibers/src/threads/thread_host.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/detail/wait_queue.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/no_suspend.h"
#include "weft/fibers/run_var.h"
#include "weft/fibers/testing/threads.h"
#include "weft/fibers/thread_cache.h"
#include "weft/fibers/token.h"

namespace weft::fibers::to_thread {

using fibers::detail::host_link;
using fibers::detail::HostLink;
using fibers::detail::ThreadHost;

namespace {

constexpr std::size_t kDefaultTokens = 40;

// What a run has to do with threads. Destroyed when the run has ended.
struct RunThreads {
  RunThreads() = default;
  RunThreads(const RunThreads&) = delete;
  RunThreads& operator=(const RunThreads&) = delete;
  // Those that are still out will find nobody to give their tokens back to. A limiter that outlives
  // the run has to have them for the next.
  ~RunThreads() {
    for (const auto& host : abandoned) {
      fibers::detail::release_token(*host->limiter, {.thing = host.get()});
    }
  }

  CapacityLimiter default_limiter{kDefaultTokens};
  std::list<std::shared_ptr<ThreadHost>> abandoned;
  std::size_t active = 0;
  fibers::detail::WaitQueue until_none_active;

  static RunThreads& current() {
    static RunVar<std::shared_ptr<RunThreads>> of_run("threads");
    std::shared_ptr<RunThreads> threads = of_run.get(nullptr);
    if (threads == nullptr) {
      threads = std::make_shared<RunThreads>();
      of_run.set(threads);
    }
    return *threads;  // The run keeps it.
  }
};

// Counts a thread while a task waits for it.
class ActiveThread {
 public:
  explicit ActiveThread(RunThreads& threads) : threads_(threads) { ++threads_.active; }
  ActiveThread(const ActiveThread&) = delete;
  ActiveThread& operator=(const ActiveThread&) = delete;
  ~ActiveThread() {
    if (--threads_.active > 0) return;
    while (fibers::detail::wake_first(threads_.until_none_active) != nullptr) {
    }
  }

 private:
  RunThreads& threads_;
};

// Back on the run's thread.
void finish(ThreadHost& host) {
  host.token_lost = !fibers::detail::release_token(*host.limiter, {.thing = &host});
  host.finished = true;
  if (host.task != nullptr) return reschedule(*host.task);
  RunThreads::current().abandoned.remove_if(
      [&host](const auto& each) { return each.get() == &host; });
}

// A call's place among the abandoned, made while a lack of memory can still be told.
class PlaceIfAbandoned {
 public:
  PlaceIfAbandoned(RunThreads& threads, const std::shared_ptr<ThreadHost>& host)
      : threads_(threads) {
    if (host->abandons) place_.push_back(host);
  }
  PlaceIfAbandoned(const PlaceIfAbandoned&) = delete;
  PlaceIfAbandoned& operator=(const PlaceIfAbandoned&) = delete;
  ~PlaceIfAbandoned() {
    if (!started_ || place_.empty()) return;
    if (place_.front()->task == nullptr && !place_.front()->finished) {
      threads_.abandoned.splice(threads_.abandoned.end(), place_);
    }
  }
  void started() { started_ = true; }

 private:
  RunThreads& threads_;
  std::list<std::shared_ptr<ThreadHost>> place_;
  bool started_ = false;
};

// What the worker holds of a call. Its token is also how the run sees that a thread is out: while
// there are tokens, a run in which everybody waits is no deadlock.
class JobWork final : public fibers::detail::ThreadWork {
 public:
  explicit JobWork(std::shared_ptr<ThreadHost> host) : host_(std::move(host)) {}
  ~JobWork() override { fibers::detail::release_locals(context_); }

  void run() noexcept override {
    const HostLink link{host_, call_.token()};
    host_link = &link;
    fibers::detail::set_thread_locals(&context_);
    host_->job->run();
    fibers::detail::set_thread_locals(nullptr);
    host_link = nullptr;
    // Before the task goes on: who sets a variable anew must not find the old value still held.
    fibers::detail::release_locals(std::exchange(context_, nullptr));
  }

  // Refused, there is nobody left to tell, and no limiter to give the token back to. What it holds
  // goes last: the run does not wait for that.
  void deliver() noexcept override {
    const auto refused = call_.make([owned = std::move(host_)] { finish(*owned); });
  }

 private:
  std::shared_ptr<ThreadHost> host_;
  fibers::detail::LastCall call_{current_token()};
  fibers::detail::TaskLocals* context_ = fibers::detail::detach_own_locals();  // The caller's.
};

void make_requested_call(ThreadHost& host, from_thread::detail::Call& call) {
  const ThreadHost::CallsBack waiting_for_us(&host);
  std::optional<NoSuspend> guard;
  if (!call.may_wait()) guard.emplace("from_thread::run_sync");
  call.make_in_context();
}

// Waits for the thread, and meanwhile makes the calls that it wants made here.
void wait_for_thread(ThreadHost& host) {
  for (;;) {
    wait_task_rescheduled(
        [&host](const RaiseCancel& raise) {
          host.note_cancelled(raise);
          if (!host.abandons) return Abort::kFailed;
          host.task = nullptr;
          return Abort::kSucceeded;
        },
        {.what = "to_thread.run_sync"});
    const auto request = std::exchange(host.request, nullptr);
    if (request == nullptr) return;
    make_requested_call(host, *request);
  }
}

}  // namespace

namespace detail {

[[noreturn]] static void throw_token_lost(const std::exception_ptr& error) {
  const UsageError lost(
      "somebody has released the limiter's token of to_thread::run_sync while its thread was "
      "still running; leave it to run_sync");
  if (error == nullptr) throw lost;
  try {
    std::rethrow_exception(error);
  } catch (...) {
    std::throw_with_nested(lost);
  }
}

void run_job(const std::shared_ptr<ThreadJob>& job, const ThreadOptions& options) {
  checkpoint_if_cancelled();
  const auto host = std::make_shared<ThreadHost>(job, options.abandon_on_cancel);
  RunThreads& threads = RunThreads::current();
  CapacityLimiter& limiter =
      options.limiter != nullptr ? *options.limiter : threads.default_limiter;
  PlaceIfAbandoned place(threads, host);
  limiter.acquire_on_behalf_of(host.get());
  host->limiter = fibers::detail::LimiterAccess::state(limiter);
  host->task = &current_task();
  try {
    fibers::detail::start_thread(std::make_unique<JobWork>(host), options.thread_name);
  } catch (...) {
    fibers::detail::release_token(*host->limiter, {.thing = host.get()});
    throw;
  }
  place.started();
  const ActiveThread counted(threads);
  const ThreadHost::WaitedFor at_work(*host);
  wait_for_thread(*host);
  if (host->token_lost) throw_token_lost(job->error());
}

}  // namespace detail

CapacityLimiter& current_default_thread_limiter() {
  return RunThreads::current().default_limiter;
}

}  // namespace weft::fibers::to_thread

namespace weft::fibers::testing {

std::size_t active_thread_count() {
  return to_thread::RunThreads::current().active;
}

void wait_all_threads_completed() {
  to_thread::RunThreads& threads = to_thread::RunThreads::current();
  checkpoint();
  while (threads.active > 0) {
    fibers::detail::Waiter waiter;
    fibers::detail::wait_in(threads.until_none_active, waiter,
                            {.what = "wait_all_threads_completed"});
  }
}

}  // namespace weft::fibers::testing
