// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/lock.h"

#include <string>

#include "weft/fibers/condition.h"
#include "weft/fibers/detail/destroyed.h"
#include "weft/fibers/detail/wait_holders.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

static const detail::HoldersRule kLockHolders(
    "Lock.acquire", [](const void* lock, std::vector<const void*>& holders) {
      holders.push_back(static_cast<const Lock*>(lock)->statistics().owner);
    });

[[noreturn, gnu::cold]] static void refuse_second_acquire() {
  throw UsageError(
      "this task holds the Lock already; a Lock cannot be taken twice, so split the "
      "function into one that locks and one that expects the lock");
}

Lock::~Lock() {
  if (owner_ != nullptr && in_trio_task() && !held_by_me()) [[unlikely]]
    detail::destroyed_in_use("Lock", this, owner_, "holds it");
  detail::fail_all_destroyed(waiting_, "Lock");
}

// Away from the fast path, which then needs no room for it on the stack.
void Lock::throw_broken() const {
  std::rethrow_exception(broken_);
}

inline void Lock::take() {
  if (broken_ != nullptr) [[unlikely]]
    throw_broken();
  owner_ = &detail::link_exit(*this);
}

void Lock::acquire() {
  // Where that suspends and a shield then lets the task go on, somebody may have come first.
  if (owner_ == nullptr) checkpoint_if_cancelled();
  if (owner_ == nullptr) {
    take();
    return cancel_shielded_checkpoint();
  }
  if (held_by_me()) [[unlikely]] {
    checkpoint_if_cancelled();
    refuse_second_acquire();
  }
  detail::Waiter waiter;
  detail::wait_in(waiting_, waiter, {.what = "Lock.acquire", .on = this});
}

void Lock::acquire_nowait() {
  if (owner_ != nullptr) {
    if (held_by_me()) refuse_second_acquire();
    throw WouldBlock();
  }
  take();
}

void Lock::release() {
  if (!held_by_me()) {
    throw UsageError(
        "Lock::release was called by a task that does not hold the lock; let the task "
        "that acquired it release it");
  }
  unlink();
  owner_ = nullptr;
  if (waiting_.empty()) return;
  owner_ = detail::wake_first(waiting_);
  detail::link_exit(*this, *owner_);
}

void Lock::owner_ended(TaskExit& lock, Task& owner) noexcept {
  auto& self = static_cast<Lock&>(lock);
  self.owner_ = nullptr;
  self.broken_ =
      detail::broken_resource({"the owner of the Lock ended without releasing it: task '",
                               owner.name(), "'; use LockGuard, which cannot forget"});
  detail::fail_all(self.waiting_, self.broken_);
  for (Condition* c = self.conditions_; c != nullptr; c = c->next_of_lock_) {
    detail::fail_all(c->waiting_, self.broken_);
  }
}

}  // namespace weft::fibers
