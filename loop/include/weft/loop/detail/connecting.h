// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What create_connection() and its siblings do apart from the type of the protocol. Not for use
// outside weft.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "weft/fibers/clock.h"
#include "weft/fibers/socket/getaddrinfo.h"
#include "weft/loop/coro.h"
#include "weft/loop/protocol.h"

namespace weft::loop {
class TransportLayer;
}

namespace weft::loop::detail {

using ProtocolFactory = absl::AnyInvocable<std::shared_ptr<BaseProtocol>()>;

// A std::shared_ptr or std::unique_ptr to it is what the factory returns.
template <class Factory>
using ProtocolOf = std::remove_cvref_t<decltype(*std::declval<std::invoke_result_t<Factory&>>())>;

template <class Factory>
ProtocolFactory protocol_factory(Factory factory) {
  return [factory = std::move(factory)]() mutable -> std::shared_ptr<BaseProtocol> {
    return factory();
  };
}

// What is asked of a layer, by whoever connects or serves.
struct LayerOptions {
  TransportLayer* ssl = nullptr;
  std::string server_hostname;
  std::optional<fibers::Duration> handshake_timeout;
  std::optional<fibers::Duration> shutdown_timeout;
};

// A descriptor that the caller has given away: closed unless it is given on.
class GivenFd {
 public:
  explicit GivenFd(int fd = -1) noexcept : fd_(fd) {}
  GivenFd(GivenFd&& other) noexcept : fd_(other.release()) {}
  GivenFd& operator=(GivenFd other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~GivenFd();
  int get() const { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

using AddressInfos = std::vector<fibers::socket::AddressInfo>;

// What is asked for; on the heap, so that coroutines pass one pointer on.
struct ConnectRequest {
  ProtocolFactory factory;
  std::string host;
  std::uint16_t port = 0;
  std::string path;        // Of a Unix socket.
  GivenFd fd = GivenFd();  // A socket that is connected already.
  bool server_side = false;
  bool unix_only = false;  // The socket has to be one of Unix.
  int family = 0;
  int proto = 0;
  int flags = 0;
  std::string local_host;
  std::uint16_t local_port = 0;
  std::optional<fibers::Duration> happy_eyeballs_delay;
  std::optional<int> interleave;
  bool all_errors = false;
  LayerOptions layer;
};

struct Connected {
  Transport transport;
  std::shared_ptr<BaseProtocol> protocol;
};

// By which way the request says.
Coro<Connected> connect(LoopCore& loop, std::unique_ptr<ConnectRequest> request);

// (asyncio: _interleave_addrinfos.) The first family's first `first_count`, then in turns.
AddressInfos interleave(AddressInfos infos, int first_count);

template <class P>
Coro<std::pair<Transport, std::shared_ptr<P>>> connect_as(LoopCore& loop,
                                                          std::unique_ptr<ConnectRequest> request) {
  Connected made = co_await connect(loop, std::move(request));
  co_return std::pair(std::move(made.transport),
                      std::static_pointer_cast<P>(std::move(made.protocol)));
}

}  // namespace weft::loop::detail
