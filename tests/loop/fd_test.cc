// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Readers and writers, with real descriptors.

#include <fcntl.h>
#include <sys/socket.h>

#include <limits>
#include <string>
#include <system_error>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::loop {
namespace {

using testing::Pipe;
using testing::run_once;
using testing::with_idle_loop;
using testing::with_loop;
using namespace std::chrono_literals;

// asyncio: test_events.py::EventLoopTestsMixin::test_reader_callback
FIBER_TEST(FdTest, ReaderIsCalledWhenThereIsSomethingToRead) {
  with_loop([](EventLoop& loop) {
    const Pipe pipe;
    std::string read;
    loop.add_reader(pipe.reader(), [&] { read += pipe.take(); });
    fibers::sleep(1s);
    EXPECT_EQ(read, "");
    pipe.put('a');
    pipe.put('b');
    fibers::sleep(1s);
    EXPECT_EQ(read, "ab");
    EXPECT_EQ(loop.statistics().readers, 1U);
    EXPECT_TRUE(loop.remove_reader(pipe.reader()));
    EXPECT_FALSE(loop.remove_reader(pipe.reader()));
    EXPECT_EQ(loop.statistics().readers, 0U);
  });
}

FIBER_TEST(FdTest, LevelTriggered) {
  with_loop([](EventLoop& loop) {
    const Pipe pipe;
    int called = 0;
    loop.add_reader(pipe.reader(), [&] {
      if (++called == 3) loop.remove_reader(pipe.reader());
    });
    pipe.put();
    fibers::sleep(1s);
    EXPECT_EQ(called, 3);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_writer_callback
FIBER_TEST(FdTest, WriterIsCalledWhenThereIsRoom) {
  with_loop([](EventLoop& loop) {
    const Pipe pipe;
    int called = 0;
    Handle handle = loop.add_writer(pipe.writer(), [&] {
      ++called;
      handle.cancel();
    });
    fibers::sleep(1s);
    EXPECT_EQ(called, 1);
    EXPECT_EQ(loop.statistics().writers, 0U);
    EXPECT_FALSE(loop.remove_writer(pipe.writer()));
  });
}

// asyncio: claims_descriptors::reader_and_writer_are_independent
FIBER_TEST(FdTest, ReaderAndWriterOfOneDescriptorAreIndependent) {
  with_loop([](EventLoop& loop) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const struct Close {
      int* ends;
      ~Close() {
        ::close(ends[0]);
        ::close(ends[1]);
      }
    } close{ends};
    std::vector<std::string> order;
    loop.add_reader(ends[0], [&] {
      order.emplace_back("read");
      loop.remove_reader(ends[0]);
    });
    loop.add_writer(ends[0], [&] {
      order.emplace_back("write");
      loop.remove_writer(ends[0]);
    });
    fibers::sleep(1s);
    EXPECT_EQ(order, (std::vector<std::string>{"write"}));
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
    fibers::sleep(1s);
    EXPECT_EQ(order.back(), "read");
  });
}

// asyncio: claims_descriptors::error_and_hangup_wake_reader_and_writer
FIBER_TEST(FdTest, HangUpWakesTheReaderAndErrorTheWriter) {
  with_loop([](EventLoop& loop) {
    Pipe pipe;
    int read_calls = 0;
    loop.add_reader(pipe.reader(), [&] {
      ++read_calls;
      loop.remove_reader(pipe.reader());
    });
    pipe.close_writer();
    fibers::sleep(1s);
    EXPECT_EQ(read_calls, 1);

    Pipe other;
    ASSERT_EQ(::fcntl(other.writer(), F_SETFL, O_NONBLOCK), 0);
    std::string filler(4096, 'x');
    while (::write(other.writer(), filler.data(), filler.size()) > 0) {
    }
    int write_calls = 0;
    loop.add_writer(other.writer(), [&] {
      ++write_calls;
      loop.remove_writer(other.writer());
    });
    fibers::sleep(1s);
    EXPECT_EQ(write_calls, 0);  // No room.
    other.close_reader();
    fibers::sleep(1s);
    EXPECT_EQ(write_calls, 1);
  });
}

// Law 3: the event of the second has been queued when the first removes it.
// asyncio: claims_descriptors::remove_suppresses_a_queued_event
FIBER_TEST(FdTest, NothingIsDeliveredAfterARemoveAlsoFromTheSameBatch) {
  with_loop([](EventLoop& loop) {
    const Pipe a;
    const Pipe b;
    int called = 0;
    const auto remove_both = [&] {
      ++called;
      loop.remove_reader(a.reader());
      loop.remove_reader(b.reader());
    };
    loop.add_reader(a.reader(), remove_both);
    loop.add_reader(b.reader(), remove_both);
    a.put();
    b.put();
    fibers::sleep(1s);
    EXPECT_EQ(called, 1);
  });
}

// asyncio: claims_descriptors::remove_suppresses_a_queued_event
FIBER_TEST(FdTest, RemoveSuppressesAnEventThatIsAlreadyQueued) {
  with_idle_loop([](EventLoop& loop) {
    const Pipe pipe;
    loop.call_soon([&] { loop.remove_reader(pipe.reader()); });
    int timer = 0;
    loop.add_reader(pipe.reader(), [] { ADD_FAILURE(); });
    pipe.put();
    loop.call_later(0s, [&] { ++timer; });
    run_once(loop);
    EXPECT_EQ(timer, 1);
  });
}

// asyncio: claims_descriptors::add_reader_on_a_used_one_cancels_the_old_handle
FIBER_TEST(FdTest, ReplacedReaderIsCancelledAndNotCalled) {
  with_loop([](EventLoop& loop) {
    const Pipe pipe;
    Handle old = loop.add_reader(pipe.reader(), [] { ADD_FAILURE(); });
    int called = 0;
    const Handle current = loop.add_reader(pipe.reader(), [&] {
      pipe.take();
      ++called;
    });
    EXPECT_TRUE(old.cancelled());
    EXPECT_FALSE(current.cancelled());
    old.cancel();  // The loser of a race must not remove the winner.
    EXPECT_EQ(loop.statistics().readers, 1U);
    pipe.put();
    fibers::sleep(1s);
    EXPECT_EQ(called, 1);
    loop.remove_reader(pipe.reader());
  });
}

FIBER_TEST(FdTest, ReplacedByAnotherCallbackOfTheSameBatch) {
  with_loop([](EventLoop& loop) {
    const Pipe a;
    const Pipe b;
    int fresh = 0;
    const auto replace_other = [&](const Pipe& other) {
      loop.remove_reader(a.reader());
      loop.remove_reader(b.reader());
      loop.add_reader(other.reader(), [&] {
        ++fresh;
        other.take();
        loop.remove_reader(other.reader());
      });
    };
    int old = 0;
    loop.add_reader(a.reader(), [&] { ++old, replace_other(b); });
    loop.add_reader(b.reader(), [&] { ++old, replace_other(a); });
    a.put();
    b.put();
    fibers::sleep(1s);
    EXPECT_EQ(old, 1);
    EXPECT_EQ(fresh, 1);  // It is ready still, and found so by a poll of its own.
  });
}

// Law 1: the number comes back as another descriptor while its event is queued.
FIBER_TEST(FdTest, ReusedNumberGetsNoEventOfItsPredecessor) {
  with_loop([](EventLoop& loop) {
    Pipe a;
    Pipe b;
    Pipe fresh;
    int old = 0;
    int wrong = 0;
    const auto close_other_and_reuse_its_number = [&](Pipe& me, Pipe& other) {
      ++old;
      loop.remove_reader(me.reader());
      const int number = other.reader();
      loop.remove_reader(number);
      ASSERT_EQ(::dup2(fresh.reader(), number), number);
      loop.add_reader(number, [&] { ++wrong; });
    };
    loop.add_reader(a.reader(), [&] { close_other_and_reuse_its_number(a, b); });
    loop.add_reader(b.reader(), [&] { close_other_and_reuse_its_number(b, a); });
    a.put();
    b.put();
    fibers::sleep(1s);
    EXPECT_EQ(old, 1);
    EXPECT_EQ(wrong, 0);
    loop.remove_reader(a.reader());
    loop.remove_reader(b.reader());
  });
}

// Law 2: closed and reopened behind the loop's back; the owner says so by adding again.
// asyncio: claims_descriptors::a_reused_number_works
// asyncio: test_events.py::EventLoopTestsMixin::test_add_fds_after_closing
FIBER_TEST(FdTest, SurvivesReuseBehindItsBack) {
  WEFT_NOT_SWEPT("it plays with a number that nobody owns");
  WEFT_NOT_FAULT_SWEPT("it plays with a number that nobody owns");
  with_loop([](EventLoop& loop) {
    const Pipe a;
    const Pipe fresh;
    const int number = ::dup(a.reader());
    loop.add_reader(number, [] { ADD_FAILURE(); });
    loop.synchronize();
    ::close(number);
    ASSERT_EQ(::dup2(fresh.reader(), number), number);
    int called = 0;
    loop.add_reader(number, [&] {
      ++called;
      fresh.take();
    });
    fresh.put();
    fibers::sleep(1s);
    EXPECT_EQ(called, 1);
    ::close(number);
    EXPECT_TRUE(loop.remove_reader(number));
  });
}

// Law 4: what a callback adds is watched in the very next wait.
FIBER_TEST(FdTest, TakesEffectAtOnce) {
  WEFT_NOT_FAULT_SWEPT("nobody stops the loop when its descriptor cannot be watched");
  with_idle_loop([](EventLoop& loop) {
    const Pipe pipe;
    pipe.put();
    const auto before = loop.statistics().iterations;
    std::uint64_t called_in = 0;
    loop.call_soon([&] {
      loop.add_reader(pipe.reader(), [&] {
        called_in = loop.statistics().iterations;
        loop.remove_reader(pipe.reader());
        loop.stop();
      });
    });
    loop.main_loop();
    EXPECT_EQ(called_in, before + 1);
  });
}

// asyncio: claims_ready_queue::order_is_ready_then_descriptors_then_timers
FIBER_TEST(FdTest, ReadyCallbacksRunBeforeFdEventsAndThoseBeforeTimers) {
  WEFT_NOT_FAULT_SWEPT("nobody stops the loop when its descriptor cannot be watched");
  with_idle_loop([](EventLoop& loop) {
    const Pipe pipe;
    pipe.put();
    std::vector<std::string> order;
    loop.add_reader(pipe.reader(), [&] {
      order.emplace_back("fd");
      loop.remove_reader(pipe.reader());
      loop.stop();
    });
    loop.call_later(0s, [&] { order.emplace_back("timer"); });
    loop.call_soon([&] { order.emplace_back("soon"); });
    // The first iteration does not wait, but looks at the descriptors if the run has nothing else
    // to do.
    fibers::testing::wait_all_tasks_blocked();
    loop.main_loop();
    EXPECT_EQ(order.front(), "soon");
    EXPECT_EQ(order.size(), 3U);
  });
}

// asyncio: claims_ready_queue::a_poll_happens_even_if_work_is_ready
FIBER_TEST(FdTest, BusyLoopDoesNotStarveDescriptors) {
  with_loop([](EventLoop& loop) {
    const Pipe pipe;
    pipe.put();
    bool called = false;
    int spins = 0;
    std::function<void()> spin = [&] {
      if (!called && ++spins < 1000000) loop.call_soon(spin);
    };
    loop.call_soon(spin);
    loop.add_reader(pipe.reader(), [&] {
      called = true;
      loop.remove_reader(pipe.reader());
    });
    while (!called && spins < 1000000) fibers::checkpoint();
    EXPECT_TRUE(called);
    EXPECT_LT(spins, 100000);
    loop.synchronize();
  });
}

// asyncio: claims_descriptors::registrations_survive_stop
FIBER_TEST(FdTest, StoppedLoopIsNotBusyAndRegistrationsSurvive) {
  WEFT_NOT_FAULT_SWEPT("nobody stops the loop when its descriptor cannot be watched");
  with_idle_loop([](EventLoop& loop) {
    const Pipe pipe;
    int called = 0;
    loop.add_reader(pipe.reader(), [&] {
      ++called;
      pipe.take();
      loop.stop();
    });
    pipe.put();
    // Nobody is there to call it. A descriptor that stays ready must not keep the run from resting.
    fibers::testing::wait_all_tasks_blocked(1ms);
    EXPECT_EQ(called, 0);
    loop.main_loop();
    EXPECT_EQ(called, 1);
    pipe.put();
    fibers::testing::wait_all_tasks_blocked(1ms);
    loop.main_loop();
    EXPECT_EQ(called, 2);
    loop.remove_reader(pipe.reader());
  });
}

FIBER_TEST(FdTest, CannotBeWatchedByTheLoopAndATaskAtOnce) {
  const Pipe pipe;
  with_loop([&](EventLoop& loop, fibers::Nursery& nursery) {
    nursery.start_soon([&] { fibers::wait_readable(pipe.reader()); });
    fibers::sleep(1s);
    EXPECT_THROW(loop.add_reader(pipe.reader(), [] {}), fibers::BusyResourceError);
    EXPECT_EQ(loop.statistics().readers, 0U);
    pipe.put();
    fibers::sleep(1s);
    loop.add_reader(pipe.reader(), [&] { pipe.take(); });
    EXPECT_THROW(fibers::wait_readable(pipe.reader()), fibers::BusyResourceError);
    loop.remove_reader(pipe.reader());
  });
}

// asyncio: claims_descriptors::a_regular_file_is_refused
// asyncio: test_unix_events.py::TestFunctional::test_add_reader_invalid_argument
FIBER_TEST(FdTest, BadDescriptorsAreRefused) {
  with_idle_loop([](EventLoop& loop) {
    EXPECT_THROW(loop.add_reader(-1, [] {}), fibers::UsageError);
    EXPECT_THROW(loop.add_reader(100000, [] {}), std::system_error);
    const int regular = ::open("/proc/self/exe", O_RDONLY);
    ASSERT_GE(regular, 0);
    EXPECT_THROW(loop.add_reader(regular, [] {}), std::system_error);
    ::close(regular);
    EXPECT_EQ(loop.statistics().readers, 0U);
    EXPECT_FALSE(loop.remove_reader(-1));
  });
}

// An uninitialised number, say. The table is as long as the largest that it holds.
FIBER_TEST(FdTest, AnAbsurdNumberIsRefusedBeforeThereIsRoomForIt) {
  with_idle_loop([](EventLoop& loop) {
    EXPECT_THROW(loop.add_reader(std::numeric_limits<int>::max(), [] {}), std::system_error);
    EXPECT_THROW(loop.add_writer(std::numeric_limits<int>::max(), [] {}), std::system_error);
    EXPECT_EQ(loop.statistics().readers, 0U);
    EXPECT_FALSE(loop.remove_reader(std::numeric_limits<int>::max()));
  });
}

// asyncio: claims_descriptors::close_drops_all
// asyncio: test_events.py::EventLoopTestsMixin::test_remove_fds_after_closing
FIBER_TEST(FdTest, CloseDropsRegistrations) {
  with_idle_loop([](EventLoop& loop) {
    const Pipe pipe;
    const Handle handle = loop.add_reader(pipe.reader(), [] { ADD_FAILURE(); });
    loop.add_writer(pipe.writer(), [] { ADD_FAILURE(); });
    pipe.put();
    loop.close();
    EXPECT_TRUE(handle.cancelled());
    EXPECT_FALSE(loop.remove_reader(pipe.reader()));
    EXPECT_FALSE(loop.remove_writer(pipe.writer()));
    EXPECT_EQ(fibers::current_statistics().fds_watched, 0U);
  });
}

// An fd callback queued when the loop stops runs once, not twice.
// asyncio: claims_running::a_descriptors_callback_runs_once_around_stop
// asyncio: test_base_events.py::test_single_selecter_event_callback_after_stopping
FIBER_TEST(FdTest, EventAroundStopIsDeliveredOnce) {
  with_idle_loop([](EventLoop& loop) {
    const Pipe pipe;
    int called = 0;
    loop.add_reader(pipe.reader(), [&] {
      ++called;
      pipe.take();
    });
    pipe.put();
    for (int i = 0; i < 5; ++i) {
      run_once(loop);
      fibers::testing::wait_all_tasks_blocked();
    }
    EXPECT_EQ(called, 1);
    loop.remove_reader(pipe.reader());
  });
}

// On the machine's clock, where a run with ready tasks polls at its own pace: an iteration that is
// entered from outside polls all the same.
// asyncio: claims_ready_queue::a_poll_happens_even_if_work_is_ready
TEST(FdTest, TheOneIterationOfAStoppedLoopPolls) {
  int called = 0;
  fibers::run([&called] {
    const Pipe pipe;
    pipe.put();
    with_idle_loop([&](EventLoop& loop) {
      loop.add_reader(pipe.reader(), [&called] { ++called; });
      for (int i = 0; i < 1000; ++i) run_once(loop);
    });
  });
  EXPECT_EQ(called, 1000);
}

}  // namespace
}  // namespace weft::loop
