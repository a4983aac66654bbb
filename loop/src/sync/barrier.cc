// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/loop/barrier.h"

#include <limits>

#include "weft/fibers/errors.h"

namespace weft::loop {

// A task inside. The last one that leaves an emptying barrier lets the next round in.
class Barrier::Party {
 public:
  explicit Party(Barrier& barrier) noexcept : barrier_(barrier) { ++barrier.count_; }
  Party(const Party&) = delete;
  Party& operator=(const Party&) = delete;
  ~Party() {
    if (--barrier_.count_ > 0) return;
    barrier_.change(barrier_.emptying() ? State::kFilling : barrier_.state_);
  }

 private:
  Barrier& barrier_;
};

static std::size_t require_parties(std::ptrdiff_t parties) {
  if (parties < 1) throw fibers::UsageError("parties must be > 0");
  return static_cast<std::size_t>(parties);
}

Barrier::Barrier(std::ptrdiff_t parties) : parties_(require_parties(parties)) {}

Barrier::Barrier(EventLoop& loop, std::ptrdiff_t parties)
    : condition_(loop), parties_(require_parties(parties)) {}

void Barrier::change(State state) noexcept {
  state_ = state;
  condition_.wake(std::numeric_limits<std::size_t>::max());
}

Coro<std::size_t> Barrier::wait() {
  const auto inside = co_await condition_.scoped();
  while (emptying()) co_await condition_.wait();
  if (broken()) throw BrokenBarrierError("Barrier aborted; reset() it to use it again");
  const std::size_t index = count_;
  const Party party(*this);
  if (count_ == parties_) {
    change(State::kDraining);
    co_return index;
  }
  while (state_ == State::kFilling) co_await condition_.wait();
  if (state_ != State::kDraining) throw BrokenBarrierError("Abort or reset of barrier");
  co_return index;
}

Coro<void> Barrier::reset() {
  const auto inside = co_await condition_.scoped();
  change(count_ > 0 ? State::kResetting : State::kFilling);
}

Coro<void> Barrier::abort() {
  const auto inside = co_await condition_.scoped();
  change(State::kBroken);
}

}  // namespace weft::loop
