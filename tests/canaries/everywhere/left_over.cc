// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tests leave something behind: one a descriptor, one a task and its stack. The listener of the
// test program fails them.
//
// Says: /dev/null, is left over
// Says: task 'main' #[0-9]+, started at .*, is left over
// Says: stacks are left over, of tasks or of greenlets: [0-9]+

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <iostream>
#include <optional>

#include "tests/canaries/canary.h"
#include "weft/fibers/greenlet.h"
#include "weft/fibers/run.h"

namespace weft::fibers {
namespace {

TEST(LeftOverCanary, OpensAndDoesNotClose) {
  const int fd = ::open("/dev/null", O_CLOEXEC);
  if (!test::planted()) ::close(fd);
}

TEST(LeftOverCanary, LeavesATaskInARunThatDoesNotGoOn) {
  static std::optional<Greenlet> greenlet;
  greenlet.emplace([] {
    const Greenlet outside = getcurrent().parent();
    run([&] { outside.switch_to(); });
  });
  greenlet->switch_to();
  if (!test::planted()) greenlet.reset();
}

}  // namespace
}  // namespace weft::fibers
