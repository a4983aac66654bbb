// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The other end of a connection without any of weft: a thread that calls OpenSSL over a blocking
// socket and sends back what it gets.

#pragma once

#include <string>
#include <thread>
#include <utility>

#include "tests/tls/test_authority.h"
#include "weft/fibers/socket.h"

struct ssl_st;

namespace weft::fibers {

struct EchoPeerOptions {
  bool client = false;  // Which side the thread is.
  // Shakes hands anew for each byte '!' that it gets. TLS 1.2 only.
  bool renegotiate = false;
};

class EchoPeer {
 public:
  EchoPeer(const SSLContext& context, const EchoPeerOptions& options);
  EchoPeer(const EchoPeer&) = delete;
  EchoPeer& operator=(const EchoPeer&) = delete;
  // Waits for the thread: the stream has to be closed by then.
  ~EchoPeer();

  // This side's end of the socket, once.
  SocketStream take_stream() { return std::move(stream_); }
  // How the connection ended; to be asked when it has.
  std::string wait_for_end();

 private:
  EchoPeer(const SSLContext& context, const EchoPeerOptions& options,
           std::pair<SocketStream, SocketStream> ends);
  void run(int fd);
  std::string talk(ssl_st& ssl);

  SSLContext context_;
  EchoPeerOptions options_;
  SocketStream stream_;
  std::string end_;
  std::thread thread_;
};

}  // namespace weft::fibers
