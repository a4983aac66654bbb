// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/runner.h"

#include <chrono>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "fibers/sys/sys.h"
#include "weft/fibers/detail/interrupt_action.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/loop/wait.h"

namespace weft::loop {

namespace sys = fibers::sys;

namespace {

constexpr std::chrono::seconds kThreadJoinTimeout{300};

// What Ctrl-C does. SIG_IGN stands for all that is not a plain function.
Runner::SignalAction interrupt_action() {
  struct sigaction present {};
  if (sys::sigaction(SIGINT, nullptr, &present) != 0) return SIG_IGN;
  return (present.sa_flags & SA_SIGINFO) != 0 ? SIG_IGN : present.sa_handler;
}

bool on_main_thread() {
  return sys::gettid() == sys::getpid();
}

void report_left_over(EventLoop& loop, const TaskBase& task) {
  if (task.cancelled()) return;
  std::exception_ptr error = task.exception();
  if (error == nullptr) return;
  ExceptionContext context{.message = "unhandled exception during asyncio.run() shutdown",
                           .exception = std::move(error)};
  context.future = &FutureAccess::core(task);
  context.task = context.future;
  context.task_name = task.get_name();
  loop.call_exception_handler(context);
}

void cancel_all_tasks(SyncLoop& loop) {
  std::vector<TaskBase> left = all_tasks(loop.loop());
  if (left.empty()) return;
  for (TaskBase& task : left) task.cancel();
  loop.run_until_complete(wait(left));
  for (const TaskBase& task : left) report_left_over(loop.loop(), task);
}

void log_close_error() noexcept {
  fibers::detail::log_quietly(fibers::LogLevel::kError, [] {
    return "a Runner did not close as it should: " +
           fibers::describe_exception(std::current_exception());
  });
}

}  // namespace

// While it lives, Ctrl-C is the main task's.
class Runner::Interrupts {
 public:
  Interrupts(Runner& runner, TaskBase main, bool wanted) : runner_(runner), main_(std::move(main)) {
    if (wanted) {
      handle_ = runner.loop_->loop().add_signal_handler(SIGINT, [this] { on_interrupt(); });
    }
    runner.interrupts_ = this;
  }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts() {
    runner_.interrupts_ = nullptr;
    if (handle_) handle_.cancel();
  }
  int count() const { return count_; }
  void on_interrupt() {
    ++count_;
    if (count_ > 1 || main_.done()) throw fibers::KeyboardInterrupt();
    main_.cancel();
  }

 private:
  Runner& runner_;
  TaskBase main_;
  Handle handle_;
  int count_ = 0;
};

Runner::Runner(RunnerOptions options) : options_(std::move(options)) {}

Runner::~Runner() {
  try {
    close();
  } catch (...) {
    log_close_error();
  }
}

void Runner::end(const std::exception_ptr& error) {
  if (error == nullptr) return close();
  try {
    close();
  } catch (...) {
    log_close_error();
  }
  std::rethrow_exception(error);
}

void Runner::require_may_run(const char* refusal) {
  if (running_loop() != nullptr) {
    throw fibers::UsageError(std::string(refusal) + "; await the coroutine, or create_task()");
  }
}

void Runner::begin() {
  if (state_ == State::kClosed) throw fibers::UsageError("Runner is closed; make a new one");
  if (state_ == State::kInitialized) return;
  takes_interrupts_ = options_.handle_interrupt && on_main_thread();
  loop_ = options_.loop_factory ? options_.loop_factory()
                                : std::make_shared<SyncLoop>(EventLoopOptions{
                                      .handle_interrupt = options_.handle_interrupt});
  if (loop_ == nullptr) throw fibers::UsageError("loop_factory has returned no loop");
  if (options_.debug) loop_->loop().set_debug(*options_.debug);
  action_ = interrupt_action();
  context_ = fibers::copy_context();
  state_ = State::kInitialized;
}

SyncLoop& Runner::get_loop() {
  begin();
  return *loop_;
}

void Runner::run_until_done(TaskBase task) {
  // Whoever has a handler now keeps it, and whoever has set the default since the loop was made
  // wants it so.
  const bool wanted = takes_interrupts_ && fibers::detail::interrupt_is_free() &&
                      (interrupt_action() != SIG_DFL || action_ == SIG_DFL);
  Interrupts interrupts(*this, task, wanted);
  loop_->run_new_task(task);
  context_ = task.get_context();
  if (task.cancelled() && interrupts.count() > 0 && task.uncancel() == 0) {
    throw fibers::KeyboardInterrupt();
  }
}

void Runner::interrupt() {
  if (interrupts_ == nullptr) throw fibers::KeyboardInterrupt();
  interrupts_->on_interrupt();
  loop_->loop().call_soon_threadsafe([] {});
}

void Runner::abandon() noexcept {
  state_ = State::kClosed;
  loop_ = nullptr;
}

Coro<void> Runner::shut_down_generators() {
  return loop_->loop().shutdown_asyncgens();
}

void Runner::close() {
  if (state_ != State::kInitialized) return;
  struct Closed {
    Runner& runner;
    ~Closed() {
      runner.state_ = State::kClosed;
      const std::shared_ptr<SyncLoop> loop = std::exchange(runner.loop_, nullptr);
      try {
        loop->close();
      } catch (...) {
        log_close_error();
      }
    }
  } const closed{*this};
  cancel_all_tasks(*loop_);
  loop_->run_until_complete(shut_down_generators());
  loop_->run_until_complete(loop_->loop().shutdown_default_executor(kThreadJoinTimeout));
  loop_->close();
}

}  // namespace weft::loop
