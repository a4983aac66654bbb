// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Systems that lack calls, or refuse them.

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fibers/core/current_scheduler.h"
#include "fibers/sys/call.h"
#include "tests/fibers/guest_testing.h"
#include "tests/support/refused_call.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/process.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/fibers/timeouts.h"
#include "weft/fibers/to_thread.h"

namespace weft::fibers {
namespace {

// Answers one call with one error, in every thread. There is one, which is never destroyed: threads
// of the cache may still be inside it.
class Refusing final : public sys::Gate {
 public:
  static Refusing& instance() {
    static auto* const gate = new Refusing;
    return *gate;
  }
  void refuse(const char* name, int error) {
    name_ = name;
    error_ = error;
    refused = 0;
    sys::gate = this;
  }
  static void stop() { sys::gate = nullptr; }
  std::atomic<int> refused{0};

 private:
  sys::Answer before(const sys::Asked& asked) noexcept override {
    if (std::strcmp(asked.name, name_) != 0) return {};
    ++refused;
    return {.error = error_};
  }
  void after() noexcept override {}

  std::atomic<const char*> name_{""};
  std::atomic<int> error_{0};
};

// How often `call` was refused while `body` ran.
template <class Body>
int while_refused(const char* call, int error, Body body) {
  Refusing::instance().refuse(call, error);
  run(body);
  Refusing::stop();
  return Refusing::instance().refused;
}

TEST(OldKernelTest, RunsWaitWithoutEpollPwait2) {
  for (const int error : {ENOSYS, EPERM}) {
    const int refused = while_refused("epoll_pwait2", error, [] {
      const Instant begun = current_time();
      for (int i = 0; i < 3; ++i) sleep(std::chrono::microseconds(300));
      EXPECT_GE(current_time() - begun, std::chrono::microseconds(900));
    });
    EXPECT_EQ(refused, 1) << "a run asks once";
  }
}

// A signal of Linux 5.1's, and a descriptor of 5.3's, which that cannot reap by yet.
TEST(OldKernelTest, ChildrenEndWhereThereAreSomeOfTheCallsForThem) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  if (pidfd >= 0) ::close(pidfd);
  for (const char* name : {"pidfd_open", "pidfd_send_signal"}) {
    if (pidfd < 0) continue;  // This kernel lacks them: every other test shows what is wanted.
    const int refused = while_refused(name, ENOSYS, [] {
      const auto process = open_process({"sleep", "3600"});
      process->kill();
      EXPECT_EQ(process->wait(), -SIGKILL);
    });
    EXPECT_EQ(refused, 1) << name;
  }
  test::in_own_process([] {
    if (!test::refuse_call(SYS_waitid, EINVAL, 0, P_PIDFD)) std::_Exit(0);
    run([] { EXPECT_EQ(open_process({"sh", "-c", "exit 3"})->wait(), 3); });
  });
}

TEST(OldKernelTest, StacksHaveGuardsWithoutMarkers) {
  for (const int error : {EINVAL, ENOSYS, EPERM}) {
    test::in_own_process([error] {
      if (!test::refuse_call(SYS_madvise, error, 2, 102)) std::_Exit(0);
      run([] {
        open_nursery([](Nursery& nursery) {
          for (int i = 0; i < 100; ++i) nursery.start_soon([] { checkpoint(); });
        });
      });
    });
  }
}

TEST(RefusedAlarmTest, AGuestThatCannotWakeItsHostForADeadlineEndsWithAnError) {
  testing::Hosted hosted(testing::Way::kPolled);
  Refusing::instance().refuse("timerfd_settime", EPERM);
  hosted.start([] { sleep(std::chrono::hours(1)); });
  std::string text = "none";
  try {
    hosted.finish();
  } catch (const InternalError& error) {
    text = error.what();
  }
  Refusing::stop();
  EXPECT_NE(text.find("timerfd_settime"), std::string::npos) << text;
}

int wakeup_fd() {
  return detail::current_scheduler().entries()->wakeup().fd();
}

TEST(RefusedWakeupTest, AThreadStillWakesARunWhoseEventfdCannotBeWritten) {
  test::in_own_process([] {
    run([] {
      if (!test::refuse_call(SYS_write, EPERM, 0, static_cast<std::uint32_t>(wakeup_fd())))
        std::_Exit(0);
      for (int i = 0; i < 100; ++i) EXPECT_EQ(to_thread::run_sync([i] { return i; }), i);
    });
  });
}

TEST(RefusedWakeupDeathTest, ARunThatNobodyCanWakeEndsWithAMessage) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run([] {
                 const bool filtered = test::refuse_call(SYS_write, EPERM, 0,
                                                         static_cast<std::uint32_t>(wakeup_fd())) &&
                                       test::refuse_call(SYS_epoll_ctl, EPERM, 1, EPOLL_CTL_MOD);
                 if (!filtered) {  // Some sandboxes allow no filters.
                   std::fputs("the system refuses to wake a run", stderr);
                   std::abort();
                 }
                 for (;;)
                   to_thread::run_sync([] {});  // Until the answer comes while the run sleeps.
               }),
               "the system refuses to wake a run");
}

}  // namespace
}  // namespace weft::fibers
