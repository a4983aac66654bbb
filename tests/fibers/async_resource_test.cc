// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/async_resource.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "weft/fibers/lowlevel.h"
#include "weft/fibers/socket.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

struct Recorder final : AsyncResource {
  void aclose() override {
    ++closings;
    checkpoint();
    ++goodbyes;
    if (fails) throw std::runtime_error("closing failed");
  }
  int closings = 0;
  int goodbyes = 0;
  bool fails = false;
};

FIBER_TEST(AcloseForcefullyTest, ClosesInAScopeThatIsCancelled) {
  Recorder recorder;
  aclose_forcefully(recorder);
  EXPECT_EQ(recorder.closings, 1);
  EXPECT_EQ(recorder.goodbyes, 0);
  auto [a, b] = socket_stream_pair();
  aclose_forcefully(a);
  EXPECT_FALSE(a.is_open());
}

// trio: test_abc.py::test_AsyncResource_defaults
FIBER_TEST(AclosingTest, ClosesWhenTheBodyHasEnded) {
  Recorder recorder;
  const std::string result = aclosing(recorder, [&](Recorder& same) {
    EXPECT_EQ(&same, &recorder);
    EXPECT_EQ(recorder.closings, 0);
    return "result";
  });
  EXPECT_EQ(result, "result");
  EXPECT_EQ(recorder.goodbyes, 1);
  aclosing(Recorder(), [](Recorder& recorded) { recorded.aclose(); });
}

// trio: test_abc.py::test_AsyncResource_defaults
FIBER_TEST(AclosingTest, ClosesWhenTheBodyThrows) {
  Recorder recorder;
  const auto fail = [](AsyncResource&) { throw std::out_of_range("body"); };
  EXPECT_THROW(aclosing(recorder, fail), std::out_of_range);
  EXPECT_EQ(recorder.goodbyes, 1);
  recorder.fails = true;
  EXPECT_THROW(aclosing(recorder, fail), std::runtime_error);
  EXPECT_THROW(aclosing(recorder, [](AsyncResource&) {}), std::runtime_error);
}

FIBER_TEST(AclosingTest, ClosesForcefullyWhenCancelled) {
  Recorder recorder;
  EXPECT_FALSE(move_on_after(std::chrono::seconds(1),
                             [&] { aclosing(recorder, [](AsyncResource&) { sleep_forever(); }); }));
  EXPECT_EQ(recorder.closings, 1);
  EXPECT_EQ(recorder.goodbyes, 0);
}

FIBER_TEST(AclosingTest, TheBodysErrorIsNotLostToACancellation) {
  Recorder recorder;
  CancelScope scope;
  scope.cancel();
  EXPECT_THROW(scope.run([&] {
    aclosing(recorder, [](AsyncResource&) { throw std::out_of_range("body"); });
  }),
               std::out_of_range);
  EXPECT_EQ(recorder.closings, 1);
  EXPECT_EQ(recorder.goodbyes, 0);
}

}  // namespace
}  // namespace weft::fibers
