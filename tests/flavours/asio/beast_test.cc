// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// An HTTP server and its clients on Boost.Beast, whose code is Beast's but for the token:
// nurseries, deadlines and the shut-down are weft's.

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <string>
#include <utility>

#include "weft/asio/asio.h"
#include "weft/fibers/event.h"
#include "weft/fibers/graceful_scope.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/mock_clock.h"
#include "weft/fibers/timeouts.h"

namespace weft::asio {
namespace {

using namespace std::chrono_literals;
namespace beast = ::boost::beast;
namespace http = beast::http;
using ::boost::asio::ip::tcp;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

class Server {
 public:
  explicit Server(IoContext& context)
      : acceptor_(context, {::boost::asio::ip::address_v4::loopback(), 0}) {}

  tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
  // Serves until stop(), and then until the answers under way are finished or `grace` is over.
  void run() {
    scope_.run([&] { accept(); });
    acceptor_.close();
    stopped = true;
  }
  void stop(fibers::Duration grace) { scope_.stop(grace); }

  fibers::Event held;     // A request for /held or /stuck has come.
  fibers::Event release;  // What /held waits for.
  bool stopped = false;
  int sessions = 0;  // Those that live.

 private:
  struct Session {
    explicit Session(int& count) : living(count) { ++living; }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() { --living; }
    int& living;
  };

  void accept() {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      for (;;) {
        auto socket = fibers::until_stopping([&] { return acceptor_.async_accept(use_fiber); });
        if (!socket.finished()) return;
        nursery.start_soon([this, stream = beast::tcp_stream(std::move(socket.value()))]() mutable {
          const Session session(sessions);
          serve(stream);
        });
      }
    });
  }
  void serve(beast::tcp_stream& stream) {
    beast::flat_buffer buffer;
    for (;;) {
      Request request;
      ::boost::system::error_code error;
      const auto came = fibers::until_stopping([&] {
        return http::async_read(stream, buffer, request,
                                ::boost::asio::redirect_error(use_fiber, error));
      });
      if (!came.finished() || error) return;  // The client may go whenever it likes.
      const Response response = answer(request);
      http::async_write(stream, response, use_fiber);
      if (!request.keep_alive()) return;
    }
  }
  Response answer(const Request& request) {
    if (request.target() != "/") held.set();
    if (request.target() == "/stuck") fibers::sleep_forever();
    if (request.target() == "/held") release.wait();
    Response response(http::status::ok, request.version());
    response.keep_alive(request.keep_alive());
    response.body() = request.body() + "!";
    response.prepare_payload();
    return response;
  }

  tcp::acceptor acceptor_;
  fibers::GracefulScope scope_;
};

class Client {
 public:
  Client(IoContext& context, const Server& server) : stream_(context) {
    stream_.async_connect(server.endpoint(), use_fiber);
  }
  std::string post(const char* target, const std::string& body) {
    Request request(http::verb::post, target, 11);
    request.set(http::field::host, "localhost");
    request.body() = body;
    request.prepare_payload();
    http::async_write(stream_, request, use_fiber);
    Response response;
    http::async_read(stream_, buffer_, response, use_fiber);
    EXPECT_EQ(response.result(), http::status::ok);
    return response.body();
  }

 private:
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
};

// `body(context, server)` beside a server, which it has to stop, in a time that only it moves on.
template <class F>
void serve_while(fibers::testing::MockClock& clock, F body) {
  IoContext context(1);
  run(context,
      [&] {
        Server server(context);
        fibers::open_nursery([&](fibers::Nursery& nursery) {
          nursery.start_soon([&] { server.run(); });
          body(context, server);
        });
        EXPECT_TRUE(server.stopped);
        EXPECT_EQ(server.sessions, 0);
      },
      {.clock = &clock});
}

TEST(BeastTest, RequestsOfSeveralConnectionsAreAnswered) {
  fibers::testing::MockClock clock;
  serve_while(clock, [](IoContext& context, Server& server) {
    int answers = 0;
    fibers::open_nursery([&](fibers::Nursery& clients) {
      for (const char* name : {"a", "b", "c", "d"}) {
        clients.start_soon([&, name] {
          Client client(context, server);
          for (int i = 0; i < 5; ++i) {
            const std::string body = name + std::to_string(i) + std::string(i * 5000U, 'x');
            EXPECT_EQ(client.post("/", body), body + "!");
            ++answers;
          }
        });
      }
    });
    EXPECT_EQ(answers, 20);
    server.stop(1s);
  });
}

// The task goes on at once, and neither the server nor another connection notices.
TEST(BeastTest, ADeadlineCancelsAStuckRequest) {
  fibers::testing::MockClock clock;
  serve_while(clock, [&](IoContext& context, Server& server) {
    Client other(context, server);
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] {
        server.held.wait();
        clock.jump(10s);
      });
      Client client(context, server);
      EXPECT_THROW(fibers::fail_after(10s, [&] { client.post("/stuck", "hello"); }),
                   fibers::TooSlowError);
    });
    EXPECT_EQ(other.post("/", "still here"), "still here!");
    EXPECT_EQ(server.sessions, 2);  // The one that is stuck knows nothing of its client.
    server.stop(1s);
    clock.jump(1s);
  });
}

// An answer under way is finished, and its client hears of no more than the end of the connection.
TEST(BeastTest, AGracefulStopLetsAnswersBeFinished) {
  fibers::testing::MockClock clock;
  serve_while(clock, [&](IoContext& context, Server& server) {
    Client idle(context, server);
    EXPECT_EQ(idle.post("/", "first"), "first!");
    Client client(context, server);
    const tcp::endpoint endpoint = server.endpoint();
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] {
        server.held.wait();
        server.stop(10s);
        while (server.sessions > 1) fibers::checkpoint();  // The idle one goes at once.
        EXPECT_FALSE(server.stopped);
        server.release.set();
      });
      EXPECT_EQ(client.post("/held", "last"), "last!");
    });
    while (!server.stopped) fibers::checkpoint();
    EXPECT_THROW(client.post("/", "too late"), ::boost::system::system_error);
    beast::tcp_stream late(context);
    EXPECT_THROW(late.async_connect(endpoint, use_fiber), ::boost::system::system_error);
  });
}

TEST(BeastTest, WhoIsStuckIsCancelledWhenTheGraceIsOver) {
  fibers::testing::MockClock clock;
  serve_while(clock, [&](IoContext& context, Server& server) {
    fibers::open_nursery([&](fibers::Nursery& nursery) {
      nursery.start_soon([&] {
        server.held.wait();
        server.stop(10s);
        clock.jump(9s);
        fibers::checkpoint();
        EXPECT_FALSE(server.stopped);
        clock.jump(1s);
      });
      Client client(context, server);
      EXPECT_THROW(client.post("/stuck", "hello"), ::boost::system::system_error);
    });
  });
}

}  // namespace
}  // namespace weft::asio
