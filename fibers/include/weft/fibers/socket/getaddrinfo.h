// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Converts names to addresses and back, without blocking the thread. (Trio: socket.getaddrinfo,
// socket.getnameinfo, socket.getprotobyname.)

#pragma once

#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "weft/fibers/socket_address.h"

namespace weft::fibers::socket {

// What to look for. 0 means any. The flags are AI_...
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
// should be tried. Either may be empty. Numeric ones are converted at once. Names go to the custom
// resolver, or to a worker thread. A host that is not ASCII must be UTF-8; the system's IDNA rules
// convert it. Throws std::system_error that names the host, with resolver_category() for the
// resolver's own codes; UsageError if either contains a zero byte.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once; a look-up that is under way is abandoned.
// Threads: the run's own only.
std::vector<AddressInfo> getaddrinfo(const std::string& host, const std::string& service,
                                     const AddressHints& hints = {});
// The same for what needs no look-up; nothing if it does: a host or a service that is a name.
//
// Blocks: no.
// Cancel: not a checkpoint.
// Threads: any.
std::optional<std::vector<AddressInfo>> getaddrinfo_nowait(const std::string& host,
                                                           const std::string& service,
                                                           const AddressHints& hints = {});

// The host and service of an address. `flags` are NI_...; NI_NUMERICHOST together with
// NI_NUMERICSERV needs no thread. A custom resolver is always asked.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once; a look-up that is under way is abandoned.
// Threads: the run's own only.
std::pair<std::string, std::string> getnameinfo(const SocketAddress& address, int flags = 0);

// The number of a protocol, such as "tcp". Throws std::system_error for an unknown one.
//
// Blocks: yes, always a checkpoint.
// Cancel: at once; a look-up that is under way is abandoned.
// Threads: the run's own only.
int getprotobyname(const std::string& name);

// The category of the EAI_... codes. (Python: socket.gaierror.)
const std::error_category& resolver_category();

}  // namespace weft::fibers::socket
