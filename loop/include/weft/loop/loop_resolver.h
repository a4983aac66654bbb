// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that converts names to addresses and back, off the loop.
//
//   for (const auto& found : co_await loop.getaddrinfo("example.org", 443, {.type = SOCK_STREAM}))
//     co_await loop.sock_connect(fd, found.address);
//
// What is numeric is converted at once. The rest goes where all names of the run go: to its custom
// resolver, or to a worker thread (weft/fibers/socket/getaddrinfo.h), and other callbacks run
// meanwhile. (asyncio: BaseEventLoop.getaddrinfo, which uses the default executor.)

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/fibers/socket/getaddrinfo.h"
#include "weft/fibers/socket_address.h"
#include "weft/loop/coro.h"
#include "weft/loop/loop_sockets.h"

namespace weft::loop {

class LoopResolver : public LoopSockets {
 public:
  using AddressInfos = std::vector<fibers::socket::AddressInfo>;

  // The addresses of `host` and `service`, in the order in which they should be tried. The texts
  // are copied. Hints and errors are those of fibers::socket::getaddrinfo.
  //
  // Blocks: whoever awaits it, unless host and service are numeric.
  // Cancel: at once; a look-up that is under way is abandoned.
  // Threads: the loop's own only.
  Coro<AddressInfos> getaddrinfo(std::string_view host, std::string_view service,
                                 const fibers::socket::AddressHints& hints = {});
  Coro<AddressInfos> getaddrinfo(std::string_view host, std::uint16_t port,
                                 const fibers::socket::AddressHints& hints = {});
  // The host and service of an address. `flags` are NI_...
  //
  // Blocks: whoever awaits it.
  // Cancel: at once; a look-up that is under way is abandoned.
  // Threads: the loop's own only.
  Coro<std::pair<std::string, std::string>> getnameinfo(fibers::SocketAddress address,
                                                        int flags = 0);

 protected:
  using LoopSockets::LoopSockets;

 private:
  Coro<AddressInfos> look_up(std::string host, std::string service,
                             fibers::socket::AddressHints hints);
};

}  // namespace weft::loop
