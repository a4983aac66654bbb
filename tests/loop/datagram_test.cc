// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What endpoints for datagrams do once they are made.

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "tests/loop/datagram_testing.h"
#include "weft/fibers/errors.h"
#include "weft/fibers/event.h"

namespace weft::loop {
namespace {

using namespace testing;  // NOLINT: the helpers of the folder.
using fibers::SocketAddress;
using Log = std::vector<std::string>;

std::shared_ptr<Datagrams> open_over(EventLoop& loop, DatagramPair& pair) {
  return open_endpoint(loop, {.sock = pair.take()});
}

// Fills what the system holds for the peer. Returns how many datagrams of `size` bytes went there
// and into the endpoint's own buffer, which has `waiting` at least afterwards.
std::size_t send_until_buffered(DatagramTransport& transport, std::size_t size,
                                std::size_t waiting = 1) {
  const std::string data(size, 'x');
  std::size_t sent = 0;
  while (transport.get_write_buffer_size() < waiting) {
    transport.sendto(data);
    ++sent;
  }
  return sent;
}

int error_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& failed) {
    return failed.code().value();
  }
}

FIBER_TEST(DatagramTest, MakesItselfKnownBeforeItsDatagramsAndKeepsThemApart) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    pair.put("one");
    pair.put("two");
    const auto endpoint = open_over(loop, pair);
    run_until(loop, [&] { return endpoint->is_at("data two"); });
    pair.put("three");
    run_until(loop, [&] { return endpoint->is_at("data three"); });
    close_endpoint(loop, endpoint);
    EXPECT_EQ(endpoint->log, (Log{"made", "data one", "data two", "data three", "lost"}));
  });
}

FIBER_TEST(DatagramTest, SendsAtOnceAlsoNothing) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto endpoint = open_over(loop, pair);
    endpoint->transport.sendto("abc");
    endpoint->transport.sendto("");
    EXPECT_EQ(pair.get(), 3);
    EXPECT_EQ(pair.get(), 0);
    EXPECT_EQ(pair.get(), -1);
    EXPECT_EQ(endpoint->transport.get_write_buffer_size(), 0u);
    pair.put("");
    run_until(loop, [&] { return endpoint->is_at("data "); });
    close_endpoint(loop, endpoint);
  });
}

FIBER_TEST(DatagramTest, CountsTheHeadersOfWhatIsBuffered) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto endpoint = open_over(loop, pair);
    DatagramTransport transport = endpoint->transport;
    send_until_buffered(transport, 1000);
    EXPECT_EQ(transport.get_write_buffer_size(), 1008u);
    transport.sendto("");
    EXPECT_EQ(transport.get_write_buffer_size(), 1016u);
    transport.abort();
    EXPECT_EQ(transport.get_write_buffer_size(), 0u);
    run_until(loop, [&] { return endpoint->is_lost(); });
  });
}

FIBER_TEST(DatagramTest, PausesTheProtocolAndResumesIt) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto endpoint = open_over(loop, pair);
    DatagramTransport transport = endpoint->transport;
    EXPECT_EQ(transport.get_write_buffer_limits(), std::pair(16384ul, 65536ul));
    transport.set_write_buffer_limits(8000);
    const std::size_t sent = send_until_buffered(transport, 1000, 8001);
    EXPECT_EQ(endpoint->log, (Log{"made", "pause"}));
    std::size_t got = 0;
    run_until(loop, [&] {
      while (pair.get() == 1000) ++got;
      return got == sent;
    });
    run_until(loop, [&] { return endpoint->is_at("resume"); });
    EXPECT_EQ(endpoint->log, (Log{"made", "pause", "resume"}));
    close_endpoint(loop, endpoint);
  });
}

FIBER_TEST(DatagramTest, SendsWhatIsBufferedBeforeItCloses) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto endpoint = open_over(loop, pair);
    const std::size_t sent = send_until_buffered(endpoint->transport, 1000, 5000);
    endpoint->transport.close();
    endpoint->transport.close();
    EXPECT_TRUE(endpoint->transport.is_closing());
    EXPECT_FALSE(endpoint->is_lost());
    std::size_t got = 0;
    run_until(loop, [&] {
      while (pair.get() == 1000) ++got;
      return endpoint->is_lost();
    });
    while (pair.get() == 1000) ++got;
    EXPECT_EQ(got, sent);
  });
}

FIBER_TEST(DatagramTest, DropsWhatIsBufferedWhenAborted) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto endpoint = open_over(loop, pair);
    const std::size_t sent = send_until_buffered(endpoint->transport, 1000, 5000);
    endpoint->transport.abort();
    EXPECT_FALSE(endpoint->is_lost());  // By a callback, not now.
    run_until(loop, [&] { return endpoint->is_lost(); });
    EXPECT_TRUE(endpoint->is_at("lost"));
    std::size_t got = 0;
    while (pair.get() == 1000) ++got;
    EXPECT_LT(got, sent);
  });
}

FIBER_TEST(DatagramTest, WarnsOfWritesToOneThatIsClosed) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto endpoint = open_over(loop, pair);
    DatagramTransport transport = endpoint->transport;
    transport.close();
    CapturedLog log;
    for (int i = 0; i < 4; ++i) transport.sendto("x");
    EXPECT_EQ(log.lines, Log{});
    transport.sendto("x");
    EXPECT_EQ(log.lines, Log{"socket.send() raised exception."});
    run_until(loop, [&] { return endpoint->is_lost(); });
    transport.sendto("x");
    EXPECT_EQ(pair.get(), -1);
  });
}

FIBER_TEST(DatagramTest, TellsOfWhatCannotBeSentAndStaysOpen) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto endpoint = open_over(loop, pair);
    endpoint->transport.sendto(std::string(std::size_t{8} << 20, 'x'));
    EXPECT_EQ(endpoint->log, (Log{"made", "error"}));
    EXPECT_EQ(error_of(endpoint->errors.at(0)), EMSGSIZE);
    endpoint->transport.sendto("goes");
    EXPECT_EQ(pair.get(), 4);
    close_endpoint(loop, endpoint);
    EXPECT_TRUE(endpoint->is_at("lost"));
  });
}

FIBER_TEST(DatagramTest, TellsOfEachThatCannotBeSentLater) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto endpoint = open_over(loop, pair);
    send_until_buffered(endpoint->transport, 1000);
    endpoint->transport.sendto("x");
    endpoint->transport.close();
    pair.close_peer();
    run_until(loop, [&] { return endpoint->is_lost(); });
    EXPECT_EQ(endpoint->log, (Log{"made", "error", "error", "lost"}));
  });
}

FIBER_TEST(DatagramTest, HearsThatNobodyListens) {
  with_loop([](EventLoop& loop) {
    const auto gone = open_endpoint(loop, {.local_addr = {"127.0.0.1", 0}});
    const SocketAddress address = own_address(gone->transport);
    close_endpoint(loop, gone);
    const auto endpoint = open_endpoint(loop, {.remote_addr = {"127.0.0.1", address.port()}});
    endpoint->transport.sendto("anybody?");
    run_until(loop, [&] { return endpoint->is_at("error"); });
    EXPECT_EQ(error_of(endpoint->errors.at(0)), ECONNREFUSED);
    EXPECT_FALSE(endpoint->transport.is_closing());
    // It goes on when somebody does.
    const auto there = open_endpoint(loop, {.local_addr = {"127.0.0.1", address.port()}});
    endpoint->transport.sendto("now");
    run_until(loop, [&] { return there->is_at("data now"); });
    close_endpoint(loop, there);
    close_endpoint(loop, endpoint);
  });
}

// asyncio: test_events.py::EventLoopTestsMixin::test_datagram_send_to_non_listening_address
FIBER_TEST(DatagramTest, GoesOnAfterOneThatNobodyReceives) {
  WEFT_NOT_FAULT_SWEPT("it waits for datagrams that a fault may have dropped");
  with_loop([](EventLoop& loop) {
    const auto gone = open_endpoint(loop, {.local_addr = {"127.0.0.1", 0}});
    const SocketAddress nobody = own_address(gone->transport);
    close_endpoint(loop, gone);
    const auto one = open_endpoint(loop, {.local_addr = {"127.0.0.1", 0}});
    const auto two = open_endpoint(loop, {.local_addr = {"127.0.0.1", 0}});
    const auto deliver = [&](const auto& from, const auto& to, const std::string& text) {
      from->transport.sendto(text, own_address(to->transport));
      run_until(loop, [&] { return to->is_at("data " + text); });
    };
    deliver(one, two, "a");
    deliver(two, one, "b");
    one->transport.sendto("c", nobody);
    deliver(one, two, "d");
    one->transport.sendto("e", nobody);
    deliver(two, one, "f");
    close_endpoint(loop, one);
    close_endpoint(loop, two);
  });
}

FIBER_TEST(DatagramTest, SendsToItsRemoteAddressAlone) {
  with_loop([](EventLoop& loop) {
    const auto server = open_endpoint(loop, {.local_addr = {"127.0.0.1", 0}});
    const SocketAddress address = own_address(server->transport);
    const auto client = open_endpoint(loop, {.remote_addr = {"127.0.0.1", address.port()}});
    client->transport.sendto("x", address);
    run_until(loop, [&] { return server->is_at("data x"); });
    EXPECT_EQ(client->transport.get_extra_info(extra_info::peername), address);
    EXPECT_EQ(thrown<fibers::UsageError>(
                  [&] { client->transport.sendto("x", own_address(client->transport)); }),
              "Invalid address: must be None or " + address.to_string());
    EXPECT_EQ(thrown<fibers::UsageError>([&] { server->transport.sendto("x"); }),
              "this endpoint has no remote address: give sendto() one");
    close_endpoint(loop, server);
    close_endpoint(loop, client);
  });
}

FIBER_TEST(DatagramTest, ReportsWhatCallbacksThrowAndStaysOpen) {
  struct Failing : Datagrams {
    void connection_made(DatagramTransport made) override {
      Datagrams::connection_made(std::move(made));
      throw std::runtime_error("made");
    }
    void datagram_received(std::string_view data, const SocketAddress& addr) override {
      Datagrams::datagram_received(data, addr);
      throw std::runtime_error("received");
    }
    void error_received(std::exception_ptr error) override {
      Datagrams::error_received(std::move(error));
      throw std::runtime_error("error");
    }
    void connection_lost(std::exception_ptr error) override {
      Datagrams::connection_lost(std::move(error));
      throw std::runtime_error("lost");
    }
  };
  with_loop([](EventLoop& loop) {
    Log reports;
    loop.set_exception_handler(
        [&](EventLoop&, const ExceptionContext& context) { reports.push_back(context.message); });
    DatagramPair pair;
    pair.put("1");
    pair.put("2");
    const auto endpoint = open_endpoint<Failing>(loop, {.sock = pair.take()});
    run_until(loop, [&] { return endpoint->is_at("data 2"); });
    endpoint->transport.sendto(std::string(std::size_t{8} << 20, 'x'));
    close_endpoint(loop, endpoint);
    EXPECT_EQ(
        reports,
        (Log{"Exception in callback connection_made()", "Exception in callback datagram_received()",
             "Exception in callback datagram_received()", "Exception in callback error_received()",
             "Exception in callback connection_lost()"}));
    be_strict(loop);
  });
}

FIBER_TEST(DatagramTest, ReceivesNothingMoreWhileItsProtocolWaits) {
  struct Waiting : Datagrams {
    void datagram_received(std::string_view data, const SocketAddress& addr) override {
      Datagrams::datagram_received(data, addr);
      if (data == "1") go_on.wait();
      log.emplace_back("done " + std::string(data));
    }
    fibers::Event go_on;
  };
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    pair.put("1");
    pair.put("2");
    const auto endpoint = open_endpoint<Waiting>(loop, {.sock = pair.take()});
    run_until(loop, [&] { return endpoint->is_at("data 1"); });
    pair.put("3");
    for (int i = 0; i < 20; ++i) loop.synchronize();
    EXPECT_TRUE(endpoint->is_at("data 1"));
    endpoint->transport.sendto("meanwhile");
    EXPECT_EQ(pair.get(), 9);
    endpoint->go_on.set();
    run_until(loop, [&] { return endpoint->is_at("done 3"); });
    EXPECT_EQ(endpoint->log,
              (Log{"made", "data 1", "done 1", "data 2", "done 2", "data 3", "done 3"}));
    close_endpoint(loop, endpoint);
  });
}

FIBER_TEST(DatagramTest, GoesOnReceivingWhenAWaitOfItsProtocolIsCancelled) {
  struct Waiting : Datagrams {
    void datagram_received(std::string_view data, const SocketAddress& addr) override {
      Datagrams::datagram_received(data, addr);
      if (data == "1") fibers::sleep_forever();
    }
  };
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    pair.put("1");
    pair.put("2");
    const auto endpoint = open_endpoint<Waiting>(loop, {.sock = pair.take()});
    run_until(loop, [&] { return endpoint->is_at("data 1"); });
    loop.cancel_blocked();
    run_until(loop, [&] { return endpoint->is_at("data 2"); });
    close_endpoint(loop, endpoint);
  });
}

FIBER_TEST(DatagramTest, ReceivesNothingAfterClosingInACallback) {
  struct Closing : Datagrams {
    void datagram_received(std::string_view data, const SocketAddress& addr) override {
      Datagrams::datagram_received(data, addr);
      data == "close" ? transport.close() : transport.abort();
      transport.abort();
    }
  };
  for (const char* way : {"close", "abort"}) {
    with_loop([&](EventLoop& loop) {
      DatagramPair pair;
      pair.put(way);
      pair.put("more");
      const auto endpoint = open_endpoint<Closing>(loop, {.sock = pair.take()});
      run_until(loop, [&] { return endpoint->is_lost(); });
      EXPECT_EQ(endpoint->log, (Log{"made", std::string("data ") + way, "lost"}));
    });
  }
}

// An error_received() that sends again, and one that gives up, from inside of sendto().
FIBER_TEST(DatagramTest, MaySendAndCloseWhileItIsToldOfAnError) {
  struct Retrying : Datagrams {
    void error_received(std::exception_ptr error) override {
      Datagrams::error_received(std::move(error));
      transport.sendto("smaller");
      transport.abort();
    }
  };
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto endpoint = open_endpoint<Retrying>(loop, {.sock = pair.take()});
    endpoint->transport.sendto(std::string(std::size_t{8} << 20, 'x'));
    EXPECT_EQ(pair.get(), 7);
    run_until(loop, [&] { return endpoint->is_lost(); });
    EXPECT_EQ(endpoint->log, (Log{"made", "error", "lost"}));
  });
}

FIBER_TEST(DatagramTest, TellsAnotherProtocolAfterItIsReplaced) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto first = open_over(loop, pair);
    const auto second = std::make_shared<Datagrams>();
    DatagramTransport transport = first->transport;
    transport.set_protocol(second);
    EXPECT_EQ(transport.get_protocol(), second);
    pair.put("x");
    run_until(loop, [&] { return second->is_at("data x"); });
    EXPECT_EQ(thrown<fibers::UsageError>([&] { transport.set_protocol(nullptr); }),
              "a transport needs a protocol");
    EXPECT_EQ(
        thrown<fibers::UsageError>([&] { transport.set_protocol(std::make_shared<Recorder>()); }),
        "a transport of datagrams needs a DatagramProtocol; this is none");
    transport.close();
    run_until(loop, [&] { return second->is_lost(); });
    EXPECT_EQ(transport.get_protocol(), nullptr);
  });
}

FIBER_TEST(DatagramTest, OwnsItsDescriptor) {
  with_loop([](EventLoop& loop) {
    DatagramPair pair;
    const auto endpoint = open_over(loop, pair);
    const int fd = endpoint->transport.get_extra_info(extra_info::socket).value();
    EXPECT_EQ(thrown<fibers::UsageError>([&] { loop.add_reader(fd, [] {}); }),
              "File descriptor " + std::to_string(fd) +
                  " is used by transport <DatagramTransport>; read and write by that");
    DatagramTransport transport = endpoint->transport;
    close_endpoint(loop, endpoint);
    EXPECT_EQ(transport.get_extra_info(extra_info::socket), std::nullopt);
    EXPECT_EQ(transport.get_extra_info(extra_info::sockname), std::nullopt);
  });
}

FIBER_TEST(DatagramTest, IsClosedWithItsLoop) {
  DatagramPair pair;
  DatagramTransport transport;
  with_loop([&](EventLoop& loop) { transport = open_over(loop, pair)->transport; });
  EXPECT_TRUE(transport.is_closing());
  EXPECT_EQ(::send(pair.peer(), "x", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

static_assert(std::is_base_of_v<BaseTransport, DatagramTransport>);

}  // namespace
}  // namespace weft::loop
