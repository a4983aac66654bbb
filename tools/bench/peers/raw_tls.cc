// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// OpenSSL by itself on a level-triggered epoll loop: OpenSSL reads and writes the socket.

#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tools/bench/common/echo.h"
#include "tools/bench/common/tls.h"
#include "tools/bench/peers/tls_echo.h"

namespace bench {
namespace {

struct Delete {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using Context = std::unique_ptr<SSL_CTX, Delete>;
using Connection = std::unique_ptr<SSL, Delete>;

Context make_context() {
  Context context(SSL_CTX_new(TLS_server_method()));
  const std::string file = certificate_file();
  if (SSL_CTX_use_certificate_file(context.get(), file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), file.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw std::runtime_error("the certificate cannot be read");
  }
  // A record by one read, instead of one for its header and one for the rest.
  SSL_CTX_set_read_ahead(context.get(), 1);
  return context;
}

// False if the connection has ended. The handshake is part of the first reads.
bool echo(SSL* ssl) {
  std::array<char, kEchoBuffer> buffer;
  do {
    const int count = SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size()));
    if (count <= 0) return SSL_get_error(ssl, count) == SSL_ERROR_WANT_READ;
    if (SSL_write(ssl, buffer.data(), count) != count) return false;
  } while (SSL_has_pending(ssl) == 1);
  return true;
}

}  // namespace

void tls_echo(Meter& /*meter*/) {
  const Context context = make_context();
  const int listener = listen_and_announce();
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [epoll](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  };
  watch(listener);
  std::vector<Connection> connections;
  std::array<epoll_event, 128> events;
  for (;;) {
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events.at(static_cast<std::size_t>(i)).data.fd;
      if (fd == listener) {
        const int accepted = ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        no_delay(accepted);
        const auto index = static_cast<std::size_t>(accepted);
        if (index >= connections.size()) connections.resize(index + 1);
        connections[index].reset(SSL_new(context.get()));
        SSL_set_fd(connections[index].get(), accepted);
        SSL_set_accept_state(connections[index].get());
        watch(accepted);
      } else if (!echo(connections.at(static_cast<std::size_t>(fd)).get())) {
        connections[static_cast<std::size_t>(fd)].reset();
        ::close(fd);
      }
    }
  }
}

}  // namespace bench
