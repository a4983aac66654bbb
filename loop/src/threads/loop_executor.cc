// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/loop_executor.h"

#include <sstream>
#include <string>

#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/fibers/thread_cache.h"
#include "weft/loop/detail/executor_choice.h"
#include "weft/loop/detail/loop_part.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/thread_pool_executor.h"
#include "weft/loop/wait_for.h"

namespace weft::loop {

namespace {

// The loop's default executor.
class Executors final : public detail::LoopPart {
 public:
  static Executors& of(detail::LoopCore& core) {
    std::unique_ptr<detail::LoopPart>& place = detail::executors_of(core);
    if (place == nullptr) place = std::make_unique<Executors>();
    return static_cast<Executors&>(*place);
  }

  void loop_closed() noexcept override {
    shutdown_called = true;
    const std::shared_ptr<Executor> last = std::exchange(by_default, nullptr);
    if (last == nullptr) return;
    try {
      last->shutdown({.wait = false});
    } catch (...) {
      fibers::detail::log_quietly(fibers::LogLevel::kError, [] {
        return "the default executor of a loop that was closed did not shut down: " +
               fibers::describe_exception(std::current_exception());
      });
    }
  }

  std::shared_ptr<Executor> by_default;
  bool is_own = false;  // That one is the loop's: nobody else has it.
  bool shutdown_called = false;
};

// A thread for each job.
class OneThreadEach final : public Executor {
  class Work final : public fibers::detail::ThreadWork {
   public:
    explicit Work(Job job) noexcept : job_(std::move(job)) {}
    void run() noexcept override { job_(); }
    void deliver() noexcept override {}

   private:
    Job job_;
  };
  void execute(Job job) override {
    fibers::detail::start_thread(std::make_unique<Work>(std::move(job)), "weft shutdown");
  }
  void shut_down(const ShutdownOptions&) override {}
};

void warn_of_late_jobs(fibers::Duration timeout) {
  fibers::detail::log_quietly(fibers::LogLevel::kWarning, [timeout] {
    std::ostringstream text;
    text << "The executor did not finish joining its threads within "
         << std::chrono::duration<double>(timeout).count() << " seconds.";
    return text.str();
  });
}

}  // namespace

namespace detail {

Executor& choose_executor(LoopCore& core, Executor* given) {
  require_open(core);
  if (given != nullptr) return *given;
  Executors& executors = Executors::of(core);
  if (executors.shutdown_called) {
    throw fibers::UsageError(
        "Executor shutdown has been called; run_in_executor() needs an executor of yours now");
  }
  if (executors.by_default == nullptr) {
    executors.by_default =
        std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.thread_name_prefix = "asyncio"});
    executors.is_own = true;
  }
  return *executors.by_default;
}

}  // namespace detail

Executor& LoopExecutor::choose_executor(Executor* given) {
  return detail::choose_executor(*core_, given);
}

void LoopExecutor::set_default_executor(std::shared_ptr<Executor> executor) {
  detail::require_open(*core_);
  if (executor == nullptr) {
    throw fibers::UsageError("executor must be an Executor; null stands for the default one");
  }
  Executors& executors = Executors::of(*core_);
  // The jobs of the loop's own are still done. Its destructor would wait for them.
  if (std::exchange(executors.is_own, false)) executors.by_default->shutdown({.wait = false});
  executors.by_default = std::move(executor);
}

Coro<void> LoopExecutor::shutdown_default_executor(fibers::Duration timeout) {
  detail::require_open(*core_);
  Executors& executors = Executors::of(*core_);
  executors.shutdown_called = true;
  const std::shared_ptr<Executor> executor = executors.by_default;
  if (executor == nullptr) co_return;
  OneThreadEach thread;
  Future<void> joined = run_in_executor(&thread, [executor] { executor->shutdown(); });
  bool late = false;
  try {
    co_await wait_for(joined, timeout);
  } catch (const TimeoutError&) {
    late = true;
  }
  if (!late) co_return;
  warn_of_late_jobs(timeout);
  executor->shutdown({.wait = false});
}

}  // namespace weft::loop
