// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/as_completed.h"

#include <algorithm>
#include <utility>

#include "weft/fibers/errors.h"
#include "weft/loop/errors.h"
#include "weft/loop/event_loop.h"

namespace weft::loop::detail {

AsCompletedCore::~AsCompletedCore() {
  if (timer_) timer_.cancel();
  for (Handle& callback : callbacks_) callback.cancel();
}

// The order of addresses finds those that are there more than once.
static std::vector<std::size_t> each_once(const std::vector<FutureBase>& futures) {
  std::vector<std::pair<const FutureCore*, std::size_t>> known;
  known.reserve(futures.size());
  for (const FutureBase& future : futures) {
    known.emplace_back(&FutureAccess::core(future), known.size());
  }
  std::ranges::sort(known);
  std::vector<std::size_t> first;
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (i == 0 || known[i].first != known[i - 1].first) first.push_back(known[i].second);
  }
  std::ranges::sort(first);
  return first;
}

void AsCompletedCore::begin(const std::vector<FutureBase>& futures, fibers::Duration timeout) {
  if (futures.empty()) return;
  EventLoop& loop = futures.front().get_loop();
  for (const FutureBase& future : futures) {
    if (&future.get_loop() != &loop) {
      throw fibers::UsageError(
          "The futures belong to different loops; call as_completed() for those of each loop");
    }
  }
  binding_ = LoopBinding(loop);
  const std::vector<std::size_t> each = each_once(futures);
  done_.reserve(each.size());
  callbacks_.reserve(each.size());
  if (timeout != fibers::Duration::max()) {
    timer_ = loop.call_later(timeout, [this] { time_is_up(); });
  }
  for (const std::size_t i : each) {
    callbacks_.push_back(FutureBase(futures[i]).add_done_callback([this, i] { one_is_done(i); }));
  }
  count_ = each.size();
}

void AsCompletedCore::one_is_done(std::size_t i) {
  done_.push_back(i);
  if (done_.size() == count_ && timer_) timer_.cancel();
  waiters_.wake_next();
}

void AsCompletedCore::time_is_up() {
  timed_out_ = true;
  for (Handle& callback : callbacks_) callback.cancel();
  while (waiters_.wake_next()) {
  }
}

// One future, for the call that has made this: another one's again if the call is cancelled.
class AsCompletedCore::Claim {
 public:
  explicit Claim(AsCompletedCore& core) noexcept : core_(core) { ++core_.claimed_; }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  ~Claim() {
    if (!used_) --core_.claimed_;
  }
  void use() noexcept { used_ = true; }

 private:
  AsCompletedCore& core_;
  bool used_ = false;
};

// One who is woken and does not come wakes the next one, if there is still what it was woken for.
class AsCompletedCore::Turn : public Waiter {
 public:
  explicit Turn(AsCompletedCore& core)
      : Waiter(core.waiters_, core.binding_.create_future("as_completed")), core_(core) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    leave();
    if (woken() && !comes_ && core_.has_one()) core_.waiters_.wake_next();
  }
  void comes() noexcept { comes_ = true; }

 private:
  AsCompletedCore& core_;
  bool comes_ = false;
};

Coro<std::size_t> AsCompletedCore::next() {
  if (claimed_ == count_) co_return kNone;
  Claim claim(*this);
  while (!has_one()) {
    if (timed_out_) {
      claim.use();
      throw TimeoutError();
    }
    Turn turn(*this);
    co_await turn.future();
    turn.comes();
  }
  claim.use();
  co_return done_[given_++];
}

}  // namespace weft::loop::detail
