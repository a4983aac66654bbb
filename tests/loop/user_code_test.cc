// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Constructors and destructors of the user's values and callables wait, throw and come back in the
// middle of what the loop does with them.

#include "tests/support/user_code.h"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/lowlevel.h"
#include "weft/loop/errors.h"

namespace weft::loop {
namespace {

using namespace std::chrono_literals;
using testing::Pipe;
using testing::with_idle_loop;
using testing::with_loop;
using weft::testing::Restless;
using weft::testing::UserCode;

// Runs `attack` inside each special member of a value that is on its way into a future.
template <class Attack, class Check>
void attack_set_result(Attack&& attack, Check&& check) {
  for (const char* const member : {"construct", "move", "destroy"}) {
    UserCode code;
    with_idle_loop([&](EventLoop& loop) {
      Future<Restless> future = loop.create_future<Restless>();
      bool done = false;
      code.hook = [&](const std::string& where) {
        if (where == member && !std::exchange(done, true)) attack(future, code);
      };
      std::exception_ptr error;
      try {
        future.set_result(code, 1);
      } catch (...) {
        error = std::current_exception();
      }
      code.hook = nullptr;
      check(future, error, std::string(member));
    });
    EXPECT_EQ(code.alive, 0) << member;
  }
}

FIBER_TEST(UserCodeTest, TwoResultsAreNotBothSuccessful) {
  int second = 0;
  attack_set_result(
      [&](Future<Restless>& future, UserCode& code) {
        second = 0;
        try {
          future.set_result(code, 2);
          second = 1;
        } catch (const InvalidStateError&) {
        }
      },
      [&](Future<Restless>& future, const std::exception_ptr& error, const std::string& member) {
        EXPECT_EQ((error == nullptr ? 1 : 0) + second, 1) << member;
        EXPECT_EQ(future.result().value(), second == 1 ? 2 : 1) << member;
      });
}

// The same from another task, while a special member waits.
FIBER_TEST(UserCodeTest, AResultMayComeWhileAConstructorWaits) {
  for (const char* const member : {"construct", "move"}) {
    UserCode code;
    int successes = 0;
    with_loop([&](EventLoop& loop, fibers::Nursery& nursery) {
      Future<Restless> future = loop.create_future<Restless>();
      code.hook = [&](const std::string& where) {
        if (where == member) fibers::sleep(2s);
      };
      for (int i = 0; i < 2; ++i) {
        nursery.start_soon([&, i, future]() mutable {
          fibers::sleep(std::chrono::seconds(i));
          try {
            future.set_result(code, i);
            ++successes;
          } catch (const InvalidStateError&) {
          }
        });
      }
      wait(future);
      const int seen = future.result().value();
      fibers::sleep(10s);
      EXPECT_EQ(successes, 1) << member;
      EXPECT_EQ(future.result().value(), seen) << member;
      code.hook = nullptr;
    });
    EXPECT_EQ(code.alive, 0) << member;
  }
}

FIBER_TEST(UserCodeTest, ACancelledFutureDoesNotSucceed) {
  bool cancelled = false;
  attack_set_result(
      [&](Future<Restless>& future, UserCode&) { cancelled = future.cancel(); },
      [&](Future<Restless>& future, const std::exception_ptr& error, const std::string& member) {
        // A value that is being moved in arrives in spite of the cancellation.
        EXPECT_EQ(error != nullptr, member == "construct") << member;
        EXPECT_EQ(future.cancelled(), member == "construct") << member;
        EXPECT_EQ(cancelled, member != "destroy") << member;
      });
}

FIBER_TEST(UserCodeTest, AConstructorThatThrowsLeavesTheFuturePending) {
  for (const char* const member : {"construct", "move"}) {
    UserCode code;
    with_idle_loop([&](EventLoop& loop) {
      Future<Restless> future = loop.create_future<Restless>();
      code.hook = [&](const std::string& where) {
        if (where == member) throw std::out_of_range(where);
      };
      EXPECT_THROW(future.set_result(code, 1), std::out_of_range);
      EXPECT_FALSE(future.done());
      code.hook = nullptr;
      future.set_result(code, 2);
      EXPECT_EQ(future.result().value(), 2);
    });
    EXPECT_EQ(code.alive, 0) << member;
  }
}

FIBER_TEST(UserCodeTest, ACancellationCountsIfTheValueDoesNotArrive) {
  UserCode code;
  with_idle_loop([&](EventLoop& loop) {
    Future<Restless> future = loop.create_future<Restless>();
    code.hook = [&](const std::string& where) {
      if (where != "move") return;
      EXPECT_TRUE(future.cancel("meanwhile"));
      EXPECT_FALSE(future.done());
      throw std::out_of_range("move");
    };
    EXPECT_THROW(future.set_result(code, 1), std::out_of_range);
    EXPECT_TRUE(future.cancelled());
  });
}

struct Immovable {
  explicit Immovable(UserCode& code) { code.run("construct"); }
  Immovable(Immovable&&) = delete;
  Immovable& operator=(Immovable&&) = delete;
};

FIBER_TEST(UserCodeTest, AValueThatCannotBeMovedIsBuiltInPlace) {
  UserCode code;
  with_idle_loop([&](EventLoop& loop) {
    Future<Immovable> future = loop.create_future<Immovable>();
    code.hook = [&](const std::string&) {
      EXPECT_THROW(future.set_result(code), InvalidStateError);
      EXPECT_THROW(future.set_exception(std::logic_error("second")), InvalidStateError);
    };
    future.set_result(code);
    EXPECT_TRUE(future.done());
  });
}

FIBER_TEST(UserCodeTest, TheFutureMayBeAssignedToMeanwhile) {
  UserCode code;
  with_idle_loop([&](EventLoop& loop) {
    Future<Restless> future = loop.create_future<Restless>();
    code.hook = [&](const std::string& where) {
      if (where == "construct") future = loop.create_future<Restless>();
    };
    future.set_result(code, 1);
    EXPECT_FALSE(future.done());
    code.hook = [&](const std::string& where) {
      if (where == "move") future = {};
    };
    future.add_done_callback(Restless(code, 1));
    EXPECT_FALSE(future);
    code.hook = nullptr;
  });
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, ALoopThatIsClosedMeanwhileRefusesTheCallable) {
  UserCode code;
  with_idle_loop([&](EventLoop& loop) {
    const Restless callable(code, 1);
    code.hook = [&](const std::string& where) {
      if (where == "copy") loop.close();
    };
    EXPECT_THROW(loop.call_soon(callable), fibers::UsageError);
    code.hook = nullptr;
    EXPECT_EQ(code.alive, 1);
  });
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, ACallableWhoseDestructorWaitsBlocksItselfAlone) {
  UserCode code;
  std::vector<std::string> events;
  with_loop([&](EventLoop& loop) {
    loop.call_soon(Restless(code, 1));
    loop.call_soon([&] { events.emplace_back("next"); });
    code.hook = [&](const std::string& where) {
      if (where != "destroy") return;
      fibers::sleep(1s);
      events.emplace_back("destroyed");
    };
    fibers::sleep(2s);
    code.hook = nullptr;
    EXPECT_EQ(loop.statistics().blocked, 0U);
    EXPECT_EQ(loop.statistics().callbacks_run, 2U);
  });
  EXPECT_EQ(events, (std::vector<std::string>{"next", "destroyed"}));
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AReaderThatIsReplacedMayAddAnother) {
  UserCode code;
  with_idle_loop([&](EventLoop& loop) {
    const Pipe pipe;
    loop.add_reader(pipe.reader(), Restless(code, 1));
    code.hook = [&](const std::string& where) {
      if (where == "destroy") loop.add_reader(pipe.reader(), [] { ADD_FAILURE(); });
    };
    int read = 0;
    loop.add_reader(pipe.reader(), [&] { read += pipe.take() == 'x' ? 1 : 0; });
    code.hook = nullptr;
    EXPECT_EQ(loop.statistics().readers, 1U);
    pipe.put();
    testing::run_once(loop);
    testing::run_once(loop);
    EXPECT_EQ(read, 1);
  });
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AHookThatGoesMayCancelTheOthers) {
  WEFT_NOT_ALLOCATION_SWEPT("it cancels handles that it has not got");
  with_idle_loop([](EventLoop& loop) {
    struct Others {
      std::vector<PrepareHandle>* hooks;
      explicit Others(std::vector<PrepareHandle>* h) : hooks(h) {}
      Others(Others&& other) noexcept : hooks(std::exchange(other.hooks, nullptr)) {}
      Others& operator=(Others&&) = delete;
      ~Others() {
        if (hooks == nullptr) return;
        for (PrepareHandle& hook : *hooks) hook.cancel();
      }
      void operator()() const {}
    };
    auto hooks = std::make_unique<std::vector<PrepareHandle>>();
    for (int i = 0; i < 5; ++i) hooks->push_back(loop.add_prepare(Others(hooks.get())));
    loop.close();
    for (const PrepareHandle& hook : *hooks) EXPECT_TRUE(hook.cancelled());
  });
}

FIBER_TEST(UserCodeTest, AnExceptionHandlerMayWaitAndThrow) {
  with_loop([](EventLoop& loop) {
    int handled = 0;
    bool next = false;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) {
      fibers::sleep(1s);
      ++handled;
    });
    loop.call_soon([] { throw std::runtime_error("at once"); });
    loop.call_soon([] {
      fibers::sleep(1s);
      throw std::runtime_error("later");
    });
    loop.call_soon([&] { next = true; });
    fibers::sleep(500ms);
    EXPECT_TRUE(next);
    fibers::sleep(5s);
    EXPECT_EQ(handled, 2);
  });
}

FIBER_TEST(UserCodeTest, AHandlerThatThrowsForACallbackThatHasBlockedEndsTheLoop) {
  with_idle_loop([](EventLoop& loop) {
    loop.set_exception_handler(
        [](EventLoop&, const ExceptionContext&) { throw fibers::KeyboardInterrupt(); });
    loop.call_soon([] {
      fibers::checkpoint();
      throw std::runtime_error("callback");
    });
    EXPECT_THROW(loop.main_loop(), fibers::KeyboardInterrupt);
    EXPECT_FALSE(loop.is_running());
  });
}

FIBER_TEST(UserCodeTest, AHandlerThatIsCancelledForACallbackThatHasBlockedDoesNotEndTheLoop) {
  fibers::open_nursery([](fibers::Nursery& nursery) {
    EventLoop loop(nursery);
    bool later = false;
    loop.set_exception_handler(
        [](EventLoop&, const ExceptionContext&) { fibers::sleep(std::chrono::seconds(1)); });
    loop.start();
    loop.call_soon([] {
      fibers::sleep(std::chrono::seconds(1));
      throw std::runtime_error("callback");
    });
    loop.call_later(std::chrono::seconds(5), [&] {
      later = true;
      loop.stop();
    });
    nursery.cancel_scope().cancel();
    fibers::CancelScope({.shield = true}).run([&] { loop.wait_stopped(); });
    EXPECT_TRUE(later);
  });
}

FIBER_TEST(UserCodeTest, AHandlerThatInterruptsInAHookEndsTheLoop) {
  with_idle_loop([](EventLoop& loop) {
    loop.set_exception_handler(
        [](EventLoop&, const ExceptionContext&) { throw fibers::KeyboardInterrupt(); });
    bool asked_again = false;
    auto first = loop.add_prepare([] { throw std::runtime_error("hook"); });
    EXPECT_THROW(loop.main_loop(), fibers::KeyboardInterrupt);
    first.cancel();
    loop.add_prepare([&] { asked_again = true; });
    testing::run_once(loop);
    EXPECT_TRUE(asked_again);
  });
}

}  // namespace
}  // namespace weft::loop
