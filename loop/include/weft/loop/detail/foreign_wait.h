// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Waiting for an awaitable that is not the loop's, whose author knows nothing of weft. Not for use
// outside weft: see coro.h, and awaitable_as_trio().

#pragma once

#include "weft/fibers/detail/requirements.h"  // Before <coroutine> complains.

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <version>

#ifdef __cpp_lib_jthread  // libc++ 16 has no std::stop_token yet.
#include <stop_token>
#endif

#include "weft/fibers/lowlevel.h"
#include "weft/fibers/token.h"

namespace weft::loop::detail {

class ForeignWait;

// The promise of the coroutine that such an awaitable is given to resume. All that this one does is
// to tell the run's thread of it, so that whoever waits goes on where he belongs. Its frame is
// freed once: when that is known, or, if nobody waits any more, by the resumption itself.
class ResumerPromise {
 public:
  using Handle = std::coroutine_handle<ResumerPromise>;

  explicit ResumerPromise(ForeignWait& wait);
  ResumerPromise(const ResumerPromise&) = delete;
  ResumerPromise& operator=(const ResumerPromise&) = delete;
  ~ResumerPromise();

  // --- For the awaitable, on any thread, before it resumes. ---
#ifdef __cpp_lib_jthread
  // Stopped when whoever waits is cancelled. Made by the first call: it allocates.
  std::stop_token get_stop_token();
#endif
  // "It was cancelled", instead of a result. Returns what is to be resumed.
  std::coroutine_handle<> unhandled_stopped() noexcept {
    stopped_ = true;
    return Handle::from_promise(*this);
  }

  // --- For the compiler. ---
  struct Coroutine {
    using promise_type = ResumerPromise;  // NOLINT(readability-identifier-naming): the language's.
    Handle handle;
  };
  // NOLINTNEXTLINE(misc-new-delete-overloads): the one with a size is its match.
  static void* operator new(std::size_t size);
  static void operator delete(void* frame, std::size_t size) noexcept;
  Coroutine get_return_object() noexcept {
    return {Handle::from_promise(*this)};
  }
  std::suspend_always initial_suspend() const noexcept {
    return {};
  }
  std::suspend_always final_suspend() const noexcept {
    return {};
  }
  void unhandled_exception() const noexcept {}
  void return_void() const noexcept {}
  // When it has been resumed. It counts as suspended again, so that another thread may free it.
  struct Tell {
    bool await_ready() const noexcept { return false; }
    [[gnu::noinline]] void await_suspend(Handle resumed) const noexcept {
      resumed.promise().tell();
    }
    void await_resume() const noexcept {}
  };

 private:
  friend class ForeignWait;
  void tell() noexcept;
  void arrive() noexcept;
  void request_stop();

  ForeignWait* wait_;  // Null when it has gone. The run's thread's.
  const void* const thread_;
  const fibers::Token token_;
  std::atomic<bool> left_{false};  // The wait has gone, or the run has: whoever comes second frees.
  bool told_ = false;
  bool stopped_ = false;
#ifdef __cpp_lib_jthread
  std::mutex lock_;  // get_stop_token() may be called while another thread cancels.
  bool stop_requested_ = false;
  std::stop_source source_{std::nostopstate};
#endif
};

// One wait. It lies where the awaiter lies, which it refers to.
class ForeignWait {
 public:
  using Told = void (*)(void* context) noexcept;

  ForeignWait() = default;
  ForeignWait(const ForeignWait&) = delete;
  ForeignWait& operator=(const ForeignWait&) = delete;
  // If it is not over: asks the awaitable to stop, and is not told of its end.
  ~ForeignWait();

  // Lets the awaiter begin. It may be over when this returns. What await_suspend throws comes out,
  // and then nothing has begun. request_stop() will call that function of `object`, if there is
  // one.
  template <class Awaiter, class Object>
  void start(Awaiter& awaiter, Object& object) {
    if constexpr (requires { object.request_stop(); }) {
      stop_ = [](void* o) { static_cast<Object*>(o)->request_stop(); };
      object_ = const_cast<std::remove_const_t<Object>*>(std::addressof(object));
    }
    const ResumerPromise::Handle resumer = make();
    try {
      using Suspended = decltype(awaiter.await_suspend(resumer));
      if constexpr (std::is_void_v<Suspended>) {
        awaiter.await_suspend(resumer);
      } else if constexpr (std::is_same_v<Suspended, bool>) {
        if (!awaiter.await_suspend(resumer)) arrive();
      } else {
        awaiter.await_suspend(resumer).resume();
      }
    } catch (...) {
      arrive();
      throw;
    }
  }
  // Called once, on the run's thread, when it is over. It may destroy this.
  void set_told(Told told, void* context) noexcept {
    told_ = told;
    context_ = context;
  }
  bool over() const { return over_; }
  // The awaitable has said so instead of giving a result.
  bool stopped() const { return stopped_; }
  // Once it is over. Throws what has gone wrong with the wait itself.
  void throw_if_broken() const;
  // Asks the awaitable to end, once: by its request_stop(), and by the stop_token if it has taken
  // it. It may be over when this returns.
  void request_stop() noexcept;

 private:
  friend class ResumerPromise;
  ResumerPromise::Handle make();
  void arrive() noexcept;
  void lose() noexcept;
  void end() noexcept;

  ResumerPromise::Handle resumer_;  // Null before the start, and once freed.
  Told told_ = nullptr;
  void* context_ = nullptr;
  void (*stop_)(void*) = nullptr;
  void* object_ = nullptr;
  std::exception_ptr stop_error_;
  bool over_ = false;
  bool lost_ = false;  // The resumer was destroyed instead.
  bool stopped_ = false;
  bool stop_asked_ = false;
};

// Waits in the calling fiber until it is over. If the fiber is cancelled meanwhile, asks the
// awaitable to stop and goes on waiting; returns that cancellation then.
std::optional<fibers::RaiseCancel> wait_in_fiber(ForeignWait& wait);

// In a handler: whether what was thrown says that something was cancelled, in the words of weft or
// of the standard library (std::errc::operation_canceled).
bool is_cancellation() noexcept;

// --- What the language does with the operand of co_await. ---

template <class A>
concept HasMemberCoAwait = requires(A&& a) {
  std::forward<A>(a).operator co_await();
};
template <class A>
concept HasFreeCoAwait = requires(A&& a) {
  operator co_await(std::forward<A>(a));
};

template <class A>
decltype(auto) get_awaiter(A&& awaitable) {
  if constexpr (HasMemberCoAwait<A>) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (HasFreeCoAwait<A>) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return std::forward<A>(awaitable);
  }
}
// A reference, or the type of what operator co_await returns.
template <class A>
using AwaiterOf = decltype(get_awaiter(std::declval<A>()));
template <class A>
using AwaitResult = decltype(std::declval<AwaiterOf<A>&>().await_resume());

template <class Awaiter, class Promise>
concept SuspendsOnly = requires(Awaiter& awaiter, std::coroutine_handle<Promise> handle) {
  awaiter.await_suspend(handle);
};
template <class A>
concept Awaitable = requires(AwaiterOf<A>& awaiter) {
  awaiter.await_ready() ? 1 : 0;
  awaiter.await_resume();
};
// Takes anybody's coroutine.
template <class A>
concept ForeignAwaitable = Awaitable<A> && SuspendsOnly<AwaiterOf<A>, ResumerPromise> &&
    !std::is_same_v<std::remove_cvref_t<A>, std::suspend_always>;

template <class A>
constexpr void check_foreign() {
  static_assert(Awaitable<A>,
                "co_await needs an awaitable: something with operator co_await, or with "
                "await_ready, await_suspend and await_resume");
  static_assert(!std::is_same_v<std::remove_cvref_t<A>, std::suspend_always>,
                "nothing would ever resume a std::suspend_always here; wait for a Future, or yield "
                "by co_await sleep(0s)");
  if constexpr (Awaitable<A>) {
    static_assert(SuspendsOnly<AwaiterOf<A>, ResumerPromise>,
                  "this awaitable suspends only coroutines of its own library; co_await it in one "
                  "of those, and await that one here");
  }
}

}  // namespace weft::loop::detail
