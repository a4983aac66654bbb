// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a call of to_thread::run_sync and the from_thread calls made inside it share.

#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "fibers/src/sync/limiter_state.h"
#include "weft/fibers/detail/outside_work.h"
#include "weft/fibers/from_thread.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/token.h"

namespace weft::fibers::detail {

// A task that waits for a thread. Belongs to the run's thread but for what says otherwise.
struct ThreadHost {
  ThreadHost(std::shared_ptr<to_thread::detail::ThreadJob> call, bool abandons_it)
      : job(std::move(call)), abandons(abandons_it) {}

  // --- Fixed; any thread. ---
  const std::shared_ptr<to_thread::detail::ThreadJob> job;
  const bool abandons;  // ThreadOptions::abandon_on_cancel.

  Task* task = nullptr;  // Who waits for it; null: abandoned.
  std::shared_ptr<LimiterState> limiter;
  bool token_lost = false;  // Somebody else has given it back meanwhile.
  bool finished = false;    // The thread has come back.
  // What the worker, which waits meanwhile, wants the task to do before it waits on.
  std::shared_ptr<from_thread::detail::Call> request;

  // --- Whether the thread counts as being at work, for clocks that jump: while the task waits for
  // it, and it waits for no call of its own. ---
  class WaitedFor;
  class CallsBack;

  // --- The host's cancellation: noted by the run's thread, thrown by the worker. ---
  void note_cancelled(const RaiseCancel& raise) {
    if (cancelled_.load(std::memory_order_relaxed)) return;
    raise_.emplace(raise);
    cancelled_.store(true, std::memory_order_release);
  }
  void check_cancelled() const {
    if (cancelled_.load(std::memory_order_acquire)) (*raise_)();
  }

 private:
  void count_work() {
    const bool at_work = waited_for_ && calls_back_ == 0;
    if (at_work == at_work_) return;
    at_work_ = at_work;
    count_outside_work(OutsideWork::kThread, at_work ? 1 : -1);
  }

  bool waited_for_ = false;
  int calls_back_ = 0;
  bool at_work_ = false;
  std::atomic<bool> cancelled_ = false;
  std::optional<RaiseCancel> raise_;
};

class ThreadHost::WaitedFor {
 public:
  explicit WaitedFor(ThreadHost& host) : host_(host) { set(true); }
  WaitedFor(const WaitedFor&) = delete;
  WaitedFor& operator=(const WaitedFor&) = delete;
  ~WaitedFor() { set(false); }

 private:
  void set(bool waited_for) {
    host_.waited_for_ = waited_for;
    host_.count_work();
  }
  ThreadHost& host_;
};

// `host` is null for a call of a thread that nobody in this run waits for.
class ThreadHost::CallsBack {
 public:
  explicit CallsBack(ThreadHost* host) : host_(host) { add(1); }
  CallsBack(const CallsBack&) = delete;
  CallsBack& operator=(const CallsBack&) = delete;
  ~CallsBack() { add(-1); }

 private:
  void add(int change) {
    if (host_ == nullptr) return;
    host_->calls_back_ += change;
    host_->count_work();
  }
  ThreadHost* host_;
};

// A worker's way back, while it makes a call. Lies in the frame of that call.
struct HostLink {
  const std::shared_ptr<ThreadHost>& host;
  const Token& token;
};
// Null in threads that make no such call. Belongs to the thread.
extern constinit thread_local const HostLink* host_link;

}  // namespace weft::fibers::detail
