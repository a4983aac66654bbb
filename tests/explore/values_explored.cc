// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// RunVar, TreeVar and ContextVar: whose values are whose, whoever runs first.

#include <string>
#include <vector>

#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/context_var.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run_var.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/tree_var.h"

namespace weft::fibers {
namespace {

RunVar<int>& run_var() {
  static RunVar<int> var("explored", 0);
  return var;
}
TreeVar<int>& tree_var() {
  static TreeVar<int> var("explored", 0);
  return var;
}
ContextVar<int>& context_var() {
  static ContextVar<int> var("explored");
  return var;
}

// One value for all: no change is lost between two waits.
// explores: RunVar
EXPLORE_TEST(RunVarExplored, AllTasksShareIt) {
  EXPECT_EQ(run_var().get(), 0);  // Nothing is left of the schedule before.
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      nursery.start_soon([] {
        run_var().set(run_var().get() + 1);
        checkpoint();
        run_var().set(run_var().get() + 1);
      });
    }
  });
  EXPECT_EQ(run_var().get(), 6);
}

// explores: RunVar
EXPLORE_TEST(RunVarExplored, WhoComesFirstSetsItUp) {
  int set_up = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 1; i <= 3; ++i) {
      nursery.start_soon([&, i] {
        checkpoint();
        if (run_var().get() == 0) {
          run_var().set(i);
          ++set_up;
        }
        const int seen = run_var().get();
        checkpoint();
        EXPECT_EQ(run_var().get(), seen);
      });
    }
  });
  EXPECT_EQ(set_up, 1);
}

// A token leads back to what was there when it was made, also for a task that is cancelled.
// explores: RunVar
EXPLORE_TEST(RunVarExplored, ATokenRestoresWhatWasThere) {
  CancelScope leaves;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      leaves.run([] {
        auto token = run_var().set(run_var().get() + 10);
        struct Reset {
          RunVarToken<int>& token;
          ~Reset() { run_var().reset(token); }
        } const reset{token};
        checkpoint();
      });
    });
    nursery.start_soon([&] { leaves.cancel(); });
  });
  EXPECT_EQ(run_var().get(), 0);
}

// A task has the value of where its nursery was opened, whoever starts it and when.
// explores: TreeVar
EXPLORE_TEST(TreeVarExplored, ComesFromTheNurseryAndNotFromTheStarter) {
  int seen = 0;
  tree_var().being(1, [&] {
    open_nursery([&](Nursery& nursery) {
      for (int i = 0; i < 2; ++i) {
        nursery.start_soon([&, i] {
          tree_var().set(10 + i);
          checkpoint();
          nursery.start_soon([&] {
            EXPECT_EQ(tree_var().get(), 1);
            ++seen;
          });
          checkpoint();
          EXPECT_EQ(tree_var().get(), 10 + i);
        });
      }
    });
  });
  EXPECT_EQ(tree_var().get(), 0);
  EXPECT_EQ(seen, 2);
}

// explores: TreeVar
EXPLORE_TEST(TreeVarExplored, WhatIsSetLaterIsNotSeenInside) {
  Event opened;
  Nursery* inside = nullptr;
  int seen = 0;
  open_nursery([&](Nursery& outer) {
    outer.start_soon([&] {
      tree_var().set(1);
      open_nursery([&](Nursery& nursery) {
        inside = &nursery;
        tree_var().set(2);
        opened.set();
        nursery.start_soon([&] {
          EXPECT_EQ(tree_var().get(), 1);
          ++seen;
        });
        checkpoint();
      });
      EXPECT_EQ(tree_var().get(), 2);
    });
    outer.start_soon([&] {
      opened.wait();
      EXPECT_EQ(tree_var().get(), 0);
    });
  });
  EXPECT_EQ(seen, 1);
}

// explores: TreeVar
EXPLORE_TEST(TreeVarExplored, ABlockThatIsCutShortPutsTheValueBack) {
  CancelScope leaves;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      tree_var().set(5);
      leaves.run([] {
        tree_var().being(6, [] {
          checkpoint();
          EXPECT_EQ(tree_var().get(), 6);
        });
      });
      EXPECT_EQ(tree_var().get(), 5);
    });
    nursery.start_soon([&] {
      tree_var().set(7);
      leaves.cancel();
      checkpoint();
      EXPECT_EQ(tree_var().get(), 7);
    });
  });
}

// A task starts with what its starter has then, and keeps what it sets to itself.
// explores: ContextVar
EXPLORE_TEST(ContextVarExplored, ComesFromTheStarterAtThatMoment) {
  std::vector<int> seen(3, -1);
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      context_var().set(i);
      nursery.start_soon([&, i] {
        checkpoint();
        seen[static_cast<std::size_t>(i)] = context_var().get_or(-1);
        context_var().set(100);
      });
    }
    context_var().set(50);
    checkpoint();
    EXPECT_EQ(context_var().get(), 50);
  });
  EXPECT_EQ(seen, (std::vector{0, 1, 2}));
}

// explores: ContextVar
EXPLORE_TEST(ContextVarExplored, AContextIsOneTasksAtATime) {
  Context shared;
  int inside = 0;
  int refused = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&] {
        try {
          shared.run([&] {
            EXPECT_EQ(++inside, 1);
            context_var().set(context_var().get_or(0) + 1);
            checkpoint();
            --inside;
          });
        } catch (const UsageError&) {
          ++refused;
        }
        EXPECT_EQ(context_var().get(), std::nullopt);
      });
    }
  });
  EXPECT_EQ(shared.run([] { return context_var().get_or(0); }), 2 - refused);
}

// explores: ContextVar
EXPLORE_TEST(ContextVarExplored, ACancellationLeavesEverybodyTheirValues) {
  CancelScope leave[2];
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 2; ++i) {
      nursery.start_soon([&, i] {
        context_var().set(i);
        leave[i].run([&] {
          Context other;
          other.run([&] {
            context_var().set(10 + i);
            checkpoint();
          });
        });
        EXPECT_EQ(context_var().get(), i);
      });
    }
    nursery.start_soon([&] {
      for (CancelScope& scope : leave) scope.cancel();
    });
  });
}

}  // namespace
}  // namespace weft::fibers
