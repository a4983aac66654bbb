// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/gather.h"

#include <utility>

#include "weft/fibers/errors.h"
#include "weft/loop/errors.h"

namespace weft::loop::detail {

// A child's callback.
class GatheringCore::Link {
 public:
  Link(GatheringCore& gather, std::size_t index) noexcept
      : gather_(&gather), outer_(FutureAccess::share(gather.outer_)), index_(index) {}
  Link(Link&& other) noexcept
      : gather_(std::exchange(other.gather_, nullptr)),
        outer_(std::move(other.outer_)),
        index_(other.index_) {}
  Link& operator=(Link&&) = delete;
  ~Link() {
    if (gather_ != nullptr) gather_->child_gone();
  }
  void operator()() { std::exchange(gather_, nullptr)->child_done(index_); }
  AwaitedFor awaited_for() const noexcept { return {.future = &FutureAccess::core(outer_)}; }

 private:
  GatheringCore* gather_;
  FutureBase outer_;
  std::size_t index_;
};

void GatheringCore::begin(std::vector<FutureBase> children) {
  children_.reserve(children.size());
  for (const FutureBase& child : children) {
    FutureCore& core = FutureAccess::core(child);
    if (&core.loop() != &outer_.loop()) {
      throw fibers::UsageError(
          "The future belongs to a different loop than the one that gathers; gather what belongs "
          "to one loop, and await the others in tasks of theirs");
    }
    children_.push_back({.pending = &core, .done = {}});
  }
  for (std::size_t i = 0; i < children.size(); ++i) {
    if (!children[i].done()) children[i].add_done_callback(Link(*this, i));
  }
  begun_ = true;
  const FutureBase kept = FutureAccess::share(outer_);
  if (children.empty()) return put_results();
  for (std::size_t i = 0; i < children.size(); ++i) {
    if (children[i].done()) child_done(i);
  }
}

bool GatheringCore::request_cancel(const std::exception_ptr& payload) {
  if (outer_.done()) return false;
  const FutureBase kept = FutureAccess::share(outer_);
  bool cancelled = false;
  // By index, and each looked at anew: a child that is cancelled may drop another.
  for (std::size_t i = 0; i < children_.size(); ++i) {
    if (FutureCore* const child = children_[i].pending; child != nullptr && !child->done()) {
      const FutureKeeper kept_child(*child);
      cancelled |= child->cancel(payload);
    }
  }
  // The outer one ends as cancelled whatever the children come to, also with return_exceptions.
  cancel_requested_ |= cancelled;
  return cancelled;
}

// A child that was cancelled by itself is an error; where all were asked to, the future has done
// what it was asked, and whoever of fibers has cancelled the wait gets a fibers::Cancelled.
void GatheringCore::end_cancelled(const FutureCore& child) {
  const bool child_cancelled = child.state() == FutureCore::State::kCancelled;
  std::exception_ptr payload = child_cancelled ? child.stored_exception() : nullptr;
  if (cancel_requested_) {
    outer_.FutureCore::cancel(std::move(payload));
  } else {
    outer_.set_exception(payload != nullptr ? payload : std::make_exception_ptr(CancelledError()));
  }
}

void GatheringCore::child_done(std::size_t i) {
  if (!begun_) return;
  FutureCore& core = *std::exchange(children_[i].pending, nullptr);
  children_[i].done = FutureAccess::share(core);
  ++finished_;
  if (outer_.done()) return core.forget_unretrieved();
  if (!return_exceptions_) {
    if (core.state() == FutureCore::State::kCancelled) return end_cancelled(core);
    if (core.stored_exception() != nullptr) return outer_.set_exception(core.exception());
  }
  if (finished_ == children_.size()) finish(core);
}

void GatheringCore::finish(FutureCore& last) {
  if (cancel_requested_) return end_cancelled(last);
  try {
    put_results();
  } catch (...) {
    // What copying a result has thrown.
    if (outer_.done()) throw;
    outer_.set_exception(std::current_exception());
  }
}

void GatheringCore::child_gone() noexcept {
  if (!begun_) return;
  try {
    outer_.FutureCore::cancel(nullptr);
  } catch (const fibers::UsageError&) {
    // The loop is closed: the future is cancelled, its callbacks will not run.
  }
}

}  // namespace weft::loop::detail
