// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of an asynchronous generator that depends neither on its types nor on what its code is.
// Not for use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"  // Before <coroutine> complains.

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <source_location>
#include <string>
#include <utility>

#include "weft/loop/coro.h"
#include "weft/loop/detail/generator_list.h"
#include "weft/loop/future.h"
#include "weft/loop/task.h"

namespace weft::loop::detail {

// One count on a generator.
class GeneratorRef {
 public:
  GeneratorRef() = default;
  // Takes the count over.
  explicit GeneratorRef(GeneratorCore* core) noexcept : core_(core) {}
  inline GeneratorRef(const GeneratorRef& other) noexcept;
  GeneratorRef(GeneratorRef&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  GeneratorRef& operator=(GeneratorRef other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  inline ~GeneratorRef();
  GeneratorCore* operator->() const { return core_; }
  GeneratorCore& operator*() const { return *core_; }
  explicit operator bool() const { return core_ != nullptr; }

 private:
  GeneratorCore* core_ = nullptr;
};

// Which of its methods runs a generator.
enum class GeneratorCall : std::uint8_t { kNext, kSend, kThrow, kClose };

// Its life: created; then by turns running, in a call, and suspended, at a yield; closed. Counted
// by the AsyncGenerator and by the calls. If the last one drops it while it is suspended, its loop
// closes it, in a task. (CPython: Objects/genobject.c, and the hooks of asyncio.BaseEventLoop.)
class GeneratorCore {
 public:
  explicit GeneratorCore(std::source_location where) noexcept : where_(where) {}
  GeneratorCore(const GeneratorCore&) = delete;
  GeneratorCore& operator=(const GeneratorCore&) = delete;

  void retain() noexcept { ++refs_; }
  void release() noexcept;

  // A call, in three steps: begin(); then a GeneratorStep is awaited. begin() is false if there is
  // nothing to run: it has ended, or is closed before its beginning. Throws UsageError if another
  // call is going on. `error`: of kThrow.
  bool begin(GeneratorCall call, std::exception_ptr error = nullptr);
  // Runs it: what await_suspend() returns.
  virtual std::coroutine_handle<> go_on(CoroDriver& driver,
                                        std::coroutine_handle<> awaiter) noexcept = 0;
  // It has suspended itself, or ended. True if it has yielded a value. Throws what it has thrown.
  bool end_step(CoroDriver& driver);
  // Whoever awaits the step is destroyed.
  void abandon() noexcept;
  // A value that the call which it was for has not taken: that was cancelled at this moment. It
  // is for the next kNext.
  bool take_left_over() noexcept;

  static Coro<void> close(GeneratorRef self);
  // Closes those that live, each in a task, and reports what they throw.
  static Coro<void> close_all(EventLoop& loop, GeneratorList& list);

  bool running() const { return state_ == State::kRunning; }
  bool closed() const { return state_ == State::kClosed; }
  const std::source_location& where() const { return where_; }

 protected:
  virtual ~GeneratorCore() = default;
  virtual void destroy() noexcept = 0;
  // Before each step. `error`: to be thrown at the yield, or null.
  virtual void prepare(std::exception_ptr error) = 0;
  // What the step has ended with, or null; notes whether that is a yield.
  virtual std::exception_ptr outcome(CoroDriver& driver, bool& yielded) noexcept = 0;
  // Whether the code has ended between two steps.
  virtual bool gone() const noexcept { return false; }
  // The code is not run any more, although it has not ended.
  virtual void stop() noexcept {}
  virtual void drop_value() noexcept = 0;
  // The loop that it belongs to, and before its beginning the one that is given. Null: none.
  EventLoop* loop() const noexcept;
  bool bound() const { return static_cast<bool>(token_); }
  void bind(EventLoop& loop);

 private:
  enum class State : std::uint8_t { kCreated, kSuspended, kRunning, kClosed };

  void begin_first(GeneratorCall call, const std::exception_ptr& error);
  void end() noexcept;
  void enlist(GeneratorList& list) noexcept;
  void leave_list() noexcept;
  bool close_in_loop() noexcept;
  static Coro<void> close_dropped(GeneratorRef self);
  void report(const std::exception_ptr& error) const;

  std::source_location where_;
  std::uint32_t refs_ = 1;
  State state_ = State::kCreated;
  GeneratorCall call_ = GeneratorCall::kNext;  // The last one.
  bool left_over_ = false;
  bool dropped_ = false;  // The loop has been asked to close it,
  Task<void> closing_;    // in this task.
  Future<void> token_;    // Of its loop, whose core it keeps.
  GeneratorList* list_ = nullptr;
  GeneratorCore* next_ = nullptr;
  GeneratorCore* prev_ = nullptr;
};

inline GeneratorRef::GeneratorRef(const GeneratorRef& other) noexcept : core_(other.core_) {
  if (core_ != nullptr) core_->retain();
}
inline GeneratorRef::~GeneratorRef() {
  if (core_ != nullptr) core_->release();
}

// Awaited in a coroutine: runs the generator until it yields or ends. True if it has yielded.
class GeneratorStep {
 public:
  explicit GeneratorStep(GeneratorCore& generator) noexcept : generator_(generator) {}
  GeneratorStep(const GeneratorStep&) = delete;
  GeneratorStep& operator=(const GeneratorStep&) = delete;
  ~GeneratorStep() {
    if (driver_ != nullptr) generator_.abandon();
  }
  bool await_ready() const noexcept { return false; }
  template <IsPromise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiter) noexcept {
    driver_ = &awaiter.promise().driver();
    return generator_.go_on(*driver_, awaiter);
  }
  bool await_resume() { return generator_.end_step(*std::exchange(driver_, nullptr)); }

 private:
  GeneratorCore& generator_;
  CoroDriver* driver_ = nullptr;  // While it runs.
};

// The names of Python's calls, for errors.
const char* name_of(GeneratorCall call) noexcept;
// "lines (from feed.cc:31)", for reports.
std::string describe_generator(const std::source_location& where);
void report_generator(EventLoop& loop, const void* generator, const std::source_location& where,
                      const char* what, const std::exception_ptr& error);
[[noreturn]] void throw_empty_generator();

}  // namespace weft::loop::detail
