// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Predicates, derive(), hooks and instruments that wait, throw and come back in the middle of what
// they are called for.

#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/captured_log.h"
#include "tests/support/user_code.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/instrument.h"
#include "weft/fibers/log.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/race.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/memory_stream.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;
using weft::testing::pause;

// --- Errors ---

// A group whose derive() does what the test says.
struct HostileGroup : BaseExceptionGroup {
  using Derive = std::function<std::exception_ptr(std::vector<std::exception_ptr>)>;
  HostileGroup(std::vector<std::exception_ptr> exceptions, Derive d)
      : BaseExceptionGroup("hostile", std::move(exceptions)), on_derive(std::move(d)) {}
  std::exception_ptr derive(std::vector<std::exception_ptr> exceptions) const override {
    return on_derive(std::move(exceptions));
  }
  Derive on_derive;
};

std::exception_ptr two_errors(HostileGroup::Derive derive) {
  return std::make_exception_ptr(HostileGroup({std::make_exception_ptr(std::out_of_range("a")),
                                               std::make_exception_ptr(std::logic_error("b"))},
                                              std::move(derive)));
}

std::exception_ptr plain_group(std::vector<std::exception_ptr> exceptions) {
  return make_exception_group("derived", std::move(exceptions));
}

FIBER_TEST(UserCodeTest, APredicateMayWaitAndDropTheGroup) {
  std::exception_ptr error = two_errors(&plain_group);
  const auto [taken, rest] = split(error, [&](const std::exception_ptr& each) {
    error = nullptr;
    pause();
    return holds<std::out_of_range>(each);
  });
  EXPECT_EQ(exception_cast<BaseExceptionGroup>(taken)->exceptions().size(), 1U);
  EXPECT_EQ(exception_cast<BaseExceptionGroup>(rest)->exceptions().size(), 1U);
}

FIBER_TEST(UserCodeTest, WhatDeriveReturnsHasToBeAGroup) {
  for (const std::exception_ptr& wrong :
       {std::exception_ptr(), std::make_exception_ptr(std::out_of_range("no group"))}) {
    const auto error = two_errors([&](auto&&) { return wrong; });
    EXPECT_THROW(split(error, is_any_of<std::out_of_range>()), UsageError);
  }
}

// The error and a Cancelled of a scope that is left, in one group.
std::exception_ptr with_cancelled(HostileGroup::Derive derive) {
  std::exception_ptr cancelled;
  try {
    checkpoint();
  } catch (const Cancelled&) {
    cancelled = std::current_exception();
  }
  return std::make_exception_ptr(HostileGroup(
      {std::make_exception_ptr(std::out_of_range("a")), cancelled}, std::move(derive)));
}

FIBER_TEST(UserCodeTest, AScopeThatIsLeftIsClosedBeforeTheGroupIsDivided) {
  for (const bool throws : {false, true}) {
    CancelScope scope;
    std::exception_ptr error;
    try {
      scope.run([&] {
        scope.cancel();
        std::rethrow_exception(with_cancelled([&](auto exceptions) {
          sleep(1s);  // Not cancelled any more.
          if (throws) throw std::logic_error("derive");
          return plain_group(std::move(exceptions));
        }));
      });
    } catch (...) {
      error = std::current_exception();
    }
    EXPECT_EQ(holds<std::logic_error>(error), throws);
    EXPECT_EQ(holds<BaseExceptionGroup>(error), !throws);
  }
}

// Each loser's error is divided while others come in.
FIBER_TEST(UserCodeTest, ErrorsOfLosersMayTakeTheirTime) {
  CancelScope scope({.relative_deadline = Duration(1s)});
  scope.run([&] {
    std::vector<std::function<void()>> attempts;
    for (int i = 1; i <= 20; ++i) {
      attempts.emplace_back([i] {
        move_on_after(1s * i, [] { sleep_forever(); });
        std::rethrow_exception(with_cancelled([i](auto exceptions) {
          pause(100ms * i);
          return plain_group(std::move(exceptions));
        }));
      });
    }
    first_success(std::move(attempts));
  });
  EXPECT_TRUE(scope.cancelled_caught());
}

// --- Hooks ---

struct AddsAnother : Instrument {
  explicit AddsAnother(std::vector<std::shared_ptr<Instrument>>& a) : added(a) {}
  ~AddsAnother() override {
    for (int i = 0; i < 10; ++i) {
      added.push_back(std::make_shared<Instrument>());
      add_instrument(added.back());
    }
  }
  void after_io_wait(Duration /*timeout*/) override {}
  std::vector<std::shared_ptr<Instrument>>& added;
};

FIBER_TEST(UserCodeTest, AnInstrumentThatGoesMayAddOthers) {
  WEFT_NOT_ALLOCATION_SWEPT("a destructor of its own allocates");
  std::vector<std::shared_ptr<Instrument>> added;
  auto instrument = std::make_shared<AddsAnother>(added);
  const Instrument& itself = *instrument;
  add_instrument(std::move(instrument));
  remove_instrument(itself);
  ASSERT_EQ(added.size(), 10U);
  sleep(1s);
  for (const auto& each : added) remove_instrument(*each);
}

FIBER_TEST(UserCodeTest, ALogSinkMayReplaceItself) {
  std::vector<std::string> lines;
  const test::ReplacedLogSink sink([&, text = std::string(100, 'x')](LogLevel, auto) {
    set_log_sink([&](LogLevel, std::string_view line) { lines.emplace_back(line); });
    lines.push_back(text);
  });
  log(LogLevel::kInfo, "first");
  log(LogLevel::kInfo, "second");
  EXPECT_EQ(lines, (std::vector<std::string>{std::string(100, 'x'), "second"}));
}

FIBER_TEST(UserCodeTest, AHookOfAMemoryStreamMayReplaceItself) {
  testing::MemorySendStream stream;
  std::vector<std::string> sent;
  stream.send_all_hook = [&, text = std::string(100, 'x')] {
    stream.send_all_hook = nullptr;
    pause();
    sent.push_back(text);
  };
  stream.send_all("a");
  stream.send_all("b");
  EXPECT_EQ(sent, std::vector<std::string>{std::string(100, 'x')});
  EXPECT_EQ(stream.get_data(), "ab");
}

}  // namespace
}  // namespace weft::fibers
