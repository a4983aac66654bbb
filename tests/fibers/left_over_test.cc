// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/left_over.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "tests/support/captured_log.h"
#include "weft/fibers/event.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/guest.h"
#include "weft/fibers/inspect.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers::testing {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST(LeftOverTest, ARunThatIsOverLeavesNothing) {
  const LeftOver since;
  run([] {
    open_nursery([](Nursery& nursery) {
      for (int i = 0; i < 3; ++i) nursery.start_soon([] { checkpoint(); });
    });
  });
  EXPECT_EQ(since.find(), "");
}

// A run inside a greenlet that has left it, and will come back.
Greenlet suspended_run(bool& over) {
  Greenlet greenlet([&over] {
    const Greenlet outside = getcurrent().parent();
    run([&] {
      Event event;
      open_nursery([&](Nursery& nursery) {
        nursery.start_soon([&] { event.wait(); }, {.name = "forgotten"});
        wait_all_tasks_blocked();
        outside.switch_to();
        event.set();
      });
    });
    over = true;
  });
  greenlet.switch_to();
  return greenlet;
}

TEST(LeftOverTest, TasksOfASuspendedRunAreNamedUntilTheyHaveEnded) {
  const LeftOver since;
  bool over = false;
  {
    const Greenlet greenlet = suspended_run(over);
    EXPECT_THAT(
        since.find(),
        AllOf(ContainsRegex("task 'forgotten' #[0-9]+, started at .*left_over_test.cc:[0-9]+"
                            ", waiting for Event.wait, is left over"),
              HasSubstr("task 'main'"), ContainsRegex("greenlets: [0-9]+"),
              HasSubstr("anon_inode:[eventpoll], is left over")));
    greenlet.switch_to();
  }
  EXPECT_TRUE(over);
  EXPECT_EQ(since.find(), "");
}

TEST(LeftOverTest, TasksThatAreThereBeforeDoNotCount) {
  bool over = false;
  const Greenlet greenlet = suspended_run(over);
  const LeftOver since;
  EXPECT_EQ(since.find(), "");
  greenlet.switch_to();
}

// The host of this guest goes away: its tasks will never be unwound.
TEST(LeftOverTest, TasksOfAnAbandonedGuestAreNamedForEver) {
  WEFT_LEAVES_OVER("a guest that is abandoned");
  const LeftOver since;
  {
    const test::CapturedLog log;
    GuestRun guest =
        start_guest_run([] { sleep_forever(); }, {.done_callback = [](Outcome<void>) {}});
    for (int i = 0; i < 20; ++i) guest.tick();
  }
  EXPECT_THAT(since.find(), AllOf(ContainsRegex("task 'main' #[0-9]+, .*waiting for sleep"),
                                  Not(HasSubstr("descriptor"))));
}

TEST(LeftOverTest, ADescriptorIsNamedWithWhatItIsOpenOn) {
  const LeftOver since;
  const int left = ::open("/dev/null", O_CLOEXEC);
  EXPECT_EQ(since.find(), "descriptor " + std::to_string(left) + ", /dev/null, is left over\n");
  ::close(left);
  EXPECT_EQ(since.find(), "");
}

TEST(LeftOverTest, ADescriptorThatSomebodyElseNeedsIsMissed) {
  const int needed = ::open("/dev/null", O_CLOEXEC);
  const LeftOver since;
  ::close(needed);
  EXPECT_THAT(since.find(), HasSubstr("/dev/null, was open before and has been closed"));
  const int again = ::open("/dev/zero", O_CLOEXEC);
  ASSERT_EQ(again, needed);
  EXPECT_THAT(since.find(), HasSubstr("/dev/zero, is left over"));
  ::close(again);
}

TEST(LeftOverTest, AFileThatIsDeletedMeanwhileIsTheSame) {
  std::string path = ::testing::TempDir() + "weft_left_over_XXXXXX";
  const int fd = ::mkostemp(path.data(), O_CLOEXEC);
  ASSERT_GE(fd, 0);
  const LeftOver since;
  ::unlink(path.c_str());
  EXPECT_EQ(since.find(), "");
  ::close(fd);
}

// Not a word of those that are open as before.
TEST(LeftOverTest, LooksAlsoWhereNoDescriptorIsFree) {
  const LeftOver since;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int left = ::open("/dev/zero", O_CLOEXEC);
  rlimit none_free = before;
  none_free.rlim_cur = static_cast<rlim_t>(left) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none_free), 0);
  const std::string found = since.find();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(found, "descriptor " + std::to_string(left) + ", /dev/zero, is left over\n");
  ::close(left);
}

TEST(LivingTasksTest, AreThoseOfTheRunAndNoneOutside) {
  std::thread([] {  // Other tests have lost some here.
    EXPECT_THAT(living_tasks(), IsEmpty());
    run([] {
      EXPECT_THAT(living_tasks(), SizeIs(2));
      EXPECT_THAT(living_tasks().back().describe(), HasSubstr("task 'main' #"));
    });
    EXPECT_THAT(living_tasks(), IsEmpty());
  })
      .join();
}

}  // namespace
}  // namespace weft::fibers::testing
