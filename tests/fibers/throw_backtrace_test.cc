// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/throw_backtrace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/fibers/backtrace.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"

// Named, so that their names can be looked for.
[[gnu::noinline]] void throws_here() {
  throw std::runtime_error("thrown");
}
[[gnu::noinline]] void calls_what_throws() {
  throws_here();
  asm volatile("" ::: "memory");
}

namespace weft::fibers {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ThrowBacktraceTest : public ::testing::Test {
 protected:
  void SetUp() override { before_ = record_throw_backtraces(true); }
  void TearDown() override { record_throw_backtraces(before_); }

 private:
  bool before_ = false;
};

template <class F>
std::exception_ptr thrown_by(F&& f) {
  try {
    f();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

std::string text_of(const std::exception_ptr& error) {
  std::string text;
  for (const void* frame : throw_backtrace(error)) text += describe_address(frame) + "\n";
  return text;
}

TEST_F(ThrowBacktraceTest, KnowsTheStackAtTheThrow) {
  const std::string text = text_of(thrown_by(&calls_what_throws));
  EXPECT_EQ(text.rfind("throws_here()\ncalls_what_throws()\n", 0), 0U) << text;
}

TEST_F(ThrowBacktraceTest, IsKeptWhenTheErrorIsThrownAgain) {
  const auto error = thrown_by(&calls_what_throws);
  const auto again = thrown_by([&] { std::rethrow_exception(error); });
  EXPECT_THAT(text_of(again), HasSubstr("calls_what_throws"));
}

TEST_F(ThrowBacktraceTest, IsEmptyForWhatWasNotThrown) {
  EXPECT_THAT(throw_backtrace(nullptr), IsEmpty());
  // Also where a thrown one has lain.
  for (int i = 0; i < 10; ++i) {
    thrown_by(&calls_what_throws);
    EXPECT_THAT(throw_backtrace(std::make_exception_ptr(std::runtime_error("made"))), IsEmpty());
  }
}

TEST_F(ThrowBacktraceTest, RecordsNothingWhenOff) {
  EXPECT_TRUE(record_throw_backtraces(false));
  EXPECT_THAT(throw_backtrace(thrown_by(&calls_what_throws)), IsEmpty());
  EXPECT_FALSE(record_throw_backtraces(true));
}

TEST_F(ThrowBacktraceTest, TheErrorIsDestroyedOnceByItsOwnDestructor) {
  struct Counted {
    explicit Counted(int& count) : count_(count) {}
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { ++count_; }
    int& count_;
  };
  int destroyed = 0;
  try {
    throw Counted(destroyed);
  } catch (const Counted&) {
    EXPECT_EQ(destroyed, 0);
  }
  EXPECT_EQ(destroyed, 1);
  EXPECT_NE(thrown_by([] { throw 5; }), nullptr);  // Has none.
}

TEST_F(ThrowBacktraceTest, AnotherThreadMayAskAndDropTheError) {
  std::exception_ptr error;
  std::thread([&] { error = thrown_by(&calls_what_throws); }).join();
  EXPECT_THAT(text_of(error), HasSubstr("calls_what_throws"));
  error = nullptr;
}

// exceptiongroup: test_exceptions.py::test_nested_exception_group_tracebacks
// exceptiongroup: test_exceptions.py::test_iteration_full_tracebacks
TEST_F(ThrowBacktraceTest, ATreeIsPrintedWithThePlacesOfTheThrows) {
  const auto error = thrown_by([] {
    run([] {
      open_nursery([](Nursery& nursery) { nursery.start_soon([] { calls_what_throws(); }); });
    });
  });
  const std::string text = format_exception(error);
  EXPECT_THAT(text, HasSubstr("    | Traceback (most recent call last):\n"));
  EXPECT_THAT(text, ContainsRegex("    [|]   in calls_what_throws\\(\\).*\n"
                                  "    [|]   in throws_here\\(\\).*\n"
                                  "    [|] std::runtime_error: thrown\n"));
#if __has_include(<elfutils/libdwfl.h>)
  EXPECT_THAT(text, HasSubstr("in throws_here() at throw_backtrace_test.cc:"));
#endif
  EXPECT_THAT(format_exception(error, {.backtraces = false}), Not(HasSubstr("Traceback")));
  // A group knows its place if it was thrown, as the one of a `throw` is.
  const auto group = thrown_by([&] { throw ExceptionGroup("m", {error}); });
  EXPECT_EQ(format_exception(group).rfind("  + Exception Group Traceback (most recent", 0), 0U);
}

}  // namespace
}  // namespace weft::fibers
