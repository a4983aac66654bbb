// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task that connects by libuv or accepts a connection, in every schedule there is: against a
// cancellation, another task that does the same, and the closing of a handle.

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "tests/flavours/uv/explored_parts.h"
#include "tests/flavours/uv/uv_explored.h"
#include "tests/support/temporary_directory.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/testing/wait_all_tasks_blocked.h"

namespace weft::uv {
namespace {

using fibers::CancelScope;
using fibers::ClosedResourceError;

// A socket that listens in a directory of its own: libuv connects to none that is abstract.
class Place {
 public:
  Place() { listen_at(fd_, name_); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { ::close(fd_); }

  const char* name() const { return name_.c_str(); }
  // Makes room for others.
  void drop_all() const {
    for (;;) {
      const int fd = ::accept(fd_, nullptr, nullptr);
      if (fd < 0) return;
      ::close(fd);
    }
  }

 private:
  const test::TemporaryDirectory directory_;
  const std::string name_ = directory_ / "socket";
  const int fd_ = new_socket();
};

// The connection that has not been accepted is there for the next one.
EXPLORE_TEST(UvAcceptExplored, ACancellationMeetsAConnection) {
  CancelScope scope;
  bool got = false;
  bool later = false;
  explored(exploration, [&](uv_loop_t*) {
    Server server;
    auto client = make_pipe();
    fibers::OwnedFd peer;
    together([&] { scope.run([&] { got = accepts(server, client); }); },
             [&] { peer = server.connect_to(); },  //
             [&] { scope.cancel(); });
    if (!got) later = accepts(server, client);
    send_to(peer, "b");
    std::array<char, 4> buffer{};
    EXPECT_EQ(read_some(client, buffer), 1U);
  });
  EXPECT_NE(got, scope.cancelled_caught());
  EXPECT_NE(got, later);
}

EXPLORE_TEST(UvAcceptExplored, TheClosingOfTheServerMeetsAConnection) {
  bool got = false;
  explored(exploration, [&](uv_loop_t*) {
    Server server;
    auto client = make_pipe();
    const fibers::OwnedFd peer = server.connect_to();
    together([&] { got = accepts(server, client); }, [&] { server.handle.aclose(); });
    EXPECT_EQ(uv_is_readable(reinterpret_cast<uv_stream_t*>(client.get())) != 0, got);
  });
}

// Each gets one, or is cancelled and leaves it to the other.
EXPLORE_TEST(UvAcceptExplored, TwoTasksAcceptAndOneIsCancelled) {
  CancelScope scope;
  bool first = false;
  bool second = false;
  explored(exploration, [&](uv_loop_t*) {
    Server server;
    auto one = make_pipe();
    auto two = make_pipe();
    const fibers::OwnedFd peer = server.connect_to();
    const fibers::OwnedFd other = server.connect_to();
    together([&] { scope.run([&] { first = accepts(server, one); }); },
             [&] { second = accepts(server, two); },  //
             [&] { scope.cancel(); });
  });
  EXPECT_TRUE(second);
  EXPECT_NE(first, scope.cancelled_caught());
}

// A handle that is closed while it waits for a connection does not get one, and does not keep it
// from who waits behind it.
EXPLORE_TEST(UvAcceptExplored, AClosedClientLeavesTheConnectionToTheNext) {
  bool first = false;
  bool second = false;
  explored(exploration, [&](uv_loop_t*) {
    Server server;
    auto one = make_pipe();
    auto two = make_pipe();
    fibers::OwnedFd peer;
    fibers::OwnedFd other;
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] { first = accepts(server, one); });
      fibers::testing::wait_all_tasks_blocked();
      nursery.start_soon([&] { second = accepts(server, two); });
      fibers::testing::wait_all_tasks_blocked();
      peer = server.connect_to();
      fibers::checkpoint();
      fibers::checkpoint();
      one.close_soon();
      if (first) other = server.connect_to();
    });
  });
  EXPECT_TRUE(second);
}

// Nobody connects.
EXPLORE_TEST(UvAcceptExplored, TheClosingOfTheClientEndsTheWait) {
  int refused = 0;
  explored(exploration, [&](uv_loop_t*) {
    Server server;
    auto client = make_pipe();
    together([&] { refused += accepts(server, client) ? 0 : 1; },
             [&] {
               fibers::checkpoint();
               client.aclose();
             });
    EXPECT_EQ(refused, 1);
    server.handle.aclose();
    refused += accepts(server, client) ? 0 : 1;
  });
  EXPECT_EQ(refused, 2);
}

// It has come about, or the handle is closed.
TEST(UvConnectExplored, ACancellationMeetsItsEnd) {
  const Place place;
  fibers::testing::explore_test([&](fibers::testing::Exploration& exploration) {
    CancelScope scope;
    bool begun = false;
    bool connected = false;
    explored(exploration, [&](uv_loop_t*) {
      auto pipe = make_pipe();
      together(
          [&] {
            scope.run([&] {
              fibers::checkpoint_if_cancelled();
              begun = true;
              connect(pipe, place.name());
              connected = true;
            });
          },
          [&] { scope.cancel(); });
      EXPECT_EQ(pipe.is_closing(), begun && !connected);
    });
    EXPECT_NE(connected, scope.cancelled_caught());
    place.drop_all();
  });
}

TEST(UvConnectExplored, TheClosingOfTheHandleMeetsItsEnd) {
  const Place place;
  fibers::testing::explore_test([&](fibers::testing::Exploration& exploration) {
    bool closed = false;
    std::optional<int> error;
    explored(exploration, [&](uv_loop_t*) {
      auto pipe = make_pipe();
      together(
          [&] {
            try {
              error = error_of_wait([&] { connect(pipe, place.name()); });
            } catch (const ClosedResourceError&) {
              closed = true;
            }
          },
          [&] { pipe.aclose(); });
    });
    EXPECT_NE(closed, error.has_value());
    EXPECT_TRUE(closed || error == 0 || error == UV_ECANCELED);
    place.drop_all();
  });
}

// Two tasks connect, to a server that accepts both; one of them is cancelled.
TEST(UvConnectExplored, TwoTasksConnectAndOneIsCancelled) {
  const Place place;
  fibers::testing::explore_test([&](fibers::testing::Exploration& exploration) {
    CancelScope scope;
    bool first = false;
    bool second = false;
    explored(exploration, [&](uv_loop_t*) {
      auto one = make_pipe();
      auto two = make_pipe();
      together(
          [&] {
            scope.run([&] {
              connect(one, place.name());
              first = true;
            });
          },
          [&] {
            connect(two, place.name());
            second = true;
          },
          [&] { scope.cancel(); });
    });
    EXPECT_TRUE(second);
    EXPECT_NE(first, scope.cancelled_caught());
    place.drop_all();
  });
}

}  // namespace
}  // namespace weft::uv
