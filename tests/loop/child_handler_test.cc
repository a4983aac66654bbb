// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The ends of children as callbacks.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "tests/loop/loop_testing.h"
#include "weft/fibers/errors.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/future.h"
#include "weft/loop/sync_loop.h"

namespace weft::loop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT: the helpers of the folder.

// A child that waits for a line and then exits, and does not outlive the test. Started by the
// system itself, as a library would.
class OwnChild {
 public:
  explicit OwnChild(int status) : script_("read line; exit " + std::to_string(status)) {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0);
    std::array<char*, 4> words{sh_.data(), option_.data(), script_.data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends_[1], 0);
    EXPECT_EQ(::posix_spawn(&pid_, "/bin/sh", &actions, nullptr, words.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  OwnChild(const OwnChild&) = delete;
  OwnChild& operator=(const OwnChild&) = delete;
  ~OwnChild() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    for (const int end : ends_) ::close(end);
  }
  int pid() const { return pid_; }
  void let_go() const { ::send(ends_[0], "\n", 1, MSG_NOSIGNAL); }
  // It has ended, and has not been reaped.
  void wait_for_end() const {
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT), 0);
  }

 private:
  std::string sh_ = "sh";
  std::string option_ = "-c";
  std::string script_;
  std::array<int, 2> ends_{-1, -1};
  int pid_ = -1;
};

// asyncio: claims_subprocesses::the_sign_of_an_exit_code
FIBER_TEST(ChildHandlerTest, TellsTheExitStatusOrMinusTheSignal) {
  WEFT_NOT_FAULT_SWEPT("a handler that has failed ends nothing that the test waits for");
  OwnChild exits(7);
  OwnChild dies(0);
  with_loop([&](EventLoop& loop) {
    Future<int> status = loop.create_future<int>();
    Future<int> signal = loop.create_future<int>();
    loop.add_child_handler(exits.pid(), [&](int code) {
      EXPECT_EQ(running_loop(), &loop);
      status.set_result(code);
    });
    loop.add_child_handler(dies.pid(), [&](int code) { signal.set_result(code); });
    exits.let_go();
    EXPECT_EQ(await(status), 7);
    ::kill(dies.pid(), SIGTERM);
    EXPECT_EQ(await(signal), -SIGTERM);
    // It has been reaped.
    EXPECT_EQ(::waitpid(exits.pid(), nullptr, WNOHANG), -1);
  });
}

// Without pidfds a thread finds it out, in its own time.
FIBER_TEST(ChildHandlerTest, AChildThatHasEndedAlreadyIsToldOf) {
  WEFT_NOT_FAULT_SWEPT("a handler that has failed ends nothing that the test waits for");
  OwnChild child(3);
  child.let_go();
  child.wait_for_end();
  with_loop([&](EventLoop& loop) {
    Future<int> status = loop.create_future<int>();
    loop.add_child_handler(child.pid(), [status](int code) mutable { status.set_result(code); });
    EXPECT_EQ(await(status), 3);
  });
}

FIBER_TEST(ChildHandlerTest, OneThatIsCancelledIsNotCalledAndLeavesTheChild) {
  OwnChild child(3);
  with_idle_loop([&](EventLoop& loop) {
    auto held = std::make_shared<int>(0);
    Handle handle = loop.add_child_handler(child.pid(), [held](int) { ++*held; });
    handle.cancel();
    EXPECT_EQ(held.use_count(), 1);
    child.let_go();
    child.wait_for_end();
    run_once(loop);
    run_once(loop);
    EXPECT_EQ(*held, 0);
    int status = 0;
    EXPECT_EQ(::waitpid(child.pid(), &status, WNOHANG), child.pid());
    EXPECT_EQ(WEXITSTATUS(status), 3);
  });
}

FIBER_TEST(ChildHandlerTest, MayWaitAndMayAddAnother) {
  WEFT_NOT_FAULT_SWEPT("a handler that has failed ends nothing that the test waits for");
  OwnChild first(1);
  OwnChild second(2);
  std::vector<int> codes;
  with_loop([&](EventLoop& loop) {
    Future<void> done = loop.create_future<void>();
    Future<void> go_on = loop.create_future<void>();
    loop.add_child_handler(first.pid(), [&](int code) {
      second.let_go();
      loop.add_child_handler(second.pid(), [&](int other) {
        codes.push_back(other);
        go_on.set_result();
      });
      await(go_on);
      codes.push_back(code);
      done.set_result();
    });
    first.let_go();
    await(done);
  });
  EXPECT_THAT(codes, ElementsAre(2, 1));
}

// asyncio: 255, and a warning.
FIBER_TEST(ChildHandlerTest, AStatusThatSomebodyElseHasTakenIs255) {
  WEFT_NOT_FAULT_SWEPT("a handler that has failed ends nothing that the test waits for");
  OwnChild child(3);
  child.let_go();
  ::waitpid(child.pid(), nullptr, 0);
  CapturedLog log;
  with_idle_loop([&](EventLoop& loop) {
    std::vector<int> codes;
    loop.add_child_handler(child.pid(), [&](int code) { codes.push_back(code); });
    // Without a pidfd, a thread looks.
    while (codes.empty()) run_once(loop);
    EXPECT_THAT(codes, ElementsAre(255));
  });
  ASSERT_FALSE(log.lines.empty());
  EXPECT_THAT(log.lines.back(), HasSubstr("will report returncode 255"));
}

FIBER_TEST(ChildHandlerTest, CloseForgetsItAndDropsWhatItHolds) {
  OwnChild child(3);
  auto held = std::make_shared<int>(0);
  with_idle_loop([&](EventLoop& loop) {
    loop.add_child_handler(child.pid(), [held](int) { ++*held; });
    loop.close();
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_THROW(loop.add_child_handler(child.pid(), [](int) {}), fibers::UsageError);
  });
  EXPECT_EQ(*held, 0);
}

TEST(ChildHandlerOutsideTest, WorksInASyncLoop) {
  OwnChild child(5);
  SyncLoop loop;
  Future<int> code = loop->create_future<int>();
  loop->add_child_handler(child.pid(), [&](int status) { code.set_result(status); });
  child.let_go();
  EXPECT_EQ(loop.run_until_complete(code), 5);
}

}  // namespace
}  // namespace weft::loop
