// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Subject "asio_callbacks": Boost.Asio without coroutines, where that makes a difference.

#include <array>
#include <boost/asio.hpp>
#include <memory>
#include <utility>

#include "tools/bench/common/echo.h"
#include "tools/bench/common/meter.h"

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(tcp::socket socket) : socket_(std::move(socket)) {
    socket_.set_option(tcp::no_delay(true));
  }
  void receive() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](const error_code& error, std::size_t n) {
                              if (!error) self->answer(n);
                            });
  }

 private:
  void answer(std::size_t n) {
    asio::async_write(socket_, asio::buffer(buffer_, n),
                      [self = shared_from_this()](const error_code& error, std::size_t) {
                        if (!error) self->receive();
                      });
  }

  tcp::socket socket_;
  std::array<char, bench::kEchoBuffer> buffer_{};
};

void accept_next(tcp::acceptor& acceptor) {
  acceptor.async_accept([&acceptor](const error_code& error, tcp::socket socket) {
    if (!error) std::make_shared<Session>(std::move(socket))->receive();
    accept_next(acceptor);
  });
}

void tcp_echo(bench::Meter& /*meter*/) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  tcp::acceptor acceptor(context, tcp::v4(), bench::listen_and_announce());
  accept_next(acceptor);
  context.run();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::subject_main("asio_callbacks",
                             {{"tcp_echo/1", &tcp_echo},
                              {"tcp_echo/100", &tcp_echo},
                              {"tcp_echo/1000", &tcp_echo},
                              {"protocol_echo/1", &tcp_echo},
                              {"protocol_echo/100", &tcp_echo},
                              {"protocol_echo/1000", &tcp_echo},
                              {"buffered_echo/100", &tcp_echo}},
                             argc, argv);
}
