// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/capacity_limiter.h"

#include <utility>

#include "fibers/src/sync/limiter_state.h"
#include "weft/fibers/detail/destroyed.h"
#include "weft/fibers/detail/wait_holders.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

using detail::Borrower;
using detail::LimiterState;
using detail::TokenState;

namespace {

const detail::HoldersRule kLimiterHolders(
    "CapacityLimiter.acquire", [](const void* limiter, std::vector<const void*>& holders) {
      const auto borrowers = static_cast<const CapacityLimiter*>(limiter)->statistics().borrowers;
      for (const void* borrower : borrowers) holders.push_back(borrower);
    });

struct LimiterWaiter : detail::Waiter {
  const Borrower* borrower = nullptr;
};

void refuse_second_token(const LimiterState& limiter, const Borrower& borrower) {
  if (limiter.borrowers.contains(borrower)) {
    throw UsageError(
        "this borrower has a token of the CapacityLimiter already, or waits for one; "
        "borrow once, or name another borrower with acquire_on_behalf_of");
  }
}

detail::Loan& new_loan(LimiterState& limiter, const Borrower& borrower) {
  if (limiter.spare.empty()) return limiter.borrowers.try_emplace(borrower).first->second;
  limiter.spare.key() = borrower;
  return limiter.borrowers.insert(std::move(limiter.spare)).position->second;
}

// `task` is null for a thing.
void add_borrower(LimiterState& limiter, const Borrower& borrower, Task* task, TokenState state) {
  detail::Loan& loan = new_loan(limiter, borrower);
  loan.state = state;
  loan.shown = task != nullptr ? task : borrower.thing;
  if (task != nullptr) detail::link_exit(loan, *task);
}

void borrow(LimiterState& limiter, const Borrower& borrower, Task* task) {
  add_borrower(limiter, borrower, task, TokenState::kBorrowed);
  ++limiter.borrowed;
}

void wake_while_room(LimiterState& limiter) {
  while (limiter.has_room() && !limiter.waiting.empty()) {
    const Borrower& next = *static_cast<LimiterWaiter*>(limiter.waiting.front())->borrower;
    limiter.borrowers.find(next)->second.state = TokenState::kBorrowed;
    ++limiter.borrowed;
    detail::wake_first(limiter.waiting);
  }
}

bool may_borrow(const LimiterState& limiter) {
  return limiter.has_room() && limiter.waiting.empty();
}

void wait_for_token(LimiterState& limiter, const Borrower& borrower, Task* task, const void* on) {
  LimiterWaiter waiter;
  waiter.task = &current_task();
  waiter.borrower = &borrower;
  add_borrower(limiter, borrower, task, TokenState::kWaiting);
  limiter.waiting.push_back(waiter);
  wait_task_rescheduled(
      [&](const RaiseCancel&) {
        limiter.waiting.remove(waiter);
        limiter.borrowers.erase(borrower);
        return Abort::kSucceeded;
      },
      {.what = "CapacityLimiter.acquire", .on = on});
}

void acquire_for(LimiterState& limiter, const Borrower& borrower, Task* task, const void* on) {
  checkpoint_if_cancelled();
  refuse_second_token(limiter, borrower);
  if (!may_borrow(limiter)) return wait_for_token(limiter, borrower, task, on);
  borrow(limiter, borrower, task);
  cancel_shielded_checkpoint();
}

void acquire_for_nowait(LimiterState& limiter, const Borrower& borrower, Task* task) {
  refuse_second_token(limiter, borrower);
  if (!may_borrow(limiter)) throw WouldBlock();
  borrow(limiter, borrower, task);
}

void release_for(LimiterState& limiter, const Borrower& borrower) {
  const auto found = limiter.borrowers.find(borrower);
  if (found == limiter.borrowers.end() || found->second.state != TokenState::kBorrowed) {
    throw UsageError(
        "a token was given back to a CapacityLimiter by a borrower that has none; let "
        "the borrower that acquired it release it");
  }
  detail::release_token(limiter, borrower);
}

}  // namespace

CapacityLimiter::CapacityLimiter(std::size_t total_tokens)
    : state_(std::make_shared<LimiterState>()) {
  state_->total = total_tokens;
}

CapacityLimiter::~CapacityLimiter() {
  for (const auto& [borrower, loan] : state_->borrowers) {
    const bool to_give_back = borrower.task != 0 && loan.state == TokenState::kBorrowed &&
                              loan.shown != nullptr && in_trio_task() &&
                              loan.shown != &current_task();
    if (to_give_back) [[unlikely]] {
      detail::destroyed_in_use("CapacityLimiter", this, static_cast<const Task*>(loan.shown),
                               "has a token of it");
    }
  }
  detail::fail_all_destroyed(state_->waiting, "CapacityLimiter");
}

std::size_t CapacityLimiter::total_tokens() const {
  return state_->total;
}
std::size_t CapacityLimiter::borrowed_tokens() const {
  return state_->borrowed;
}
std::size_t CapacityLimiter::available_tokens() const {
  return state_->has_room() ? state_->total - state_->borrowed : 0;
}

void CapacityLimiter::set_total_tokens(std::size_t total_tokens) {
  state_->total = total_tokens;
  wake_while_room(*state_);
}

void CapacityLimiter::acquire_on_behalf_of(const void* borrower) {
  acquire_for(*state_, {.thing = borrower}, nullptr, this);
}
void CapacityLimiter::acquire_on_behalf_of(Task* borrower) {
  acquire_for(*state_, Borrower::of(*borrower), borrower, this);
}

void CapacityLimiter::acquire_on_behalf_of_nowait(const void* borrower) {
  acquire_for_nowait(*state_, {.thing = borrower}, nullptr);
}
void CapacityLimiter::acquire_on_behalf_of_nowait(Task* borrower) {
  acquire_for_nowait(*state_, Borrower::of(*borrower), borrower);
}

void CapacityLimiter::release_on_behalf_of(const void* borrower) {
  release_for(*state_, {.thing = borrower});
}
void CapacityLimiter::release_on_behalf_of(Task* borrower) {
  release_for(*state_, Borrower::of(*borrower));
}

CapacityLimiterStatistics CapacityLimiter::statistics() const {
  CapacityLimiterStatistics result{.borrowed_tokens = state_->borrowed,
                                   .total_tokens = state_->total,
                                   .borrowers = {},
                                   .tasks_waiting = state_->waiting.size()};
  for (const auto& [borrower, loan] : state_->borrowers) {
    if (loan.state == TokenState::kBorrowed) result.borrowers.push_back(loan.shown);
  }
  return result;
}

namespace detail {
bool release_token(LimiterState& limiter, const Borrower& borrower) {
  auto gone = limiter.borrowers.extract(borrower);
  if (gone.empty()) return false;
  gone.mapped().unlink();
  limiter.spare = std::move(gone);
  --limiter.borrowed;
  wake_while_room(limiter);
  return true;
}
}  // namespace detail

}  // namespace weft::fibers
