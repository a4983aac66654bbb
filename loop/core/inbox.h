// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Callbacks from other threads.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "weft/fibers/token.h"
#include "weft/loop/detail/handle_node.h"

namespace weft::loop::detail {

class Inbox;

// One call_soon_threadsafe, shared by the loop and the handles. What is not atomic belongs to the
// loop's thread from the moment of submission.
struct ThreadsafeCall {
  enum class State : std::uint8_t { kPending, kStarted, kDone, kCancelled };

  ThreadsafeCall() = default;
  ThreadsafeCall(const ThreadsafeCall&) = delete;
  ThreadsafeCall& operator=(const ThreadsafeCall&) = delete;
  ~ThreadsafeCall() { fibers::detail::release_locals(context); }

  std::atomic<std::uint32_t> refs{1};
  std::atomic<State> state{State::kPending};
  std::atomic<bool> cancel_called{false};
  absl::AnyInvocable<void()> fn;
  std::source_location site;
  fibers::detail::TaskLocals* context = nullptr;  // Its caller's variables, until it is scheduled.
  std::shared_ptr<Inbox> inbox;
  ThreadsafeCall* next = nullptr;
  HandleNode* node = nullptr;  // While it is scheduled or running.
  // --- Of a HandBack. ---
  std::optional<fibers::detail::LastCall> wake;  // Of the loop, with memory of its own.
  ThreadsafeCall* next_reserved = nullptr;       // Guarded by the inbox's mutex.
  ThreadsafeCall* prev_reserved = nullptr;

  // False if it has been cancelled.
  bool begin();
  void end();
};

// Where other threads leave their calls. The loop empties it in every iteration, when its token's
// call says so, and before its own thread schedules anything: so a call that was made earlier also
// runs earlier, whoever made it.
class Inbox : public std::enable_shared_from_this<Inbox> {
 public:
  explicit Inbox(LoopCore& core)
      : core_(&core), thread_(std::this_thread::get_id()), token_(fibers::current_token()) {}

  // Any thread. Takes over a reference. False, and nothing happens, when closed.
  bool post(ThreadsafeCall* call);
  bool pending() const { return pending_.load(std::memory_order_acquire); }
  // The same for one that was reserved. Its caller's reference is dropped.
  void post_reserved(ThreadsafeCall* call) noexcept;

  // The loop's thread only.
  ThreadsafeCall* take_all();
  // In front of what has come since. `first` is not null.
  void put_back(ThreadsafeCall* first);
  void close();
  // One that will be posted, or dropped: the inbox has a reference of its own until then.
  void reserve(ThreadsafeCall* call);
  void drop_reserved(ThreadsafeCall* call) noexcept;
  bool on_own_thread() const { return thread_ == std::this_thread::get_id(); }
  LoopCore* core() const { return core_; }

 private:
  // With the mutex.
  void append(ThreadsafeCall* call) noexcept;
  void unlink_reserved(ThreadsafeCall* call) noexcept;

  LoopCore* core_;  // Null once closed.
  const std::thread::id thread_;
  const fibers::Token token_;
  std::mutex mutex_;
  bool closed_ = false;
  ThreadsafeCall* first_ = nullptr;
  ThreadsafeCall** last_ = &first_;
  ThreadsafeCall* reserved_ = nullptr;
  std::atomic<bool> pending_{false};
};

}  // namespace weft::loop::detail
