// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a task may capture: see nursery.h.

#include <gmock/gmock.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "weft/fibers/event.h"
#include "weft/fibers/gather.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/race.h"
#include "weft/fibers/run.h"
#include "weft/fibers/service_nursery.h"
#include "weft/fibers/task_handle.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/token.h"
#include "weft/fibers/unwrapped.h"

namespace weft::fibers {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A test of CapturesTest whose body is a task, in a run that checks captures.
#define CHECKED_TEST(name)                                                               \
  void body_of_##name();                                                                 \
  TEST(CapturesTest, name) {                                                             \
    testing::run_fiber_test(body_of_##name, {.in_order = true, .check_captures = true}); \
  }                                                                                      \
  void body_of_##name()

// What the check says of `start`; empty if nothing.
template <class F>
std::string refusal(F&& start) {
  try {
    start();
  } catch (const UsageError& error) {
    return error.what();
  }
  return {};
}

// At an address whose lowest byte is not 0 or 1: the check takes such a word for a bool's.
template <class T>
struct alignas(256) Placed {
  std::array<char, 8> before{};
  T value{};
};

void use(const std::string& text) {
  EXPECT_FALSE(text.empty());
}

CHECKED_TEST(RefusesALocalOfTheBody) {
  std::string said;
  open_nursery([&](Nursery& nursery) {
    std::string local = "short";
    said = refusal([&] { nursery.start_soon([&] { use(local); }, {.name = "reader"}); });
  });
  EXPECT_THAT(said, AllOf(HasSubstr("'reader'"), HasSubstr("captures_test.cc"),
                          HasSubstr("move it into the closure")));
}

CHECKED_TEST(RefusesTheVariableOfALoop) {
  int refused = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      if (!refusal([&] { nursery.start_soon([&] { EXPECT_LT(i, 3); }); }).empty()) ++refused;
    }
  });
  EXPECT_EQ(refused, 3);
}

CHECKED_TEST(RefusesAPointerAmongOtherCaptures) {
  std::string said;
  open_nursery([&](Nursery& nursery) {
    Placed<int> placed{.value = 1};
    int& local = placed.value;
    said = refusal([&] {
      nursery.start_soon([text = std::string("text"), flag = true, p = &local] {
        use(text);
        EXPECT_TRUE(flag && p != nullptr);
      });
    });
  });
  EXPECT_FALSE(said.empty());
}

CHECKED_TEST(RefusesAReferenceInsideAStdFunction) {
  std::string said;
  open_nursery([&](Nursery& nursery) {
    Placed<std::string> placed{.value = "local"};
    std::string& local = placed.value;
    std::function<void()> job = [&local] { use(local); };
    said = refusal([&] { nursery.start_soon(job); });
  });
  EXPECT_FALSE(said.empty());
}

CHECKED_TEST(RefusesALocalOfACalledFunction) {
  std::string said;
  const auto helper = [&](Nursery& nursery) {
    std::array<int, 4> numbers{1, 2, 3, 4};
    said = refusal([&] { nursery.start_soon([&numbers] { EXPECT_EQ(numbers[0], 1); }); });
  };
  open_nursery([&](Nursery& nursery) { helper(nursery); });
  EXPECT_FALSE(said.empty());
}

CHECKED_TEST(RefusesALocalOfAnInnerNurseryForTheOuter) {
  std::string outer_said;
  std::string inner_said;
  open_nursery([&](Nursery& outer) {
    int between = 1;
    open_nursery([&](Nursery& inner) {
      outer_said = refusal([&] { outer.start_soon([&] { EXPECT_EQ(between, 1); }); });
      inner_said = refusal([&] { inner.start_soon([&] { EXPECT_EQ(between, 1); }); });
    });
  });
  EXPECT_FALSE(outer_said.empty());
  EXPECT_EQ(inner_said, "");
}

CHECKED_TEST(RefusesTheStackOfAnotherTask) {
  std::string said_of_local;
  std::string said_of_capture;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&, own = std::string("its own")] {
      Placed<int> placed{.value = 1};
      int& local = placed.value;
      said_of_local = refusal([&] { nursery.start_soon([&local] { EXPECT_EQ(local, 1); }); });
      said_of_capture = refusal([&] { nursery.start_soon([&] { use(own); }); });
    });
  });
  EXPECT_THAT(said_of_local, HasSubstr("on the stack of the task that starts this one"));
  EXPECT_FALSE(said_of_capture.empty());
}

CHECKED_TEST(RefusesItInEveryWayToStartATask) {
  std::array<std::string, 5> said;
  open_service_nursery([&](ServiceNursery& services) {
    Placed<int> placed{.value = 1};
    int& local = placed.value;
    said[0] = refusal([&] { services.start_soon([&local] { EXPECT_EQ(local, 1); }); });
  });
  open_nursery([&](Nursery& nursery) {
    Placed<int> placed{.value = 1};
    int& local = placed.value;
    said[1] = refusal([&] { create_task(nursery, [&local] { return local; }); });
    said[2] = refusal([&] {
      nursery.start([&local](TaskStatus<void>& status) {
        EXPECT_EQ(local, 1);
        status.started();
      });
    });
    said[3] = refusal([&] { spawn_system_task([&local] { EXPECT_EQ(local, 1); }); });
  });
  open_unwrapped_nursery([&](Nursery& nursery) {
    Placed<int> placed{.value = 1};
    int& local = placed.value;
    said[4] = refusal([&] { nursery.start_soon([&local] { EXPECT_EQ(local, 1); }); });
  });
  for (const std::string& text : said) EXPECT_FALSE(text.empty()) << &text - said.data();
}

CHECKED_TEST(RefusesALocalOfACallFromOutside) {
  std::string said;
  Event called;
  open_nursery([&](Nursery& nursery) {
    current_token().run_sync_soon([&] {
      Placed<int> placed{.value = 1};
      int& local = placed.value;
      said = refusal([&] { nursery.start_soon([&local] { EXPECT_EQ(local, 1); }); });
      nursery.start_soon([&called] { called.set(); });
    });
    called.wait();
  });
  EXPECT_FALSE(said.empty());
}

CHECKED_TEST(AllowsWhatOutlivesTheNursery) {
  std::string outside = "outside";
  int ran = 0;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&] {
      use(outside);
      ++ran;
    });
    nursery.start_soon([&nursery, &ran] { nursery.start_soon([&ran] { ++ran; }); });
    std::string local = "short";  // Its characters lie inside of it.
    nursery.start_soon([&ran, text = local, other = std::optional<int*>(&ran)] {
      use(text);
      if (other) ++ran;
    });
    nursery.start_soon(
        [&ran, text = std::make_unique<std::string>("x")] { ran += text != nullptr; });
    nursery.start([&](TaskStatus<void>& status) {
      use(outside);
      status.started();
    });
    create_task(nursery, [&] { return ++ran; });
  });
  EXPECT_EQ(ran, 5);
}

CHECKED_TEST(AllowsWhatGatherAndRaceWaitFor) {
  open_nursery([&](Nursery&) {
    int a = 1;
    int b = 2;
    const auto [x, y] = gather([&] { return a; }, [&] { return b; });
    EXPECT_EQ(x + y, 3);
    EXPECT_EQ(race([&] { return a; }, [&] { return a; }).index(), 0U);
  });
}

// A word that somebody else has left in the padding, or in a value that is not there.
CHECKED_TEST(TakesNoPaddingForAReference) {
  int ran = 0;
  open_nursery([&](Nursery& nursery) {
    const auto start = [&](bool flag) {
      nursery.start_soon([flag, &ran] { ran += flag ? 1 : 0; });
    };
    for (int round = 0; round < 8; ++round) {
      std::array<void*, 64> stale{};
      stale.fill(&stale);
      EXPECT_NE(stale[0], nullptr);
      start(true);
    }
  });
  EXPECT_EQ(ran, 8);
}

CHECKED_TEST(BelievesWhoKnowsBetter) {
  int seen = 0;
  open_nursery([&](Nursery& nursery) {
    int local = 7;
    Event done;
    nursery.start_soon(
        [&] {
          seen = local;
          done.set();
        },
        {.unchecked_captures = true});
    done.wait();
    create_task(nursery, [&] { return local; }, {.unchecked_captures = true}).wait();
  });
  EXPECT_EQ(seen, 7);
}

FIBER_TEST(CapturesTest, AreNotCheckedUnlessTheRunSaysSo) {
  int seen = 0;
  open_nursery([&](Nursery& nursery) {
    int local = 7;
    Event done;
    nursery.start_soon([&] {
      seen = local;
      done.set();
    });
    done.wait();
  });
  EXPECT_EQ(seen, 7);
}

// A closure that counts how many of it live.
struct Counted {
  static inline int living = 0;
  Counted() { ++living; }
  Counted(const Counted& /*other*/) { ++living; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --living; }
};

CHECKED_TEST(DestroysARefusedClosureAndLeavesNoTask) {
  open_nursery([&](Nursery& nursery) {
    Placed<int> placed{.value = 1};
    int& local = placed.value;
    const auto start = [&] {
      nursery.start_soon([&local, counted = Counted()] { EXPECT_EQ(local, 1); });
    };
    EXPECT_FALSE(refusal(start).empty());
    EXPECT_EQ(Counted::living, 0);
    EXPECT_TRUE(nursery.child_tasks().empty());
  });
}

// A closure whose copying waits until the nursery would have closed.
struct WaitsWhenCopied {
  Event* may_go_on;
  int* ran;
  WaitsWhenCopied(Event& event, int& count) : may_go_on(&event), ran(&count) {}
  WaitsWhenCopied(const WaitsWhenCopied& other) : may_go_on(other.may_go_on), ran(other.ran) {
    may_go_on->wait();
  }
  WaitsWhenCopied& operator=(const WaitsWhenCopied&) = delete;
  void operator()() const { ++*ran; }
};

CHECKED_TEST(ANurseryStaysOpenWhileAClosureIsCopied) {
  Event may_go_on;
  int ran = 0;
  Event copying;
  const WaitsWhenCopied closure(may_go_on, ran);
  open_nursery([&](Nursery& outer) {
    open_nursery([&](Nursery& inner) {
      outer.start_soon(
          [&] {
            copying.set();
            inner.start_soon(closure);
          },
          {.unchecked_captures = true});
      copying.wait();
      outer.start_soon([&] { may_go_on.set(); });
    });
    EXPECT_EQ(ran, 1);
  });
}

}  // namespace
}  // namespace weft::fibers
