// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of weft::asio share.

#pragma once

#include <gtest/gtest.h>

#include <boost/asio.hpp>
#include <boost/asio/as_tuple.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "weft/asio/run.h"
#include "weft/asio/use_fiber.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/token.h"

namespace weft::asio {

namespace ba = ::boost::asio;
using ::boost::system::error_code;

inline error_code aborted() {
  return make_error_code(ba::error::operation_aborted);
}

// An operation that ends when the test says so, with T.
template <class... T>
class ByHand {
 public:
  template <class Token>
  auto start(Token&& token) {
    return ba::async_initiate<Token, void(T...)>(
        [this](auto handler) { this->keep(std::move(handler)); }, token);
  }
  bool pending() const { return call_ != nullptr; }
  // What happens once the task waits. In no task, so that no sweep keeps it from happening.
  std::function<void()> on_start;
  int cancels = 0;
  // What a cancellation does; without this it is only counted.
  std::function<void()> on_cancel;

  void end(T... results) {
    auto call = std::exchange(call_, nullptr);
    call->run(std::move(results)...);
  }
  void drop() { call_ = nullptr; }

 private:
  struct Call {
    virtual ~Call() = default;
    virtual void run(T... results) = 0;
  };
  template <class Handler>
  struct CallOf final : Call {
    explicit CallOf(Handler h) : handler(std::move(h)) {}
    void run(T... results) override { std::move(handler)(std::move(results)...); }
    Handler handler;
  };

  template <class Handler>
  void keep(Handler handler) {
    auto slot = ba::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([this](ba::cancellation_type) {
        ++cancels;
        if (on_cancel) on_cancel();
      });
    }
    auto call = std::make_unique<CallOf<Handler>>(std::move(handler));
    fibers::current_token().run_sync_soon([this] { on_start(); });
    call_ = std::move(call);
  }

  std::unique_ptr<Call> call_;
};

// Turns `context` in a task while `body` runs, as no program should: it polls, in a time that
// jumps.
template <class F>
void beside(ba::io_context& context, F&& body) {
  const auto work = ba::make_work_guard(context);
  fibers::open_nursery([&](fibers::Nursery& nursery) {
    nursery.start_soon([&] {
      for (;; fibers::sleep(std::chrono::milliseconds(1))) context.poll();
    });
    body();
    nursery.cancel_scope().cancel();
  });
}

}  // namespace weft::asio
