// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of an asynchronous generator that depends on its types, and its two kinds: a coroutine,
// and a function with a stack. Not for use outside weft.

#pragma once

#include "weft/fibers/detail/requirements.h"  // Before <coroutine> complains.

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/loop/detail/coro_promise.h"
#include "weft/loop/detail/generator_core.h"
#include "weft/loop/detail/stack_generator.h"

namespace weft::loop::detail {

// What goes out at a yield, and what comes back.
template <class T, class S>
struct GeneratorSlots {
  std::optional<T> value;
  std::optional<std::conditional_t<std::is_void_v<S>, std::monostate, S>> sent;

  // What the yield expression is.
  auto take_sent() {
    if constexpr (!std::is_void_v<S>) return std::exchange(sent, std::nullopt);
  }
};

template <class T, class S>
class TypedGenerator : public GeneratorCore {
 public:
  T take() {
    T value = std::move(*slots_->value);
    slots_->value.reset();
    return value;
  }
  template <class V>
  void send(V&& value) {
    slots_->sent.emplace(std::forward<V>(value));
  }

 protected:
  TypedGenerator(std::source_location where, GeneratorSlots<T, S>& slots) noexcept
      : GeneratorCore(where), slots_(&slots) {}
  void drop_value() noexcept override { slots_->value.reset(); }

 private:
  GeneratorSlots<T, S>* slots_;
};

// next() and athrow().
template <class T, class S>
Coro<std::optional<T>> run_generator(GeneratorRef self, GeneratorCall call,
                                     std::exception_ptr error) {
  auto& generator = static_cast<TypedGenerator<T, S>&>(*self);
  if (call == GeneratorCall::kNext && generator.take_left_over()) co_return generator.take();
  const bool runs = generator.begin(call, std::move(error));
  if (!runs) co_return std::nullopt;
  GeneratorStep step(generator);
  const bool yielded = co_await step;
  if (!yielded) co_return std::nullopt;
  co_return generator.take();
}

// asend().
template <class T, class S, class V>
Coro<std::optional<T>> send_to_generator(GeneratorRef self, V value) {
  auto& generator = static_cast<TypedGenerator<T, S>&>(*self);
  const bool runs = generator.begin(GeneratorCall::kSend);
  if (!runs) co_return std::nullopt;
  generator.send(std::move(value));
  GeneratorStep step(generator);
  const bool yielded = co_await step;
  if (!yielded) co_return std::nullopt;
  co_return generator.take();
}

// --- Coroutines. ---

// In its promise: the frame goes with the last count.
template <class T, class S, class Promise>
class CoroGenerator final : public TypedGenerator<T, S> {
 public:
  explicit CoroGenerator(std::source_location where) noexcept
      : TypedGenerator<T, S>(where, slots_) {}
  ~CoroGenerator() override = default;

  void set_promise(Promise& promise) noexcept { promise_ = &promise; }
  std::coroutine_handle<> go_on(CoroDriver& driver,
                                std::coroutine_handle<> awaiter) noexcept override {
    promise_->start(driver, awaiter);
    return driver.transfer(frame());
  }

  // co_yield.
  struct YieldPoint {
    CoroGenerator& self;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> me) const noexcept {
      self.yielded_ = true;
      return me.promise().driver().transfer(me.promise().awaiter());
    }
    auto await_resume() const {
      if (self.to_throw_ != nullptr) std::rethrow_exception(std::exchange(self.to_throw_, nullptr));
      return self.slots_.take_sent();
    }
  };
  template <class V>
  YieldPoint yield(V&& value) {
    slots_.value.emplace(std::forward<V>(value));
    return YieldPoint{*this};
  }

 private:
  std::coroutine_handle<Promise> frame() const noexcept {
    return std::coroutine_handle<Promise>::from_promise(*promise_);
  }
  void destroy() noexcept override { frame().destroy(); }
  void prepare(std::exception_ptr error) override { to_throw_ = std::move(error); }
  std::exception_ptr outcome(CoroDriver&, bool& yielded) noexcept override {
    yielded = std::exchange(yielded_, false);
    return yielded ? nullptr : promise_->take_error();
  }

  Promise* promise_ = nullptr;
  GeneratorSlots<T, S> slots_;
  std::exception_ptr to_throw_;
  bool yielded_ = false;
};

// --- Functions with a stack. ---

// Its code runs in a task of its own, which may outlive the generator while it unwinds: so they
// share the state.
template <class T, class S>
struct StackState final : StackGeneratorState {
  GeneratorSlots<T, S> slots;
};

template <class T, class S>
class StackGenerator final : public TypedGenerator<T, S> {
 public:
  StackGenerator(std::shared_ptr<StackState<T, S>> state, absl::AnyInvocable<void()> body,
                 std::size_t stack_size, std::source_location where) noexcept
      : TypedGenerator<T, S>(where, state->slots),
        machine_(std::move(state), std::move(body), stack_size) {}
  void bind_to(EventLoop& loop) { this->bind(loop); }

  std::coroutine_handle<> go_on(CoroDriver& driver,
                                std::coroutine_handle<> awaiter) noexcept override {
    return machine_.go_on(driver, awaiter);
  }

 private:
  ~StackGenerator() override = default;
  void destroy() noexcept override { delete this; }
  void prepare(std::exception_ptr error) override {
    machine_.prepare(this->loop(), this, this->where(), std::move(error));
  }
  std::exception_ptr outcome(CoroDriver& driver, bool& yielded) noexcept override {
    return machine_.outcome(driver, yielded);
  }
  bool gone() const noexcept override { return machine_.gone(); }
  void stop() noexcept override { machine_.stop(); }

  StackGeneratorMachine machine_;
};

}  // namespace weft::loop::detail
