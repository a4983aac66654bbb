// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "weft/fibers/exception_group.h"
#include "weft/fibers/lowlevel.h"
#include "weft/fibers/nursery.h"
#include "weft/fibers/testing/fault_sweep.h"

namespace weft::fibers::testing {
namespace {

std::string token_of_failure(const std::function<void()>& body) {
  try {
    fault_sweep(body, {.calls = false});
  } catch (const FaultSweepError& error) {
    EXPECT_NE(std::string(error.what()).find(error.token()), std::string::npos);
    return error.token() + ": " + error.what();
  }
  return "none";
}

// Out of the optimiser's sight, which leaves out what is given back unused.
std::unique_ptr<int> allocated(int value) {
  auto made = std::make_unique<int>(value);
  int* at = made.release();
  asm volatile("" : "+r"(at));
  return std::unique_ptr<int>(at);
}

TEST(AllocationFaults, AreCountedAndFailOneByOne) {
  int ran = 0;
  const FaultSweepResult swept = fault_sweep(
      [&] {
        ++ran;
        const auto one = allocated(1);
        const auto two = allocated(2);
      },
      {.calls = false});
  EXPECT_GE(swept.allocations, 2U);
  EXPECT_EQ(swept.runs, swept.allocations);
  // Two runs without a fault; in some the run does not come as far as the body.
  EXPECT_GE(ran, 4);
}

TEST(AllocationFaults, MemoryThatIsLostIsFound) {
  const std::string found = token_of_failure([] {
    // Known here, so that LeakSanitizer has nothing to say.
    static std::array<int*, 16> known{};
    static std::size_t count = 0;
    int* const lost = allocated(1).release();
    known.at(count++ % known.size()) = lost;
    const auto other = allocated(2);
    delete lost;  // NOLINT(cppcoreguidelines-owning-memory)
  });
  EXPECT_NE(found.find("memory is left over"), std::string::npos) << found;
}

TEST(AllocationFaults, WhatIsKeptOnceIsNotLost) {
  static std::unique_ptr<std::string> kept;
  kept.reset();
  const auto body = [] {
    if (kept == nullptr) kept = std::make_unique<std::string>(100, 'x');
  };
  EXPECT_EQ(token_of_failure(body), "none");
  kept.reset();
}

TEST(AllocationFaults, AnErrorThatCannotBeKeptIsBadAlloc) {
  // Of a thousand tasks that fail, each in turn has no memory for its error.
  EXPECT_EQ(token_of_failure([] {
              try {
                open_nursery([](Nursery& nursery) {
                  for (int i = 0; i < 20; ++i) nursery.start_soon([] { throw 1; });
                });
              } catch (const BaseExceptionGroup&) {
                checkpoint();
              }
            }),
            "none");
}

}  // namespace
}  // namespace weft::fibers::testing
