// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/parking_lot.h"

#include <new>

#include "fibers/src/sync/lot_breaker.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

namespace {
std::exception_ptr broken_lot(std::string_view by) noexcept {
  return detail::broken_resource(
      {"the parking lot was broken by task '", by, "': what its tasks wait for can never come"});
}
}  // namespace

ParkingLot::~ParkingLot() {
  while (breakers_ != nullptr) delete breakers_;
  detail::fail_all_destroyed(queue_, "ParkingLot");
}

void ParkingLot::park(const WaitingFor& waiting_for) {
  if (broken()) {
    checkpoint_if_cancelled();
    std::rethrow_exception(broken_lot(broken_by_.empty() ? "" : broken_by_.front()));
  }
  WaitingFor described = waiting_for;
  if (described.on == nullptr) described.on = this;
  detail::Waiter waiter;
  detail::wait_in(queue_, waiter, described);
}

std::size_t ParkingLot::unpark(std::size_t count) {
  std::size_t done = 0;
  while (done < count && detail::wake_first(queue_) != nullptr) ++done;
  return done;
}

std::size_t ParkingLot::repark(ParkingLot& other, std::size_t count) {
  if (&other == this) throw UsageError("ParkingLot::repark needs another lot to move the tasks to");
  if (other.broken()) throw UsageError("ParkingLot::repark cannot move tasks to a broken lot");
  std::size_t done = 0;
  for (; done < count && !queue_.empty(); ++done) other.queue_.push_back(*queue_.pop_front());
  return done;
}

void ParkingLot::break_lot() {
  break_lot(current_task());
}

void ParkingLot::break_lot(const Task& by) {
  broken_by_.emplace_back(by.name());
  broken_ = true;
  if (!queue_.empty()) detail::fail_all(queue_, broken_lot(broken_by_.front()));
}

// For a task that ends: without memory for its name the lot is broken all the same.
void ParkingLot::break_quietly(const Task& by) noexcept {
  try {
    break_lot(by);
  } catch (const std::bad_alloc&) {
    broken_ = true;
    detail::fail_all(queue_, broken_lot(by.name()));
  }
}

}  // namespace weft::fibers
