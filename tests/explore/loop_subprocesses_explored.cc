// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Children with streams, which end, and close their pipes, at any time.
//
// The child is a fake: the test has the other ends of its pipes, and one more pipe stands for its
// pidfd. Above that everything is as with a real one: the transport, the pipes, the streams.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "fibers/sys/sys.h"
#include "loop/src/subprocess/child_streams.h"
#include "tests/explore/outside.h"
#include "weft/fibers/cancel_scope.h"
#include "weft/fibers/io.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/fiber_test.h"
#include "weft/loop/event_loop.h"
#include "weft/loop/subprocess.h"
#include "weft/loop/task.h"

namespace weft::loop {
namespace {

using fibers::checkpoint;
using namespace testing;  // NOLINT: the helpers of the folder.
using Output = std::pair<std::string, std::string>;

// The system knows no such child: somebody else, it seems, has reaped it.
class NoSuchChild final : public fibers::sys::Gate {
 public:
  NoSuchChild() { fibers::sys::gate = this; }
  NoSuchChild(const NoSuchChild&) = delete;
  NoSuchChild& operator=(const NoSuchChild&) = delete;
  ~NoSuchChild() { fibers::sys::gate = nullptr; }
  fibers::sys::Answer before(const fibers::sys::Asked& asked) noexcept override {
    return {.error = std::string_view(asked.name) == "waitid" ? ECHILD : 0};
  }
  void after() noexcept override {}
};

// What the loop says of a child that somebody else has reaped.
constexpr int kStatus = 255;

class FakeChild {
 public:
  explicit FakeChild(EventLoop& loop) {
    fibers::detail::Spawned spawned;
    spawned.pid = 1 << 30;  // Larger than any.
    spawned.ours[0] = keep(0, pipe(), 1);
    spawned.ours[1] = keep(1, pipe(), 0);
    spawned.ours[2] = keep(2, pipe(), 0);
    spawned.pidfd = keep(3, pipe(), 0);
    const auto streams = std::make_shared<detail::ChildStreams>(
        loop, SubprocessOptions{.stdin = kPipe, .stdout = kPipe, .stderr = kPipe}, 65536);
    Future<void> made = loop.create_future<void>();
    auto* const core = new detail::SubprocessCore(FutureAccess::core(made).loop(), streams);
    const auto transport = TransportAccess::share<SubprocessTransport>(*core);
    core->release();
    core->start(std::move(spawned), made);
    await(made);
    process = ProcessAccess::make(transport, streams);
  }
  FakeChild(const FakeChild&) = delete;
  FakeChild& operator=(const FakeChild&) = delete;
  ~FakeChild() {
    for (int fd = 0; fd < 4; ++fd) close(fd);
  }

  void say(int fd, std::string_view text) const {
    static_cast<void>(::write(theirs_.at(static_cast<std::size_t>(fd)), text.data(), text.size()));
  }
  void close(int fd) {
    int& end = theirs_.at(static_cast<std::size_t>(fd));
    if (end >= 0) ::close(std::exchange(end, -1));
  }
  void exit() { close(3); }
  // All of its stdin.
  std::string read() const {
    std::string all;
    std::array<char, 100> part{};
    for (;;) {
      const ssize_t count = ::read(theirs_[0], part.data(), part.size());
      if (count > 0) {
        all.append(part.data(), static_cast<std::size_t>(count));
      } else if (count < 0 && errno == EAGAIN) {
        fibers::wait_readable(theirs_[0]);
      } else {
        return all;
      }
    }
  }
  // Everything has been told, and the transport is closed.
  void wait_lost() const {
    while (process.transport().get_protocol() != nullptr) checkpoint();
  }

  Process process;

 private:
  using Ends = std::array<int, 2>;
  static Ends pipe() {
    Ends ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    return ends;
  }
  fibers::detail::PlainFd keep(std::size_t fd, Ends ends, std::size_t ours) {
    theirs_.at(fd) = ends.at(1 - ours);
    return fibers::detail::PlainFd(ends.at(ours));
  }

  const CapturedLog quiet_;
  const NoSuchChild gate_;
  std::array<int, 4> theirs_{-1, -1, -1, -1};
};

// --- wait(). ---

// explores: loop.Process.wait
EXPLORE_TEST(LoopProcessExplored, EverybodyWhoWaitsHearsOfTheEnd) {
  with_loop([](EventLoop& loop) {
    FakeChild child(loop);
    auto task = loop.create_task(child.process.wait());
    together([&] { EXPECT_EQ(await(child.process.wait()), kStatus); }, [&] { child.exit(); },
             [&] {
               child.close(1);
               child.close(2);
             });
    EXPECT_EQ(await(task), kStatus);
    EXPECT_EQ(child.process.returncode(), kStatus);
    child.wait_lost();
    EXPECT_TRUE(child.process.stdout->at_eof());
  });
}

// explores: loop.Process.wait
EXPLORE_TEST(LoopProcessExplored, ACancelledWaitKeepsNobodyElse) {
  with_loop([](EventLoop& loop) {
    FakeChild child(loop);
    fibers::CancelScope leaves;
    auto task = loop.create_task(child.process.wait());
    together([&] { leaves.run([&] { await(child.process.wait()); }); },
             [&] {
               leaves.cancel();
               child.exit();
             });
    EXPECT_EQ(await(task), kStatus);
    EXPECT_EQ(await(child.process.wait()), kStatus);
    child.close(1);
    child.close(2);
    child.wait_lost();
  });
}

// explores: loop.Process.wait
EXPLORE_TEST(LoopProcessExplored, ATransportThatIsClosedStillTellsOfTheEnd) {
  with_loop([](EventLoop& loop) {
    FakeChild child(loop);
    together([&] { EXPECT_EQ(await(child.process.wait()), kStatus); },
             [&] { SubprocessTransport(child.process.transport()).close(); },
             [&] { child.exit(); });
    child.wait_lost();
    EXPECT_TRUE(child.process.stdin->is_closing());
    EXPECT_TRUE(child.process.stdout->at_eof());
    EXPECT_TRUE(child.process.stderr->at_eof());
  });
}

// --- communicate(). ---

// explores: loop.Process.communicate
EXPLORE_TEST(LoopProcessExplored, AllOutputComesWhateverEndsFirst) {
  with_loop([](EventLoop& loop) {
    FakeChild child(loop);
    Output got;
    together([&] { got = await(child.process.communicate()); },
             [&] {
               child.say(1, "out");
               child.close(1);
             },
             [&] {
               child.say(2, "err");
               child.close(2);
               child.exit();
             });
    EXPECT_EQ(got, Output("out", "err"));
    EXPECT_EQ(child.process.returncode(), kStatus);
    child.wait_lost();
  });
}

// explores: loop.Process.communicate
EXPLORE_TEST(LoopProcessExplored, TheInputArrivesAndItsEndToo) {
  with_loop([](EventLoop& loop) {
    FakeChild child(loop);
    auto talk = loop.create_task(child.process.communicate("question"));
    together(
        [&] {
          EXPECT_EQ(child.read(), "question");
          child.say(1, "answer");
          child.close(1);
        },
        [&] {
          child.close(2);
          child.exit();
        });
    EXPECT_EQ(await(talk), Output("answer", ""));
    child.wait_lost();
  });
}

// explores: loop.Process.communicate
EXPLORE_TEST(LoopProcessExplored, AChildThatClosesItsStdinIsNoError) {
  with_loop([](EventLoop& loop) {
    FakeChild child(loop);
    Output got;
    together([&] { got = await(child.process.communicate("question")); }, [&] { child.close(0); },
             [&] {
               child.say(1, "answer");
               child.close(1);
               child.close(2);
               child.exit();
             });
    EXPECT_EQ(got, Output("answer", ""));
    child.wait_lost();
  });
}

// explores: loop.Process.communicate
EXPLORE_TEST(LoopProcessExplored, ACancelledOneLosesNothing) {
  with_loop([](EventLoop& loop) {
    FakeChild child(loop);
    fibers::CancelScope leaves;
    Output got;
    bool done = false;
    together(
        [&] {
          leaves.run([&] {
            got = await(child.process.communicate("question"));
            done = true;
          });
        },
        [&] { leaves.cancel(); },
        [&] {
          child.say(1, "answer");
          child.close(1);
          child.close(2);
          child.exit();
        });
    if (!done) got = await(child.process.communicate("question"));
    EXPECT_EQ(got, Output("answer", ""));
    EXPECT_EQ(child.read(), "question");
    child.wait_lost();
  });
}

}  // namespace
}  // namespace weft::loop
