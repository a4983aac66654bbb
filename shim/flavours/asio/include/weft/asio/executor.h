// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An executor of Asio's that is a run of weft's: what is posted to it, from any thread, is called
// on the run's thread, where it may do to the run whatever a handler may.
//
//   weft::asio::open_executor([&](const weft::asio::RunExecutor& executor) {
//     boost::asio::steady_timer timer(executor, 5s);           // its handlers are called here
//     timer.async_wait([&](error_code) { event.set(); });
//     boost::asio::co_spawn(executor, serve(), boost::asio::detached);
//     library.start(executor);                                 // posts from its own threads
//     event.wait();
//   });
//
// The run need not be a guest, and no io_context is needed. Who waits for the descriptors and
// timers of Asio's objects on this executor is a thread that Asio itself starts for the first of
// them; where the run may be a guest (run.h), or a context have a thread (open_context.h), that is
// cheaper.
//
// What is posted is called outside of all tasks and must not wait: a wait is a UsageError, and
// current_async_library() says "asio".

#pragma once

#include <atomic>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution_context.hpp>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/fibers/nursery.h"
#include "weft/fibers/parking_lot.h"
#include "weft/fibers/token.h"

namespace weft::asio {

class RunExecutor;

namespace detail {

// What has been posted.
struct PostedCall {
  PostedCall() = default;
  PostedCall(const PostedCall&) = delete;
  PostedCall& operator=(const PostedCall&) = delete;
  virtual ~PostedCall() = default;
  virtual void run() = 0;
  std::unique_ptr<PostedCall> next;
};
template <class Fn>
struct PostedFunction final : PostedCall {
  explicit PostedFunction(Fn f) : fn(std::move(f)) {}
  void run() override {
    Fn last(std::move(fn));  // Asio's handlers are called once, and are gone by then.
    std::move(last)();
  }
  Fn fn;
};

// What the executors of one open_executor share. Lives as long as the last of them.
class RunContext final : public ::boost::asio::execution_context,
                         public std::enable_shared_from_this<RunContext> {
 public:
  explicit RunContext(fibers::Nursery& nursery);
  ~RunContext();

  // --- Any thread. ---
  void post(std::unique_ptr<PostedCall> call);
  void work_started() noexcept { work_.fetch_add(1, std::memory_order_relaxed); }
  void work_finished() noexcept;
  // Whether the caller is in a posted call.
  bool calls_here() const noexcept;

  // --- The run's thread. ---
  void wait_for_work();
  // From here on what is posted is destroyed.
  void close() noexcept;
  void rethrow_failure() const {
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }

 private:
  class Queue {
   public:
    void push(std::unique_ptr<PostedCall> call) noexcept;
    std::unique_ptr<PostedCall> pop() noexcept;

   private:
    std::unique_ptr<PostedCall> first_;
    PostedCall* last_ = nullptr;
  };

  void call_all();
  void failed(std::exception_ptr error) noexcept;

  const fibers::Token token_;
  std::mutex mutex_;
  // --- Under the mutex. ---
  Queue queue_;
  bool due_ = false;  // The run has been asked to call_all().
  bool closed_ = false;

  std::atomic<std::int64_t> work_{0};
  std::atomic<bool> waited_for_{false};  // Somebody wants to hear that there is no work.
  // --- The run's. ---
  fibers::ParkingLot idle_;
  fibers::Nursery* nursery_;    // Null once it is closed.
  std::exception_ptr failure_;  // There was no memory to tell the nursery.
};

void open_executor(const std::function<void(const RunExecutor&)>& body);

}  // namespace detail

// A value; any executor of Asio's may hold it. A copy may outlive its open_executor.
//
// Blocks: no.
// Cancel: does not apply.
// Threads: any.
class RunExecutor {
 public:
  RunExecutor(const RunExecutor& other) noexcept : RunExecutor(other.context_, other.bits_) {}
  RunExecutor(RunExecutor&& other) noexcept
      : context_(std::move(other.context_)), bits_(std::exchange(other.bits_, 0)) {}
  RunExecutor& operator=(const RunExecutor& other) noexcept { return *this = RunExecutor(other); }
  RunExecutor& operator=(RunExecutor&& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(bits_, other.bits_);
    return *this;
  }
  ~RunExecutor() {
    if ((bits_ & kTracked) != 0) context_->work_finished();
  }

  // Lets the run call `fn` soon, in the order of the calls; at once if the caller is in such a call
  // itself and this executor has not been required to be blocking.never. What `fn` throws cancels
  // the body of open_executor and comes out of that. After its end `fn` is destroyed instead.
  template <class F>
  void execute(F&& fn) const {
    using Fn = std::decay_t<F>;
    if ((bits_ & kNever) == 0 && running_in_this_thread()) {
      Fn here(std::forward<F>(fn));
      return std::move(here)();
    }
    context_->post(std::make_unique<detail::PostedFunction<Fn>>(std::forward<F>(fn)));
  }
  // Whether the caller has been posted to this executor.
  bool running_in_this_thread() const noexcept { return context_->calls_here(); }

  // Asio's properties. A copy with outstanding_work.tracked is work that open_executor waits for.
  ::boost::asio::execution_context& query(::boost::asio::execution::context_t) const noexcept {
    return *context_;
  }
  ::boost::asio::execution::blocking_t query(::boost::asio::execution::blocking_t) const noexcept {
    return (bits_ & kNever) != 0
               ? ::boost::asio::execution::blocking_t(::boost::asio::execution::blocking.never)
               : ::boost::asio::execution::blocking_t(::boost::asio::execution::blocking.possibly);
  }
  ::boost::asio::execution::outstanding_work_t query(
      ::boost::asio::execution::outstanding_work_t) const noexcept {
    using ::boost::asio::execution::outstanding_work;
    using Work = ::boost::asio::execution::outstanding_work_t;
    return (bits_ & kTracked) != 0 ? Work(outstanding_work.tracked)
                                   : Work(outstanding_work.untracked);
  }
  RunExecutor require(::boost::asio::execution::blocking_t::never_t) const {
    return {context_, static_cast<std::uint8_t>(bits_ | kNever)};
  }
  RunExecutor require(::boost::asio::execution::blocking_t::possibly_t) const {
    return {context_, static_cast<std::uint8_t>(bits_ & ~kNever)};
  }
  RunExecutor require(::boost::asio::execution::outstanding_work_t::tracked_t) const {
    return {context_, static_cast<std::uint8_t>(bits_ | kTracked)};
  }
  RunExecutor require(::boost::asio::execution::outstanding_work_t::untracked_t) const {
    return {context_, static_cast<std::uint8_t>(bits_ & ~kTracked)};
  }

  friend bool operator==(const RunExecutor& one, const RunExecutor& other) noexcept {
    return one.context_ == other.context_ && one.bits_ == other.bits_;
  }

 private:
  friend void detail::open_executor(const std::function<void(const RunExecutor&)>& body);
  static constexpr std::uint8_t kNever = 1;
  static constexpr std::uint8_t kTracked = 2;

  RunExecutor(std::shared_ptr<detail::RunContext> context, std::uint8_t bits) noexcept
      : context_(std::move(context)), bits_(bits) {
    if ((bits_ & kTracked) != 0) context_->work_started();
  }

  std::shared_ptr<detail::RunContext> context_;
  std::uint8_t bits_ = 0;
};

// Calls `body(const RunExecutor&)` and returns what it returns. Ends when the body has ended and
// there is no work left: no call that has been posted, and no executor that tracks work, as a
// coroutine of co_spawn's and an executor_work_guard have one. If the body throws, or the task is
// cancelled, the work is not waited for: what has been posted and what waits on Asio's objects is
// destroyed without being called. So is what is posted later.
//
// Asio's objects on the executor have to be gone by the end, or in handlers and coroutines that are
// destroyed then. The one that the body is given lives until then.
//
// Blocks: yes, always a checkpoint; the end of Asio's own thread blocks the run's, shortly.
// Cancel: first of all, before the body is called. Later as said.
// Threads: the run's own only.
template <class F>
auto open_executor(F&& body) -> std::decay_t<std::invoke_result_t<F&, const RunExecutor&>> {
  using T = std::decay_t<std::invoke_result_t<F&, const RunExecutor&>>;
  if constexpr (std::is_void_v<T>) {
    detail::open_executor([&](const RunExecutor& executor) { std::invoke(body, executor); });
  } else {
    std::optional<T> result;
    detail::open_executor(
        [&](const RunExecutor& executor) { result.emplace(std::invoke(body, executor)); });
    return std::move(*result);
  }
}

}  // namespace weft::asio
