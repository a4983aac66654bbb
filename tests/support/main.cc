// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// GoogleTest's main(), which also looks after what each test leaves over, and says how much has
// been shuffled and swept (see shuffle_fiber_test.h, sweep_fiber_test.h).

#include <gmock/gmock.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>

#include "weft/fibers/detail/sanitizers.h"
#include "weft/fibers/testing/fiber_test.h"

#ifdef WEFT_TSAN
#include <sanitizer/common_interface_defs.h>
#include <unistd.h>
#endif

namespace {

// TSan starts a program that names functions once it has a race to look up among those that
// tsan_suppressions.txt forgives. The pipes to it stay open, and a test that happens to meet such
// a race would be blamed for them.
void start_symbolizer() {
#ifdef WEFT_TSAN
  std::array<char, 256> name{};
  // Of a library without debug information: that is looked up in no time.
  __sanitizer_symbolize_pc(reinterpret_cast<void*>(&::getppid), "%f", name.data(), name.size());
#endif
}

}  // namespace

int main(int argc, char** argv) {
  // A shell has a job in the background ignore Ctrl-C, which many tests and their programs send.
  std::signal(SIGINT, SIG_DFL);
  ::testing::InitGoogleMock(&argc, argv);
  ::testing::UnitTest::GetInstance()->listeners().Append(
      new weft::fibers::testing::LeftOverListener);
  start_symbolizer();
  const int result = RUN_ALL_TESTS();
  if (const auto& total = weft::fibers::testing::shuffle_total(); total.schedules > 0) {
    std::printf("shuffled: %zu tests in %ju random schedules\n", total.tests,
                static_cast<std::uintmax_t>(total.schedules));
  }
  if (const auto& total = weft::fibers::testing::cancel_sweep_total(); total.checkpoints > 0) {
    std::printf("cancel sweep: cancelled %zu times, at %zu of the %zu checkpoints of %zu tests\n",
                total.runs, total.swept, total.checkpoints, total.tests);
  }
  if (const auto& total = weft::fibers::testing::fault_sweep_total(); total.runs > 0) {
    std::printf("fault sweep: %zu faults, of %zu system calls and %zu allocations in %zu tests\n",
                total.runs, total.calls, total.allocations, total.tests);
  }
  return result;
}
