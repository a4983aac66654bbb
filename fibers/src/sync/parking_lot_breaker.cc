// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

#include "weft/fibers/parking_lot_breaker.h"

#include <utility>

#include "fibers/src/sync/lot_breaker.h"
#include "weft/fibers/detail/wait_holders.h"
#include "weft/fibers/errors.h"

namespace weft::fibers {

namespace detail {

LotBreaker::LotBreaker(Task& task, ParkingLot& lot)
    : TaskExit(&task_ended), task_(task), lot_(lot), next_(std::exchange(lot.breakers_, this)) {
  link_exit(*this, task);
}

LotBreaker::~LotBreaker() {
  LotBreaker** at = &lot_.breakers_;
  while (*at != this) at = &(*at)->next_;
  *at = next_;
}

void LotBreaker::add(Task& task, ParkingLot& lot) {
  new LotBreaker(task, lot);  // Owned by the two lists.
}

void LotBreaker::add_tasks(const ParkingLot& lot, std::vector<const void*>& tasks) {
  for (LotBreaker* breaker = lot.breakers_; breaker != nullptr; breaker = breaker->next_) {
    tasks.push_back(&breaker->task_);
  }
}

static const HoldersRule kLotHolders("ParkingLot.park", [](const void* lot,
                                                           std::vector<const void*>& holders) {
  LotBreaker::add_tasks(*static_cast<const ParkingLot*>(lot), holders);
});

bool LotBreaker::remove(const Task& task, ParkingLot& lot) {
  for (LotBreaker* breaker = lot.breakers_; breaker != nullptr; breaker = breaker->next_) {
    if (&breaker->task_ != &task) continue;
    delete breaker;
    return true;
  }
  return false;
}

void LotBreaker::task_ended(TaskExit& link, Task& task) noexcept {
  auto* breaker = static_cast<LotBreaker*>(&link);
  breaker->lot_.break_quietly(task);
  delete breaker;
}

}  // namespace detail

void add_parking_lot_breaker(Task& task, ParkingLot& lot) {
  detail::LotBreaker::add(task, lot);
}

void remove_parking_lot_breaker(Task& task, ParkingLot& lot) {
  if (!detail::LotBreaker::remove(task, lot)) {
    throw UsageError(
        "remove_parking_lot_breaker: this task is not a breaker of this lot; call it once for each "
        "add_parking_lot_breaker");
  }
}

}  // namespace weft::fibers
