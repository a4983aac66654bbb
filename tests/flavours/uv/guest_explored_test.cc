// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The end of a guest of libuv's loop, each in every schedule there is: how its body ends, what of
// libuv's is alive then, and in which of its turns the host cancels the body.

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <tuple>

#include "tests/flavours/uv/explored_parts.h"
#include "tests/flavours/uv/guest_explored.h"
#include "tests/flavours/uv/uv_explored.h"
#include "tests/support/guest_scenario.h"
#include "weft/fibers/timeouts.h"

namespace weft::uv {
namespace {

using fibers::CancelScope;
using test::End;
using test::GuestScenario;
using test::kEnds;

enum class Alive : std::uint8_t {
  kRequest,   // That can be stopped.
  kStubborn,  // That ends when it wants to.
  kWork,      // That waits for a thread of libuv's.
  kAccept,
  kRead,
  kWrite,
  kTimer,    // That has been started, and is its task's.
  kClosing,  // A handle that its task closes.
};

constexpr std::array kAlive{"request", "stubborn request", "work", "accept", "read", "write",
                            "timer",   "closing"};
// In the first turn there is no body yet, and after so many most are over. 0: the host does
// nothing.
constexpr std::array kTurns{0, 2, 3, 4, 5, 6, 7, 8, 9, 10};

// One guest.
class Scenario : public GuestScenario {
 public:
  Scenario(End end, Alive alive) : GuestScenario(end), alive_(alive) {}

  void body() {
    GuestScenario::body([this] {
      switch (alive_) {
        case Alive::kRequest: {
          ByHand op(current_loop());
          return live_with([&] { EXPECT_EQ(op.wait([&] { op.end(UV_ECANCELED); }), 7); },
                           [&] { op.end(7); });
        }
        case Alive::kStubborn: {
          ByHand op(current_loop());
          return live_with([&] { EXPECT_EQ(op.wait([] {}), 7); }, [&] { op.end(7); });
        }
        case Alive::kWork:
          return live_with([] { queue_work([] { ADD_FAILURE(); }); }, [this] { scope->cancel(); });
        case Alive::kAccept:
          return with_server();
        case Alive::kRead: {
          Connection connection;
          std::array<char, 4> buffer{};
          return live_with([&] { EXPECT_EQ(read_some(connection.pipe, buffer), 1U); },
                           [&] { send_to(connection.peer, "b"); });
        }
        case Alive::kWrite:
          return with_reader();
        case Alive::kTimer:
          return live_with([] { wait_with_timer(); }, [this] { scope->cancel(); });
        case Alive::kClosing: {
          auto pipe = make_pipe();
          return live_with([&] { pipe.aclose(); }, [] {});
        }
      }
    });
  }

 private:
  void with_server() {
    Server server;
    auto client = make_pipe();
    fibers::OwnedFd peer;
    live_with([&] { EXPECT_TRUE(accepts(server, client)); }, [&] { peer = server.connect_to(); });
  }

  void with_reader() {
    Connection connection;
    live_with(
        [&] {
          const absl::Cleanup close = [&] { connection.pipe.close_soon(); };
          write(connection.pipe, long_text());
        },
        [&] { read_to_end(connection.peer); });
  }

  static void wait_with_timer() {
    const Handle<uv_timer_t> timer([](uv_timer_t* t) { return uv_timer_init(current_loop(), t); });
    constexpr std::chrono::milliseconds kLong = std::chrono::hours(1);
    uv_timer_start(
        timer.get(), [](uv_timer_t*) { ADD_FAILURE(); }, kLong.count(), 0);
    fibers::sleep_forever();
  }

  const Alive alive_;
};

// What the host has in its loop: in its turn number `turn` it cancels the body. A loop with an idle
// handle never waits.
class CancelInTurn {
 public:
  static inline int hits = 0;  // In how many schedules the body was not over by then.

  CancelInTurn(uv_loop_t& loop, std::optional<CancelScope>& scope, int turn)
      : scope_(scope), left_(turn) {
    uv_idle_init(&loop, &idle_);
    idle_.data = this;
    uv_idle_start(&idle_, [](uv_idle_t* idle) { static_cast<CancelInTurn*>(idle->data)->call(); });
  }

 private:
  void call() {
    if (--left_ > 0) return;
    uv_idle_stop(&idle_);
    if (!scope_.has_value()) return;
    ++hits;
    scope_->cancel();
  }

  uv_idle_t idle_{};
  std::optional<CancelScope>& scope_;
  int left_;
};

class UvGuestExplored : public ::testing::TestWithParam<std::tuple<int, int>> {
 protected:
  static void TearDownTestSuite() { std::cout << total << " schedules of uv::run in all\n"; }
  static inline std::uint64_t total = 0;
};

TEST_P(UvGuestExplored, EndsInEverySchedule) {
  const auto [alive, turn] = GetParam();
  std::optional<FullPool> pool;
  if (static_cast<Alive>(alive) == Alive::kWork) pool.emplace();
  for (std::size_t end = 0; end < kEnds.size(); ++end) {
    std::optional<Scenario> scenario;
    std::optional<CancelInTurn> host;
    HostSide side;
    side.begin = [&, turn = turn, alive = alive](uv_loop_t& loop) {
      scenario.emplace(static_cast<End>(end), static_cast<Alive>(alive));
      if (turn > 0) host.emplace(loop, scenario->scope, turn);
    };
    side.end = [&](uv_loop_t&, const std::exception_ptr& error) { scenario->expect_end(error); };
    CancelInTurn::hits = 0;
    const std::uint64_t schedules = explore_guest(side, [&] { scenario->body(); });
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

INSTANTIATE_TEST_SUITE_P(, UvGuestExplored,
                         ::testing::Combine(::testing::Range(0, static_cast<int>(kAlive.size())),
                                            ::testing::ValuesIn(kTurns)));

}  // namespace
}  // namespace weft::uv
