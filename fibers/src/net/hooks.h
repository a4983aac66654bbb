// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The present run's custom resolver and factory; null if there are none.

#pragma once

#include "weft/fibers/socket/hooks.h"

namespace weft::fibers::socket {

HostnameResolver* custom_hostname_resolver();
SocketFactory* custom_socket_factory();

}  // namespace weft::fibers::socket
