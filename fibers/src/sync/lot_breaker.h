// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// One call of add_parking_lot_breaker that has not been taken back.

#pragma once

#include <vector>

#include "weft/fibers/detail/task_exit.h"
#include "weft/fibers/parking_lot.h"

namespace weft::fibers::detail {

// In two lists: of its task, and of its lot. Deleted by whichever of the two ends first.
class LotBreaker : private TaskExit {
 public:
  static void add(Task& task, ParkingLot& lot);
  // False if there is none for this pair.
  static bool remove(const Task& task, ParkingLot& lot);

  // Those of the lot that have not ended.
  static void add_tasks(const ParkingLot& lot, std::vector<const void*>& tasks);

  LotBreaker(const LotBreaker&) = delete;
  LotBreaker& operator=(const LotBreaker&) = delete;
  ~LotBreaker();

 private:
  LotBreaker(Task& task, ParkingLot& lot);
  static void task_ended(TaskExit& link, Task& task) noexcept;

  const Task& task_;
  ParkingLot& lot_;
  LotBreaker* next_;
};

}  // namespace weft::fibers::detail
