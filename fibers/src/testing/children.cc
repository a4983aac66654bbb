// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "fibers/src/testing/children.h"

#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "weft/fibers/detail/child.h"

namespace weft::fibers::testing {

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
