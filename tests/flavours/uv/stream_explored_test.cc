// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A task that waits for a stream of libuv's, or for the closing of a handle, in every schedule
// there is: bytes against a cancellation, the closing of the handle and the end of its loop.

#include "weft/uv/stream.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "tests/flavours/uv/explored_parts.h"
#include "tests/flavours/uv/uv_explored.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"
#include "weft/fibers/lowlevel.h"

namespace weft::uv {
namespace {

using fibers::CancelScope;
using fibers::ClosedResourceError;

// A byte that has not been read is there for the next one who reads.
EXPLORE_TEST(UvReadExplored, ACancellationMeetsAByte) {
  CancelScope scope;
  std::array<char, 4> buffer{};
  std::optional<std::size_t> got;
  std::size_t later = 0;
  explored(exploration, [&](uv_loop_t*) {
    Connection connection;
    together([&] { scope.run([&] { got = read_some(connection.pipe, buffer); }); },
             [&] { send_to(connection.peer, "b"); },  //
             [&] { scope.cancel(); });
    if (!got.has_value()) later = read_some(connection.pipe, buffer);
    EXPECT_EQ(buffer[0], 'b');
  });
  EXPECT_NE(got.has_value(), scope.cancelled_caught());
  EXPECT_EQ(got.value_or(later), 1U);
}

EXPLORE_TEST(UvReadExplored, TheClosingOfTheHandleMeetsAByte) {
  std::array<char, 4> buffer{};
  std::optional<std::size_t> got;
  bool closed = false;
  explored(exploration, [&](uv_loop_t*) {
    Connection connection;
    together(
        [&] {
          try {
            got = read_some(connection.pipe, buffer);
          } catch (const ClosedResourceError&) {
            closed = true;
          }
        },
        [&] { send_to(connection.peer, "b"); },  //
        [&] { connection.pipe.aclose(); });
  });
  EXPECT_NE(got.has_value(), closed);
  EXPECT_EQ(got.value_or(1), 1U);
}

// One of the two is refused, or comes when the other has read all.
EXPLORE_TEST(UvReadExplored, TwoTasksReadWhatOneHasSent) {
  std::size_t sum = 0;
  int busy = 0;
  explored(exploration, [&](uv_loop_t*) {
    Connection connection;
    const auto read = [&] {
      std::array<char, 4> buffer{};
      try {
        sum += read_some(connection.pipe, buffer);
      } catch (const fibers::BusyResourceError&) {
        ++busy;
      }
    };
    together(read, read, [&] {
      send_to(connection.peer, "b");
      connection.peer.close();
    });
  });
  EXPECT_EQ(sum, 1U);
  EXPECT_LE(busy, 1);
}

// The task is not of the loop's block.
EXPLORE_TEST(UvReadExplored, TheEndOfTheLoopMeetsAByte) {
  std::optional<Connection> connection;
  std::array<char, 4> buffer{};
  std::optional<std::size_t> got;
  bool closed = false;
  fibers::Event open;
  shim::open_loop([&] {
    together(
        [&] {
          open.wait();
          try {
            got = read_some(connection->pipe, buffer);
          } catch (const ClosedResourceError&) {
            closed = true;
          }
        },
        [&] {
          open_loop([&](uv_loop_t*) {
            connection.emplace();
            open.set();
            send_to(connection->peer, "b");
            fibers::checkpoint();
            fibers::checkpoint();
          });
        });
    exploration.prune();
  });
  EXPECT_NE(got.has_value(), closed);
  EXPECT_TRUE(connection->pipe.is_closing());
}

// All has been written, or the stream is closed.
EXPLORE_TEST(UvWriteExplored, ACancellationMeetsAReader) {
  CancelScope scope;
  std::string got;
  bool begun = false;
  bool written = false;
  explored(exploration, [&](uv_loop_t*) {
    Connection connection;
    together(
        [&] {
          scope.run([&] {
            fibers::checkpoint_if_cancelled();
            begun = true;
            write(connection.pipe, long_text());
            written = true;
          });
          EXPECT_EQ(connection.pipe.is_closing(), begun && !written);
          connection.pipe.close_soon();
        },
        [&] { got = read_to_end(connection.peer); },  //
        [&] { scope.cancel(); });
  });
  EXPECT_NE(written, scope.cancelled_caught());
  EXPECT_TRUE(!written || got == long_text());
}

EXPLORE_TEST(UvWriteExplored, TheClosingOfTheHandleMeetsAReader) {
  std::string got;
  bool closed = false;
  std::optional<int> error;
  explored(exploration, [&](uv_loop_t*) {
    Connection connection;
    together(
        [&] {
          try {
            error = error_of_wait([&] { write(connection.pipe, long_text()); });
          } catch (const ClosedResourceError&) {
            closed = true;
          }
        },
        [&] { got = read_to_end(connection.peer); },  //
        [&] { connection.pipe.aclose(); });
  });
  EXPECT_NE(closed, error.has_value());
  EXPECT_TRUE(closed || error == 0 || error == UV_ECANCELED);
  EXPECT_EQ(error == 0, got == long_text());
}

// The request is in flight when the block of its loop ends.
EXPLORE_TEST(UvWriteExplored, TheEndOfTheLoopMeetsAReader) {
  std::optional<Connection> connection;
  std::string got;
  bool closed = false;
  std::optional<int> error;
  fibers::Event open;
  shim::open_loop([&] {
    together(
        [&] {
          open.wait();
          try {
            error = error_of_wait([&] { write(connection->pipe, long_text()); });
          } catch (const ClosedResourceError&) {
            closed = true;
          }
        },
        [&] {
          open_loop([&](uv_loop_t*) {
            connection.emplace();
            open.set();
            fibers::checkpoint();
          });
          got = read_to_end(connection->peer);
        });
    exploration.prune();
  });
  EXPECT_NE(closed, error.has_value());
  EXPECT_TRUE(closed || error == 0 || error == UV_ECANCELED);
  EXPECT_LT(got.size(), long_text().size());
}

EXPLORE_TEST(UvShutdownExplored, ACancellationMeetsTheEnd) {
  CancelScope scope;
  bool ended = false;
  bool got = true;
  explored(exploration, [&](uv_loop_t*) {
    Connection connection;
    together(
        [&] {
          scope.run([&] {
            shutdown(connection.pipe);
            ended = true;
          });
          connection.pipe.close_soon();
        },
        [&] { got = !read_to_end(connection.peer).empty(); },  //
        [&] { scope.cancel(); });
  });
  EXPECT_NE(ended, scope.cancelled_caught());
  EXPECT_FALSE(got);
}

// The handle is closed in any case.
EXPLORE_TEST(UvHandleExplored, ACancellationMeetsItsClosing) {
  CancelScope scope;
  bool waited = false;
  explored(exploration, [&](uv_loop_t*) {
    auto pipe = make_pipe();
    together(
        [&] {
          scope.run([&] {
            pipe.aclose();
            waited = true;
          });
          EXPECT_TRUE(pipe.is_closing());
        },
        [&] { scope.cancel(); });
    pipe.aclose();
  });
  EXPECT_NE(waited, scope.cancelled_caught());
}

EXPLORE_TEST(UvHandleExplored, TwoTasksCloseItWhileAThirdBegins) {
  int closed = 0;
  int refused = 0;
  explored(exploration, [&](uv_loop_t*) {
    Connection connection;
    const auto close = [&] {
      connection.pipe.aclose();
      ++closed;
    };
    together(close, close, [&] {
      try {
        write(connection.pipe, "b");
      } catch (const ClosedResourceError&) {
        ++refused;
      } catch (const Error& error) {
        refused += error.code().value() == UV_ECANCELED ? 1 : 0;
      }
    });
    EXPECT_EQ(refused == 0, read_to_end(connection.peer) == "b");
  });
  EXPECT_EQ(closed, 2);
}

// The task that closes it is not of the loop's block.
EXPLORE_TEST(UvHandleExplored, TheEndOfTheLoopMeetsItsClosing) {
  std::optional<Handle<uv_pipe_t>> pipe;
  bool closed = false;
  fibers::Event open;
  shim::open_loop([&] {
    together(
        [&] {
          open.wait();
          pipe->aclose();
          closed = true;
        },
        [&] {
          open_loop([&](uv_loop_t*) {
            pipe.emplace(make_pipe());
            open.set();
            fibers::checkpoint();
          });
        });
    exploration.prune();
  });
  EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace weft::uv
