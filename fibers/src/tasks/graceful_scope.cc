// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/graceful_scope.h"

#include <algorithm>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/fibers/timeouts.h"

namespace weft::fibers {

namespace detail {

TreeVar<StopState*>& current_stop_state() {
  static TreeVar<StopState*> state("graceful scope", nullptr);
  return state;
}

void StopState::join() {
  parent = current_stop_state().get();
  if (parent == nullptr) return;
  before = &parent->first_child;
  next = std::exchange(*before, this);
  if (next != nullptr) next->before = &next;
  if (parent->asked) ask();
}

// Everybody below has ended, for they run inside; but a listener may end before its elder.
StopState::~StopState() {
  if (parent == nullptr) return;
  *before = next;
  if (next != nullptr) next->before = before;
}

// What has been asked before has asked all below.
void StopState::ask() {
  for (StopState* state = this;;) {
    const bool news = !std::exchange(state->asked, true);
    if (news) {
      state->event.set();
      if (state->cancel_at_once != nullptr) state->cancel_at_once->cancel("asked to stop");
    }
    if (news && state->first_child != nullptr) {
      state = state->first_child;
      continue;
    }
    while (state != this && state->next == nullptr) state = state->parent;
    if (state == this) return;
    state = state->next;
  }
}

}  // namespace detail

void GracefulScope::stop(Duration grace) {
  detail::checked_timeout(grace);
  stop_called_ = true;
  hard_at_ = std::min(hard_at_, later(current_time(), grace));
  if (state_ != nullptr) ask();
}

void GracefulScope::ask() {
  state_->ask();
  if (hard_at_ < scope_.deadline()) scope_.set_deadline(hard_at_);
}

bool is_stopping() {
  const detail::StopState* state = detail::current_stop_state().get();
  return state != nullptr && state->asked;
}

void wait_stopping() {
  detail::StopState* state = detail::current_stop_state().get();
  if (state == nullptr) sleep_forever();
  state->event.wait();
}

}  // namespace weft::fibers
