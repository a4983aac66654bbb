// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/testing/left_over.h"

#include <dirent.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "fibers/src/process/spawn.h"

namespace weft::fibers::testing {

std::size_t open_fd_count() {
  std::size_t count = 0;
  if (DIR* folder = ::opendir("/proc/self/fd")) {
    while (::readdir(folder) != nullptr) ++count;
    ::closedir(folder);
  }
  return count;
}

bool open_fds_come_down_to(std::size_t descriptors) {
  for (int i = 0; i < 500; ++i) {
    if (open_fd_count() == descriptors) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

bool has_child_process() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

bool children_go() {
  for (int i = 0; i < 500; ++i) {
    fibers::detail::reap_left();
    if (!has_child_process()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace weft::fibers::testing
