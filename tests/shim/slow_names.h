// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Names that are known when the test wants it.

#pragma once

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "weft/fibers/event.h"
#include "weft/fibers/socket/hooks.h"
#include "weft/fibers/socket_address.h"
#include "weft/shim/open_loop.h"

namespace weft::shim {

// Installed while it lives. "nobody.example", and the name of port 1, are an error: EIO.
class SlowNames final : public fibers::socket::HostnameResolver {
 public:
  SlowNames() : before_(fibers::socket::set_custom_hostname_resolver(this)) {}
  SlowNames(const SlowNames&) = delete;
  SlowNames& operator=(const SlowNames&) = delete;
  ~SlowNames() override { fibers::socket::set_custom_hostname_resolver(before_); }
  std::vector<fibers::socket::AddressInfo> getaddrinfo(
      const std::string& host, const std::string& service,
      const fibers::socket::AddressHints& hints) override {
    if (host == "nobody.example") fail();
    known.wait();
    return fibers::socket::getaddrinfo("127.0.0.1", service, hints);
  }
  std::pair<std::string, std::string> getnameinfo(const fibers::SocketAddress& address,
                                                  int) override {
    if (address.port() == 1) fail();
    known.wait();
    return {"slow.example", std::to_string(address.port())};
  }
  fibers::Event known;

 private:
  [[noreturn]] static void fail() {
    throw std::system_error(EIO, std::generic_category(), "no name");
  }
  fibers::socket::HostnameResolver* before_;
};

struct OfANameThatTakesItsTime {
  static constexpr bool kWaits = true;
  static constexpr int kError = EIO;
  void let_go(EventLoop&) const { names.known.set(); }
  mutable SlowNames names;
};

}  // namespace weft::shim
