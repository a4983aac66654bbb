// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The outstanding deadlines of a run. Arming and disarming cost the same few nanoseconds whether
// there are ten or a million, because most deadlines are disarmed without ever firing: they are
// kept unsorted in buckets, by the highest bit in which they differ from the last time looked at,
// and sorted only when they are due. (A radix heap with removal.)

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "weft/fibers/clock.h"
#include "weft/fibers/detail/scope_state.h"

namespace weft::fibers::detail {

class Deadlines {
 public:
  // `node` is not armed; `when` is not kForever.
  void arm(DeadlineNode& node, Instant when);
  void disarm(DeadlineNode& node) noexcept;

  std::size_t size() const { return size_; }
  // No deadline is earlier than this; kForever if there is none. Exact when it is near: a caller
  // that sleeps until then and calls expire() gets closer each time, and after at most 64 times is
  // there.
  Instant lower_bound() const;
  // The earliest one, exactly. Looks at the nodes of one bucket.
  Instant earliest() const;

  // Disarms every node that is due at `now`, and calls their `fire`, in the order of their
  // deadlines and, among equals, of their arming. A `fire` may arm and disarm others. Returns how
  // many.
  std::size_t expire(Instant now);

 private:
  static constexpr int kBuckets = 65;

  static std::uint64_t ticks(Instant when);
  int bucket_for(std::uint64_t when) const;
  void push(DeadlineNode& node);
  DeadlineNode* take_due(std::uint64_t now);

  std::array<DeadlineNode*, kBuckets> buckets_{};
  DeadlineNode* due_ = nullptr;  // Being fired by expire().
  std::uint64_t occupied_ = 0;   // Bit b - 1 for bucket b > 0.
  std::uint64_t last_ = 0;       // Every armed node's time is >= this, unless it is in bucket 0.
  std::uint64_t next_order_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weft::fibers::detail
