// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The methods of asyncio's loop for datagrams, pipes, children and names, in a loop of open_loop's.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/loop/datagram_testing.h"
#include "tests/loop/subprocess_testing.h"
#include "tests/loop/transport_testing.h"
#include "tests/shim/inherited_methods_testing.h"
#include "tests/shim/slow_names.h"
#include "tests/support/pipe.h"
#include "weft/loop/loop_pipes.h"
#include "weft/loop/subprocess_transport.h"

namespace weft::shim {
namespace {

using loop::testing::Datagrams;
using loop::testing::NotingChild;
using loop::testing::NotingStream;

// --- Datagrams. ---

struct CreateDatagramEndpoint : OfANameThatTakesItsTime {
  explicit CreateDatagramEndpoint(EventLoop&) {}
  static auto at(EventLoop& loop, std::string_view host) {
    return loop.create_datagram_endpoint([] { return std::make_shared<Datagrams>(); },
                                         {.local_addr = {host, 0}});
  }
  static auto call(EventLoop& loop) { return at(loop, "slow.example"); }
  static auto fail(EventLoop& loop) { return at(loop, "nobody.example"); }
  template <class Made>
  static void check(EventLoop& loop, const Made& made) {
    EXPECT_TRUE(made.second->is_at("made"));
    loop::testing::close_endpoint(loop, made.second);
  }
};

FIBER_TEST(InheritedEndpointsTest, CreateDatagramEndpoint) {
  hold_to_the_border<CreateDatagramEndpoint>();
}

// --- Pipes. ---

// One end is given away, the other is the row's.
struct OfAPipe {
  static constexpr bool kWaits = false;
  static constexpr int kError = 0;
  int give(std::size_t end) { return pipes.emplace_back().take(end); }
  // No pipe.
  static int file() { return ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC); }
  static auto protocol(EventLoop& loop) {
    return [&loop] { return std::make_shared<NotingStream>(loop); };
  }
  std::deque<test::Pipe> pipes;
};

template <class Made>
void check_and_close(Made made) {
  EXPECT_EQ(made.second->log.at(0), "made");
  made.first.close();
  await(made.second->lost);
}

struct ConnectReadPipe : OfAPipe {
  explicit ConnectReadPipe(EventLoop&) {}
  auto call(EventLoop& loop) { return loop.connect_read_pipe(protocol(loop), give(0)); }
  static auto fail(EventLoop& loop) { return loop.connect_read_pipe(protocol(loop), file()); }
  template <class Made>
  static void check(EventLoop&, Made made) {
    check_and_close(std::move(made));
  }
};

FIBER_TEST(InheritedEndpointsTest, ConnectReadPipe) {
  hold_to_the_border<ConnectReadPipe>();
}

struct ConnectWritePipe : OfAPipe {
  explicit ConnectWritePipe(EventLoop&) {}
  auto call(EventLoop& loop) { return loop.connect_write_pipe(protocol(loop), give(1)); }
  static auto fail(EventLoop& loop) { return loop.connect_write_pipe(protocol(loop), file()); }
  template <class Made>
  static void check(EventLoop&, Made made) {
    check_and_close(std::move(made));
  }
};

FIBER_TEST(InheritedEndpointsTest, ConnectWritePipe) {
  hold_to_the_border<ConnectWritePipe>();
}

// --- Children. ---

struct AChild {
  static constexpr bool kIsAChild = true;
  static constexpr bool kWaits = false;
  static constexpr int kError = ENOENT;
  static auto protocol(EventLoop& loop) {
    return [&loop] { return std::make_shared<NotingChild>(loop); };
  }
  // Closing it kills it.
  template <class Made>
  static void check(EventLoop&, Made made) {
    EXPECT_GT(made.first.get_pid(), 0);
    made.first.close();
    await(made.second->lost);
  }
};

// A child that a cancellation or the end of the block has killed is reaped in its own time.
template <class Row>
void hold_a_child_to_the_border() {
  gives_its_value<Row>();
  gives_its_error<Row>();
  runs_a_stopped_loop_again<Row>();
  is_refused_after_the_close<Row>();
}

struct SubprocessExec : AChild {
  explicit SubprocessExec(EventLoop&) {}
  static auto call(EventLoop& loop) {
    return loop.subprocess_exec(protocol(loop), loop::Command("cat"));
  }
  static auto fail(EventLoop& loop) {
    return loop.subprocess_exec(protocol(loop), loop::Command("/nowhere/at/all"));
  }
};

FIBER_TEST(InheritedEndpointsTest, SubprocessExec) {
  hold_a_child_to_the_border<SubprocessExec>();
}

struct SubprocessShell : AChild {
  explicit SubprocessShell(EventLoop&) {}
  static auto call(EventLoop& loop) { return loop.subprocess_shell(protocol(loop), "exec cat"); }
  static auto fail(EventLoop& loop) {
    return loop.subprocess_shell(protocol(loop), "exec cat",
                                 loop::SubprocessOptions{.cwd = "/nowhere/at/all"});
  }
};

FIBER_TEST(InheritedEndpointsTest, SubprocessShell) {
  hold_a_child_to_the_border<SubprocessShell>();
}

// --- What is left when the block ends. ---

FIBER_TEST(InheritedEndpointsTest, TransportsThatAreLeftAreToldOfTheEnd) {
  test::Pipe in;
  test::Pipe out;
  std::shared_ptr<Datagrams> datagrams;
  std::shared_ptr<NotingStream> reader;
  std::shared_ptr<NotingStream> writer;
  open_loop([&](EventLoop& loop) {
    datagrams = loop::testing::open_endpoint(loop, {.local_addr = {"127.0.0.1", 0}});
    const auto stream = OfAPipe::protocol(loop);
    reader = aio_as_trio(loop.connect_read_pipe(stream, in.take(0))).second;
    writer = aio_as_trio(loop.connect_write_pipe(stream, out.take(1))).second;
  });
  EXPECT_TRUE(datagrams->is_at("lost"));
  EXPECT_EQ(reader->log.back(), "lost");
  EXPECT_EQ(writer->log.back(), "lost");
}

FIBER_TEST(InheritedEndpointsTest, AChildThatIsLeftIsKilledAndItsEndTold) {
  std::shared_ptr<NotingChild> child;
  open_loop([&](EventLoop& loop) {
    child = aio_as_trio(SubprocessExec::call(loop)).second;
    EXPECT_EQ(child->log, std::vector<std::string>{"made"});
  });
  EXPECT_EQ(child->transport.get_returncode(), -SIGKILL);
  EXPECT_LT(child->place_of("exited"), child->place_of("lost"));
  EXPECT_EQ(child->log.back(), "lost");
}

// --- Names. ---

struct Getaddrinfo : OfANameThatTakesItsTime {
  explicit Getaddrinfo(EventLoop&) {}
  static auto call(EventLoop& loop) { return loop.getaddrinfo("slow.example", 80); }
  static auto fail(EventLoop& loop) { return loop.getaddrinfo("nobody.example", 80); }
  static void check(EventLoop&, const std::vector<fibers::socket::AddressInfo>& found) {
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(found[0].address.host(), "127.0.0.1");
  }
};

FIBER_TEST(InheritedEndpointsTest, Getaddrinfo) {
  hold_to_the_border<Getaddrinfo>();
}

struct Getnameinfo : OfANameThatTakesItsTime {
  explicit Getnameinfo(EventLoop&) {}
  static auto of(EventLoop& loop, std::uint16_t port) {
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    here.sin_port = htons(port);
    return loop.getnameinfo(
        fibers::SocketAddress(reinterpret_cast<const sockaddr*>(&here), sizeof here));
  }
  static auto call(EventLoop& loop) { return of(loop, 80); }
  static auto fail(EventLoop& loop) { return of(loop, 1); }
  static void check(EventLoop&, const std::pair<std::string, std::string>& name) {
    EXPECT_EQ(name, std::pair(std::string("slow.example"), std::string("80")));
  }
};

FIBER_TEST(InheritedEndpointsTest, Getnameinfo) {
  hold_to_the_border<Getnameinfo>();
}

}  // namespace
}  // namespace weft::shim
