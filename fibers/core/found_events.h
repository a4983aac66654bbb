// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What one look at the world has found, between EpollSet::wait and IoManager::deliver. Meanwhile
// descriptors may be closed, and waits given up: what has become stale is not delivered.

#pragma once

#include <sys/epoll.h>

#include <array>

namespace weft::fibers::detail {

struct FoundEvents {
  FoundEvents() = default;  // Leaves the array as it is: the run's poll makes one each time.

  std::array<epoll_event, 128> events;
  int count = 0;  // Negative: `error` is why.
  int error = 0;
};

}  // namespace weft::fibers::detail
