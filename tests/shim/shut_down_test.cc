// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What open_loop does, at its end, with asyncio's tasks, with what they start while they clean up,
// with servers and transports.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/loop/transport_testing.h"
#include "tests/shim/shim_test_support.h"
#include "weft/fibers/cancelled.h"
#include "weft/fibers/lone_error.h"
#include "weft/fibers/timeouts.h"
#include "weft/loop/async_generator.h"
#include "weft/loop/coro.h"
#include "weft/loop/gather.h"
#include "weft/loop/protocol.h"
#include "weft/loop/task.h"
#include "weft/shim/aio_as_trio.h"
#include "weft/shim/loop_resource.h"
#include "weft/shim/open_loop.h"
#include "weft/shim/trio_as_aio.h"

namespace weft::shim {
namespace {

using namespace std::chrono_literals;
using fibers::CancelScope;
using fibers::current_time;
using fibers::sleep_forever;
using loop::AsyncGenerator;
using loop::CancelledError;
using loop::Coro;

using Log = std::vector<std::string>;

// Waits to be cancelled, then does `clean_up`, as asyncio's code may: without a shield.
template <class F>
void until_cancelled(EventLoop& loop, F&& clean_up) {
  bool cancelled = false;
  try {
    await(loop.create_future<void>());
  } catch (const CancelledError&) {
    cancelled = true;
  }
  if (!cancelled) return;
  clean_up();
  throw CancelledError();
}

Coro<void> coroutine_until_cancelled(Log* log) {
  bool cancelled = false;
  try {
    co_await loop::sleep(1h);
  } catch (const CancelledError&) {
    cancelled = true;
  }
  if (!cancelled) co_return;
  const auto helper = run_trio([log] {
    CancelScope shield({.shield = true});
    shield.run([] { fibers::sleep(1s); });
    log->emplace_back("a task for the coroutine");
  });
  co_await helper;
  co_await loop::sleep(10s);
  log->emplace_back("the coroutine");
  throw CancelledError();
}

// trio-asyncio: test_trio_asyncio.py::test_tasks_get_cancelled
FIBER_TEST(ShutDownTest, AsynciosTasksAreCancelledWithTriosAndEachMayUseTheOther) {
  Log log;
  const auto start = current_time();
  open_loop([&](EventLoop& loop) {
    loop.create_task(coroutine_until_cancelled(&log));
    loop.create_task([&] {
      until_cancelled(loop, [&] { await(run_trio([&] { log.emplace_back("a task"); })); });
    });
    run_trio_task([&] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
        CancelScope shield({.shield = true});
        shield.run(
            [&] { await(loop.create_task([&] { log.emplace_back("a task of the loop"); })); });
        throw;
      }
    });
  });
  ASSERT_EQ(log.size(), 4U);
  std::sort(log.begin(), log.begin() + 2);  // At the same time.
  EXPECT_EQ(log,
            (Log{"a task", "a task of the loop", "a task for the coroutine", "the coroutine"}));
  EXPECT_EQ(current_time() - start, 11s) << "nothing is cut short";
}

FIBER_TEST(ShutDownTest, ATaskHearsOfItOnce) {
  int heard = 0;
  open_loop([&](EventLoop& loop) {
    loop.create_task([&] {
      for (int i = 0; i < 2; ++i) {
        try {
          await(loop::sleep(1h));
        } catch (const CancelledError&) {
          ++heard;
        }
      }
    });
  });
  EXPECT_EQ(heard, 1);
}

// A gather makes tasks: to cancel those at once would break whoever cleans up by them.
FIBER_TEST(ShutDownTest, WhoCleansUpMayUseTasksOfItsOwn) {
  Log log;
  open_loop([&](EventLoop& loop) {
    loop.create_task([&] {
      until_cancelled(loop, [&] {
        await(loop::gather([&] { await(loop::sleep(5s)); }, [&] { await(loop::sleep(7s)); }));
        log.emplace_back("gathered");
      });
    });
  });
  EXPECT_EQ(log, (Log{"gathered"}));
}

// trio-asyncio abandons these.
FIBER_TEST(ShutDownTest, WhatIsStartedMeanwhileAndLeftAloneIsCancelledInItsTurn) {
  Log log;
  const auto start = current_time();
  open_loop([&](EventLoop& loop) {
    loop.create_task([&] {
      until_cancelled(loop, [&] {
        loop.create_task([&] {
          until_cancelled(loop, [&] {
            loop.create_task([&] { until_cancelled(loop, [&] { log.emplace_back("third"); }); });
            await(loop::sleep(0s));
            log.emplace_back("second");
          });
        });
        await(loop::sleep(1s));
        log.emplace_back("first");
      });
    });
  });
  EXPECT_EQ(log, (Log{"first", "second", "third"}));
  EXPECT_EQ(current_time() - start, 1s);
}

FIBER_TEST(ShutDownTest, WhatIsStartedMeanwhileBeginsAlsoIfNobodyWaits) {
  Log log;
  open_loop([&](EventLoop& loop) {
    loop.create_task([&] {
      until_cancelled(loop, [&] { loop.create_task([&log] { log.emplace_back("begun"); }); });
    });
  });
  EXPECT_EQ(log, (Log{"begun"}));
}

AsyncGenerator<int> one_and_two() {
  co_yield 1;
  co_yield 2;
}

// As asyncio warns of them: nobody closes these.
FIBER_TEST(ShutDownTest, AGeneratorThatBeginsAfterTheOthersHaveBeenClosedIsSaidToBeLate) {
  const CapturedLog log;
  open_loop([](EventLoop& loop) {
    at_close(loop, [&loop] {
      AsyncGenerator<int> generator = one_and_two();
      EXPECT_EQ(await(loop.create_task(generator.next())), 1);
      await(loop.create_task(generator.aclose()));
    });
  });
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_NE(log.lines[0].find("shutdown_asyncgens"), std::string::npos) << log.lines[0];
}

FIBER_TEST(ShutDownTest, TasksThatResourcesAndGeneratorsStartAreSeenToAsWell) {
  bool cancelled = false;
  open_loop([&](EventLoop& loop) {
    at_close(loop, [&] {
      loop.create_task([&] { until_cancelled(loop, [&] { cancelled = true; }); });
      loop.synchronize();
    });
  });
  EXPECT_TRUE(cancelled);
}

// It used to be cut short 50 ms after all had been cancelled.
FIBER_TEST(ShutDownTest, ACallbackThatATaskCleansUpByIsNotCancelledMeanwhile) {
  Log log;
  open_loop([&](EventLoop&) {
    run_trio_task([&] {
      try {
        sleep_forever();
      } catch (const fibers::Cancelled&) {
        CancelScope shield({.shield = true});
        shield.run([&] {
          aio_as_trio([&] {
            fibers::sleep(10s);
            log.emplace_back("callback");
          })();
        });
        throw;
      }
    });
  });
  EXPECT_EQ(log, (Log{"callback"}));
}

FIBER_TEST(ShutDownTest, ACallbackThatBlocksMeanwhileIsCancelledWhenTheOthersHaveEnded) {
  const auto start = current_time();
  fibers::Duration at{};
  open_loop([&](EventLoop& loop) {
    loop.create_task([&] {
      until_cancelled(loop, [&] {
        loop.call_soon([&] {
          try {
            sleep_forever();
          } catch (...) {
            at = current_time() - start;
            throw;
          }
        });
        await(loop::sleep(3s));
      });
    });
  });
  EXPECT_EQ(at, 3s);
  EXPECT_EQ(current_time() - start, 3s);
}

// asyncio.run: the second one does not wait for the clean-up either.
FIBER_TEST(ShutDownTest, OneMoreCtrlCCancelsWhatCleansUp) {
  const auto start = current_time();
  Log log;
  const auto error = error_of([&] {
    open_loop([&](EventLoop& loop) {
      loop.create_task([&] {
        until_cancelled(loop, [&] {
          loop.call_later(1s, [] { std::raise(SIGINT); });
          try {
            await(loop::sleep(1h));
          } catch (const CancelledError&) {
            log.emplace_back("again");
          }
        });
      });
    });
  });
  EXPECT_TRUE(holds<fibers::KeyboardInterrupt>(fibers::lone_error(error)));
  EXPECT_EQ(log, (Log{"again"}));
  EXPECT_EQ(current_time() - start, 1s);
}

FIBER_TEST(ShutDownTest, AnErrorOfATaskThatIsCancelledComesOut) {
  const CapturedLog log;
  const auto error = error_of([] {
    open_loop([](EventLoop& loop) {
      loop.create_task(
          [&] { until_cancelled(loop, [] { throw std::runtime_error("cannot clean up"); }); });
    });
  });
  EXPECT_TRUE(holds<std::runtime_error>(inside_two_groups(error)));
}

FIBER_TEST(ShutDownTest, ALoopThatStandsDoesNotKeepItsTasksFromTheirEnd) {
  bool cleaned_up = false;
  open_loop([&](EventLoop& loop) {
    loop.create_task([&] {
      until_cancelled(loop, [&] {
        loop.stop();
        await(loop::sleep(1s));
        cleaned_up = true;
      });
    });
    loop.synchronize();
    loop.stop();
    loop.wait_stopped();
  });
  EXPECT_TRUE(cleaned_up);
}

struct TellsItsEnd : loop::Protocol {
  explicit TellsItsEnd(Log& to) : log(to) {}
  void connection_made(loop::Transport made) override { transport = std::move(made); }
  void connection_lost(std::exception_ptr error) override {
    log.emplace_back(error == nullptr ? "lost" : "lost by an error");
    transport = {};
  }
  Log& log;
  loop::Transport transport;
};

// After the tasks, which may say good-bye by them.
FIBER_TEST(ShutDownTest, TransportsThatAreLeftAreAbortedWhenTheTasksHaveEnded) {
  loop::testing::SocketPair sockets;
  Log log;
  open_loop([&](EventLoop& loop) {
    auto protocol = std::make_shared<TellsItsEnd>(log);
    await(loop.connect_accepted_socket([&protocol] { return protocol; }, sockets.take()));
    loop.create_task([&loop, &log, protocol] {
      until_cancelled(loop, [&] {
        protocol->transport.write("bye");
        log.emplace_back("good-bye");
      });
    });
  });
  EXPECT_EQ(log, (Log{"good-bye", "lost"}));
  EXPECT_EQ(sockets.get(), "bye");
}

FIBER_TEST(ShutDownTest, TransportsOutliveAlsoTheTasksThatResourcesStart) {
  loop::testing::SocketPair sockets;
  Log log;
  open_loop([&](EventLoop& loop) {
    auto protocol = std::make_shared<TellsItsEnd>(log);
    await(loop.connect_accepted_socket([&protocol] { return protocol; }, sockets.take()));
    at_close(loop, [&loop, &log, protocol] {
      loop.create_task([&loop, &log, protocol] {
        until_cancelled(loop, [&] {
          protocol->transport.write("bye");
          log.emplace_back("good-bye");
        });
      });
      loop.synchronize();
    });
  });
  EXPECT_EQ(log, (Log{"good-bye", "lost"}));
  EXPECT_EQ(sockets.get(), "bye");
}

}  // namespace
}  // namespace weft::shim
