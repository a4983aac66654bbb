// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What the subjects of scaling/descriptors share.

#pragma once

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tools/bench/common/meter.h"

namespace bench {

// From one descriptor to the next that is signalled: it has no divisor in common with powers of
// ten.
inline constexpr std::size_t kStep = 7'919;

// Says that this machine cannot do the work, for the driver to pass on.
[[noreturn]] inline void skip(const char* why) {
  std::fprintf(stderr, "%s\n", why);
  std::exit(77);
}

inline std::vector<int> make_eventfds(std::size_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < count + 100) skip("more descriptors than a process may have (ulimit -Hn)");
  std::vector<int> all(count);
  for (int& fd : all) {
    fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) skip("the system has no more descriptors");
  }
  return all;
}

inline void signal_eventfd(int fd) {
  const std::uint64_t one = 1;
  keep(::write(fd, &one, sizeof one));
}
inline void read_eventfd(int fd) {
  std::uint64_t value = 0;
  keep(::read(fd, &value, sizeof value));
}

}  // namespace bench
