// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// TCP connections, outgoing and incoming.
//
//   SocketStream stream = open_tcp_stream("example.org", 80);
//
//   open_nursery([&](Nursery& nursery) {
//     const auto port = nursery.start<std::uint16_t>([&](TaskStatus<std::uint16_t>& status) {
//       serve_tcp(handle_client, 0, {.host = "localhost"}, status);
//     });
//     ...
//   });

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/nursery.h"
#include "weft/fibers/socket.h"

namespace weft::fibers {

struct TcpStreamOptions {
  // How long one address is tried alone before the next joins in; Duration::max(): until it fails.
  Duration happy_eyeballs_delay = std::chrono::milliseconds(250);
  // The address of this machine to come from, numeric; empty: the system chooses.
  std::string local_address = {};
};

// Connects to `host`, a name or a numeric address. With several addresses the attempts are
// staggered and the first that succeeds wins, with the second one of the other family (RFC 6555).
// Throws std::system_error; if all attempts failed, an ExceptionGroup with all their errors is
// nested in it.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once; no connection is left open.
// Threads: the run's own only.
SocketStream open_tcp_stream(const std::string& host, std::uint16_t port,
                             const TcpStreamOptions& options = {});

namespace detail {
using Connect = std::function<SocketStream(const SocketAddress&)>;
// The rules of the race, apart from the network: `connect` throws std::system_error or returns.
SocketStream race_connections(std::vector<SocketAddress> targets, Duration delay,
                              const std::string& description, const Connect& connect);
}  // namespace detail

inline constexpr int kDefaultBacklog = 65535;

struct TcpListenOptions {
  // A name or numeric address of this machine. Empty: all its addresses, IPv4 and IPv6.
  std::string host = {};
  // Connections that the system keeps until they are accepted. More than 65535 are 65535.
  int backlog = kDefaultBacklog;
};

// Listens on every address of the host, by a socket each. Port 0: on any free one, the same for
// all. Throws std::system_error; then none is left open.
//
// Blocks: yes, always a checkpoint.
// Cancel: nothing is left open.
// Threads: the run's own only.
std::vector<SocketListener> open_tcp_listeners(std::uint16_t port,
                                               const TcpListenOptions& options = {});

struct ServeTcpOptions {
  std::string host = {};
  int backlog = kDefaultBacklog;
  // Where the connections' tasks run, so that they outlive the listening; null: in one of its own.
  Nursery* handler_nursery = nullptr;
};

// Runs `handler(stream)` as a task for each connection, until cancelled; the stream is closed when
// the handler has ended. A handler's error ends the serving: catch what one client may not cause.
// Out of descriptors or memory, it logs, waits 100 ms and tries again. Reports the port by `status`
// once connections are accepted.
//
// Blocks: yes, until cancelled.
// Cancel: cancels the handlers too, unless they run in a nursery of the caller's.
// Threads: the run's own only.
void serve_tcp(std::function<void(SocketStream&)> handler, std::uint16_t port,
               const ServeTcpOptions& options, TaskStatus<std::uint16_t>& status);
void serve_tcp(std::function<void(SocketStream&)> handler, std::uint16_t port,
               const ServeTcpOptions& options = {});

namespace detail {
// To be called in a handler of what accept() threw: logs and waits, or throws it on.
void wait_for_capacity();

template <class Listener, class Handler>
[[noreturn]] void serve_one_listener(Listener& listener, Nursery& nursery,
                                     const std::shared_ptr<Handler>& handler) {
  for (;;) {
    try {
      nursery.start_soon([handler, stream = listener.accept()]() mutable { (*handler)(stream); },
                         {.name = "connection"});
    } catch (const std::exception&) {
      wait_for_capacity();
    }
  }
}
}  // namespace detail

// The same on listeners that are there: anything with accept() and close(). They are closed at the
// end. Throws UsageError without any. `handler_nursery` as above.
//
// Blocks: yes, until cancelled.
// Cancel: cancels the handlers too, unless they run in a nursery of the caller's.
// Threads: the run's own only.
template <class Listener, class Handler>
void serve_listeners(Handler handler, std::vector<Listener> listeners,
                     Nursery* handler_nursery = nullptr) {
  checkpoint_if_cancelled();
  if (listeners.empty()) throw UsageError("serve_listeners() needs at least one listener");
  const auto shared = std::make_shared<Handler>(std::move(handler));
  open_nursery([&](Nursery& nursery) {
    Nursery& connections = handler_nursery != nullptr ? *handler_nursery : nursery;
    for (Listener& listener : listeners) {
      nursery.start_soon([&listener, &connections,
                          shared] { detail::serve_one_listener(listener, connections, shared); },
                         {.name = "accept"});
    }
  });
}

}  // namespace weft::fibers
