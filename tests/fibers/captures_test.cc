// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a task may capture: see nursery.h.

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

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

// gcc knows which bytes of a closure are padding. Elsewhere only closures without any are checked.
#ifdef WEFT_KNOWS_PADDING
constexpr bool kChecksAll = true;
#else
constexpr bool kChecksAll = false;
#endif

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

void use(const std::string& text) {
  EXPECT_FALSE(text.empty());
}

FIBER_TEST(CapturesTest, RefusesALocalOfTheBody) {
  std::string said;
  open_nursery([&](Nursery& nursery) {
    std::string local = "short";
    said = refusal([&] { nursery.start_soon([&] { use(local); }, {.name = "reader"}); });
  });
  EXPECT_THAT(said, AllOf(HasSubstr("'reader'"), HasSubstr("captures_test.cc"),
                          HasSubstr("move it into the closure")));
}

FIBER_TEST(CapturesTest, RefusesTheVariableOfALoop) {
  int refused = 0;
  open_nursery([&](Nursery& nursery) {
    for (int i = 0; i < 3; ++i) {
      if (!refusal([&] { nursery.start_soon([&] { EXPECT_LT(i, 3); }); }).empty()) ++refused;
    }
  });
  EXPECT_EQ(refused, 3);
}

FIBER_TEST(CapturesTest, RefusesAPointerAmongOtherCaptures) {
  if (!kChecksAll) return;
  std::string said;
  open_nursery([&](Nursery& nursery) {
    int local = 1;
    said = refusal([&] {
      nursery.start_soon([text = std::string("text"), flag = true, p = &local] {
        use(text);
        EXPECT_TRUE(flag && p != nullptr);
      });
    });
  });
  EXPECT_FALSE(said.empty());
}

FIBER_TEST(CapturesTest, RefusesAReferenceBesideANumber) {
  if (!kChecksAll) return;
  std::string said;
  open_nursery([&](Nursery& nursery) {
    std::string local = "local";
    for (int i = 0; i < 1; ++i) {
      said = refusal([&] { nursery.start_soon([&local, i] { use(local + std::to_string(i)); }); });
    }
  });
  EXPECT_FALSE(said.empty());
}

FIBER_TEST(CapturesTest, RefusesAReferenceInsideAStdFunction) {
  if (!kChecksAll) return;
  std::string said;
  open_nursery([&](Nursery& nursery) {
    std::string local = "local";
    std::function<void()> job = [&local] { use(local); };
    said = refusal([&] { nursery.start_soon(job); });
  });
  EXPECT_FALSE(said.empty());
}

FIBER_TEST(CapturesTest, RefusesALocalOfACalledFunction) {
  std::string said;
  const auto helper = [&](Nursery& nursery) {
    std::array<int, 4> numbers{1, 2, 3, 4};
    said = refusal([&] { nursery.start_soon([&numbers] { EXPECT_EQ(numbers[0], 1); }); });
  };
  open_nursery([&](Nursery& nursery) { helper(nursery); });
  EXPECT_FALSE(said.empty());
}

FIBER_TEST(CapturesTest, RefusesALocalOfAnInnerNurseryForTheOuter) {
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

FIBER_TEST(CapturesTest, RefusesTheStackOfAnotherTask) {
  std::string said_of_local;
  std::string said_of_capture;
  open_nursery([&](Nursery& nursery) {
    nursery.start_soon([&, own = std::string("its own")] {
      int local = 1;
      said_of_local = refusal([&] { nursery.start_soon([&local] { EXPECT_EQ(local, 1); }); });
      said_of_capture = refusal([&] { nursery.start_soon([&] { use(own); }); });
    });
  });
  EXPECT_THAT(said_of_local, HasSubstr("on the stack of the task that starts this one"));
  EXPECT_FALSE(said_of_capture.empty());
}

FIBER_TEST(CapturesTest, RefusesItInEveryWayToStartATask) {
  std::array<std::string, 5> said;
  open_service_nursery([&](ServiceNursery& services) {
    int local = 1;
    said[0] = refusal([&] { services.start_soon([&local] { EXPECT_EQ(local, 1); }); });
  });
  open_nursery([&](Nursery& nursery) {
    int local = 1;
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
    int local = 1;
    said[4] = refusal([&] { nursery.start_soon([&local] { EXPECT_EQ(local, 1); }); });
  });
  for (const std::string& text : said) EXPECT_FALSE(text.empty()) << &text - said.data();
}

FIBER_TEST(CapturesTest, RefusesALocalOfACallFromOutside) {
  std::string said;
  Event called;
  open_nursery([&](Nursery& nursery) {
    current_token().run_sync_soon([&] {
      int local = 1;
      said = refusal([&] { nursery.start_soon([&local] { EXPECT_EQ(local, 1); }); });
      nursery.start_soon([&called] { called.set(); });
    });
    called.wait();
  });
  EXPECT_FALSE(said.empty());
}

FIBER_TEST(CapturesTest, AllowsWhatOutlivesTheNursery) {
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

FIBER_TEST(CapturesTest, AllowsWhatGatherAndRaceWaitFor) {
  open_nursery([&](Nursery&) {
    int a = 1;
    int b = 2;
    const auto [x, y] = gather([&] { return a; }, [&] { return b; });
    EXPECT_EQ(x + y, 3);
    EXPECT_LT(race([&] { return a; }, [&] { return a; }).index(), 2U);
  });
}

// The nursery of a task of the nursery ends before that does.
FIBER_TEST(CapturesTest, AllowsWhatOutlivesTheNurseryThatATaskHasOpened) {
  int outside = 1;
  int ran = 0;
  std::string said;
  Event done;
  open_nursery([&](Nursery& nursery) {
    int between = 1;
    auto* inner = nursery.start<Nursery*>([&](TaskStatus<Nursery*>& status) {
      open_nursery([&](Nursery& opened) {
        status.started(&opened);
        done.wait();
      });
    });
    inner->start_soon([&] { ran += outside; });
    said = refusal([&] { inner->start_soon([&] { ran += between; }); });
    done.set();
  });
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(said.empty());
}

// Bytes in which others have left what looks like a reference to a local.
template <class T>
struct Stale {
  Stale() {
    void* const local = this;
    for (std::size_t at = 0; at + sizeof(local) <= bytes.size(); at += sizeof(local))
      std::memcpy(&bytes[at], &local, sizeof(local));
  }
  // A value in such a place, of which the constructor writes what it has to.
  template <class... A>
  T& make(A&&... args) {
    return *::new (static_cast<void*>(bytes.data())) T(std::forward<A>(args)...);
  }
  alignas(std::max(alignof(T), alignof(void*))) std::array<std::byte, sizeof(T) + 8> bytes{};
};

struct Padded {
  explicit Padded(char c) : kind(c) {}
  char kind;
  alignas(8) char other = 'x';
};

FIBER_TEST(CapturesTest, TakesNoPaddingForAReference) {
  int ran = 0;
  open_nursery([&](Nursery& nursery) {
    Stale<Padded> padded;
    Padded& p = padded.make('p');
    const std::string text = "text";
    nursery.start_soon([&ran, p] { ran += p.kind == 'p' ? 1 : 0; });
    nursery.start_soon([&ran, p, text] { ran += p.kind == 'p' && !text.empty() ? 1 : 0; });
    const auto none = [] { return 1; };
    for (char c = 'a'; c < 'm'; ++c) {
      Stale<std::array<void*, 8>> stale;
      EXPECT_NE(stale.bytes[0], std::byte(1));
      nursery.start_soon([c, &ran, none] { ran += c != '0' ? none() : 0; });
    }
  });
  EXPECT_EQ(ran, 14);
}

// Whose value may be anything as long as it is not there.
FIBER_TEST(CapturesTest, TakesAnAbsentValueForNoReference) {
  int ran = 0;
  open_nursery([&](Nursery& nursery) {
    Stale<std::optional<int*>> pointer;
    const auto& absent = pointer.make(std::nullopt);
    Stale<std::optional<std::string_view>> view;
    const auto& no_view = view.make(std::nullopt);
    Stale<std::variant<std::string_view, int>> variant;
    const auto& number = variant.make(7);
    nursery.start_soon([&ran, absent] { ran += absent ? 0 : 1; });
    nursery.start_soon([no_view, &ran] { ran += no_view ? 0 : 1; });
    nursery.start_soon([number, &ran] { ran += number.index() == 1 ? 1 : 0; });
    nursery.start_soon([&ran, absent, text = std::string("x")] { ran += absent ? 0 : 1; });
  });
  EXPECT_EQ(ran, 4);
}

// A buffer may be captured before all of it is written.
FIBER_TEST(CapturesTest, DoNotMatterInALargeClosure) {
  int ran = 0;
  open_nursery([&](Nursery& nursery) {
    Stale<std::array<char, 512>> buffer;
    const auto& packet = *reinterpret_cast<const std::array<char, 512>*>(buffer.bytes.data());
    nursery.start_soon([packet, &ran] { ran += packet.size() == 512 ? 1 : 0; });
  });
  EXPECT_EQ(ran, 1);
}

FIBER_TEST(CapturesTest, BelievesWhoKnowsBetter) {
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

// Starts a task that refers to a local of the body, and waits for it in there.
int use_a_local_of_the_body() {
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
  return seen;
}

TEST(CapturesTest, AreNotCheckedIfTheRunSaysSo) {
  EXPECT_EQ(run(use_a_local_of_the_body, {.check_captures = false}), 7);
}

TEST(CapturesTest, AreCheckedInADebugBuildOfTheCaller) {
#ifdef NDEBUG
  EXPECT_EQ(run(use_a_local_of_the_body), 7);
#else
  EXPECT_NE(refusal([] { unwrap_lone_error([] { run(use_a_local_of_the_body); }); }), "");
#endif
}

// A closure that counts how many of it live.
struct Counted {
  static inline int living = 0;
  Counted() { ++living; }
  Counted(const Counted& /*other*/) { ++living; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --living; }
};

FIBER_TEST(CapturesTest, DestroysARefusedClosureAndLeavesNoTask) {
  if (!kChecksAll) return;
  open_nursery([&](Nursery& nursery) {
    int local = 1;
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

FIBER_TEST(CapturesTest, ANurseryStaysOpenWhileAClosureIsCopied) {
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
