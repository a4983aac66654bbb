// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/testing/sequencer.h"

#include <string>

#include "weft/fibers/errors.h"
#include "weft/fibers/lowlevel.h"

namespace weft::fibers::testing {

// Whether it was free. Without memory the position will never come, and nor will the rest.
bool Sequencer::claim(int position) {
  try {
    done_[position];  // Where its end is told nothing may fail.
    return claimed_.insert(position).second;
  } catch (...) {
    break_all();
    throw;
  }
}

void Sequencer::enter(int position) {
  if (!claim(position)) {
    checkpoint_if_cancelled();
    throw UsageError("position " + std::to_string(position) +
                     " of the Sequencer has been used already; give each its own number");
  }
  // Also for who comes now, and whose predecessor will never come.
  if (position != 0 && !broken_) {
    try {
      done_[position - 1].wait();
    } catch (...) {
      break_all();
      throw;
    }
  }
  if (broken_) {
    checkpoint_if_cancelled();
    throw UsageError("the sequence is broken: an earlier position was cancelled");
  }
}

void Sequencer::break_all() {
  broken_ = true;
  for (auto& [position, done] : done_) done.set();
}

}  // namespace weft::fibers::testing
