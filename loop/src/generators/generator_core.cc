// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/detail/generator_core.h"

#include <utility>
#include <vector>

#include "weft/fibers/cancelled.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/log.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/gather.h"

namespace weft::loop::detail {

// --- Words. ---

const char* name_of(GeneratorCall call) noexcept {
  switch (call) {
    case GeneratorCall::kNext:
      return "anext()";
    case GeneratorCall::kSend:
      return "asend()";
    case GeneratorCall::kThrow:
      return "athrow()";
    case GeneratorCall::kClose:
      break;
  }
  return "aclose()";
}

std::string describe_generator(const std::source_location& where) {
  const std::string file = where.file_name();
  return std::string("'") + where.function_name() + "' (from " + file.substr(file.rfind('/') + 1) +
         ":" + std::to_string(where.line()) + ")";
}

void report_generator(EventLoop& loop, const void* generator, const std::source_location& where,
                      const char* what, const std::exception_ptr& error) {
  loop.call_exception_handler(
      {.message = std::string(what) + " asynchronous generator " + describe_generator(where),
       .exception = error,
       .asyncgen = generator,
       .source = where});
}

void throw_empty_generator() {
  throw fibers::UsageError("this AsyncGenerator is empty; call the function again");
}

static bool is_cancellation(const std::exception_ptr& error) {
  return fibers::holds<CancelledError>(error) || fibers::holds<fibers::Cancelled>(error);
}

// --- Its loop. ---

EventLoop* GeneratorCore::loop() const noexcept {
  return token_ ? open_loop_of(FutureAccess::core(token_).loop()) : nullptr;
}

void GeneratorCore::bind(EventLoop& loop) {
  token_ = loop.create_future<void>();
}

void GeneratorCore::enlist(GeneratorList& list) noexcept {
  list_ = &list;
  prev_ = list.last;
  (prev_ != nullptr ? prev_->next_ : list.first) = this;
  list.last = this;
}

void GeneratorCore::leave_list() noexcept {
  if (list_ == nullptr) return;
  (prev_ != nullptr ? prev_->next_ : list_->first) = next_;
  (next_ != nullptr ? next_->prev_ : list_->last) = prev_;
  list_ = nullptr;
}

// --- A call. ---

bool GeneratorCore::begin(GeneratorCall call, std::exception_ptr error) {
  if (state_ == State::kRunning) {
    throw fibers::UsageError(std::string(name_of(call)) +
                             ": asynchronous generator is already running; await one call before "
                             "the next one");
  }
  if (state_ == State::kSuspended && gone()) end();
  if (state_ == State::kClosed) return false;
  if (std::exchange(left_over_, false)) drop_value();
  if (state_ == State::kCreated) {
    begin_first(call, error);
    if (state_ == State::kClosed) return false;
  } else {
    if (call == GeneratorCall::kClose) error = std::make_exception_ptr(GeneratorExit());
    prepare(std::move(error));
  }
  state_ = State::kRunning;
  call_ = call;
  return true;
}

void GeneratorCore::begin_first(GeneratorCall call, const std::exception_ptr& error) {
  if (call == GeneratorCall::kSend) {
    throw fibers::UsageError(
        "can't send non-None value to a just-started async generator; call next() first");
  }
  if (call != GeneratorCall::kNext) {
    end();
    if (error != nullptr) std::rethrow_exception(error);
    return;
  }
  EventLoop* const running = running_loop();
  if (!bound() && running != nullptr) bind(*running);
  try {
    prepare(nullptr);
  } catch (...) {
    end();
    throw;
  }
  if (!bound()) return;
  GeneratorList& list = generators_of(FutureAccess::core(token_).loop());
  if (list.shut_down) {
    fibers::detail::log_quietly(fibers::LogLevel::kWarning, [this] {
      return "asynchronous generator " + describe_generator(where_) +
             " was scheduled after loop.shutdown_asyncgens() call; aclose() it";
    });
  }
  enlist(list);
}

bool GeneratorCore::end_step(CoroDriver& driver) {
  bool yielded = false;
  const std::exception_ptr error = outcome(driver, yielded);
  if (yielded && call_ != GeneratorCall::kClose) {
    state_ = State::kSuspended;
    if (error == nullptr) return true;
    left_over_ = true;
    std::rethrow_exception(error);
  }
  end();
  if (yielded) {
    drop_value();
    stop();
    throw fibers::UsageError(
        "async generator ignored GeneratorExit; let that pass, or return, but do not yield");
  }
  if (error == nullptr) return false;
  if (call_ == GeneratorCall::kClose && fibers::holds<GeneratorExit>(error)) return false;
  std::rethrow_exception(error);
}

bool GeneratorCore::take_left_over() noexcept {
  return state_ == State::kSuspended && std::exchange(left_over_, false);
}

void GeneratorCore::abandon() noexcept {
  end();
  stop();
}

// --- The end. ---

void GeneratorCore::end() noexcept {
  state_ = State::kClosed;
  leave_list();
}

void GeneratorCore::release() noexcept {
  if (--refs_ > 0) return;
  const bool suspended = state_ == State::kSuspended && !gone();
  if (suspended && !dropped_ && close_in_loop()) return;
  end();
  destroy();
}

// Once: if there is no memory for the task, or if the loop is closed before it has begun, the
// generator goes as it is. Without a task `this` is gone afterwards.
bool GeneratorCore::close_in_loop() noexcept {
  EventLoop* const loop = this->loop();
  if (loop == nullptr) return false;
  dropped_ = true;
  refs_ = 1;
  try {
    closing_ = loop->create_task(close_dropped(GeneratorRef(this)));
    FutureAccess::task(closing_).belong_to_generator();
  } catch (...) {
    // The count that was to be the task's has destroyed it.
  }
  return true;
}

Coro<void> GeneratorCore::close_dropped(GeneratorRef self) {
  std::exception_ptr error;
  try {
    co_await close(self);
  } catch (...) {
    error = std::current_exception();
  }
  if (error == nullptr) co_return;
  if (is_cancellation(error)) std::rethrow_exception(error);
  self->report(error);
}

void GeneratorCore::report(const std::exception_ptr& error) const {
  if (EventLoop* const loop = this->loop()) {
    report_generator(*loop, this, where_, "an error occurred during closing of", error);
  }
}

Coro<void> GeneratorCore::close(GeneratorRef self) {
  GeneratorCore& generator = *self;
  const bool runs = generator.begin(GeneratorCall::kClose);
  if (!runs) co_return;
  GeneratorStep step(generator);
  co_await step;
}

// Those that stay, because a call is going on in them, are there for the next time.
Coro<void> GeneratorCore::close_all(EventLoop& loop, GeneratorList& list) {
  list.shut_down = true;
  std::vector<GeneratorRef> closing;
  for (GeneratorCore* each = list.first; each != nullptr; each = each->next_) {
    each->retain();
    GeneratorRef kept(each);  // Before there may be no memory for the list.
    closing.push_back(std::move(kept));
  }
  std::vector<Task<void>> tasks;
  tasks.reserve(closing.size());
  for (const GeneratorRef& each : closing) {
    tasks.push_back(each->closing_ ? each->closing_ : loop.create_task(close(each)));
  }
  if (tasks.empty()) co_return;
  const auto results = co_await gather(return_exceptions, tasks);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::exception_ptr error = results[i].error();
    if (error != nullptr && !is_cancellation(error)) closing[i]->report(error);
  }
}

}  // namespace weft::loop::detail
