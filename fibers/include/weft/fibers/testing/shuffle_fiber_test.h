// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// FIBER_TEST (fiber_test.h) in other orders than the usual one. With WEFT_SCHEDULES=100 in the
// environment, a body that has passed runs again in a hundred random schedules, and its
// expectations count in each. WEFT_SCHEDULES=100,7 takes a hundred others: the number after the
// comma is a seed. A failure names one token, and WEFT_REPLAY=token runs only that schedule.

#pragma once

#include <gtest/gtest.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "weft/fibers/errors.h"
#include "weft/fibers/format_exception.h"
#include "weft/fibers/run.h"
#include "weft/fibers/testing/explore.h"

namespace weft::fibers::testing {

// How many schedules, and which ones.
struct WantedSchedules {
  std::uint64_t count = 0;
  std::uint64_t seed = 0;
};

// Parses a text such as "100" or "100,7". Throws UsageError for any other.
inline WantedSchedules parse_wanted_schedules(std::string_view text) {
  WantedSchedules wanted;
  const char* const end = text.data() + text.size();
  auto parsed = std::from_chars(text.data(), end, wanted.count);
  if (parsed.ec == std::errc() && parsed.ptr != end && *parsed.ptr == ',') {
    parsed = std::from_chars(parsed.ptr + 1, end, wanted.seed);
  }
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    throw UsageError("WEFT_SCHEDULES='" + std::string(text) +
                     "' is neither a number of schedules, as 100, nor one with a seed, as 100,7");
  }
  return wanted;
}

// What the environment asks for. Nothing: only the usual order.
inline std::optional<WantedSchedules> wanted_schedules() {
  const char* const text = std::getenv("WEFT_SCHEDULES");
  if (text == nullptr) return std::nullopt;
  return parse_wanted_schedules(text);
}

// Whether a body is running in a random schedule.
inline bool& shuffling() {
  static bool shuffling = false;
  return shuffling;
}

// What has been shuffled in this process so far.
struct ShuffleTotal {
  std::size_t tests = 0;
  std::uint64_t schedules = 0;
};
inline ShuffleTotal& shuffle_total() {
  static ShuffleTotal total;
  return total;
}

// Runs a test's body in random schedules, every other one with few changes of priority (kPct), or
// in the one that WEFT_REPLAY names. Not after a failure. Adds to shuffle_total().
//
// Blocks: the thread, until all runs are over.
// Cancel: does not apply.
// Threads: any, outside a run.
inline void shuffle_fiber_test(void (*body)(), const WantedSchedules& wanted = {.count = 1}) {
  const auto failed = [] { return ::testing::Test::HasFailure(); };
  if (failed() || ::testing::Test::IsSkipped()) return;
  ExploreOptions options{.seed = wanted.seed,
                         .steps = 1'000'000,
                         .failed = failed,
                         .stack_size = RunOptions().stack_size};
  std::uint64_t run = 0;
  shuffling() = true;
  try {
    for (const Strategy strategy : {Strategy::kRandom, Strategy::kPct}) {
      options.strategy = strategy;
      options.schedules = (wanted.count + (strategy == Strategy::kRandom ? 1 : 0)) / 2;
      run += explore(body, options).schedules;
      if (is_replay(options)) break;
    }
  } catch (const ExploreError& error) {
    ADD_FAILURE() << error.what();  // What is nested is in it.
  } catch (...) {
    ADD_FAILURE() << format_exception(std::current_exception());
  }
  shuffling() = false;
  shuffle_total().tests += run > 0 ? 1 : 0;
  shuffle_total().schedules += run;
}

}  // namespace weft::fibers::testing

// Use it at the beginning of a FIBER_TEST that is about one order and cannot pass in another. The
// test is then not shuffled.
#define WEFT_NOT_SHUFFLED(why) \
  if (::weft::fibers::testing::shuffling()) return
