// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Replaces where addresses and sockets come from, for one run. For tests, and for programs whose
// names or network are not the system's.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "weft/fibers/socket/getaddrinfo.h"
#include "weft/fibers/socket/socket_type.h"

namespace weft::fibers::socket {

// (Trio: abc.HostnameResolver.)
class HostnameResolver {
 public:
  HostnameResolver() = default;
  HostnameResolver(const HostnameResolver&) = delete;
  HostnameResolver& operator=(const HostnameResolver&) = delete;
  virtual ~HostnameResolver() = default;

  // Work as the functions of the same names. The host is never a numeric address.
  //
  // Blocks: it may.
  // Cancel: it should give up at once.
  // Threads: called in a task of the run.
  virtual std::vector<AddressInfo> getaddrinfo(const std::string& host, const std::string& service,
                                               const AddressHints& hints) = 0;
  virtual std::pair<std::string, std::string> getnameinfo(const SocketAddress& address,
                                                          int flags) = 0;
};

// (Trio: abc.SocketFactory. There it may return any object. Here sockets are always the system's,
// but the factory chooses which one: an end of a pair, one that was opened in another network
// namespace, or none.)
class SocketFactory {
 public:
  SocketFactory() = default;
  SocketFactory(const SocketFactory&) = delete;
  SocketFactory& operator=(const SocketFactory&) = delete;
  virtual ~SocketFactory() = default;

  // Called instead of socket::socket(), also for TCP connections and listeners. Throws
  // std::system_error; EAFNOSUPPORT means that this machine has no such addresses, and that others
  // should be tried. To return a descriptor of your own, use `SocketType(OwnedFd(fd))`.
  //
  // Blocks: it must not.
  // Cancel: not a checkpoint.
  // Threads: called in a task of the run.
  virtual SocketType socket(int family, int type, int proto) = 0;
};

// Apply to this run, from now on; null restores the system's. They return the previous one. The
// caller keeps the objects alive. They throw UsageError outside a run.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: the run's own only.
HostnameResolver* set_custom_hostname_resolver(HostnameResolver* resolver);
SocketFactory* set_custom_socket_factory(SocketFactory* factory);

}  // namespace weft::fibers::socket
