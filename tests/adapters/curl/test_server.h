// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A small HTTP server on a free port of 127.0.0.1, in tasks of the same run. Its paths:
//
//   /hello       200 "hello", with the header X-Greeting
//   /redirect/N  302 to /redirect/N-1, and from 0 to /hello
//   /loop        302 to itself
//   /echo        200, the request's method, a space, its body
//   /hang        nothing, for ever
//   /endless     200, a body without an end
//   /bytes/N     200, N bytes of 'x'
//   /short       200, promises 100 bytes, sends 10 and closes
//   else         404 "not here"

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "weft/fibers/event.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/socket.h"

namespace weft::curl {

class TestServer {
 public:
  // Serves until the nursery is cancelled. Has to live until the nursery has closed.
  //
  // Blocks: yes, until it listens.
  // Cancel: stops listening.
  // Threads: the run's own only.
  explicit TestServer(fibers::Nursery& nursery);
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  std::string url(std::string_view path) const;

  int connections = 0;
  int requests = 0;
  int at_once = 0;
  int most_at_once = 0;
  std::size_t bytes_sent = 0;  // Of bodies without an end, and of /bytes.
  fibers::Event hanging;       // /hang has been asked for.
  // A client has gone in the middle of an answer, or instead of one.
  fibers::Event client_gone;

 private:
  struct Request {
    std::string method;
    std::string path;
    std::string body;
  };
  void serve(fibers::SocketStream& stream);
  bool read_request(fibers::SocketStream& stream, std::string& buffer, Request& request);
  // False: the connection is to be closed.
  bool answer(fibers::SocketStream& stream, const Request& request);
  void send_many(fibers::SocketStream& stream, std::size_t count);

  std::uint16_t port_ = 0;
};

}  // namespace weft::curl
