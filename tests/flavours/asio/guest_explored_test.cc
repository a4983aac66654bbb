// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The end of a guest of an io_context, each in every schedule there is: how its body ends, what of
// Asio's is alive then, and in which of the context's turns the host cancels the body.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "absl/cleanup/cleanup.h"
#include "tests/flavours/asio/asio_testing.h"
#include "tests/support/explore_guest_test.h"
#include "tests/support/guest_scenario.h"
#include "weft/asio/awaitable.h"
#include "weft/fibers/event.h"
#include "weft/fibers/io.h"
#include "weft/fibers/unwrapped.h"

namespace weft::asio {
namespace {

using fibers::CancelScope;
using test::End;
using test::GuestScenario;
using test::kEnds;
using Socket = ba::local::stream_protocol::socket;

enum class Alive : std::uint8_t {
  kOperation,  // That can be cancelled.
  kStubborn,   // That ends when it wants to.
  kPost,
  kTimer,
  kRead,
  kWrite,
  kHandler,    // That somebody has posted, and that wakes a task.
  kCoroutine,  // That a task awaits.
  kTask,       // That a coroutine awaits, which a task awaits.
};

constexpr std::array kAlive{"operation", "stubborn operation", "post", "timer", "read", "write",
                            "handler",   "coroutine",          "task"};
// In the first two there is no body yet, and after so many most are over. 0: the host does
// nothing.
constexpr std::array kTurns{0, 3, 4, 5, 6, 7, 8, 9, 10};
constexpr auto kLong = std::chrono::hours(1);  // Of the machine's.

ba::awaitable<int> wait_long_and_answer() {
  ba::steady_timer timer(co_await ba::this_coro::executor, kLong);
  co_await timer.async_wait(ba::use_awaitable);
  co_return 7;
}

ba::awaitable<int> ask_a_task(fibers::Nursery& nursery) {
  const auto answer = [] {
    fibers::checkpoint();
    return 7;
  };
  co_return co_await trio_as_asio(nursery, answer, ba::use_awaitable);
}

// A connection, of which one end is Asio's and can send some kilobytes at once.
struct Connection {
  Connection() {
    ba::local::connect_pair(socket, peer);
    socket.set_option(ba::socket_base::send_buffer_size(1));
    peer.non_blocking(true);
  }
  void send_to_us() { ::send(peer.native_handle(), "b", 1, MSG_NOSIGNAL); }
  void read_all() {
    std::array<char, 16384> part{};
    for (;;) {
      const ssize_t count = ::recv(peer.native_handle(), part.data(), part.size(), 0);
      if (count < 0 && errno == EAGAIN) {
        fibers::wait_readable(peer.native_handle());
      } else if (count <= 0) {
        return;
      }
    }
  }
  Socket socket{current_context()};
  Socket peer{current_context()};
};

// One guest.
class Scenario : public GuestScenario {
 public:
  Scenario(End end, Alive alive) : GuestScenario(end), alive_(alive) {}

  void body() {
    GuestScenario::body([this] { live(); });
  }

 private:
  void live() {
    switch (alive_) {
      case Alive::kOperation:
        return with_operation();
      case Alive::kStubborn: {
        ByHand<int> op;
        op.on_start = [&] { op.end(7); };
        return live_with([&] { EXPECT_EQ(op.start(use_fiber), 7); }, [] {});
      }
      case Alive::kPost:
        return live_with([] { ba::post(current_context(), use_fiber); }, [] {});
      case Alive::kTimer: {
        ba::steady_timer timer(current_context(), kLong);
        return live_with([&] { timer.async_wait(use_fiber); }, [this] { scope->cancel(); });
      }
      case Alive::kRead: {
        Connection c;
        std::array<char, 4> buffer{};
        return live_with(
            [&] { EXPECT_EQ(c.socket.async_read_some(ba::buffer(buffer), use_fiber), 1U); },
            [&] { c.send_to_us(); });
      }
      case Alive::kWrite:
        return with_reader();
      case Alive::kHandler: {
        const auto event = std::make_shared<fibers::Event>();
        return live_with([&] { event->wait(); },
                         [&] { ba::post(current_context(), [event] { event->set(); }); });
      }
      case Alive::kCoroutine:
        return live_with([] { await(wait_long_and_answer()); }, [this] { scope->cancel(); });
      case Alive::kTask:
        return fibers::open_unwrapped_nursery([this](fibers::Nursery& tasks) {
          live_with([&] { EXPECT_EQ(await(ask_a_task(tasks)), 7); }, [] {});
        });
    }
  }

  void with_operation() {
    ByHand<error_code, int> op;
    op.on_start = [] {};
    op.on_cancel = [&] {
      if (op.pending()) op.end(aborted(), 0);
    };
    live_with([&] { EXPECT_EQ(op.start(use_fiber), 7); },
              [&] { op.pending() ? op.end({}, 7) : scope->cancel(); });
    EXPECT_FALSE(op.pending());
    EXPECT_LE(op.cancels, 1);
  }

  void with_reader() {
    Connection c;
    const std::string text(64 * 1024, 'x');
    live_with(
        [&] {
          const absl::Cleanup close = [&] { c.socket.close(); };
          EXPECT_EQ(ba::async_write(c.socket, ba::buffer(text), use_fiber), text.size());
        },
        [&] { c.read_all(); });
  }

  const Alive alive_;
};

// In the context's turn number `turn` the host cancels the body.
struct CancelInTurn {
  static inline int hits = 0;  // In how many schedules the body was not over by then.

  void operator()() {
    if (--left > 0) {
      ba::post(context, *this);
    } else if (scope.has_value()) {
      ++hits;
      scope->cancel();
    }
  }

  ba::io_context& context;
  std::optional<CancelScope>& scope;
  int left;
};

class AsioGuestExplored : public ::testing::TestWithParam<std::tuple<int, int>> {
 protected:
  static void TearDownTestSuite() { std::cout << total << " schedules of asio::run in all\n"; }
  static inline std::uint64_t total = 0;
};

// What a guest leaves in its context is called, and finds nothing amiss.
TEST_P(AsioGuestExplored, EndsInEverySchedule) {
  const auto [alive, turn] = GetParam();
  for (std::size_t end = 0; end < kEnds.size(); ++end) {
    std::optional<Scenario> scenario;
    CancelInTurn::hits = 0;
    const auto host = [&, turn = turn, alive = alive](const std::function<void()>& main,
                                                      const fibers::RunOptions& options) {
      scenario.emplace(static_cast<End>(end), static_cast<Alive>(alive));
      ba::io_context context;
      if (turn > 0) ba::post(context, CancelInTurn{context, scenario->scope, turn});
      std::exception_ptr error;
      try {
        run(context, main, options);
      } catch (...) {
        error = std::current_exception();
      }
      context.poll();
      EXPECT_TRUE(context.stopped()) << "something is left in the context";
      scenario->expect_end(error);
    };
    // Any ready task may be next: so what Asio does between the ticks comes at every moment.
    const std::uint64_t schedules =
        test::explore_guest_test(host, [&] { scenario->body(); }, {.fair = false}).schedules;
    std::cout << schedules << " schedules: the body " << kEnds[end]
              << ", alive: " << kAlive[static_cast<std::size_t>(alive)];
    if (turn > 0) {
      std::cout << ", the host cancels it in turn " << turn << " of " << CancelInTurn::hits;
      EXPECT_TRUE(CancelInTurn::hits > 0 || turn > kTurns[1]);
    }
    std::cout << '\n';
    total += schedules;
  }
}

INSTANTIATE_TEST_SUITE_P(, AsioGuestExplored,
                         ::testing::Combine(::testing::Range(0, static_cast<int>(kAlive.size())),
                                            ::testing::ValuesIn(kTurns)));

}  // namespace
}  // namespace weft::asio
