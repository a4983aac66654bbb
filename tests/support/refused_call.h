// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// A system in which a call does not work: an old one, or a sandbox.

#pragma once

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace weft::test {

// From now on `call` fails with `error`, in this thread and in those it starts; of calls whose
// argument number `argument` is not `value`, none does, unless `argument` is negative. There is no
// way back: for use in a process of the test's own. False if this machine does not allow it.
inline bool refuse_call(unsigned call, int error, int argument = -1, std::uint32_t value = 0) {
  constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
  const auto fail = SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error);
  const auto arguments = static_cast<std::uint32_t>(offsetof(seccomp_data, args));
  const std::uint32_t place =
      arguments + 8 * static_cast<std::uint32_t>(argument < 0 ? 0 : argument);
  // Any argument will do: then the second question is one that is always answered with yes.
  const bool any = argument < 0;
  std::array<sock_filter, 6> filter{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place),
      BPF_JUMP(BPF_JMP | (any ? BPF_JGE : BPF_JEQ) | BPF_K, (any ? 0U : value), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, fail),
      BPF_STMT(BPF_RET | BPF_K, kAllow),
  }};
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Runs `body` in a process of its own, started afresh: without this one's threads. What it expects
// in vain fails the test.
template <class Body>
void in_own_process(Body&& body) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto run_and_leave = [&] {
    body();
    std::_Exit(::testing::Test::HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(run_and_leave(), ::testing::ExitedWithCode(0), "");
}

}  // namespace weft::test
