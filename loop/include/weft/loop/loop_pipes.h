// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The part of EventLoop that makes transports of pipes. (asyncio: connect_read_pipe.)

#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "weft/fibers/detail/child.h"
#include "weft/loop/coro.h"
#include "weft/loop/loop_servers.h"
#include "weft/loop/protocol.h"
#include "weft/loop/transport.h"

namespace weft::loop {

class LoopPipes : public LoopServers {
 public:
  // Reads from `fd`, which is the loop's from the call on and does not block any more: a pipe, a
  // socket or a character device. `factory()` returns a std::shared_ptr to a Protocol or a
  // BufferedProtocol, whose connection_made() has been called when this gives the ReadTransport and
  // the protocol, as a pair. After the last byte come eof_received() and connection_lost(). Throws
  // UsageError for other descriptors, std::system_error for one that cannot be watched.
  //
  // Blocks: whoever awaits it, for one iteration.
  // Cancel: at once; closes the transport.
  // Threads: the loop's own only.
  template <class F>
  auto connect_read_pipe(F factory, int fd) {
    return connect_for<ReadTransport>(std::move(factory), fibers::detail::PlainFd(fd));
  }
  // Writes to `fd`. connection_lost() comes as soon as the reader has closed its end, with an error
  // if there was something left to write; not for a character device. write_eof() is close().
  //
  // Blocks: whoever awaits it, for one iteration.
  // Cancel: at once; closes the transport.
  // Threads: the loop's own only.
  template <class F>
  auto connect_write_pipe(F factory, int fd) {
    return connect_for<WriteTransport>(std::move(factory), fibers::detail::PlainFd(fd));
  }

 protected:
  using LoopServers::LoopServers;

 private:
  template <class T, class F>
  auto connect_for(F factory, fibers::detail::PlainFd fd)
      -> Coro<std::pair<T, std::invoke_result_t<F&>>> {
    auto protocol = factory();
    constexpr bool kReads = std::is_same_v<T, ReadTransport>;
    const BaseTransport transport = co_await connect_pipe(protocol, std::move(fd), kReads);
    co_return std::pair(TransportAccess::share<T>(TransportAccess::core(transport)),
                        std::move(protocol));
  }
  Coro<BaseTransport> connect_pipe(std::shared_ptr<BaseProtocol> protocol,
                                   fibers::detail::PlainFd fd, bool reads);
};

}  // namespace weft::loop
