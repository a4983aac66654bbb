// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What an EventLoop is made of.

#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>

#include "loop/core/attachments.h"
#include "loop/core/block_pool.h"
#include "loop/core/drive.h"
#include "loop/core/fd_table.h"
#include "loop/core/inbox.h"
#include "loop/core/living.h"
#include "loop/core/loop_link.h"
#include "loop/core/own_thread.h"
#include "loop/core/prepare_hooks.h"
#include "loop/core/read_buffers.h"
#include "loop/core/ready_queue.h"
#include "loop/core/reports.h"
#include "loop/core/runner.h"
#include "loop/core/signal_table.h"
#include "loop/core/timer_heap.h"
#include "loop/core/wait_list.h"
#include "weft/fibers/run_ref.h"
#include "weft/loop/detail/batch_host.h"
#include "weft/loop/detail/loop_object.h"
#include "weft/loop/detail/task_core.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

// Counted: the EventLoop, every node and future in use and every runner hold one reference, so that
// handles and futures may outlive the loop. All on one thread.
//
// The role: at any time at most one runner, `active_`, runs iterations. When its callback is about
// to wait, the role passes to another (callback_blocks); when the loop stops, it ends (end_drive).
class alignas(64) LoopCore {
 public:
  LoopCore(EventLoop& facade, fibers::Nursery& nursery);
  LoopCore(const LoopCore&) = delete;
  LoopCore& operator=(const LoopCore&) = delete;

  void retain() noexcept { ++refs_; }
  void release() noexcept {
    if (--refs_ == 0) delete this;
  }
  EventLoop* facade() const { return facade_; }  // Null once the EventLoop is gone.
  // The loop's run, which may be suspended: what is called from outside goes through these.
  const fibers::RunRef& run_ref() const { return run_; }
  fibers::Instant now() const { return clock_.current_time(); }
  void lose_facade();

  // --- Nodes: scheduling.cc, and node_life.h, which defines what is inline here. ---

  inline HandleNode* take_node(std::source_location site);
  // Without taking in first what other threads have sent.
  inline HandleNode* new_node(std::source_location site);
  // Of any kind but kOwned.
  inline void recycle(HandleNode* node) noexcept;
  static inline void drop_callable(HandleNode* node) noexcept;
  // Takes over one reference. Also on the scheduler's own stack.
  inline void push_ready(HandleNode* node) noexcept;
  void add_timer(HandleNode* node, fibers::Instant when);
  void cancel(HandleNode* node);
  void add_prepare(HandleNode* node);
  void take_inbox() {
    if (inbox_->pending()) [[unlikely]]
      take_from_inbox();
  }
  // take_inbox() now, or in the next iteration if there is no memory.
  void notice_inbox() noexcept;
  void require_open() const {
    if (closed_) [[unlikely]]
      throw_closed();
  }
  // Gives the node back if the loop was closed while the constructor of its callable waited.
  void require_open_for(HandleNode* node) const {
    if (closed_) [[unlikely]]
      refuse(node);
  }
  [[noreturn]] static void throw_closed();
  void require_own_thread() const;  // Throws UsageError if it is not this one.
  bool on_own_thread() const { return thread_.is_current(); }

  // --- Driving: driver.cc. ---

  enum class Mode : std::uint8_t { kStopped, kRunning, kDraining };
  bool is_running() const { return mode_ == Mode::kRunning; }
  bool is_closed() const { return closed_; }
  void drive(Mode mode, fibers::TaskStatus<void>* status);
  void start(std::source_location site);
  void stop();
  void close();
  void runner_failed(std::exception_ptr error);
  void wait_while_stopped() const;  // Before a fiber waits for a future of a loop that stands.
  bool synchronize();
  void wait_stopped();

  // --- An iteration: iteration.cc. ---

  // Runs iterations until `me` has lost the role or the loop has stopped.
  void run(Runner& me);
  void set_batch_host(BatchHost* host) { batch_host_ = host; }
  // The loop whose batch runs on this stack, by its host; null if there is none.
  static LoopCore* hosted();

  // --- Blocking callbacks: handover.cc. ---

  // On the stack of `me`'s callback, which is about to wait.
  void callback_blocks(Runner& me) noexcept;
  void callback_returned(Runner& me) noexcept;
  // The end of an incarnation, with what came out of it. True if there is to be another one.
  bool conclude(Runner& me, std::exception_ptr error);

  // --- The parts. ---

  Living& living() { return living_; }
  const Living& living() const { return living_; }
  Attachments& attachments() { return attachments_; }
  fibers::Nursery& nursery() { return nursery_; }
  BlockPool& pool() { return pool_; }
  FdTable& fds() { return fds_; }
  SignalTable& signals() { return signals_; }
  OpenObjects& open_objects() { return open_objects_; }
  ReadBuffers& read_buffers() { return read_buffers_; }
  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }
  Reports& reports() { return reports_; }
  bool debug() const { return debug_; }
  void set_debug(bool enabled) { debug_ = enabled; }
  LoopStatistics statistics() const;

 private:
  static constexpr std::size_t kMaxIdleRunners = 16;

  ~LoopCore();

  [[noreturn]] static void refuse(HandleNode* node);
  void take_from_inbox();

  // The phases. Those that are inline are defined in iteration.cc, which alone calls them.
  inline void run_prepare_hooks();
  inline void wait_for_events();
  inline void schedule_due_timers();
  void schedule_timers_due_now();
  inline bool run_batch(Runner& me);
  bool run_hosted_batch(Runner& me);
  void run_callbacks(Runner& me);  // Those of the batch up to the next step of a task.
  bool at_end() const;

  template <bool kSoon>
  inline void run_node(Runner& me, HandleNode* node);
  inline void run_task(Runner& me, HandleNode* node);
  void drop_registered(HandleNode* node) noexcept;
  // A callback that may be called again has returned, and is idle.
  inline void returned(HandleNode* node) noexcept;
  void finish_node(HandleNode* node) noexcept;
  fibers::Instant next_wake() const;
  void sleep(fibers::Instant until);
  inline void sleep_until_woken();
  void retime_sleep();
  void wake() noexcept;
  void hand_over();
  bool role_is_free() const {
    return mode_ != Mode::kStopped && active_ == nullptr && !runner_on_its_way_;
  }
  bool keep_idle(Runner& me);
  std::exception_ptr wait_for_end(Drive& drive);
  static void wake_driver(Drive& drive) noexcept;
  void ask_driver() noexcept;
  void find_runner(Drive& drive);
  void end_drive(std::exception_ptr error);
  void find_unclosed() noexcept;
  // From then on it is closed, whoever still runs it.
  void forget_everything() noexcept;
  void send_home();  // The rest of closing.

  // A line with what every callback and every iteration touches.
  std::uint64_t refs_ = 1;
  ReadyQueue ready_;
  // The batch of an iteration: how many of the ready ones are still its own. It stays open while
  // the role passes from one runner to another.
  std::size_t batch_ = 0;
  Runner* active_ = nullptr;
  fibers::Task* sleeper_ = nullptr;  // The active runner's task while it waits for events.
  bool batch_open_ = false;
  Mode mode_ = Mode::kStopped;
  bool stopping_ = false;
  bool closed_ = false;
  bool debug_ = false;
  bool entered_ = false;  // main_loop() has begun, and its first iteration has not polled yet.
  bool has_run_ = false;
  bool runner_on_its_way_ = false;  // Started to take the role, but not there yet.

  BlockPool pool_;  // A line of free lists first.

  // A line that is looked at once a callback or once an iteration.
  const OwnThread thread_;
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>(*this);
  BatchHost* batch_host_ = nullptr;  // Usually none: batches run on the runner's stack.
  std::uint64_t iterations_ = 0;
  std::uint64_t callbacks_run_ = 0;
  std::uint64_t callbacks_blocked_ = 0;
  Reports reports_{*this};
  PrepareHooks hooks_{*this};
  TimerHeap timers_;

  EventLoop* facade_;
  fibers::Nursery& nursery_;
  const fibers::RunRef run_ = fibers::current_run();
  fibers::Clock& clock_ = fibers::current_clock();
  FdTable fds_{*this};
  SignalTable signals_{*this};
  OpenObjects open_objects_;
  ReadBuffers read_buffers_;
  Attachments attachments_;

  fibers::CancelScope* sleep_scope_ = nullptr;  // Null also when it waits without a deadline.
  Drive* drive_ = nullptr;                      // Null once the loop has stopped.
  RunnerList idle_;
  Living living_{*this};
  WaitList synchronizers_;
  WaitList stop_waiters_;
  const LoopLink link_{*this};  // Last: nobody finds a loop that is going.
};

}  // namespace weft::loop::detail
