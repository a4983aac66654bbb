// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What can be asked of a transport besides. Include weft/fibers/socket_address.h for addresses.
// (asyncio: BaseTransport.get_extra_info.)
//
//   if (const auto peer = transport.get_extra_info(extra_info::peername)) log(peer->to_string());

#pragma once

#include <string_view>

#include "weft/fibers/detail/requirements.h"

namespace weft::fibers {
class SocketAddress;
}

namespace weft::loop {

// A key, by its name in asyncio and the type of what there is under it. Transports of your own may
// have keys of your own.
template <class T>
struct ExtraInfo {
  std::string_view name;
};

namespace extra_info {
// NOLINTBEGIN(readability-identifier-naming): the names are asyncio's.
// The peer's address and this side's. This side's is known until connection_lost() has returned.
inline constexpr ExtraInfo<fibers::SocketAddress> peername{"peername"};
inline constexpr ExtraInfo<fibers::SocketAddress> sockname{"sockname"};
// The descriptor, which stays the transport's: do not close it, nor read or write.
inline constexpr ExtraInfo<int> socket{"socket"};
// The same of a pipe.
inline constexpr ExtraInfo<int> pipe{"pipe"};
// NOLINTEND(readability-identifier-naming)
}  // namespace extra_info

}  // namespace weft::loop
