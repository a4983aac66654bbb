// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/graceful_scope.h"

#include <algorithm>

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
  parent->children.push_back(this);
  if (parent->asked) ask();
}

// Everybody below has ended, for they run inside; but a listener may end before its elder.
StopState::~StopState() {
  if (parent != nullptr) std::erase(parent->children, this);
}

void StopState::ask() {
  std::vector<StopState*> todo{this};
  while (!todo.empty()) {
    StopState* const state = todo.back();
    todo.pop_back();
    if (std::exchange(state->asked, true)) continue;
    state->event.set();
    if (state->cancel_at_once != nullptr) state->cancel_at_once->cancel("asked to stop");
    todo.insert(todo.end(), state->children.begin(), state->children.end());
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
