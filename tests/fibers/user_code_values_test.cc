// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Variables, outcomes and callables whose special members wait, throw and come back in the middle
// of what is done with them.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fibers/core/context.h"  // WEFT_TSAN
#include "tests/support/user_code.h"
#include "weft/fibers/blocking_portal.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/exception_group.h"
#include "weft/fibers/from_thread.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run_var.h"
#include "weft/fibers/task_handle.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/thread_cache.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"
#include "weft/fibers/token.h"
#include "weft/fibers/tree_var.h"

namespace weft::fibers {
namespace {

using namespace std::chrono_literals;
using weft::testing::once_in;
using weft::testing::pause;
using weft::testing::Restless;
using weft::testing::UserCode;

// --- Variables ---

// A task's values live until it ends, which has to be before what they refer to.
template <class F>
void in_own_task(F&& body) {
  open_nursery([&](Nursery& nursery) { nursery.start_soon([&] { body(); }); });
}

FIBER_TEST(UserCodeTest, ATokenIsUsedUpBeforeTheOldValueGoes) {
  UserCode code;
  RunVar<Restless> run_var("v");
  TreeVar<Restless> tree_var("v");
  const auto reset_inside = [&](auto& variable) {
    auto token = variable.set(Restless(code, 1));
    int refused = 0;
    code.hook = once_in("destroy", [&] {
      try {
        variable.reset(token);
      } catch (const UsageError&) {
        ++refused;
      }
      EXPECT_THROW(variable.get(), LookupError);
    });
    variable.reset(token);
    code.hook = nullptr;
    EXPECT_EQ(refused, 1);
  };
  reset_inside(run_var);
  reset_inside(tree_var);
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AVariableMayBeSetWhileItsValueIsCopied) {
  UserCode code;
  in_own_task([&] {
    const auto set_inside = [&](auto& variable, auto read) {
      variable.set(Restless(code, 1));
      code.hook = once_in("copy", [&] {
        variable.set(Restless(code, 2));
        pause();
      });
      EXPECT_EQ(read().value(), 1);
      code.hook = nullptr;
      EXPECT_EQ(read().value(), 2);
    };
    RunVar<Restless> run_var("v");
    struct Reset {
      RunVar<Restless>& variable;
      mutable RunVarToken<Restless> token;
      ~Reset() { variable.reset(token); }
    } const at_the_end{run_var, run_var.set(Restless(code, 0))};
    set_inside(run_var, [&] { return run_var.get(); });
    TreeVar<Restless> tree_var("v");
    set_inside(tree_var, [&] { return tree_var.get(); });
    ContextVar<Restless> context_var("v");
    set_inside(context_var, [&] { return *context_var.get(); });
  });
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AValueOfAnotherTaskMayGoWhileItIsCopied) {
  UserCode code;
  TreeVar<Restless> variable("v");
  Task* other = nullptr;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      variable.set(Restless(code, 1));
      other = &current_task();
      sleep(1s);
    });
    sleep(500ms);
    code.hook = once_in("copy", [] { pause(); });
    EXPECT_EQ(variable.get_in(*other).value(), 1);
  });
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AValueMayWaitAndSetOthersWhenItsTaskEnds) {
  UserCode code;
  ContextVar<Restless> context_var("c");
  TreeVar<Restless> tree_var("t");
  int ended = 0;
  open_nursery([&](Nursery& nursery) {
    code.hook = [&](const std::string& where) {
      if (where != "destroy") return;
      ++ended;
      EXPECT_EQ(context_var.find(), nullptr);
      pause();
    };
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        const auto hook = std::exchange(code.hook, nullptr);
        context_var.set(Restless(code, 1));
        tree_var.set(Restless(code, 2));
        code.hook = hook;
      });
    }
  });
  code.hook = nullptr;
  EXPECT_GE(ended, 2);
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, ATreeValueMaySetAnotherWhenItsNurseryCloses) {
  WEFT_NOT_ALLOCATION_SWEPT("it looks at the last of none");
  UserCode code;
  in_own_task([&] {
    TreeVar<Restless> variable("v");
    std::vector<std::unique_ptr<TreeVar<int>>> others;
    variable.set(Restless(code, 1));
    open_nursery([&](Nursery&) {
      variable.set(Restless(code, 2));  // The nursery alone has the first one now.
      code.hook = once_in("destroy", [&] {
        for (int i = 0; i < 10; ++i) {
          others.push_back(std::make_unique<TreeVar<int>>("other"));
          others.back()->set(i);
        }
      });
    });
    code.hook = nullptr;
    EXPECT_EQ(others.size(), 10U);
    EXPECT_EQ(others.back()->get(), 9);
    EXPECT_EQ(variable.get().value(), 2);
  });
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AContextMayBeCopiedAndAssignedToWhileSomebodyIsInside) {
  UserCode code;
  in_own_task([&] {
    ContextVar<Restless> variable("v");
    variable.set(Restless(code, 1));
    Context context = copy_context();
    std::optional<Context> copy;
    context.run([&] {
      variable.set(Restless(code, 2));
      copy = context;
      context = copy_context();
      EXPECT_THROW(context.run([] {}), UsageError);
      variable.set(Restless(code, 3));
    });
    EXPECT_EQ(variable.get()->value(), 1);
    EXPECT_EQ(copy->run([&] { return variable.get()->value(); }), 1);
    EXPECT_EQ(context.run([&] { return variable.get()->value(); }), 3);
    Context().run([&] { EXPECT_FALSE(variable.get()); });
    open_nursery(
        [&](Nursery& nursery) { nursery.start_soon([&] { variable.set(Restless(code, 4)); }); });
    EXPECT_EQ(code.alive, 2);  // The task's own, and that in `context`.
  });
  EXPECT_EQ(code.alive, 0);
}

// --- Outcomes ---

FIBER_TEST(UserCodeTest, AResultThatCannotBeCapturedIsAnError) {
  UserCode code;
  code.hook = once_in("move", [] { throw std::out_of_range("move"); });
  auto outcome = capture([&] { return Restless(code, 1); });
  EXPECT_TRUE(holds<std::out_of_range>(outcome.error()));
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AnOutcomeIsUnwrappedOnceThoughItsValueComesBack) {
  UserCode code;
  auto outcome = capture([&] { return Restless(code, 1); });
  code.hook = [&](const std::string& where) {
    if (where != "move") return;
    EXPECT_THROW(outcome.unwrap(), AlreadyUsedError);
  };
  EXPECT_EQ(outcome.unwrap().value(), 1);
}

// A wait for a value that somebody else ends.
Restless wait_for_value(Task*& waiting) {
  waiting = &current_task();
  return wait_task_rescheduled<Restless>([&](const RaiseCancel&) {
    waiting = nullptr;
    return Abort::kSucceeded;
  });
}

FIBER_TEST(UserCodeTest, AWaitThatIsCancelledWhileItsValueComesHasIt) {
  UserCode code;
  Task* waiting = nullptr;
  CancelScope scope;
  int got = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      scope.run([&] {
        got = wait_for_value(waiting).value();
        sleep(1s);
      });
    });
    sleep(1s);
    if (waiting == nullptr) return;  // Cancelled by a sweep.
    auto outcome = Outcome<Restless>::value(Restless(code, 7));
    Task& task = *waiting;
    int moves = 0;  // Into the parameter, and into the wait.
    code.hook = [&](const std::string& where) {
      if (where != "move" || ++moves != 2) return;
      EXPECT_THROW(reschedule(task), UsageError);
      scope.cancel();
      pause();
      EXPECT_NE(waiting, nullptr);
    };
    reschedule(task, std::move(outcome));
    code.hook = nullptr;
  });
  EXPECT_EQ(got, 7);
  EXPECT_TRUE(scope.cancelled_caught());
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AValueThatCannotBeDeliveredIsTheErrorOfItsWait) {
  UserCode code;
  Task* waiting = nullptr;
  bool thrown = false;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        wait_for_value(waiting);
      } catch (const std::out_of_range&) {
        thrown = true;
      }
    });
    sleep(1s);
    if (waiting == nullptr) return;  // Cancelled by a sweep.
    auto outcome = Outcome<Restless>::value(Restless(code, 7));
    int moves = 0;
    code.hook = [&](const std::string& where) {
      if (where == "move" && ++moves == 2) throw std::out_of_range("move");
    };
    EXPECT_THROW(reschedule(*waiting, std::move(outcome)), std::out_of_range);
  });
  EXPECT_TRUE(thrown);
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AWaitWhoseValueIsCancelledOnItsWayIsNotCancelledItself) {
  UserCode code;
  Task* waiting = nullptr;
  bool broken = false;
  CancelScope delivering;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      try {
        wait_for_value(waiting);
      } catch (const BrokenResourceError&) {
        broken = true;
      }
    });
    sleep(1s);
    if (waiting == nullptr) return;  // Cancelled by a sweep.
    delivering.run([&] {
      auto outcome = Outcome<Restless>::value(Restless(code, 7));
      int moves = 0;
      code.hook = [&](const std::string& where) {
        if (where != "move" || ++moves != 2) return;
        delivering.cancel();
        sleep(1s);
      };
      reschedule(*waiting, std::move(outcome));
    });
    code.hook = nullptr;
  });
  EXPECT_TRUE(broken);
  EXPECT_TRUE(delivering.cancelled_caught());
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AHandleMayGoWhileItsResultIsCopied) {
  UserCode code;
  open_nursery([&](Nursery& nursery) {
    std::optional<TaskHandle<Restless>> handle =
        create_task(nursery, [&] { return Restless(code, 1); });
    sleep(1s);
    code.hook = once_in("copy", [&] { handle.reset(); });
    EXPECT_EQ(handle->result().value(), 1);
    EXPECT_FALSE(handle);
  });
  EXPECT_EQ(code.alive, 0);
}

// --- Threads ---

// A worker cannot throw, and waits are not for it.
FIBER_TEST(UserCodeTest, AResultThatAThreadCannotStoreIsTheErrorOfItsCall) {
  WEFT_NOT_SWEPT("its threads use what lies on the stack of the body");
  WEFT_NOT_ALLOCATION_SWEPT("what its thread expects counts");
  UserCode code;
  for (int fails = 1; fails <= 3; ++fails) {
    int moves = 0;
    code.hook = [&](const std::string& where) {
      if (where == "move" && ++moves == fails) throw std::out_of_range("move");
    };
    EXPECT_THROW(to_thread::run_sync([&] { return Restless(code, 1); }), std::out_of_range);
    moves = 0;
    to_thread::run_sync([&] {
      EXPECT_THROW(from_thread::run_sync([&] { return Restless(code, 1); }), std::out_of_range);
    });
  }
  int moves = 0;
  code.hook = [&](const std::string& where) {
    if (where == "move" && ++moves == 2) throw std::out_of_range("move");
  };
  bool failed = false;
  const Token token = current_token();
  Event done;
  start_thread_soon([&] { return Restless(code, 1); },
                    [&, token](Outcome<Restless> outcome) {
                      failed = holds<std::out_of_range>(outcome.error());
                      token.run_sync_soon([&] { done.set(); });
                    });
  done.wait();
  EXPECT_TRUE(failed);
  code.hook = nullptr;
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, AResultForAPortalMayTakeItsTimeOrFail) {
#ifdef WEFT_TSAN
  GTEST_SKIP() << "under TSan a task cannot wait inside std::promise, which uses pthread_once()";
#endif
  UserCode code;
  open_blocking_portal([&](BlockingPortal& portal) {
    code.hook = [](const std::string& where) {
      if (where == "move") pause();
    };
    auto slow = portal.start_task_soon([&] { return Restless(code, 1); });
    auto quick = portal.start_task_soon([&] { return 2; });
    sleep(500ms);
    EXPECT_EQ(quick.get(), 2);
    sleep(10s);
    code.hook = nullptr;
    EXPECT_EQ(slow.get().value(), 1);
    code.hook = once_in("move", [] { throw std::out_of_range("move"); });
    auto failed = portal.start_task_soon([&] { return Restless(code, 1); });
    sleep(1s);
    EXPECT_THROW(failed.get(), std::out_of_range);
  });
  EXPECT_EQ(code.alive, 0);
}

FIBER_TEST(UserCodeTest, ACallableMaySubmitOthersAndDropItsToken) {
  UserCode code;
  std::optional<Token> token = current_token();
  int calls = 0;
  for (const char* const member : {"copy", "destroy"}) {
    const Restless callable(code, 1);
    code.hook = once_in(member, [&] { current_token().run_sync_soon([&] { ++calls; }); });
    token->run_sync_soon(callable);
    sleep(1s);
    code.hook = nullptr;
  }
  EXPECT_EQ(calls, 2);
  {
    const Restless callable(code, 1);
    code.hook = once_in("copy", [&] { token.reset(); });
    token->run_sync_soon(callable);
    code.hook = nullptr;
    EXPECT_FALSE(token);
    sleep(1s);
  }
  EXPECT_EQ(code.alive, 0);
}

// What cannot be built leaves its place in the queue to others. (They are 256.)
FIBER_TEST(UserCodeTest, ACallableThatCannotBeBuiltTakesNoPlace) {
  UserCode code;
  const Restless callable(code, 1);
  code.hook = [](const std::string& where) {
    if (where == "copy") throw std::out_of_range("copy");
  };
  for (int i = 0; i < 300; ++i) {
    EXPECT_THROW(current_token().run_sync_soon(callable), std::out_of_range);
  }
  code.hook = nullptr;
  EXPECT_EQ(current_statistics().run_sync_soon_queue_size, 0U);
}

}  // namespace
}  // namespace weft::fibers
