// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// How explore() chooses: the strategies, and the tokens by which one schedule is named.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weft/fibers/schedule_source.h"
#include "weft/fibers/testing/explore.h"

namespace weft::fibers::testing {

// Chooses for one schedule after the other.
class Schedules {
 public:
  Schedules() = default;
  Schedules(const Schedules&) = delete;
  Schedules& operator=(const Schedules&) = delete;
  virtual ~Schedules() = default;

  virtual void begin() = 0;
  // Among at least two. Throws UsageError if this is not what the body did before.
  virtual std::size_t choose(const ReadyTasks& ready, const Exploration& exploration) = 0;
  // Of the schedule that has been run; `choices` is what choose() gave.
  virtual std::string token(const std::vector<std::size_t>& choices) const = 0;
  // After a schedule with that many choices: whether there is another one.
  virtual bool next(std::size_t choices) = 0;
  // Whether that was because all have been run.
  virtual bool exhausted() const { return false; }
  virtual std::uint64_t pruned() const { return 0; }
};

std::unique_ptr<Schedules> make_schedules(const ExploreOptions& options);
// The one schedule of a token. Throws UsageError if it is none.
std::unique_ptr<Schedules> replay_of(const std::string& token);

}  // namespace weft::fibers::testing
