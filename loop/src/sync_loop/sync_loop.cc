// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A suspended run that holds a loop. Two sides: the caller, outside, and the run's main task, in a
// greenlet. The caller gives an order and switches in; the main task carries it out and switches
// back. If batches run on the caller's stack, the loop switches back for each of them in between.

#include "weft/loop/sync_loop.h"

#include <pthread.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <thread>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/log.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/task.h"
#include "weft/loop/detail/batch_host.h"

namespace weft::loop {

class SyncLoop::Run final : private detail::BatchHost {
 public:
  explicit Run(EventLoopOptions options);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run();

  EventLoop& loop() const;
  bool is_closed() const { return loop_ == nullptr; }
  // Throws UsageError unless it may run now.
  void require_may_run() const;
  void run_forever();
  void close();

 private:
  enum class Order : std::uint8_t { kRun, kClose };

  // --- The caller's side. ---
  void require_own_thread() const;
  void become_caller();
  void enter();
  void carry_out(Order order);
  // --- The run's side. ---
  void live();
  void serve(EventLoop& loop);
  void run_batch(const std::function<void()>& batch) override;
  void leave() const { caller_.switch_to(); }

  const EventLoopOptions options_;
  const std::thread::id thread_ = std::this_thread::get_id();
  fibers::Greenlet greenlet_;
  fibers::Greenlet caller_ = nullptr;
  Order order_ = Order::kRun;
  EventLoop* loop_ = nullptr;                     // In a frame of live(); null once closed.
  std::exception_ptr error_ = nullptr;            // What the order has come to.
  const std::function<void()>* batch_ = nullptr;  // What the caller is to call.
  std::exception_ptr batch_error_ = nullptr;
};

namespace {

// How many forks lie between this process and the program's first. Only the one thread that a
// fork's child begins with writes it. To ask for the process's number would be a system call.
constinit std::uint64_t generation = 0;

void count_generations() {
  static const int failed = ::pthread_atfork(nullptr, nullptr, [] { ++generation; });
  static_cast<void>(failed);  // For lack of memory: then a fork's child can run no other loop.
}

// The one that runs on this thread, in whatever greenlet. A process that one of its callbacks has
// forked may run loops of its own.
struct RunningHere {
  const void* run = nullptr;
  std::uint64_t process = 0;  // Its generation.

  bool in_parent() const { return run != nullptr && process != generation; }
};
constinit thread_local RunningHere running_here;

}  // namespace

SyncLoop::Run::Run(EventLoopOptions options)
    : options_(std::move(options)),
      greenlet_([this] { live(); }, {.stack_size = options_.stack_size}) {
  count_generations();
  become_caller();
  enter();
}

SyncLoop::Run::~Run() {
  try {
    close();
  } catch (...) {
    fibers::detail::log_quietly(fibers::LogLevel::kError, [] {
      return "a SyncLoop was destroyed and did not close: " +
             fibers::describe_exception(std::current_exception());
    });
  }
}

EventLoop& SyncLoop::Run::loop() const {
  if (loop_ != nullptr) return *loop_;
  throw fibers::UsageError("Event loop is closed; make a new one");
}

void SyncLoop::Run::require_own_thread() const {
  if (thread_ == std::this_thread::get_id()) return;
  throw fibers::UsageError(
      "Non-thread-safe operation: this event loop belongs to the thread that made it; use "
      "call_soon_threadsafe");
}

void SyncLoop::Run::require_may_run() const {
  require_own_thread();
  if (loop().is_running()) {
    throw fibers::UsageError("This event loop is already running; its callbacks cannot run it");
  }
  if (running_here.in_parent()) return;
  if (running_here.run != nullptr || running_loop() != nullptr) {
    throw fibers::UsageError(
        "Cannot run the event loop while another loop is running; end that one first, or use "
        "another thread");
  }
  if (fibers::in_trio_run()) {
    throw fibers::UsageError(
        "a SyncLoop cannot run inside a run, whose tasks would stand still; make an EventLoop in "
        "a nursery");
  }
}

void SyncLoop::Run::become_caller() {
  fibers::Greenlet caller = fibers::getcurrent();
  if (caller == caller_) return;
  greenlet_.set_parent(caller);
  caller_ = std::move(caller);
}

// Returns when the order has been carried out.
void SyncLoop::Run::enter() {
  for (;;) {
    greenlet_.switch_to();
    if (batch_ == nullptr) break;
    try {
      (*std::exchange(batch_, nullptr))();
    } catch (...) {
      batch_error_ = std::current_exception();
    }
  }
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
}

void SyncLoop::Run::carry_out(Order order) {
  become_caller();
  order_ = order;
  enter();
}

void SyncLoop::Run::run_forever() {
  require_may_run();
  struct Restore {
    RunningHere before;
    ~Restore() { running_here = before; }
  } const restore{std::exchange(running_here, {.run = this, .process = generation})};
  carry_out(Order::kRun);
}

void SyncLoop::Run::close() {
  if (is_closed()) return;
  require_own_thread();
  if (loop_->is_running()) {
    throw fibers::UsageError("Cannot close a running event loop; stop() it first");
  }
  if (order_ == Order::kClose) return;  // A destructor of something that goes with the loop.
  carry_out(Order::kClose);
}

void SyncLoop::Run::live() {
  try {
    fibers::run(
        [this] {
          fibers::open_nursery([this](fibers::Nursery& nursery) {
            EventLoop loop(nursery);
            loop_ = &loop;
            if (options_.callback_stack == CallbackStack::kCaller)
              LoopAccess::set_batch_host(loop, this);
            serve(loop);
            loop_ = nullptr;
          });
        },
        {.clock = options_.clock,
         .stack_size = options_.stack_size,
         .handle_interrupt = options_.handle_interrupt,
         .instruments = options_.instruments});
  } catch (...) {
    error_ = std::current_exception();
  }
  loop_ = nullptr;
}

void SyncLoop::Run::serve(EventLoop& loop) {
  for (;;) {
    leave();
    if (order_ == Order::kClose) return loop.close();
    try {
      loop.main_loop();
    } catch (...) {
      error_ = std::current_exception();
    }
  }
}

void SyncLoop::Run::run_batch(const std::function<void()>& batch) {
  batch_ = &batch;
  leave();
  if (batch_error_ != nullptr) std::rethrow_exception(std::exchange(batch_error_, nullptr));
}

SyncLoop::SyncLoop(EventLoopOptions options) : run_(std::make_unique<Run>(std::move(options))) {}

SyncLoop::~SyncLoop() = default;

EventLoop& SyncLoop::loop() const {
  return run_->loop();
}
void SyncLoop::run_forever() {
  run_->run_forever();
}
void SyncLoop::run_once() {
  run_->require_may_run();
  stop();
  run_->run_forever();
}
void SyncLoop::stop() {
  loop().stop();
}
bool SyncLoop::is_running() const {
  return !is_closed() && loop().is_running();
}
bool SyncLoop::is_closed() const {
  return run_->is_closed();
}
void SyncLoop::close() {
  run_->close();
}

void SyncLoop::run_until_done(FutureBase& future) {
  run_->require_may_run();
  if (&future.get_loop() != &loop()) {
    throw fibers::UsageError(
        "The future belongs to a different loop than the one specified as the loop argument; run "
        "that one");
  }
  Handle stopper = future.add_done_callback([this] { stop(); });
  // If something else ends the loop, the next run is not to be stopped by this.
  struct Remove {
    Handle& handle;
    ~Remove() { handle.cancel(); }
  } const remove{stopper};
  run_->run_forever();
  if (!future.done()) {
    throw fibers::UsageError("Event loop stopped before Future completed.");
  }
}

void SyncLoop::run_new_task(FutureBase& task) {
  try {
    run_until_done(task);
  } catch (...) {
    if (task.done() && !task.cancelled()) static_cast<void>(task.exception());
    throw;
  }
}

void SyncLoop::require_may_run() const {
  run_->require_may_run();
}

}  // namespace weft::loop
