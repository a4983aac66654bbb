// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a call of to_thread::run_sync and the from_thread calls made inside it share.

#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "fibers/src/sync/limiter_state.h"
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
  // What the worker, which waits meanwhile, wants the task to do before it waits on.
  std::shared_ptr<from_thread::detail::Call> request;

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
  std::atomic<bool> cancelled_ = false;
  std::optional<RaiseCancel> raise_;
};

// A worker's way back, while it makes a call. Lies in the frame of that call.
struct HostLink {
  const std::shared_ptr<ThreadHost>& host;
  const Token& token;
};
// Null in threads that make no such call. Belongs to the thread.
extern constinit thread_local const HostLink* host_link;

}  // namespace weft::fibers::detail
