// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Names to addresses and back, without blocking the thread. (Trio: socket.getaddrinfo,
// socket.getnameinfo, socket.getprotobyname.)

#pragma once

#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "weft/fibers/socket_address.h"

namespace weft::fibers::socket {

// What is wanted: 0 is "any". The flags are AI_...
struct AddressHints {
  int family = 0;
  int type = 0;
  int proto = 0;
  int flags = 0;
};
struct AddressInfo {
  int family = 0;
  int type = 0;
  int proto = 0;
  std::string canonname;  // With AI_CANONNAME.
  SocketAddress address;
};

// The addresses of `host` and `service` (a port or the name of one), in the order in which they
// should be tried. Either may be empty. Numeric ones are converted on the spot; names go to the
// custom resolver, or to a thread. A host that is not ASCII is UTF-8, and converted by the system's
// IDNA rules. Throws std::system_error that names the host, of resolver_category() for the
// resolver's own codes; UsageError for a zero byte in either.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once; a look-up that is under way is abandoned.
// Threads: the run's own only.
std::vector<AddressInfo> getaddrinfo(const std::string& host, const std::string& service,
                                     const AddressHints& hints = {});

// The host and service of an address. `flags` are NI_...; with NI_NUMERICHOST and NI_NUMERICSERV
// no thread is needed. A custom resolver is always asked.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once; a look-up that is under way is abandoned.
// Threads: the run's own only.
std::pair<std::string, std::string> getnameinfo(const SocketAddress& address, int flags = 0);

// The number of a protocol, "tcp" say. Throws std::system_error for an unknown one.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once; a look-up that is under way is abandoned.
// Threads: the run's own only.
int getprotobyname(const std::string& name);

// The category of the EAI_... codes. (Python: socket.gaierror.)
const std::error_category& resolver_category();

}  // namespace weft::fibers::socket
