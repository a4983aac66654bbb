// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "tests/tls/echo_peer.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

#include "fibers/tls/session/openssl.h"

namespace weft::fibers {

EchoPeer::EchoPeer(const SSLContext& context, const EchoPeerOptions& options)
    : EchoPeer(context, options, socket_stream_pair()) {}

EchoPeer::EchoPeer(const SSLContext& context, const EchoPeerOptions& options,
                   std::pair<SocketStream, SocketStream> ends)
    : context_(context), options_(options), stream_(std::move(ends.first)) {
  const int fd = ends.second.release();
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  try {
    thread_ = std::thread([this, fd] { run(fd); });
  } catch (...) {
    ::close(fd);
    throw;
  }
}

EchoPeer::~EchoPeer() {
  stream_.close();
  if (thread_.joinable()) thread_.join();
}

std::string EchoPeer::wait_for_end() {
  thread_.join();
  return end_;
}

void EchoPeer::run(int fd) {
  // Who answers a goodbye may find nobody there any more.
  sigset_t broken_pipe;
  ::sigemptyset(&broken_pipe);
  ::sigaddset(&broken_pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  {
    const detail::SslPtr ssl(SSL_new(context_.native_handle()));
    SSL_set_fd(ssl.get(), fd);
    options_.client ? SSL_set_connect_state(ssl.get()) : SSL_set_accept_state(ssl.get());
    end_ = talk(*ssl);
  }
  ::close(fd);
}

std::string EchoPeer::talk(ssl_st& ssl) {
  if (SSL_do_handshake(&ssl) != 1) return "no handshake";
  std::array<char, 10000> buffer{};
  for (;;) {
    const int got = SSL_read(&ssl, buffer.data(), static_cast<int>(buffer.size()));
    if (got <= 0) {
      if (SSL_get_error(&ssl, got) != SSL_ERROR_ZERO_RETURN) return "cut off";
      SSL_shutdown(&ssl);
      return "goodbye";
    }
    const auto end = buffer.begin() + got;
    if (options_.renegotiate && std::find(buffer.begin(), end, '!') != end) {
      if (SSL_renegotiate(&ssl) != 1 || SSL_do_handshake(&ssl) != 1) return "no renegotiation";
    }
    if (SSL_write(&ssl, buffer.data(), got) != got) return "cannot send";
  }
}

}  // namespace weft::fibers
