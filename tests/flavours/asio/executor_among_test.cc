// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Operations of Asio's and Beast's tell where they are carried on: see detail/executor_among.h.

#include "weft/asio/detail/executor_among.h"

#include <gtest/gtest.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <type_traits>

namespace weft::asio {
namespace {

// A token with which an operation is not started, but returns what it tells of its executor.
struct TellExecutor {};

}  // namespace
}  // namespace weft::asio

namespace boost::asio {

template <class... T>
class async_result<::weft::asio::TellExecutor, void(T...)> {
 public:
  using return_type = any_io_executor;

  template <class Initiation, class... Args>
  static return_type initiate(Initiation&& initiation, ::weft::asio::TellExecutor, Args&&... args) {
    auto executor = ::weft::asio::detail::executor_among(initiation, args...);
    if constexpr (std::is_same_v<decltype(executor), ::weft::asio::detail::Here>) {
      return {};
    } else {
      return executor;
    }
  }
};

}  // namespace boost::asio

namespace weft::asio {
namespace {

namespace ba = ::boost::asio;
namespace beast = ::boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using ba::ip::tcp;

class ExecutorAmongTest : public ::testing::Test {
 protected:
  ba::io_context context_;
  const ba::any_io_executor executor_ = context_.get_executor();
  TellExecutor token_;
  beast::flat_buffer buffer_;
};

TEST_F(ExecutorAmongTest, OperationsOfAsiosTellTheirs) {
  tcp::socket socket(context_);
  EXPECT_EQ(socket.async_read_some(buffer_.prepare(1), token_), executor_);
  EXPECT_EQ(ba::async_write(socket, buffer_.data(), token_), executor_);
  ba::steady_timer timer(context_);
  EXPECT_EQ(timer.async_wait(token_), executor_);
}

TEST_F(ExecutorAmongTest, BeastsHttpTellsTheStreams) {
  beast::tcp_stream stream(context_);
  http::request<http::string_body> request;
  EXPECT_EQ(http::async_read(stream, buffer_, request, token_), executor_);
  EXPECT_EQ(http::async_write(stream, request, token_), executor_);
}

TEST_F(ExecutorAmongTest, BeastsWebSocketTellsTheStreams) {
  websocket::stream<beast::tcp_stream> stream(context_);
  EXPECT_EQ(stream.async_accept(token_), executor_);
  EXPECT_EQ(stream.async_handshake("host", "/", token_), executor_);
  EXPECT_EQ(stream.async_read(buffer_, token_), executor_);
  EXPECT_EQ(stream.async_read_some(buffer_, 1, token_), executor_);
  EXPECT_EQ(stream.async_write(buffer_.data(), token_), executor_);
  EXPECT_EQ(stream.async_ping({}, token_), executor_);
  EXPECT_EQ(stream.async_close(websocket::close_code::normal, token_), executor_);
}

TEST_F(ExecutorAmongTest, ThereMayBeNone) {
  EXPECT_EQ(ba::async_initiate<TellExecutor, void()>([](auto&&...) {}, token_, 1, "two"),
            ba::any_io_executor());
}

}  // namespace
}  // namespace weft::asio
