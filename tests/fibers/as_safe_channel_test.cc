// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/as_safe_channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/event.h"
#include "weft/fibers/testing/checkpoints.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {
namespace {

using testing::assert_checkpoints;
using ::testing::ElementsAre;
using testing::wait_all_tasks_blocked;

using Out = SafeSendChannel<int>;
using In = SafeReceiveChannel<int>;

auto count_to(int last) {
  return [last](Out& out) {
    for (int i = 1; i <= last; ++i) out.send(i);
  };
}
void must_not_run(Out& /*out*/) {
  ADD_FAILURE() << "nobody has asked for an item";
}

// trio: test_channel.py::test_as_safe_channel_exhaust
FIBER_TEST(AsSafeChannelTest, TheLoopEndsWhereTheProducerReturns) {
  std::vector<int> items;
  as_safe_channel<int>(count_to(3), [&](In& in) {
    for (const int item : in) items.push_back(item);
    EXPECT_THROW(in.receive(), EndOfChannel);
    EXPECT_FALSE(in.next().has_value());
  });
  EXPECT_THAT(items, ElementsAre(1, 2, 3));
}

FIBER_TEST(AsSafeChannelTest, ReturnsWhatTheBodyReturnsAndItemsMayBeMoveOnly) {
  const auto found = as_safe_channel<std::unique_ptr<int>>(
      [](SafeSendChannel<std::unique_ptr<int>>& out) {
        for (int i = 0;; ++i) out.send(std::make_unique<int>(i));
      },
      [](SafeReceiveChannel<std::unique_ptr<int>>& in) {
        for (std::unique_ptr<int>& item : in) {
          if (*item == 4) return std::move(item);
        }
        return std::unique_ptr<int>();
      });
  EXPECT_EQ(*found, 4);
}

FIBER_TEST(AsSafeChannelTest, BothEndsAreCheckpoints) {
  as_safe_channel<int>(
      [](Out& out) {
        assert_checkpoints([&] { out.send(1); });
        assert_checkpoints([&] { out.send(2); });
      },
      [](In& in) {
        assert_checkpoints([&] { in.receive(); });
        assert_checkpoints([&] { in.receive(); });
        assert_checkpoints([&] { in.next(); });
        assert_checkpoints([&] { in.aclose(); });
      });
}

// trio: test_channel.py::test_as_safe_channel_broken_resource
FIBER_TEST(AsSafeChannelTest, AfterClosingThereIsNothingToReceiveAndNoErrorAtTheEnd) {
  as_safe_channel<int>(count_to(2), [](In& in) {
    EXPECT_EQ(in.receive(), 1);
    in.close();
    in.close();
    EXPECT_THROW(in.receive(), ClosedResourceError);
  });
}

// trio: test_channel.py::test_as_safe_channel_cancelled
FIBER_TEST(AsSafeChannelTest, AProducerOfWhichNothingIsWantedNeverRuns) {
  CancelScope scope;
  scope.run([&] { as_safe_channel<int>(must_not_run, [&](In&) { scope.cancel(); }); });
  as_safe_channel<int>(must_not_run, [](In&) { sleep(seconds(1)); });
}

// trio: test_channel.py::test_as_safe_channel_no_race
FIBER_TEST(AsSafeChannelTest, AnErrorOfTheProducerIsNotMistakenForTheEnd) {
  bool ended = false;
  const auto producer = [](Out& out) {
    out.send(1);
    throw std::out_of_range("far");
  };
  EXPECT_THROW(as_safe_channel<int>(producer,
                                    [&](In& in) {
                                      for (const int item : in) EXPECT_EQ(item, 1);
                                      ended = true;
                                    }),
               std::out_of_range);
  EXPECT_FALSE(ended);
}

FIBER_TEST(AsSafeChannelTest, ABodyThatCannotBeCancelledStillGetsToKnowTheEnd) {
  int received = 0;
  const auto producer = [](Out& out) {
    out.send(1);
    throw std::out_of_range("far");
  };
  EXPECT_THROW(as_safe_channel<int>(producer,
                                    [&](In& in) {
                                      CancelScope shielded({.shield = true});
                                      shielded.run([&] {
                                        for (const int item : in) received += item;
                                      });
                                    }),
               std::out_of_range);
  EXPECT_EQ(received, 1);
}

// trio: test_channel.py::test_as_safe_channel_buffer_size_too_small
FIBER_TEST(AsSafeChannelTest, TheProducerIsNotAheadOfALoopThatTakesItsTime) {
  EXPECT_FALSE(move_on_after(seconds(5), [] {
    as_safe_channel<int>(
        [](Out& out) {
          out.send(1);
          ADD_FAILURE() << "nobody has asked for a second item";
        },
        [](In& in) {
          for (const int item : in) {
            EXPECT_EQ(item, 1);
            sleep_forever();
          }
        });
  }));
}

// trio: test_channel.py::test_as_safe_channel_no_interleave
FIBER_TEST(AsSafeChannelTest, BetweenTwoItemsTheProducerRestsInSend) {
  std::string trace;
  as_safe_channel<int>(
      [&](Out& out) {
        for (int i = 1; i <= 2; ++i) {
          trace += 'p';
          out.send(i);
        }
      },
      [&](In& in) {
        for (int i = 0; i < 2; ++i) {
          trace += 'w';
          in.receive();
          wait_all_tasks_blocked();
          trace += 'r';
        }
      });
  EXPECT_EQ(trace, "wprwpr");
}

// trio: test_channel.py::test_as_safe_channel_genexit_finally
FIBER_TEST(AsSafeChannelTest, ErrorsOfTheBodyAndOfTheProducersCleanUpBothArrive) {
  std::vector<std::string> events;
  try {
    as_safe_channel<int>(
        [&](Out& out) {
          try {
            out.send(1);
          } catch (const Cancelled&) {
            events.emplace_back("cancelled");
            throw std::out_of_range("producer");
          }
        },
        [](In& in) {
          in.receive();
          throw std::invalid_argument("body");
        });
    ADD_FAILURE() << "no error";
  } catch (const ExceptionGroup& group) {
    ASSERT_EQ(group.exceptions().size(), 2U);
    EXPECT_TRUE(holds<std::invalid_argument>(group.exceptions()[0]));
    EXPECT_TRUE(holds<std::out_of_range>(group.exceptions()[1]));
  }
  EXPECT_THAT(events, ElementsAre("cancelled"));
}

// trio: test_channel.py::test_as_safe_channel_nested_loop
FIBER_TEST(AsSafeChannelTest, ChannelsNest) {
  std::vector<std::pair<int, int>> pairs;
  as_safe_channel<int>(count_to(2), [&](In& outer) {
    for (const int i : outer) {
      as_safe_channel<int>(count_to(2), [&](In& inner) {
        for (const int j : inner) pairs.emplace_back(i, j);
      });
    }
  });
  using Pair = std::pair<int, int>;
  EXPECT_THAT(pairs, ElementsAre(Pair(1, 1), Pair(1, 2), Pair(2, 1), Pair(2, 2)));
}

// trio: test_channel.py::test_as_safe_channel_doesnt_leak_cancellation
FIBER_TEST(AsSafeChannelTest, ACancellationBesideAnErrorDoesNotHideIt) {
  CancelScope scope;
  EXPECT_THROW(scope.run([&] {
    as_safe_channel<int>(count_to(1), [&](In&) {
      scope.cancel();
      throw std::out_of_range("far");
    });
  }),
               std::out_of_range);
}

// trio: test_channel.py::test_as_safe_channel_dont_unwrap_user_exceptiongroup
FIBER_TEST(AsSafeChannelTest, AGroupThatTheBodyThrowsStaysOne) {
  const auto inner = std::make_exception_ptr(std::out_of_range("far"));
  try {
    as_safe_channel<int>(must_not_run, [&](In&) { throw ExceptionGroup("mine", {inner}); });
    ADD_FAILURE() << "no error";
  } catch (const ExceptionGroup& group) {
    EXPECT_EQ(group.message(), "mine");
    EXPECT_THAT(group.exceptions(), ElementsAre(inner));
  }
}

// trio: test_channel.py::test_as_safe_channel_multiple_receiver
FIBER_TEST(AsSafeChannelTest, SeveralTasksMayReceive) {
  Event go;
  std::vector<int> items;
  as_safe_channel<int>(
      [&](Out& out) {
        go.wait();
        out.send(0);
        out.send(1);
      },
      [&](In& in) {
        open_nursery([&](Nursery& nursery) {
          for (int i = 0; i < 2; ++i) {
            nursery.start_soon([&] { items.push_back(in.receive()); });
            wait_all_tasks_blocked();
          }
          go.set();
        });
      });
  EXPECT_THAT(items, ElementsAre(0, 1));
}

// trio: test_channel.py::test_as_safe_channel_multi_cancel
FIBER_TEST(AsSafeChannelTest, CancellationFromOutsideReachesBothAndLeavesUnwrapped) {
  std::vector<std::string> events;
  const auto note = [&events](const char* who, auto&& wait) {
    try {
      wait();
    } catch (const Cancelled&) {
      events.emplace_back(who);
      throw;
    }
  };
  CancelScope scope;
  scope.run([&] {
    note("outside", [&] {
      as_safe_channel<int>([&](Out& out) { note("producer", [&] { out.send(1); }); },
                           [&](In& in) {
                             in.receive();
                             scope.cancel();
                             note("body", [] { checkpoint(); });
                           });
    });
  });
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_THAT(events, ::testing::UnorderedElementsAre("producer", "body", "outside"));
  EXPECT_EQ(events.back(), "outside");
}

// trio: test_channel.py::test_as_safe_channel_genexit_exception_group
FIBER_TEST(AsSafeChannelTest, AProducerMaySendFromInsideANursery) {
  const int first = as_safe_channel<int>(
      [](Out& out) {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([] { sleep_forever(); });
          out.send(7);
        });
      },
      [](In& in) { return in.receive(); });
  EXPECT_EQ(first, 7);
}

// trio: test_channel.py::test_as_safe_channel_genexit_filter
// trio: test_channel.py::test_as_safe_channel_does_not_suppress_nested_genexit
FIBER_TEST(AsSafeChannelTest, OfAGroupWithACancelledTheErrorsRemain) {
  const auto producer = [](Out& out) {
    open_nursery([&](Nursery& nursery) {
      nursery.start_soon([] {
        try {
          sleep_forever();
        } catch (const Cancelled&) {
          throw std::out_of_range("while cleaning up");
        }
      });
      out.send(7);
    });
  };
  try {
    as_safe_channel<int>(producer, [](In& in) { in.receive(); });
    ADD_FAILURE() << "no error";
  } catch (const ExceptionGroup& of_the_nursery) {
    ASSERT_EQ(of_the_nursery.exceptions().size(), 1U);
    EXPECT_TRUE(holds<std::out_of_range>(of_the_nursery.exceptions().front()));
  }
}

// trio: test_channel.py::test_as_safe_channel_swallowing_extra_exceptions
FIBER_TEST(AsSafeChannelTest, AnErrorOfAProducerThatBeganIsKeptBesideTheBodys) {
  try {
    as_safe_channel<int>(
        [](Out& out) {
          try {
            out.send(1);
          } catch (...) {
          }
          throw std::out_of_range("producer");
        },
        [](In& in) {
          in.receive();
          throw KeyboardInterrupt();
        });
    ADD_FAILURE() << "no error";
  } catch (const BaseExceptionGroup& group) {
    EXPECT_EQ(group.exceptions().size(), 2U);
  }
}

// trio: test_channel.py::test_as_safe_channel_close_before_iteration
FIBER_TEST(AsSafeChannelTest, ClosedBeforeTheFirstItemTheProducerNeverRuns) {
  as_safe_channel<int>(must_not_run, [](In& in) {
    in.aclose();
    EXPECT_THROW(in.receive(), ClosedResourceError);
    wait_all_tasks_blocked();
  });
}

// trio: test_channel.py::test_as_safe_channel_close_between_iteration
FIBER_TEST(AsSafeChannelTest, ClosedBetweenTwoItemsTheLoopFails) {
  std::vector<int> items;
  const auto loop = [&](In& in) {
    for (const int item : in) {
      items.push_back(item);
      in.close();
    }
  };
  EXPECT_THROW(as_safe_channel<int>(count_to(3), loop), ClosedResourceError);
  EXPECT_THAT(items, ElementsAre(1));
}

// trio: test_channel.py::test_as_safe_channel_close_during_iteration
FIBER_TEST(AsSafeChannelTest,
           ClosedWhileAnItemIsAwaitedTheWaitFailsAndTheProducerEndsAtItsNextSend) {
  Event go;
  std::vector<std::string> events;
  as_safe_channel<int>(
      [&](Out& out) {
        go.wait();
        events.emplace_back("goes on");
        out.send(1);
        events.emplace_back("sent");
      },
      [&](In& in) {
        open_nursery([&](Nursery& nursery) {
          nursery.start_soon([&] { EXPECT_THROW(in.receive(), ClosedResourceError); });
          wait_all_tasks_blocked();
          in.close();
        });
        go.set();
        wait_all_tasks_blocked();
        events.emplace_back("body");
      });
  EXPECT_THAT(events, ElementsAre("goes on", "body"));
}

FIBER_TEST(AsSafeChannelTest, ACancelledReceiveLosesNoItem) {
  as_safe_channel<int>(
      [](Out& out) {
        for (int i = 1; i <= 3; ++i) {
          sleep(seconds(2));
          out.send(i);
        }
      },
      [](In& in) {
        EXPECT_FALSE(move_on_after(seconds(1), [&] { in.receive(); }));
        sleep(seconds(10));
        EXPECT_EQ(in.receive(), 1);
        // And the producer is not ahead for it.
        const Instant before = current_time();
        EXPECT_EQ(in.receive(), 2);
        EXPECT_EQ(current_time() - before, seconds(2));
      });
}

TEST(AsSafeChannelTest, TheProducerIsAheadUnderNoSchedule) {
  const auto body = [] {
    int wanted = 0, begun = 0, got = 0;
    as_safe_channel<int>(
        [&](Out& out) {
          for (;;) {
            EXPECT_LE(++begun, wanted);
            checkpoint();
            out.send(begun);
          }
        },
        [&](In& in) {
          open_nursery([&](Nursery& nursery) {
            for (int task = 0; task < 3; ++task) {
              nursery.start_soon([&] {
                for (int i = 0; i < 4; ++i) {
                  ++wanted;
                  in.receive();
                  ++got;
                }
              });
            }
          });
        });
    EXPECT_EQ(got, 12);
    EXPECT_EQ(begun, 12);
  };
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    testing::run_fiber_test(body, {.schedule_seed = seed});
  }
}

}  // namespace
}  // namespace weft::fibers
