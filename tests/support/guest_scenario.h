// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How the body of a guest ends while a task of it waits for something of the host's, for tests that
// try that in every schedule.

#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>

#include "absl/cleanup/cleanup.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/unwrapped.h"

namespace weft::test {

enum class End : std::uint8_t { kReturns, kThrows, kIsCancelled };
inline constexpr std::array kEnds{"returns", "throws", "is cancelled"};

struct BodyFailed : std::runtime_error {
  BodyFailed() : std::runtime_error("body") {}
};

// One guest.
class GuestScenario {
 public:
  explicit GuestScenario(End end) : end_(end) {}

  // Runs `live` in the scope, which the host may cancel meanwhile.
  template <class Live>
  void body(Live live) {
    scope.emplace();
    const absl::Cleanup over = [this] { scope.reset(); };
    scope->run(live);
  }

  // `wait` in a task, what ends it in another one, and the end of the body.
  template <class Wait, class EndIt>
  void live_with(Wait wait, EndIt end_it) {
    cut_short_ = true;
    fibers::open_unwrapped_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] {
        ++begun_;
        const absl::Cleanup end = [this] { ++ended_; };
        wait();
      });
      nursery.start_soon(end_it);
      fibers::checkpoint();
      cut_short_ = false;
      if (end_ == End::kThrows) throw BodyFailed();
      if (end_ == End::kIsCancelled) scope->cancel();
    });
  }

  void expect_end(const std::exception_ptr& error) const {
    EXPECT_EQ(begun_, ended_);
    EXPECT_EQ(error != nullptr, end_ == End::kThrows && !cut_short_);
    if (error != nullptr) {
      EXPECT_THROW(std::rethrow_exception(error), BodyFailed);
    }
  }

  std::optional<fibers::CancelScope> scope;  // While there is the body.

 private:
  const End end_;
  int begun_ = 0;
  int ended_ = 0;
  bool cut_short_ = false;  // The body was cancelled before it could end.
};

}  // namespace weft::test
