// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What the tests of connections share.

#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/loop/server_testing.h"
#include "tests/loop/transport_testing.h"
#include "weft/fibers/socket/hooks.h"
#include "weft/loop/detail/connecting.h"

namespace weft::loop::testing {

inline std::shared_ptr<Recorder> recorder() {
  return std::make_shared<Recorder>();
}

// A port of this machine on which nobody listens.
class ClosedPort {
 public:
  ClosedPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    number = ntohs(address.sin_port);
  }
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;
  ~ClosedPort() { ::close(fd_); }
  std::uint16_t number = 0;

 private:
  int fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
};

// Names with the addresses that the test gives them; any other has none. Installed while it lives.
class Names final : public fibers::socket::HostnameResolver {
 public:
  using Hosts = std::vector<std::string>;
  Names(const std::string& name, Hosts hosts) { add(name, std::move(hosts)); }
  Names() : Names("name.example", {}) {}
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;
  ~Names() override { fibers::socket::set_custom_hostname_resolver(nullptr); }
  void add(const std::string& name, Hosts hosts) {
    hosts_[name] = std::move(hosts);
    fibers::socket::set_custom_hostname_resolver(this);
  }
  std::vector<fibers::socket::AddressInfo> getaddrinfo(
      const std::string& name, const std::string& service,
      const fibers::socket::AddressHints& hints) override {
    asked.push_back(name);
    std::vector<fibers::socket::AddressInfo> all;
    for (const std::string& host : hosts_[name]) {
      for (auto& each : fibers::socket::getaddrinfo(host, service, hints)) all.push_back(each);
    }
    return all;
  }
  std::pair<std::string, std::string> getnameinfo(const fibers::SocketAddress&, int) override {
    return {};
  }
  std::vector<std::string> asked;

 private:
  std::map<std::string, Hosts> hosts_;
};

inline Server listen_on(EventLoop& loop, std::string_view host, std::uint16_t port,
                        const ServerOptions& options = {}) {
  return await(
      loop.create_server([] { return std::make_unique<Recorder>(); }, host, port, options));
}

// A server whose queue is full: the system lets whoever else connects to it wait.
class Busy {
 public:
  Busy(EventLoop& loop, std::string_view host, std::uint16_t port)
      : server_(listen_on(loop, host, port, {.start_serving = false})) {
    const int listener = server_.sockets().at(0);
    EXPECT_EQ(::listen(listener, 0), 0);
    const fibers::SocketAddress address = address_of(listener);
    EXPECT_EQ(::connect(client_.get(), address.data(), static_cast<socklen_t>(address.size())), 0);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { server_.close(); }

 private:
  Server server_;
  const detail::GivenFd client_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

}  // namespace weft::loop::testing
