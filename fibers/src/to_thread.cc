// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/to_thread.h"

#include <atomic>
#include <memory>
#include <thread>

#include "fibers/src/limiter_state.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/run_var.h"
#include "weft/fibers/thread_cache.h"

namespace weft::fibers::to_thread {

namespace {

constexpr std::size_t kDefaultTokens = 40;

// Back on the run's thread.
void finish(detail::ThreadJob& job) {
  // The worker has a few instructions left, at the end of which it has given up its token. Without
  // this, a run that ends or deadlocks right now would find a token that is about to go.
  while (!job.token_gone.load(std::memory_order_acquire)) std::this_thread::yield();
  fibers::detail::release_token(*job.limiter, &job);
  if (job.task != nullptr) reschedule(*job.task);
}

// What the worker holds of a job. Its token is also how the run sees that a thread is out: while
// there are tokens, a run in which everybody waits is no deadlock.
class JobWork final : public fibers::detail::ThreadWork {
 public:
  explicit JobWork(std::shared_ptr<detail::ThreadJob> job) : job_(std::move(job)) {}

  void run() noexcept override { job_->run(); }

  void deliver() noexcept override {
    detail::ThreadJob* const job = job_.get();
    bool accepted = true;
    try {
      token_->run_sync_soon([owned = std::move(job_)] { finish(*owned); });
    } catch (const RunFinishedError&) {
      // Nobody is left to tell, and no limiter to give the token back to.
      accepted = false;
    }
    token_.reset();
    if (accepted) job->token_gone.store(true, std::memory_order_release);
  }

 private:
  std::shared_ptr<detail::ThreadJob> job_;
  std::optional<Token> token_ = current_token();
};

}  // namespace

namespace detail {

void run_job(const std::shared_ptr<ThreadJob>& job, const ThreadOptions& options) {
  checkpoint_if_cancelled();
  CapacityLimiter& limiter =
      options.limiter != nullptr ? *options.limiter : current_default_thread_limiter();
  limiter.acquire_on_behalf_of(job.get());
  job->limiter = fibers::detail::LimiterAccess::state(limiter);
  job->task = &current_task();
  try {
    fibers::detail::start_thread(std::make_unique<JobWork>(job), options.thread_name);
  } catch (...) {
    fibers::detail::release_token(*job->limiter, job.get());
    throw;
  }
  wait_task_rescheduled(
      [&](const RaiseCancel&) {
        if (!options.abandon_on_cancel) return Abort::kFailed;
        job->task = nullptr;
        return Abort::kSucceeded;
      },
      {.what = "to_thread.run_sync"});
}

}  // namespace detail

CapacityLimiter& current_default_thread_limiter() {
  static RunVar<std::shared_ptr<CapacityLimiter>> limiter_of_run("default thread limiter");
  std::shared_ptr<CapacityLimiter> limiter = limiter_of_run.get(nullptr);
  if (limiter == nullptr) {
    limiter = std::make_shared<CapacityLimiter>(kDefaultTokens);
    limiter_of_run.set(limiter);
  }
  return *limiter;  // The run keeps it.
}

}  // namespace weft::fibers::to_thread
