// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// The instruments of a run, and how they are called. (See weft/fibers/instrument.h.)

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "weft/fibers/instrument.h"

namespace weft::fibers::detail {

class TaskBlock;

// Those who need each step told make the scheduler take every hand-over through its own context:
// the tasks' direct one knows nothing of them.
inline constexpr std::uint16_t kStepHooks = kTaskScheduled | kBeforeTaskStep | kAfterTaskStep;

class Instruments {
 public:
  // Whether anybody wants any of these hooks.
  bool want(std::uint16_t hooks) const { return (hooks_ & hooks) != 0; }
  void add(InstrumentRef instrument);
  // False if it is not there.
  bool remove(const Instrument& instrument);

  void call(Hook hook, void (Instrument::*method)());
  void call(Hook hook, void (Instrument::*method)(Duration), Duration timeout);
  // `task` must not wait meanwhile.
  void call(Hook hook, void (Instrument::*method)(Task&), TaskBlock& task);

 private:
  struct Entry {
    std::shared_ptr<Instrument> instrument;  // Null: removed while hooks are called.
    std::uint16_t hooks;
  };
  template <class F>
  void call_each(Hook hook, F&& call_one);
  void update();

  std::vector<Entry> entries_;
  std::uint16_t hooks_ = 0;  // What any of them wants.
  int calling_ = 0;          // Depth: a hook may do what calls others.
};

}  // namespace weft::fibers::detail
