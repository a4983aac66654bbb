// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/capacity_limiter.h"

#include <utility>

#include "fibers/src/sync/limiter_state.h"
#include "weft/fibers/detail/wait_holders.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

using detail::LimiterState;
using detail::TokenState;

namespace {

const detail::HoldersRule kLimiterHolders(
    "CapacityLimiter.acquire", [](const void* limiter, std::vector<const void*>& holders) {
      const auto borrowers = static_cast<const CapacityLimiter*>(limiter)->statistics().borrowers;
      for (const void* borrower : borrowers) holders.push_back(borrower);
    });

struct LimiterWaiter : detail::Waiter {
  const void* borrower = nullptr;
};

void refuse_second_token(const LimiterState& limiter, const void* borrower) {
  if (limiter.borrowers.contains(borrower)) {
    throw UsageError(
        "this borrower has a token of the CapacityLimiter already, or waits for one; "
        "borrow once, or name another borrower with acquire_on_behalf_of");
  }
}

void add_borrower(LimiterState& limiter, const void* borrower, TokenState state) {
  if (limiter.spare.empty()) {
    limiter.borrowers.emplace(borrower, state);
    return;
  }
  limiter.spare.key() = borrower;
  limiter.spare.mapped() = state;
  limiter.borrowers.insert(std::move(limiter.spare));
}

void borrow(LimiterState& limiter, const void* borrower) {
  add_borrower(limiter, borrower, TokenState::kBorrowed);
  ++limiter.borrowed;
}

void wake_while_room(LimiterState& limiter) {
  while (limiter.has_room() && !limiter.waiting.empty()) {
    const void* const next = static_cast<LimiterWaiter*>(limiter.waiting.front())->borrower;
    limiter.borrowers.find(next)->second = TokenState::kBorrowed;
    ++limiter.borrowed;
    detail::wake_first(limiter.waiting);
  }
}

bool may_borrow(const LimiterState& limiter) {
  return limiter.has_room() && limiter.waiting.empty();
}

void wait_for_token(LimiterState& limiter, const void* borrower, const void* on) {
  LimiterWaiter waiter;
  waiter.task = &current_task();
  waiter.borrower = borrower;
  add_borrower(limiter, borrower, TokenState::kWaiting);
  limiter.waiting.push_back(waiter);
  wait_task_rescheduled(
      [&](const RaiseCancel&) {
        limiter.waiting.remove(waiter);
        limiter.borrowers.erase(borrower);
        return Abort::kSucceeded;
      },
      {.what = "CapacityLimiter.acquire", .on = on});
}

}  // namespace

CapacityLimiter::CapacityLimiter(std::size_t total_tokens)
    : state_(std::make_shared<LimiterState>()) {
  state_->total = total_tokens;
}

CapacityLimiter::~CapacityLimiter() {
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
  checkpoint_if_cancelled();
  refuse_second_token(*state_, borrower);
  if (!may_borrow(*state_)) return wait_for_token(*state_, borrower, this);
  borrow(*state_, borrower);
  cancel_shielded_checkpoint();
}

void CapacityLimiter::acquire_on_behalf_of_nowait(const void* borrower) {
  refuse_second_token(*state_, borrower);
  if (!may_borrow(*state_)) throw WouldBlock();
  borrow(*state_, borrower);
}

void CapacityLimiter::release_on_behalf_of(const void* borrower) {
  const auto found = state_->borrowers.find(borrower);
  if (found == state_->borrowers.end() || found->second != TokenState::kBorrowed) {
    throw UsageError(
        "a token was given back to a CapacityLimiter by a borrower that has none; let "
        "the borrower that acquired it release it");
  }
  detail::release_token(*state_, borrower);
}

CapacityLimiterStatistics CapacityLimiter::statistics() const {
  CapacityLimiterStatistics result{.borrowed_tokens = state_->borrowed,
                                   .total_tokens = state_->total,
                                   .borrowers = {},
                                   .tasks_waiting = state_->waiting.size()};
  for (const auto& [borrower, state] : state_->borrowers) {
    if (state == TokenState::kBorrowed) result.borrowers.push_back(borrower);
  }
  return result;
}

namespace detail {
bool release_token(LimiterState& limiter, const void* borrower) {
  auto gone = limiter.borrowers.extract(borrower);
  if (gone.empty()) return false;
  limiter.spare = std::move(gone);
  --limiter.borrowed;
  wake_while_room(limiter);
  return true;
}
}  // namespace detail

}  // namespace weft::fibers
