// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// What a CancelScope holds for the kernel. It lies inside the scope, on the stack of whoever opened
// it: entering a scope and setting its deadline allocate nothing. Not for use outside weft.

#pragma once

#include <cstdint>
#include <memory>

#include "weft/fibers/clock.h"

namespace weft::fibers {

class CancelScope;
class Task;
struct CancelReason;

namespace detail {

class TaskBlock;

// A node of the run's deadlines. Linked exactly while armed (bucket >= 0).
struct DeadlineNode {
  DeadlineNode* next = nullptr;
  DeadlineNode* prev = nullptr;
  Instant when = kForever;
  std::uint64_t order = 0;  // Ties fire in the order in which they were armed.
  void (*fire)(DeadlineNode&) = nullptr;
  int bucket = -1;
};

// A node of the cancel-status tree: one for each entered scope. Parents outlive their children: a
// nursery's scope waits for its tasks, a scope in a task ends before those around it.
struct CancelStatus {
  CancelStatus* parent = nullptr;
  CancelStatus* first_child = nullptr;
  CancelStatus* next_sibling = nullptr;
  CancelStatus* prev_sibling = nullptr;
  TaskBlock* first_task = nullptr;  // Tasks whose innermost scope this is.
  TaskBlock* entered_by = nullptr;  // Null: not entered.
  // std::uncaught_exceptions() of `entered_by` at entry. While that task unwinds deeper than this,
  // its waits are not cancelled by this scope or by any outside it.
  unsigned entry_uncaught = 0;
  bool cancel_called = false;
  bool shield = false;
  bool unwind_shield = false;  // Entered while unwinding: hides the scopes outside until it ends.
  bool effectively_cancelled = false;
  bool delivered = false;  // A Cancelled that this scope has to catch has been thrown.
  std::shared_ptr<const CancelReason> reason;  // The first cause of cancel_called.

  bool sees_parent() const { return !shield && !unwind_shield; }
};

}  // namespace detail
}  // namespace weft::fibers
