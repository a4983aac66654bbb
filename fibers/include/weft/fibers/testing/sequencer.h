// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Forces what several tasks do into one order.
//
//   Sequencer sequencer;
//   nursery.start_soon([&] { sequencer.seq(0, [&] { a(); });  sequencer.seq(2, [&] { c(); }); });
//   nursery.start_soon([&] { sequencer.seq(1, [&] { b(); }); });

#pragma once

#include <functional>
#include <map>
#include <set>
#include <utility>

#include "weft/fibers/event.h"

namespace weft::fibers::testing {

// A resource: neither copied nor moved. (Trio: testing.Sequencer.)
class Sequencer {
 public:
  Sequencer() = default;
  Sequencer(const Sequencer&) = delete;
  Sequencer& operator=(const Sequencer&) = delete;

  // Waits until the body of position - 1 has ended (0 does not wait), then runs `body`. Throws
  // UsageError if the position was used before, or if the one before it was cancelled while it
  // waited: then the sequence can never go on.
  //
  // Blocks: yes, a checkpoint except for 0.
  // Cancel: before the body; all later positions fail.
  // Threads: the run's own only.
  template <class Body>
  auto seq(int position, Body&& body) -> std::invoke_result_t<Body> {
    enter(position);
    const Leave leave{*this, position};
    return std::invoke(std::forward<Body>(body));
  }

 private:
  struct Leave {
    Sequencer& sequencer;
    int position;
    ~Leave() { sequencer.done_[position].set(); }
  };
  void enter(int position);
  bool claim(int position);
  void break_all();

  std::set<int> claimed_;
  std::map<int, Event> done_;  // By the position whose end they stand for.
  bool broken_ = false;
};

}  // namespace weft::fibers::testing
