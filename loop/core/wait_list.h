// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// Tasks of the loop that wait for something of it.

#pragma once

#include "weft/fibers/lowlevel.h"

namespace weft::loop::detail {

// A list of parked tasks; the entries lie on their stacks.
class WaitList {
 public:
  struct Entry {
    fibers::Task* task = nullptr;
    Entry* next = nullptr;
    Entry* prev = nullptr;
    bool linked = false;
  };

  bool empty() const { return first_ == nullptr; }

  // Blocks: yes, always a checkpoint.
  // Cancel: at once.
  // Threads: the run's own only.
  void wait(Entry& entry, const char* what);
  void wake(Entry& entry);
  void wake_all();

 private:
  void link(Entry& entry) noexcept;
  void unlink(Entry& entry) noexcept;
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
};

}  // namespace weft::loop::detail
