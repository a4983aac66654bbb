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
//   /late-body   200, "late" once the server is told to go on
//   /cookie      200, sets a cookie; its body is the request's Cookie header
//   /upload      200, "N bytes", when the request's body has been read; in chunks or with a length
//   /late-upload the same, but reads once the server is told to go on
//   /refuse      413 before the body of the request has been read, and closes; /refuse/stay does
//                not close
//   else         404 "not here"

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "weft/fibers/event.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/stream.h"
#include "weft/tls/ssl_context.h"

namespace weft::curl {

class TestServer {
 public:
  // Serves until the nursery is cancelled. Has to live until the nursery has closed.
  //
  // Blocks: yes, until it listens.
  // Cancel: stops listening.
  // Threads: the run's own only.
  explicit TestServer(fibers::Nursery& nursery, std::optional<fibers::SSLContext> tls = {});
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  std::string url(std::string_view path) const;
  const std::string& last_upload() const { return upload_; }

  int connections = 0;
  int requests = 0;
  int at_once = 0;
  int most_at_once = 0;
  std::size_t bytes_sent = 0;  // Of bodies without an end, and of /bytes.
  std::size_t bytes_uploaded = 0;
  int sessions_resumed = 0;  // Connections of TLS without a full handshake.
  fibers::Event hanging;     // /hang has been asked for.
  fibers::Event go_on;       // For /late-body and /late-upload.
  // A client has gone in the middle of an answer, or instead of one.
  fibers::Event client_gone;

 private:
  struct Request {
    std::string method;
    std::string path;
    std::string head;
    std::string body;
  };
  struct Connection {
    fibers::Stream& stream;
    std::string buffer = {};  // Received, and not yet looked at.

    // False: the client has gone.
    bool receive_more();
    std::string take_line();
    std::string take(std::size_t size);
  };
  void serve(fibers::Stream& stream);
  static bool read_request(Connection& connection, Request& request);
  // False: the connection is to be closed.
  bool answer(Connection& connection, const Request& request);
  bool take_upload(Connection& connection, const Request& request);
  void send_many(fibers::Stream& stream, std::size_t count);

  std::uint16_t port_ = 0;
  std::string scheme_;
  std::string upload_;
};

}  // namespace weft::curl
